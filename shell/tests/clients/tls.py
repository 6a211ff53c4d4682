"""TLS with a local CA: openssl, Python's ssl, `requests`, both SDKs, a change of the certificate, and what idle costs."""

import asyncio
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import tempfile

import websockets
from centrifuge import Client, SubscriptionEventHandler
from cryptography import x509

from authority import Authority
from harness import HERE, Failed, Server, done, eventually, expect, run

IDLE = 1000
MOST_IDLE_BYTES = 10 << 10


def openssl(authority, at, *flags):
    command = ["openssl", "s_client", "-connect", at, "-CAfile", str(authority.file), "-verify_return_error", *flags]
    said = subprocess.run(command, input="", capture_output=True, text=True, timeout=20)
    return said.returncode, said.stdout + said.stderr


async def of_openssl(authority, server):
    for version, cipher in (("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")):
        code, said = openssl(authority, server.address, version, "-alpn", "h2,http/1.1")
        expect(f"openssl with {version}", (code, "Verify return code: 0 (ok)" in said, cipher in said), (0, True, True))
        expect(f"ALPN with {version}", "ALPN protocol: http/1.1" in said, True)
    code, said = openssl(authority, server.address, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
    expect("openssl with -tls1_1", code == 0, False)
    done("TLS: openssl verifies the chain over 1.2 and 1.3, with ALPN, and is refused 1.1")


class Heard(SubscriptionEventHandler):
    def __init__(self):
        self.data = []

    async def on_publication(self, context):
        self.data.append(context.pub.data)


async def of_clients(authority, server):
    url = f"wss://{server.address}"
    client = Client(f"{url}/connection/websocket", ssl_context=authority.context())
    heard = Heard()
    subscription = client.new_subscription("room", heard)
    await client.connect()
    await subscription.subscribe()
    await subscription.ready()
    node = await asyncio.create_subprocess_exec(
        "node", "tls.mjs", server.address, cwd=HERE, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(authority.file)},
    )
    expect("the SDK of JavaScript", (await asyncio.wait_for(node.stdout.readline(), 20)).strip(), b"subscribed")
    async with websockets.connect(f"{url}/ws/room?greeting=off", ssl=authority.context()) as plain:
        large = "x" * 60_000
        for data in ("first", large, "last"):
            await asyncio.to_thread(authority.publish, server.address, data)
        for data in ("first", large, "last"):
            expect("a message over TLS", json.loads(await asyncio.wait_for(plain.recv(), 10)), data)
    await eventually("what the SDK of Python heard", lambda: heard.data, ["first", large, "last"])
    told = json.loads(await asyncio.wait_for(node.stdout.readline(), 20))
    expect("what the SDK of JavaScript heard", told, ["first", len(large), "last"])
    expect("its end", await node.wait(), 0)
    await client.disconnect()
    done("TLS: both SDKs and a plain client hear what requests publishes")


async def of_replacement(authority, server):
    """Connections stay while the certificate is replaced, ten times, and each gets everything."""
    url = f"wss://{server.address}/ws/room?greeting=off"
    open_ones = [await websockets.connect(url, ssl=authority.context()) for _ in range(20)]
    for number in range(10):
        serial = authority.issue()
        server.process.send_signal(signal.SIGHUP)
        await eventually("the serial number", lambda: serial_of(authority, server.address), serial)
        await asyncio.to_thread(authority.publish, server.address, number)
        open_ones.append(await websockets.connect(url, ssl=authority.context()))
        for client in open_ones[:-1]:
            heard = json.loads(await asyncio.wait_for(client.recv(), 10))
            expect("a message while the certificate changes", heard, number)
    for client in open_ones:
        await client.close()
        expect("its close", client.close_code, 1000)
    done("TLS: the certificate is replaced ten times, and 20 connections stay")


def serial_of(authority, at):
    host, port = at.split(":")
    with socket.create_connection((host, int(port)), 10) as raw:
        with authority.context().wrap_socket(raw, server_hostname="localhost") as tls:
            return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True)).serial_number


def resident(server):
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) << 10


async def of_memory(authority, server):
    url = f"wss://{server.address}/ws/idle?greeting=off"
    context = authority.context()
    warm = [await websockets.connect(url, ssl=context) for _ in range(50)]
    before = resident(server)
    idle = [await websockets.connect(url, ssl=context) for _ in range(IDLE)]
    await asyncio.sleep(1)
    each = (resident(server) - before) // IDLE
    print(f"{each} bytes for each idle connection", flush=True)
    if each > MOST_IDLE_BYTES:
        raise Failed("bytes for each idle connection", f"at most {MOST_IDLE_BYTES}", each)
    await asyncio.gather(*(client.close() for client in warm + idle))
    done(f"TLS: an idle connection takes at most {MOST_IDLE_BYTES} bytes")


async def steps():
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(pathlib.Path(folder))
        authority.issue()
        with Server(*authority.flags(), "--new-connections-per-ip", "off", "--new-connections", "off") as server:
            await of_openssl(authority, server)
            await of_clients(authority, server)
            await of_replacement(authority, server)
            await of_memory(authority, server)


run(steps)

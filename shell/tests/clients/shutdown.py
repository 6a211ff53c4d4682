"""SIGTERM as clients see it: 3001, and back as soon as a new server is there."""

import asyncio
import json
import time

import websockets

from harness import Server, api, done, eventually, expect, run
from sdk import client, subscribe

CLIENTS = 50


async def join(address):
    one, heard = client(address, max_reconnect_delay=1)
    subscription, room = await subscribe(one, "shutdown")
    await one.connect()
    await subscription.ready()
    return one, subscription, heard, room


async def refused(address):
    try:
        async with websockets.connect(f"ws://{address}/ws/late", open_timeout=2):
            return False
    except (OSError, websockets.InvalidHandshake):
        return True


async def main():
    server = Server()
    clients = await asyncio.gather(*(join(server.address) for _ in range(CLIENTS)))
    plain = await websockets.connect(f"ws://{server.address}/ws/shutdown")
    await plain.recv()
    api("publish", {"channel": "shutdown", "data": "before"}, at=server.address)

    begun = time.monotonic()
    server.terminate()
    await eventually("new connections are refused", lambda: refused(server.address), True)
    expect("what was sent before", json.loads(await plain.recv()), "before")
    await asyncio.wait_for(plain.wait_closed(), 30)
    expect("the close code of plain", plain.close_code, 3001)
    for _, _, heard, room in clients:
        await eventually("the close code of json", lambda: heard.connecting, [0, 3001], within=30)
        expect("what was sent before", room.data, ["before"])
    await asyncio.to_thread(server.stop)
    took = time.monotonic() - begun
    expect(f"the server ends within its drain time (it took {took:.1f} s)", took < 35, True)
    done(f"shutdown: {CLIENTS + 1} clients are told 3001, the server ends with exit code 0")

    with Server(port=server.port) as again:
        for _, subscription, heard, _ in clients:
            await eventually("connected to the new server", lambda: len(heard.connected), 2, within=30)
            await subscription.ready()
        await asyncio.to_thread(api, "publish", {"channel": "shutdown", "data": "after"}, again.address)
        for one, _, _, room in clients:
            await eventually("what is sent afterwards", lambda: room.data, ["before", "after"])
            expect("asked to recover, recovered", room.answers, [(False, False), (True, False)])
            await one.disconnect()
    done("shutdown: every SDK is back in its room on the next server")


run(main)

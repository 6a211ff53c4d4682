"""Attacks by what is begun and never finished, and by what is not read: how much of it the server holds."""

import contextlib
import time

from attack_sockets import request
from crowd import numbered
from harness import API_KEY, token
from judge import CALL_MIB, attack
from raw import CHUNK, asked, connect, frame, post
from raw_client import Client, ends_of


# Half-read messages, of 51 MB in all, may take a third of that.
@attack(
    "800 fragments of 64,000 bytes without an end take no more than inbound_bytes_total, and go after message_timeout",
    *["--inbound-bytes-total", "16777216", "--message-timeout", "2s"],
    memory=CALL_MIB + 16,
)
def half_messages(stage):
    clients = [Client(stage, f"/ws/half-{n % 10}") for n in range(800)]
    yield
    half = frame("x" * 64_000, fin=False)
    for client in clients:
        client.send(half)
    ends = ends_of(clients)
    stage.figures.append(f"ends: {ends}")
    codes = {end and end[0] for end in ends}
    stage.check("codes that half messages end with", codes <= {3012, 3013} and 3012 in codes, True)
    named = all(end and ("message_timeout" in end[1] or "inbound_bytes_total" in end[1]) for end in ends)
    stage.check("whether the limits are named", named, True)


def kernel_holds(port):
    """Bytes that the system holds for the connection of this port that it holds most for."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return max(int(row[4].split(":")[0], 16) for row in rows if row[1].endswith(f":{port:04X}"))


DEAF = 100


# What waits besides is bounded, and what the room said is shared.
@attack(
    "100 connections that read nothing while much is said hold no more than outbox_bytes_total, and little of the system",
    *["--outbox-bytes-total", "16777216"],
    memory=CALL_MIB + 16,
)
def deaf_connections(stage):
    deaf = [Client(stage, "/ws/loud?token=" + token(sub=f"deaf-{n}"), receive=4096) for n in range(DEAF)]
    crowd = stage.crowd()
    crowd.plain(10, "loud", name="who reads beside the deaf")
    yield
    said, data = 0, "x" * 60_000
    # Until the system takes no more, and the server holds something for each of them.
    while said < 120 and stage.health()["outbox_bytes"] < len(deaf) * len(data):
        body = {"channel": "loud", "data": {**numbered("loud", said), "y": data}, "skip_history": True}
        stage.check("a publication", stage.call("publish", body)[0], 200)
        said += 1
    kernel = kernel_holds(stage.server.port)
    for n in range(DEAF):
        commands = [{"publish_user": {"user": f"deaf-{n}", "data": data, "skip_history": True}}] * 14
        stage.check("a batch to one of the deaf", stage.call("batch", {"commands": commands})[0], 200)
    stage.figures.append(
        f"{said} messages of 60 KB until sockets were full, the system held {kernel / 1024:.0f} KiB for one"
    )
    stage.check("whether the system holds at most 512 KiB for one", kernel <= 512 << 10, True)
    stage.check("whether the limit counts", stage.health()["totals"]["limits"].get("outbox_bytes_total", 0) > 0, True)
    stage.faults += crowd.faults(loud=said)


@attack("200 bodies of almost 1 MB that never end, without a key, are not taken in")
def bodies_without_a_key(stage):
    yield
    head = request(stage.at, "POST", "/api/publish", "Content-Length: 1000000")
    for _ in range(200):
        one = stage.held(connect(stage.at))
        one.setblocking(False)
        try:
            one.send(head + b"x" * 900_000)
        except OSError as broken:
            stage.faults.append(f"a body was cut off at once: {broken}")
    time.sleep(1)


# They are half-read, as messages are.
@attack(
    "200 bodies of almost 1 MB that never end, with a key, take no more than inbound_bytes_total",
    *["--inbound-bytes-total", "16777216"],
    memory=CALL_MIB + 16,
)
def bodies_with_a_key(stage):
    yield
    whole = post(stage.at, "publish", b"x" * 1_000_000)
    unfinished = [memoryview(whole)[:-1000] for _ in range(200)]
    sockets = [stage.held(connect(stage.at)) for _ in unfinished]
    for one in sockets:
        one.setblocking(False)
    until = time.monotonic() + 3
    while time.monotonic() < until and any(unfinished):
        for n, (one, rest) in enumerate(zip(sockets, unfinished)):
            try:
                unfinished[n] = rest[one.send(rest) :] if rest else rest
            except BlockingIOError:
                continue
            except OSError:
                unfinished[n] = rest[:0]
        time.sleep(0.001)
    [answer] = asked(stage.at, [post(stage.at, "info", {})])
    stage.check("another call", answer[0], 200)


@attack("24 bodies of 1 MB in chunks of one byte, with a key, take no more than their bytes", memory=CALL_MIB + 24)
def bodies_of_tiny_chunks(stage):
    yield
    head = request(stage.at, "POST", "/api/publish", f"X-API-Key: {API_KEY}", "Transfer-Encoding: chunked")
    unfinished = memoryview(head + b"1\r\nx\r\n" * 1_000_000)
    sockets = [stage.held(connect(stage.at)) for _ in range(24)]
    for one in sockets:
        one.settimeout(10)
        one.sendall(unfinished)
    [answer] = asked(stage.at, [post(stage.at, "info", {})])
    stage.check("another call", answer[0], 200)


# All of them wait for their turn to be parsed.
@attack("100 calls of almost 1 MB that come together take turns", memory=CALL_MIB + 100)
def bodies_that_are_parsed(stage):
    yield
    whole = post(stage.at, "publish", {"channel": "large", "data": [{"a": n} for n in range(80_000)]})
    sockets = [stage.held(connect(stage.at)) for _ in range(100)]
    for one in sockets:
        one.setblocking(False)
    unsent = [memoryview(whole) for _ in sockets]
    until = time.monotonic() + 10
    while time.monotonic() < until and any(unsent):
        for n, (one, rest) in enumerate(zip(sockets, unsent)):
            with contextlib.suppress(BlockingIOError):
                unsent[n] = rest[one.send(rest) :] if rest else rest
        time.sleep(0.001)
    seen = set()
    for one in sockets:
        one.settimeout(10)
        seen.add(one.recv(CHUNK)[9:12])
    stage.check("statuses", seen, {b"413"})


@attack("200 sockets that ask for /openapi.json again and again and read nothing take little memory")
def unread_answers(stage):
    asks = request(stage.at, "GET", "/openapi.json") * 100
    sockets = [stage.held(connect(stage.at, receive=4096)) for _ in range(200)]
    yield
    for one in sockets:
        one.sendall(asks)
    time.sleep(1)

"""Clients that are killed, that freeze, that stop reading, that come and go in masses: the others miss nothing, and
nothing is left behind.

Everything happens three times: memory after the last time is compared with memory after the times before, so that what
the allocator keeps for the next time does not count as lost.
"""

import asyncio
import contextlib
import json
import os
import re
import resource
import signal
import socket
import sys

import websockets

from harness import Server, api, done, eventually, expect, http, run, token

STEADY_CLIENTS = 5
STEADY_PAUSE_S = 0.02
HELD = 50
ROOM = 200
PAYLOAD = "x" * 60_000
STALLED_BYTES = 4096
MOST_MESSAGES = 250
MASS = 2000
# A ping is due within 25 s, its pong 10 s later, and closing takes at most 5 s.
FROZEN_S = 45
# How much more memory than the times before is still near: a tenth, and two megabytes.
NEAR = (1.1, 2 << 20)


async def listen(connection, received):
    with contextlib.suppress(websockets.ConnectionClosed):
        async for text in connection:
            received.append(json.loads(text))


class Steady:
    """A few clients in a room in which something is said all the time."""

    def __init__(self, address):
        self.address, self.sent, self.received, self.connections = address, 0, [], []

    async def __aenter__(self):
        for _ in range(STEADY_CLIENTS):
            connection = await websockets.connect(f"ws://{self.address}/ws/steady?greeting=off")
            self.connections.append(connection)
            self.received.append([])
            asyncio.ensure_future(listen(connection, self.received[-1]))
        self.publisher = asyncio.create_task(self._publish())
        return self

    async def _publish(self):
        while True:
            await asyncio.to_thread(api, "publish", {"channel": "steady", "data": self.sent}, self.address)
            self.sent += 1
            await asyncio.sleep(STEADY_PAUSE_S)

    async def missed_nothing(self, what):
        """What was published until now has reached every one of them, once and in order."""
        sent = self.sent
        for received in self.received:
            await eventually(f"{what}: messages to the others", lambda: received[:sent] == list(range(sent)), True)

    async def __aexit__(self, *_):
        self.publisher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.publisher
        for connection in self.connections:
            await connection.close()


async def members(address, room):
    channels = await asyncio.to_thread(api, "channels", {"pattern": room}, address)
    return channels["channels"].get(room, {"num_clients": 0})["num_clients"]


async def holder(address, room):
    """A process that holds connections and reads what comes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "hold", address, room, stdout=asyncio.subprocess.PIPE
    )
    expect("the process that holds connections", await process.stdout.readline(), b"holding\n")
    return process


async def hold(address, room):
    connections = []
    for n in range(HELD):
        url = f"ws://{address}/ws/{room}?token=" + token(sub=f"{room}-{n % 7}")
        connections.append(await websockets.connect(url, ping_interval=None))
    print("holding", flush=True)
    await asyncio.gather(*(listen(connection, []) for connection in connections))


async def killed(address, steady):
    process = await holder(address, "killed")
    expect("members before the kill", await members(address, "killed"), HELD)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    await eventually("members after kill -9", lambda: members(address, "killed"), 0)
    await steady.missed_nothing("kill -9")
    done(f"robustness: kill -9 of a process with {HELD} connections")


async def frozen(address, steady):
    process = await holder(address, "frozen")
    os.kill(process.pid, signal.SIGSTOP)
    try:
        await eventually("members of a frozen process", lambda: members(address, "frozen"), 0, within=FROZEN_S)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    await steady.missed_nothing("a frozen process")
    done(f"robustness: a frozen process with {HELD} connections is given up")


def stalled_socket(address, room):
    """A client that asks for the room and never reads anything."""
    host, port = address.split(":")
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STALLED_BYTES)
    stalled.connect((host, int(port)))
    lines = ["GET /ws/" + room + " HTTP/1.1", "Host: " + address, "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
    stalled.sendall("\r\n".join(lines).encode())
    return stalled


async def stalled(address, steady):
    url = f"ws://{address}/ws/stalled?greeting=off"
    readers = [await websockets.connect(url, ping_interval=None) for _ in range(ROOM - 1)]
    with stalled_socket(address, "stalled"):
        await eventually("members", lambda: members(address, "stalled"), ROOM)
        for n in range(MOST_MESSAGES):
            body = {"channel": "stalled", "data": [n, PAYLOAD], "skip_history": True}
            await asyncio.to_thread(api, "publish", body, address)
            seen = {json.loads(text)[0] for text in await asyncio.gather(*(reader.recv() for reader in readers))}
            expect("the next message of everyone who reads", seen, {n})
            if await members(address, "stalled") < ROOM:
                break
        await eventually("members without the one that does not read", lambda: members(address, "stalled"), ROOM - 1)
    await steady.missed_nothing("a client that does not read")
    await asyncio.gather(*(reader.close() for reader in readers))
    done(f"robustness: one of {ROOM} stops reading and is given up after {n + 1} messages")


async def passing(address, n):
    """Comes, and goes in one of four ways."""
    url = f"ws://{address}/ws/mass-{n % 50}?token=" + token(sub=f"mass-{n % 300}")
    connection = await websockets.connect(url, open_timeout=60, ping_interval=None)
    if n % 4 == 0:
        connection.transport.abort()
    elif n % 4 == 1:
        await connection.recv()
        connection.transport.abort()
    elif n % 4 == 2:
        await connection.send('{"type":"publish","data":1}')
        await connection.close()
    else:
        await connection.close()


async def masses(address, steady):
    await asyncio.gather(*(passing(address, n) for n in range(MASS)))
    await steady.missed_nothing("clients that come and go")
    done(f"robustness: {MASS} clients come and go at once")


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) << 10


async def everything(address, scenes):
    async with Steady(address) as steady:
        for scene in scenes:
            await scene(address, steady)
        expect(
            "the others are still connected", [one.close_code for one in steady.connections], [None] * STEADY_CLIENTS
        )

    def left():
        _, health = http("/health", at=address)
        return {name: health[name] for name in ("connections", "users", "rooms", "outbox_bytes")}

    nothing = {"connections": 0, "users": 0, "rooms": 0, "outbox_bytes": 0}
    await eventually("what /health says is left", left, nothing)


async def patience(address, steady):
    """What takes its time happens beside the rest."""
    freezing = asyncio.create_task(frozen(address, steady))
    for scene in (killed, stalled, masses):
        await scene(address, steady)
    await freezing


async def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Server("--new-connections", "2000/s, burst 4000") as server:
        memory = [resident(server.pid)]
        for scenes in ([patience], [killed, stalled, masses], [masses, stalled, killed]):
            await everything(server.address, scenes)
            memory.append(resident(server.pid))
        figures = ", ".join(f"{bytes / (1 << 20):.1f}" for bytes in memory)
        near = max(memory[:-1]) * NEAR[0] + NEAR[1]
        what = f"memory, fresh and after each time, is near where it was before: {figures} MiB"
        expect(what, memory[-1] <= near, True)
        done(f"robustness: no connection, user or room is left; memory, fresh and after each time: {figures} MiB")


if sys.argv[1:2] == ["hold"]:
    asyncio.run(hold(*sys.argv[2:]))
else:
    run(main)

"""Positions, history and recovery in the plain protocol, with PyPI `websockets`."""

import asyncio
import contextlib
import json

import websockets

from harness import Server, address, done, eventually, expect, run
from proxy import Proxy
from sdk import call

CUTS = 8
BETWEEN_CUTS_S = 0.6
PAUSE_S = 0.025
# One more than a room retains.
TOO_MANY = 101


@contextlib.asynccontextmanager
async def connect(path, at=None):
    url = f"ws://{at or address()}/ws/{path}{'&' if '?' in path else '?'}greeting=off"
    async with websockets.connect(url, ping_interval=None) as socket:
        yield socket


async def frames(socket, count):
    return [json.loads(await asyncio.wait_for(socket.recv(), 5)) for _ in range(count)]


async def nothing_more(socket):
    """The answer to a ping is the next frame."""
    await socket.send('{"type":"ping"}')
    expect("the next frame", [frame["type"] for frame in await frames(socket, 1)], ["pong"])


async def status(path):
    try:
        async with connect(path):
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


def position(room, epoch, offset, kind="position"):
    return {"type": kind, "room": room, "epoch": epoch, "offset": offset}


async def publish(room, *messages, **options):
    for data in messages:
        result = await call("publish", {"channel": room, "data": data, **options})
    return result


async def positions():
    epoch = (await publish("pl-one", 1))["epoch"]
    other = (await publish("pl-two", 1, 2))["epoch"]
    one, two = (lambda n: position("pl-one", epoch, n)), (lambda n: position("pl-two", other, n))
    async with connect("?room=pl-one&room=pl-two&positions=on") as socket:
        expect("positions at the join", await frames(socket, 2), [one(1), two(2)])
        await publish("pl-two", "a")
        expect("a message and its position", await frames(socket, 2), ["a", two(3)])
        await publish("pl-one", "b", skip_history=True)
        expect("one that has no position", await frames(socket, 1), ["b"])
        await socket.send('{"type":"subscribe","events":["wanted"]}')
        await frames(socket, 1)
        await publish("pl-one", {"type": "not wanted"}, {"type": "wanted"})
        expect("one that passes the filter", await frames(socket, 2), [{"type": "wanted"}, one(3)])
        await socket.send('{"type":"position"}')
        expect("positions, asked for", await frames(socket, 2), [one(3), two(3)])
        await nothing_more(socket)
    async with connect("pl-two") as socket:
        await publish("pl-two", "c")
        expect("a message where no positions are asked for", await frames(socket, 1), ["c"])
        await socket.send('{"type":"position"}')
        expect("the one that is", await frames(socket, 1), [two(4)])
        await nothing_more(socket)
    done("plain: positions of several rooms, at the join, after messages, and when asked for")


async def history():
    epoch = (await publish("pl-history", *range(1, 7)))["epoch"]
    at = lambda n: position("pl-history", epoch, n)
    for options, expected in (
        ("history=2", [5, 6]),
        ("history=100", [1, 2, 3, 4, 5, 6]),
        ("history=2&positions=on", [5, at(5), 6, at(6)]),
        ("history=0&positions=on", [at(6)]),
        (f"since={epoch}:4", [5, 6]),
        (f"since={epoch}:4&positions=on", [5, at(5), 6, at(6)]),
        (f"since={epoch}:6", []),
        (f"since={epoch}:6&positions=on", [at(6)]),
        (f"since={epoch}:7", [position("pl-history", epoch, 6, "gap")]),
        ("since=another:4&positions=on", [position("pl-history", epoch, 6, "gap"), at(6)]),
    ):
        async with connect(f"pl-history?{options}") as socket:
            expect(f"what a join with {options} brings", await frames(socket, len(expected)), expected)
            await nothing_more(socket)
    async with connect("?room=pl-history&room=pl-empty&history=1") as socket:
        expect("the newest of two rooms, one of them empty", await frames(socket, 1), [6])
    wrong = ("history=101", "history=-1", "history=x", "since=4", f"since={epoch}:x", f"since={epoch}:4&history=2")
    refused = {options: await status(f"pl-history?{options}") for options in wrong}
    expect("what makes no sense", refused, dict.fromkeys(wrong, 400))
    expect("since for two rooms", await status(f"?room=pl-history&room=pl-empty&since={epoch}:4"), 400)
    done("plain: history and since at the join, and a gap where they do not reach")


class Follower:
    """Comes back with `since` whenever it is cut off. A message counts once its position is there, so that one that is
    cut off between the two does not count twice."""

    def __init__(self, room, at):
        self.room, self.at, self.since = room, at, None
        self.received, self.gaps, self.connections = [], [], 0

    async def __aenter__(self):
        self.task = asyncio.create_task(self._follow())
        await eventually("the position at the join", lambda: self.since is not None, True)
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def _follow(self):
        while True:
            since = f"&since={self.since}" if self.since else ""
            with contextlib.suppress(OSError, websockets.WebSocketException):
                async with connect(f"{self.room}?positions=on{since}", self.at) as socket:
                    self.connections += 1
                    await self._listen(socket)
            await asyncio.sleep(0.1)

    async def _listen(self, socket):
        messages = []
        async for text in socket:
            frame = json.loads(text)
            kind = frame.get("type") if isinstance(frame, dict) else None
            if kind == "position":
                self.received += messages
                messages = []
                self.since = f"{frame['epoch']}:{frame['offset']}"
            elif kind == "gap":
                self.gaps.append(frame["offset"])
            else:
                messages.append(frame)


async def every_message(room, proxy, what, cut):
    async with Follower(room, proxy.address) as one:
        sent, stop = 0, asyncio.Event()

        async def publisher():
            nonlocal sent
            while not stop.is_set():
                await publish(room, sent)
                sent += 1
                await asyncio.sleep(PAUSE_S)

        publishing = asyncio.create_task(publisher())
        for cuts in range(CUTS):
            await asyncio.sleep(BETWEEN_CUTS_S)
            cut()
            await eventually("connections made", lambda: one.connections, cuts + 2)
        stop.set()
        await publishing
        await eventually(f"every message, once and in order, {what}", lambda: one.received, list(range(sent)))
        expect("gaps", one.gaps, [])
    done(f"plain: {what} {CUTS} times, {sent} messages arrive")


async def moved_on(proxy):
    async with Follower("pl-late", proxy.address) as one:
        await publish("pl-late", "first")
        await eventually("the first message", lambda: one.received, ["first"])
        proxy.refusing = True
        proxy.cut()
        await publish("pl-late", *range(TOO_MANY))
        proxy.refusing = False
        await eventually("the gap", lambda: one.gaps, [TOO_MANY + 1])
        await publish("pl-late", "next")
        await eventually("what came after the gap", lambda: one.received, ["first", "next"])
        proxy.cut()
        await publish("pl-late", "a", "b")
        await eventually("what was recovered after the gap", lambda: one.received, ["first", "next", "a", "b"])
        expect("gaps", one.gaps, [TOO_MANY + 1])
    done("plain: history had moved on: a gap, and on from there")


# How many messages came before a client that is alone in its room goes, whether they have aged out by then, and how many
# it misses.
ALONE = [(1, False, 2), (0, False, 2), (0, False, 0), (1, True, 0), (1, True, 2)]
HISTORY_AGE_S = 2


async def alone():
    with Server("--history-age", f"{HISTORY_AGE_S}s", "--log-memory", "1m") as server:
        at = server.address
        send = lambda room, data: call("publish", {"channel": room, "data": data}, at)
        for before, aged, missed in ALONE:
            room = f"pl-alone-{before}{aged}{missed}"
            async with connect(f"{room}?positions=on", at) as socket:
                [here] = await frames(socket, 1)
                for n in range(before):
                    await send(room, n)
                await frames(socket, 2 * before)
                await asyncio.sleep(HISTORY_AGE_S + 0.5 if aged else 0)
            for n in range(before, before + missed):
                await send(room, n)
            async with connect(f"{room}?since={here['epoch']}:{before}", at) as socket:
                what = f"what was missed after {before} before, aged out: {aged}"
                expect(what, await frames(socket, missed), list(range(before, before + missed)))
                await nothing_more(socket)
        await asyncio.to_thread(server.stop)
    done(f"plain: whoever was alone in its room goes on from there, in {len(ALONE)} cases")


async def main():
    await positions()
    await history()
    await alone()
    async with Proxy() as cut, Proxy() as midway, Proxy() as late:
        await asyncio.gather(
            every_message("pl-cut", cut, "cut off", cut.cut),
            every_message("pl-midway", midway, "cut off in the middle of a frame", midway.cut_midway),
            moved_on(late),
        )


run(main)

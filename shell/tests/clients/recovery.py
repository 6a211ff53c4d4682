"""PyPI `centrifuge-python`, unchanged and with its default options, loses its connection while messages fly and gets
every one of them, once and in order; where the server cannot give them any more, it says so."""

import asyncio
import contextlib

import centrifuge

from harness import Server, done, eventually, expect, run, token
from proxy import Proxy
from sdk import call, client, subscribe

CUTS = 6
BETWEEN_CUTS_S = 0.6
PAUSE_S = 0.025
# One more than a room retains.
TOO_MANY = 101
# How long the application takes to handle that it is subscribed.
SLOW_S = 0.3


class Behind:
    """A client behind a proxy, in a room of its own choice, one of its token's, and its user's personal one."""

    def __init__(self, proxy, user):
        self.proxy, self.user = proxy, user
        self.own, self.claimed, self.personal = f"{user}-own", f"{user}-claimed", f"#{user}"

    async def __aenter__(self):
        self.client, self.heard = client(self.proxy.address, token=token(sub=self.user, channels=[self.claimed]))
        subscription, own = await subscribe(self.client, self.own)
        self.rooms = [own, self.heard.room(self.claimed), self.heard.room(self.personal)]
        await self.client.connect()
        await subscription.ready()
        await eventually("rooms at first", lambda: self.each(lambda room: len(room.subscribed)), [1, 1, 1])
        return self

    async def __aexit__(self, *_):
        await self.client.disconnect()

    async def publish(self, data):
        at = self.proxy.target
        await call("broadcast", {"channels": [self.own, self.claimed], "data": data}, at)
        await call("publish_user", {"user": self.user, "data": data}, at)

    def each(self, look):
        return [look(room) for room in self.rooms]

    async def received(self, what, messages):
        await eventually(what, lambda: self.each(lambda room: room.data), [messages] * 3)

    async def answered(self, answers):
        await eventually("asked to recover, recovered", lambda: self.each(lambda room: room.answers), [answers] * 3)


@contextlib.asynccontextmanager
async def away(one, proxy):
    """What happens in it happens while the client cannot come back."""
    proxy.refusing = True
    proxy.cut()
    await eventually("the client notices", lambda: one.state, centrifuge.ClientState.CONNECTING)
    yield
    proxy.refusing = False


async def every_message(proxy, user, what, cut):
    async with Behind(proxy, user) as one:
        sent, missed, stop = 0, 0, asyncio.Event()

        async def publish():
            nonlocal sent
            while not stop.is_set():
                await one.publish(sent)
                sent += 1
                await asyncio.sleep(PAUSE_S)

        publisher = asyncio.create_task(publish())
        for cuts in range(CUTS):
            await asyncio.sleep(BETWEEN_CUTS_S)
            await cut()
            await eventually("the client notices", lambda: len(one.heard.connecting), cuts + 2)
            missed -= sent
            await eventually("connections made", lambda: len(one.heard.connected), cuts + 2)
            missed += sent
        stop.set()
        await publisher
        await one.received(f"every message, once and in order, {what}", list(range(sent)))
        offsets = one.each(lambda room: [publication.offset for publication in room.publications])
        expect("their offsets", offsets, [list(range(1, sent + 1))] * 3)
        await one.answered([(False, False)] + [(True, True)] * CUTS)
        expect(f"messages that it missed at first are some: {missed}", missed > 0, True)
        done(f"py: {what} {CUTS} times, {sent} messages arrive in each of three rooms, {missed} of them late")


async def cut_again(proxy):
    """While the application still handles that it is subscribed again, the connection is lost once more."""
    async with Behind(proxy, "py-again") as one:
        for room in one.rooms:
            room.pause_s = SLOW_S
        await one.publish("first")
        await one.received("the first message", ["first"])
        async with away(one.client, proxy):
            await one.publish("a")
            await one.publish("b")
        most = lambda: max(one.each(lambda room: len(room.answers)))
        for cuts in range(2):
            await eventually("how often a room was subscribed", most, cuts + 2)
            proxy.cut()
        await one.received("what is recovered in the end", ["first", "a", "b"])
    done("py: a recovery that is itself cut off, twice, loses nothing")


async def goes_on(one, epoch, offset, what):
    """From the position that an unsuccessful recovery left it at, the client goes on without a repeat, and recovers."""
    await one.answered([(False, False), (True, False)])
    before = one.rooms[0].data
    positions = one.each(lambda room: room.subscribed[-1].stream_position.offset)
    expect(f"positions {what}", positions, [offset] * 3)
    changed = lambda room: room.subscribed[0].stream_position.epoch != room.subscribed[1].stream_position.epoch
    expect(f"whether the epochs {what} are others", one.each(changed), [epoch == "another"] * 3)
    await one.publish("next")
    await one.received(f"what came {what}", [*before, "next"])
    async with away(one.client, one.proxy):
        await one.publish("a")
        await one.publish("b")
    await one.received(f"recovered {what}", [*before, "next", "a", "b"])
    await one.answered([(False, False), (True, False), (True, True)])


async def moved_on(proxy):
    async with Behind(proxy, "py-late") as one:
        await one.publish("first")
        await one.received("the first message", ["first"])
        async with away(one.client, one.proxy):
            for n in range(TOO_MANY):
                await one.publish(n)
        await goes_on(one, "the same", TOO_MANY + 1, "after history had moved on")
    done("py: history had moved on: not recovered, and on from there")


async def loaded_again(proxy):
    """An application that loads its state itself is asked to load it again, instead of being told that it missed
    something."""
    loads, publish = [], lambda data: call("publish", {"channel": "py-loaded", "data": data})
    await publish("before")

    async def get_state(_):
        loads.append(await call("history", {"channel": "py-loaded"}))
        return centrifuge.StreamPosition(loads[-1]["offset"], loads[-1]["epoch"])

    one, _ = client(proxy.address)
    subscription, room = await subscribe(one, "py-loaded", get_state=get_state)
    await one.connect()
    await subscription.ready()
    async with away(one, proxy):
        await publish("short")
    await eventually("what was recovered", lambda: room.data, ["short"])
    expect("states loaded after a short cut", len(loads), 1)
    async with away(one, proxy):
        for n in range(TOO_MANY):
            await publish(n)
    await eventually("asked to recover, recovered", lambda: room.answers, [(True, True)] * 3)
    expect("states loaded after history had moved on", len(loads), 2)
    await publish("next")
    await eventually("what came after that", lambda: room.data, ["short", "next"])
    done("py: history had moved on: the state of the application is loaded again")
    await one.disconnect()


async def restarted(proxy):
    with Server() as first, Server() as second:
        proxy.target = first.address
        async with Behind(proxy, "py-stays") as one:
            for n in range(3):
                await one.publish(n)
            await one.received("the messages of the first server", [0, 1, 2])
            proxy.target = second.address
            for n in range(5):
                await one.publish(n)
            await asyncio.to_thread(first.stop)
            await goes_on(one, "another", 5, "after a restart")
            expect("why it connected again", one.heard.connecting[1], 3001)
        await asyncio.to_thread(second.stop)
    done("py: the server was started again: not recovered, and on from there")


async def main():
    async with contextlib.AsyncExitStack() as stack:
        closed, cut, midway, late, loads, stays, again = [await stack.enter_async_context(Proxy()) for _ in range(7)]
        body = {"user": "py-closed", "disconnect": {"code": 3000, "reason": "come back"}}

        async def now(act):
            act()

        await asyncio.gather(
            every_message(closed, "py-closed", "closed by the server", lambda: call("disconnect", body)),
            every_message(cut, "py-cut", "cut off", lambda: now(cut.cut)),
            every_message(midway, "py-midway", "cut off in the middle of a frame", lambda: now(midway.cut_midway)),
            moved_on(late),
            loaded_again(loads),
            restarted(stays),
            cut_again(again),
        )


run(main)

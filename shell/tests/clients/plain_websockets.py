"""PyPI `websockets` against the plain protocol."""

import asyncio
import contextlib
import json
import re
import time

import websockets

from harness import address, api, call, done, eventually, expect, run, token

IDLE_S = 60
TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
CLIENT = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


@contextlib.asynccontextmanager
async def connect(path, greeting=True, **options):
    """A connection, and its greeting when one is due."""
    async with websockets.connect(f"ws://{address()}{path}", **options) as socket:
        yield (socket, await frame(socket)) if greeting else (socket, None)


async def frame(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), 5))


async def stamped(socket):
    """A frame of the server's own, without its timestamp, which has to be one."""
    seen = await frame(socket)
    expect("the form of a timestamp", bool(TIMESTAMP.match(seen.pop("timestamp", ""))), True)
    return seen


async def say(socket, message):
    await socket.send(json.dumps(message))


async def refused(path, **options):
    try:
        async with connect(path, **options):
            return "accepted"
    except websockets.InvalidStatus as answer:
        return answer.response.status_code


async def greetings_and_rooms():
    async with connect("/ws/ws-lobby") as (socket, greeting):
        expect("the form of a client id", bool(CLIENT.match(greeting.pop("client"))), True)
        expect("the form of a timestamp", bool(TIMESTAMP.match(greeting.pop("timestamp"))), True)
        expected = {"type": "connection", "message": "Connected to ws-lobby", "authenticated": False}
        expect("the greeting", greeting, expected)
        api("publish", {"channel": "ws-lobby", "data": {"n": 1}})
        expect("what is published arrives as it was published", await socket.recv(), '{"n": 1}')
    async with connect("/ws?room=ws-a&room=ws-b") as (socket, greeting):
        expect("the greeting of two rooms", greeting["message"], "Connected to ws-a, ws-b")
        api("broadcast", {"channels": ["ws-b", "ws-a"], "data": "both"})
        expect("a broadcast to both rooms", [await frame(socket), await frame(socket)], ["both", "both"])
    async with connect("/ws/ws-quiet?greeting=off", greeting=False) as (socket, _):
        await say(socket, {"type": "ping"})
        expect("the first frame without a greeting", await stamped(socket), {"type": "pong"})
    async with connect("/ws/b%C3%BCro%20%2F7/") as (_, greeting):
        expect("a name that was percent-encoded", greeting["message"], "Connected to büro /7")
    done("plain: greeting, room by path and by query")

    paths = ("/ws", "/ws/%23ann", "/ws/" + "x" * 201, "/ws/a/b/c", "/elsewhere")
    expect("refused paths", [await refused(path) for path in paths], [400, 403, 400, 404, 404])
    done("plain: paths that lead nowhere are refused before the WebSocket exists")


async def talk():
    async with connect("/ws/ws-talk") as (ann, greeting), connect("/ws/ws-talk") as (bob, _):
        await say(ann, {"type": "ping"})
        expect("ping", await stamped(ann), {"type": "pong"})
        pong = await ann.ping(b"payload")
        await asyncio.wait_for(pong, 5)
        await ann.send("this is not JSON")
        expect("not JSON", await stamped(ann), {"type": "error", "message": "Invalid JSON format"})
        await say(ann, {"type": "something else"})
        await say(ann, {"type": "publish", "data": {"text": "hello"}})
        for socket in (ann, bob):
            expect("published by a client", await frame(socket), {"text": "hello"})
        await say(ann, {"type": "publish", "data": [2], "id": "my-2", "room": "ws-talk"})
        expect("its own message", await frame(ann), [2])
        published = await frame(ann)
        epoch = published.pop("epoch")
        expected = {"type": "published", "id": "my-2", "room": "ws-talk", "offset": 2}
        expect("a publish with an id", (published, bool(epoch)), (expected, True))
        expect("the others", await frame(bob), [2])
        await say(ann, {"type": "publish", "data": 3, "id": 3, "room": "ws-elsewhere"})
        error = await stamped(ann)
        expect("publish to a room that it is not in", (error["type"], error["code"], error["id"]), ("error", 103, 3))
        api("send", {"client": greeting["client"], "data": {"only": "you"}})
        expect("a message to one connection", await frame(ann), {"only": "you"})
        api("publish", {"channel": "ws-talk", "data": "last"})
        expect("what the other saw in between", await frame(bob), "last")
    done("plain: ping, publish, errors, a message to one connection")


async def filters():
    async with connect("/ws/ws-filter") as (socket, _):
        await say(socket, {"type": "subscribe", "events": ["wanted", "also"]})
        expect("subscribe", await stamped(socket), {"type": "subscribed", "events": ["wanted", "also"]})
        for data in ({"type": "other"}, {"type": "wanted", "n": 1}, "no object", {"type": 7}, {"type": "also"}):
            api("publish", {"channel": "ws-filter", "data": data})
        seen = [await frame(socket), await frame(socket)]
        expect("what a filter lets through", seen, [{"type": "wanted", "n": 1}, {"type": "also"}])
        await say(socket, {"type": "subscribe", "events": []})
        expect("subscribe to all", await stamped(socket), {"type": "subscribed", "events": []})
        api("publish", {"channel": "ws-filter", "data": {"type": "other"}})
        expect("without a filter", await frame(socket), {"type": "other"})
    done("plain: event filter")


async def tokens():
    good, bad = token(sub="ws-ann", channels=["ws-claimed"]), token(secret="x" * 32, sub="ws-eve")
    ways = {
        "query": ("/ws/ws-token?token=" + good, {}),
        "header": ("/ws/ws-token", {"additional_headers": {"Authorization": "Bearer " + good}}),
        "subprotocol": ("/ws/ws-token", {"subprotocols": ["bearer." + good]}),
    }
    for way, (path, options) in ways.items():
        async with connect(path, **options) as (socket, greeting):
            expect(f"the greeting with a token in the {way}", greeting["authenticated"], True)
            api("publish_user", {"user": "ws-ann", "data": way})
            expect(f"the personal room with a token in the {way}", await frame(socket), way)
            api("publish", {"channel": "ws-token", "data": 1})
            expect(f"the room of the path with a token in the {way}", await frame(socket), 1)
    async with connect("/ws/ws-token") as (socket, greeting):
        expect("the greeting without a token", greeting["authenticated"], False)
        await say(socket, {"type": "auth", "token": good})
        expect("a token in a first message", await stamped(socket), {"type": "authenticated", "user": "ws-ann"})
        api("publish_user", {"user": "ws-ann", "data": "later"})
        expect("the personal room from then on", await frame(socket), "later")
        api("publish", {"channel": "ws-claimed", "data": "claimed"})
        expect("the room that the token names", await frame(socket), "claimed")
        await say(socket, {"type": "auth", "token": token(sub="ws-bob")})
        await asyncio.wait_for(socket.wait_closed(), 5)
        expect("a token of somebody else", socket.close_code, 3501)
    async with connect("/ws/ws-token?token=" + bad) as (socket, greeting):
        expect("the greeting with a forged token", greeting["authenticated"], False)
        expect("what follows it", await stamped(socket), {"type": "error", "message": "invalid token"})
        api("publish", {"channel": "ws-token", "data": "still here"})
        expect("it is anonymous", await frame(socket), "still here")
    done("plain: a token by query, header, subprotocol and message")


async def tokens_that_end():
    ending = lambda seconds: token(sub="ws-carl", exp=int(time.time()) + seconds)
    paths = ["/ws/ws-ending?token=" + ending(2) for _ in range(2)]
    async with connect(paths[0]) as (renewed, _), connect(paths[1]) as (forgotten, _):
        await say(renewed, {"type": "auth", "token": ending(600)})
        expect("a renewed token", await stamped(renewed), {"type": "authenticated", "user": "ws-carl"})
        await asyncio.wait_for(forgotten.wait_closed(), 10)
        expect("the end of a token", forgotten.close_code, 3005)
        await asyncio.sleep(1)
        api("publish_user", {"user": "ws-carl", "data": "still here"})
        expect("the personal room of who renewed it", await frame(renewed), "still here")
        await say(renewed, {"type": "auth", "token": token(secret="x" * 32, sub="ws-carl")})
        expect("renewed with a forged one", await stamped(renewed), {"type": "error", "message": "invalid token"})
        api("publish", {"channel": "ws-ending", "data": "and still"})
        expect("the room after that", await frame(renewed), "and still")
    done("plain: a token that is renewed in time, and one that is not")


async def all_of_them():
    async with connect("/ws/ws-one") as (one, _), connect("/ws/ws-two") as (two, greeting):
        status, answer = await asyncio.to_thread(call, "publish_all", {"data": {"to": "all"}})
        expect("publish_all", (status, answer), (200, {"result": {}}))
        for socket in (one, two):
            expect("a message to everyone", await frame(socket), {"to": "all"})
    done("plain: a message to everyone")


async def idle_in_a_busy_room():
    async with connect("/ws/ws-busy") as (socket, _):
        received = []

        async def listen():
            async for text in socket:
                received.append(json.loads(text))

        listener, sent = asyncio.create_task(listen()), 0
        until = asyncio.get_running_loop().time() + IDLE_S
        while asyncio.get_running_loop().time() < until:
            await asyncio.to_thread(api, "publish", {"channel": "ws-busy", "data": sent})
            sent += 1
            await asyncio.sleep(0.1)
        await eventually("every message of a busy room, once and in order", lambda: received, list(range(sent)))
        listener.cancel()
    done(f"plain: {IDLE_S} s idle in a busy room")


async def main():
    # publish_all reaches every connection, so it goes before those that count what they get.
    await all_of_them()
    idle = asyncio.create_task(idle_in_a_busy_room())
    await greetings_and_rooms()
    await talk()
    await filters()
    await tokens()
    await tokens_that_end()
    await idle


run(main)

"""PyPI `centrifuge-python`, unchanged and with its default options, against the json protocol."""

import asyncio
import json
import time

from harness import api, done, eventually, expect, run, token
from sdk import call, client, code_of, subscribe

IDLE_S = 60


async def rooms_before_connect():
    one, _ = client()
    rooms = [await subscribe(one, name) for name in ("py-a", "py-b", "py-c")]
    await one.connect()
    for at, (subscription, room) in enumerate(rooms):
        await subscription.ready()
        result = await call("publish", {"channel": subscription.channel, "data": {"at": at}})
        expect("the offset of a publish", result["offset"], 1)
        await eventually("what the room received", lambda: room.data, [{"at": at}])
        expect("the offset of a publication", room.publications[0].offset, 1)
    done("py: subscriptions made before connect(), a backend publishes to each")
    await one.disconnect()


async def publish_both_ways():
    (ann, heard), (bob, _) = client(), client()
    rooms = [await subscribe(one, "py-both") for one in (ann, bob)]
    await asyncio.gather(ann.connect(), bob.connect())
    for subscription, _ in rooms:
        await subscription.ready()
    await rooms[0][0].publish({"from": "ann"})
    await call("publish", {"channel": "py-both", "data": [1, 2], "tags": {"kind": "list"}})
    for _, room in rooms:
        await eventually("a room published to from both sides", lambda: room.data, [{"from": "ann"}, [1, 2]])
        expect("who published", room.publications[0].info.client, heard.connected[0])
        expect("tags of a publication", room.publications[1].tags, {"kind": "list"})
    done("py: a client and a backend publish to one room")

    pretty = {"text": "line one\nline two\r\n", "list": [1, {"deep": "\n"}], "empty": {}}
    await call("publish", json.dumps({"channel": "py-both", "data": pretty}, indent=2).replace("\n", "\r\n").encode())
    await eventually("a payload sent with newlines in it", lambda: rooms[1][1].data[2:], [pretty])
    done("py: a pretty-printed payload arrives whole")

    await rooms[0][0].unsubscribe()
    members = lambda: api("channels", {"pattern": "py-both"})["channels"]
    await eventually("members after unsubscribe", members, {"py-both": {"num_clients": 1}})
    await call("publish", {"channel": "py-both", "data": "after"})
    await eventually("the one who stayed", lambda: len(rooms[1][1].data), 4)
    expect("the one who left", (len(rooms[0][1].data), rooms[0][1].ended), (3, [0]))
    await rooms[0][0].subscribe()
    await rooms[0][0].ready()
    await call("publish", {"channel": "py-both", "data": "back"})
    await eventually("the one who came back", lambda: rooms[0][1].data[3:], ["after", "back"])
    done("py: unsubscribe, and subscribe again, with what was said in between")
    await asyncio.gather(ann.disconnect(), bob.disconnect())


async def clients_with_tokens():
    claims = {"sub": "py-ann", "exp": int(time.time()) + 600, "info": {"name": "Ann"}, "channels": ["py-news"]}
    one, heard = client(token=token(**claims))
    subscription, room = await subscribe(one, "py-token")
    await one.connect()
    await subscription.ready()
    await eventually("rooms that the server subscribed", lambda: sorted(heard.rooms), ["#py-ann", "py-news"])
    await call("publish_user", {"user": "py-ann", "data": "for ann"})
    await call("publish", {"channel": "py-news", "data": "news"})
    await eventually(
        "publications of rooms that the server subscribed",
        lambda: heard.published,
        [("#py-ann", "for ann"), ("py-news", "news")],
    )
    await subscription.publish("mine")
    await eventually("a publication of its own", lambda: room.data, ["mine"])
    info = room.publications[0].info
    expect("user and info of a publisher", (info.user, info.conn_info), ("py-ann", {"name": "Ann"}))
    done("py: a token names the user and puts the connection in rooms")

    await call("disconnect", {"user": "py-ann", "disconnect": {"code": 4000, "reason": "come back"}})
    await eventually("a close code that lets the SDK come back", lambda: heard.connecting, [0, 4000])
    await eventually("connected again", lambda: len(heard.connected), 2)
    await subscription.ready()
    await call("disconnect", {"user": "py-ann"})
    await eventually("a close code that is final", lambda: heard.disconnected, [3503])
    done("py: a backend disconnects, for good and not for good")


async def subscriptions_by_the_backend():
    """Two connections of one user, of which the backend puts one in a room, then both."""
    clients = [client(token=token(sub="py-bob")) for _ in range(2)]
    one, two = (heard.room("py-given") for _, heard in clients)
    own, own_room = await subscribe(clients[0][0], "py-own")
    for to, _ in clients:
        await to.connect()
        await to.ready()
    await own.ready()
    bob = {"user": "py-bob", "channel": "py-given"}
    await call("publish", {"channel": "py-given", "data": "before"})
    await call("subscribe", {**bob, "client": clients[0][1].connected[0]})
    await call("publish", {"channel": "py-given", "data": "to one"})
    await call("subscribe", bob)
    await call("publish", {"channel": "py-given", "data": "to both"})
    expected = (["to one", "to both"], ["to both"])
    await eventually("what came after the subscribe of the backend", lambda: (one.data, two.data), expected)
    positions = [[context.stream_position.offset for context in room.subscribed] for room in (one, two)]
    expect("the positions of a room when the backend subscribed", positions, [[1], [2]])
    _, asked = await subscribe(clients[0][0], "py-given")
    await eventually("subscribe to a room that it is in", lambda: asked.answers, [(False, False)])
    await clients[0][0].publish("py-given", "from a member")
    await eventually("a publication to such a room", lambda: two.data[1:], ["from a member"])
    history = await clients[1][0].history("py-given", limit=2, reverse=True)
    expect("the newest of its history", [pub.data for pub in history.publications], ["from a member", "to both"])

    await call("unsubscribe", {**bob, "client": clients[1][1].connected[0]})
    await call("unsubscribe", {"user": "py-bob", "channel": "py-own"})
    await eventually("the code of an unsubscribe by the backend", lambda: own_room.ended, [2000])
    await eventually("the end of a room that the backend gave", lambda: (one.ended, two.ended), ([], [None]))
    expect("a publication of one that is no member", await code_of(clients[1][0].publish("py-given", 1)), 103)

    await call("publish", {"channel": "py-given", "data": "last"})
    await eventually("who is still in", lambda: (asked.data[-1], two.data[-1]), ("last", "from a member"))
    await call("disconnect", {"user": "py-bob", "disconnect": {"code": 3000, "reason": "come back"}})
    await eventually("a room of the connection only, after it came back", lambda: one.ended, [None])
    await eventually("a room that it has asked for, after it came back", lambda: len(asked.answers), 2)
    expect("rooms after it came back", (await call("channels", {"pattern": "py-given"}))["channels"], {"py-given": {"num_clients": 1}})
    done("py: a backend subscribes and unsubscribes, one connection or all of a user")
    await asyncio.gather(*(to.disconnect() for to, _ in clients))


async def refusals():
    one, heard = client(token=token(sub="py-carl"))
    await one.connect()
    await one.ready()
    for channel, expected in (("#someone", 103), ("#py-carl", 103), ("x" * 201, 107), ("", 107)):
        _, room = await subscribe(one, channel)
        await eventually(f"subscribe to {channel[:10]}", lambda: room.ended, [expected])
    expect("publish to a room that it is not in", await code_of(one.publish("py-elsewhere", 1)), 103)
    expect("a call that this server does not have", await code_of(one.rpc("nothing", {})), 108)
    subscription, room = await subscribe(one, "py-large")
    await subscription.ready()
    await subscription.publish("x" * 60000)
    await eventually("a large message", lambda: [len(text) for text in room.data], [60000])
    expect("a message too large", await code_of(subscription.publish("x" * 61000)), 107)
    await subscription.publish("after")
    await eventually("what is said after all that", lambda: room.data[1:], ["after"])
    expect("connections, disconnections", (len(heard.connected), heard.disconnected), (1, []))
    done("py: refusals have their codes and end nothing else")
    await one.disconnect()


async def idle_in_a_busy_room():
    one, heard = client()
    subscription, room = await subscribe(one, "py-busy")
    await one.connect()
    await subscription.ready()
    until, sent = time.monotonic() + IDLE_S, 0
    while time.monotonic() < until:
        await call("publish", {"channel": "py-busy", "data": sent})
        sent += 1
        await asyncio.sleep(0.1)
    await eventually("every message of a busy room, once and in order", lambda: room.data, list(range(sent)))
    offsets = [publication.offset for publication in room.publications]
    expect("offsets of a busy room", offsets, list(range(1, sent + 1)))
    expect("connections made in a minute", (len(heard.connected), heard.connecting), (1, [0]))
    done(f"py: {IDLE_S} s idle in a busy room")
    await one.disconnect()


async def main():
    idle = asyncio.create_task(idle_in_a_busy_room())
    await rooms_before_connect()
    await publish_both_ways()
    await clients_with_tokens()
    await subscriptions_by_the_backend()
    await refusals()
    await idle


run(main)

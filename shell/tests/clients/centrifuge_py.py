"""PyPI `centrifuge-python`, unchanged and with its default options, against the json profile."""

import asyncio
import json
import time

import centrifuge

from harness import Failed, address, api, done, eventually, expect, run, token

IDLE_S = 60


class Heard(centrifuge.ClientEventHandler):
    """Everything that a client was told."""

    def __init__(self):
        self.connected, self.connecting, self.disconnected = [], [], []
        self.errors, self.subscribed, self.published = [], [], []

    async def on_connected(self, context):
        self.connected.append(context.client)

    async def on_connecting(self, context):
        self.connecting.append(context.code)

    async def on_disconnected(self, context):
        self.disconnected.append(context.code)

    async def on_error(self, context):
        self.errors.append(getattr(context.error, "code", context.error))

    async def on_subscribed(self, context):
        self.subscribed.append(context.channel)

    async def on_publication(self, context):
        self.published.append((context.channel, context.pub.data))


class Room(centrifuge.SubscriptionEventHandler):
    """Everything that a subscription was told."""

    def __init__(self):
        self.publications, self.ended = [], []

    async def on_publication(self, context):
        self.publications.append(context.pub)

    async def on_unsubscribed(self, context):
        self.ended.append(context.code)

    @property
    def data(self):
        return [publication.data for publication in self.publications]


def client(**options):
    heard = Heard()
    return centrifuge.Client(f"ws://{address()}/connection/websocket", events=heard, **options), heard


async def subscribe(to, channel):
    room = Room()
    subscription = to.new_subscription(channel, events=room)
    await subscription.subscribe()
    return subscription, room


async def call(method, body):
    return await asyncio.to_thread(api, method, body)


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
    await eventually("the one who came back", lambda: rooms[0][1].data[3:], ["back"])
    done("py: unsubscribe, and subscribe again")
    await asyncio.gather(ann.disconnect(), bob.disconnect())


async def who_has_a_token():
    claims = {"sub": "py-ann", "exp": int(time.time()) + 600, "info": {"name": "Ann"}, "channels": ["py-news"]}
    one, heard = client(token=token(**claims))
    subscription, room = await subscribe(one, "py-token")
    await one.connect()
    await subscription.ready()
    await eventually("rooms that the server subscribed", lambda: sorted(heard.subscribed), ["#py-ann", "py-news"])
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


async def bad_tokens():
    forged, heard = client(token=token(secret="another secret, another secret, another", sub="py-eve"))
    await forged.connect()
    await eventually("a token with a wrong signature", lambda: heard.disconnected, [3500])
    done("py: a forged token is final")

    asked = []

    async def new_token():
        asked.append(True)
        return token(sub="py-ann")

    expired, heard = client(token=token(sub="py-ann", exp=int(time.time()) - 10), get_token=new_token)
    subscription, _ = await subscribe(expired, "py-expired")
    await expired.connect()
    await subscription.ready()
    expect("error of the expired token, tokens asked for", (heard.errors, len(asked)), ([109], 1))
    done("py: an expired token is replaced by a new one")
    await expired.disconnect()


async def a_token_that_ends():
    asked = []

    async def next_token():
        asked.append(True)
        return token(sub="py-ann", exp=int(time.time()) + (2 if len(asked) == 1 else 600))

    one, heard = client(get_token=next_token)
    subscription, room = await subscribe(one, "py-refresh")
    await one.connect()
    await subscription.ready()
    await eventually("tokens asked for", lambda: len(asked), 2)
    await asyncio.sleep(1)
    await call("publish", {"channel": "py-refresh", "data": "still here"})
    await eventually("the room of a refreshed connection", lambda: room.data, ["still here"])
    expect("connections made, errors", (len(heard.connected), heard.errors), (1, []))
    done("py: a token is refreshed before it ends")
    await one.disconnect()


async def refusals():
    one, heard = client()
    await one.connect()
    await one.ready()
    for channel, expected in (("#someone", 103), ("x" * 201, 107)):
        _, room = await subscribe(one, channel)
        await eventually(f"subscribe to {channel[:10]}", lambda: room.ended, [expected])
    for what, wrong, expected in (
        ("publish to a room that it is not in", lambda: one.publish("py-elsewhere", 1), 103),
        ("a call that this server does not have", lambda: one.rpc("nothing", {}), 108),
    ):
        try:
            await wrong()
            raise Failed(what, expected, "no error")
        except centrifuge.ReplyError as error:
            expect(what, error.code, expected)
    expect("still connected", heard.disconnected, [])
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
    await who_has_a_token()
    await bad_tokens()
    await a_token_that_ends()
    await refusals()
    await idle


run(main)

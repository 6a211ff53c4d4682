"""Who is in a room and what was said in it, as PyPI `centrifuge-python` tells."""

import asyncio

from centrifuge import ClientInfo, StreamPosition

from harness import done, eventually, expect, run, token
from sdk import call, client, code_of, subscribe

ROOM = "py-present"


async def member(user, **options):
    """A client in the room, its subscription, what that is told, and how others see it."""
    one, heard = client(token=token(sub=user, info={"name": user})) if user else client()
    subscription, room = await subscribe(one, ROOM, **options)
    await one.connect()
    await subscription.ready()
    info = ClientInfo(client=heard.connected[0], user=user, conn_info={"name": user} if user else None, chan_info=None)
    return one, subscription, room, info


async def joins_leaves_and_presence():
    ann = await member("py-ann", join_leave=True)
    again = await member("py-ann")
    bob = await member("py-bob", join_leave=True)
    anonymous = await member("")
    everyone = [ann, again, bob, anonymous]
    infos = [info for _, _, _, info in everyone]
    presence = await ann[1].presence()
    expect("presence", presence.clients, {info.client: info for info in infos})
    stats = await bob[1].presence_stats()
    expect("presence_stats", (stats.num_clients, stats.num_users), (4, 3))

    await anonymous[0].disconnect()
    await again[1].unsubscribe()
    by_client = lambda comings: sorted(comings, key=lambda coming: coming[1].client)
    left = by_client([("leave", info) for info in (again[3], anonymous[3])])
    for who, room, joined in (("ann", ann[2], infos), ("bob", bob[2], infos[2:])):
        count = len(joined)
        await eventually(f"joins and leaves that {who} was told", lambda: len(room.comings), count + 2)
        expect(f"joins, as {who} was told", room.comings[:count], [("join", info) for info in joined])
        expect(f"leaves, as {who} was told", by_client(room.comings[count:]), left)
    expect("what one is told that did not ask", again[2].comings, [])
    for what, wrong in (("presence", again[0].presence), ("presence_stats", again[0].presence_stats)):
        expect(f"{what} of a room that it is not in", await code_of(wrong(ROOM)), 103)
    done("py: presence, presence_stats, join and leave among four clients")
    await asyncio.gather(*(one.disconnect() for one, _, _, _ in everyone))


async def history_requests():
    one, heard = client(token=token(sub="py-reader"))
    subscription, room = await subscribe(one, "py-said")
    await one.connect()
    await subscription.ready()
    for n in (1, 2, 3, 4):
        await call("publish", {"channel": "py-said", "data": n, "tags": {"n": str(n)}})
    await subscription.publish(5)
    await eventually("publications", lambda: room.data, [1, 2, 3, 4, 5])
    epoch = room.subscribed[0].stream_position.epoch
    since = lambda offset: StreamPosition(offset, epoch)
    for options, expected in (
        ({}, []),
        ({"limit": 2}, [1, 2]),
        ({"limit": -1}, [1, 2, 3, 4, 5]),
        ({"limit": 100, "since": since(3)}, [4, 5]),
        ({"limit": 1, "since": since(1)}, [2]),
        ({"limit": 100, "since": since(5)}, []),
        ({"limit": 2, "reverse": True}, [5, 4]),
        ({"limit": 100, "since": since(3), "reverse": True}, [2, 1]),
        ({"limit": 100, "since": StreamPosition(3, "")}, [4, 5]),
    ):
        history = await subscription.history(**options)
        seen = [publication.data for publication in history.publications]
        expect(f"history {options}", (seen, history.offset, history.epoch), (expected, 5, epoch))
    [first] = (await subscription.history(limit=1)).publications
    [last] = (await subscription.history(limit=1, reverse=True)).publications
    expect("a publication of the API", (first.offset, first.tags, first.info), (1, {"n": "1"}, None))
    info = ClientInfo(client=heard.connected[0], user="py-reader", conn_info=None, chan_info=None)
    expect("a publication of a client", (last.offset, last.info), (5, info))
    for what, expected, wrong in (
        ("another epoch", 112, subscription.history(limit=1, since=StreamPosition(1, "other"))),
        ("back from the beginning", 107, subscription.history(limit=1, since=since(0), reverse=True)),
        ("a room that it is not in", 103, one.history("py-elsewhere", limit=1)),
    ):
        expect(f"history: {what}", await code_of(wrong), expected)
    await call("history_remove", {"channel": "py-said"})
    history = await subscription.history(limit=100)
    seen = (history.publications, history.offset, history.epoch)
    expect("history after history_remove", seen, ([], 5, epoch))
    done("py: history with limit, since and reverse, and its errors")
    await one.disconnect()


async def main():
    await joins_leaves_and_presence()
    await history_requests()


run(main)

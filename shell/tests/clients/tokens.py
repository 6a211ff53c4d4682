"""Tokens of connections and of rooms, as PyPI `centrifuge-python` uses them: refused, renewed, and come to their end.

The server lets nobody into a room by its name alone, and its expiry_grace is 1 s. It allows for no difference of clocks.
"""

import asyncio
import time

from harness import Server, done, eventually, expect, run, token
from sdk import call, client, subscribe

LONG_S = 600
SHORT_S = 2
FORGED = "another secret, another secret, another"


class Tokens:
    """A get_token that goes through these answers; a function is called, an error is raised."""

    def __init__(self, *answers):
        self.answers, self.asked = answers, 0

    async def __call__(self, *_):
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer()


def lasting(seconds, **claims):
    return lambda: token(exp=int(time.time()) + seconds, **claims)


async def refused():
    forged, heard = client(token=token(secret=FORGED, sub="py-eve"))
    await forged.connect()
    await eventually("a token with a wrong signature", lambda: heard.disconnected, [3500])
    done("py: a forged token is final")

    get_token = Tokens(lasting(LONG_S, sub="py-ann", channels=["py-claimed"]))
    expired, heard = client(token=token(sub="py-ann", exp=int(time.time()) - 20), get_token=get_token)
    await expired.connect()
    await eventually("the room of the new token", lambda: heard.room("py-claimed").answers, [(False, False)])
    expect("error of the expired token, tokens asked for", (heard.errors, get_token.asked), ([109], 1))
    done("py: an expired token is replaced by a new one")
    await expired.disconnect()


async def renewed():
    claims = {"sub": "py-renews", "channels": ["py-renews-in"]}
    get_token = Tokens(lasting(SHORT_S, **claims), lasting(SHORT_S, **claims), lasting(LONG_S, **claims))
    one, heard = client(get_token=get_token)
    await one.connect()
    await eventually("tokens asked for", lambda: get_token.asked, 3)
    await asyncio.sleep(SHORT_S + 1)
    await call("publish", {"channel": "py-renews-in", "data": "still here"})
    await eventually("the room of a refreshed connection", lambda: heard.room("py-renews-in").data, ["still here"])
    expect("connections made, errors", (len(heard.connected), heard.errors), (1, []))
    done("py: a token is refreshed when it ends, twice")
    await one.disconnect()


async def renewed_with_other_rooms():
    """A token that takes a right away, and gives another."""
    named = lambda info, *rooms: lasting(LONG_S, sub="py-moves", info={"n": info}, channels=list(rooms))
    first = lasting(SHORT_S, sub="py-moves", info={"n": 1}, channels=["py-old", "py-stays"])
    one, heard = client(get_token=Tokens(first, named(2, "py-stays", "py-new")))
    old, kept, new = (heard.room(f"py-{name}") for name in ("old", "stays", "new"))
    await one.connect()
    await eventually("the rooms of the first token", lambda: [len(room.subscribed) for room in (old, kept, new)], [1, 1, 0])
    await call("subscribe", {"user": "py-moves", "channel": "py-placed"})
    await eventually("the room that the token does not give any more", lambda: len(old.ended), 1)
    await eventually("the room that it gives now", lambda: [answer.positioned for answer in new.subscribed], [True])
    rooms = sorted(room for found in (await connections("py-moves")).values() for room in found["channels"])
    expect("rooms of the user", rooms, ["#py-moves", "py-new", "py-placed", "py-stays"])
    for name in ("old", "stays", "new", "placed"):
        await call("publish", {"channel": f"py-{name}", "data": name})
    await eventually("the last of them", lambda: heard.room("py-placed").data, ["placed"])
    expect("what came of the others", [old.data, kept.data, new.data], [[], ["stays"], ["new"]])
    expect("the kept room was joined once and never left", (len(kept.subscribed), kept.ended), (1, []))
    infos = (await call("presence", {"channel": "py-stays"}))["presence"].values()
    expect("who it is there", [info["conn_info"] for info in infos], [{"n": 2}])
    expect("connections made, errors", (len(heard.connected), heard.errors), (1, []))
    done("py: a refreshed token counts whole: rooms given, kept and taken away, and the info")
    await one.disconnect()


async def connections(user):
    return (await call("connections", {"user": user}))["connections"]


async def early():
    """An application server whose clock is ahead, by little and by much."""
    ahead = lambda seconds: lasting(LONG_S, sub="py-early", nbf=int(time.time()) + seconds)
    get_token = Tokens(ahead(60), lasting(LONG_S, sub="py-early"))
    late, unheard = client(get_token=get_token)
    await late.connect()
    await eventually("the token after one that is 60 s ahead", lambda: len(unheard.connected), 1)
    expect("how it was told", (unheard.errors, unheard.disconnected), ([109], []))
    await late.disconnect()
    server = await asyncio.to_thread(Server)
    one, heard = client(server.address, token=ahead(2)())
    await one.connect()
    await eventually("a token of a clock that is 2 s ahead", lambda: len(heard.connected), 1)
    await one.disconnect()
    await asyncio.to_thread(server.stop)
    done("py: a token that is not valid yet is waited for, and one within the leeway is valid")


async def not_renewed():
    claims = {"sub": "py-late", "channels": ["py-late-in"]}
    get_token = Tokens(lasting(SHORT_S, **claims), ValueError("not now"), lasting(LONG_S, **claims))
    late, heard = client(get_token=get_token)
    never, unheard = client(token=lasting(SHORT_S, sub="py-never")())
    room = heard.room("py-late-in")
    await call("publish", {"channel": "py-late-in", "data": "before"})
    await asyncio.gather(late.connect(), never.connect())
    await eventually("the code of a connection that expired", lambda: heard.connecting, [0, 3005])
    await call("publish", {"channel": "py-late-in", "data": "meanwhile"})
    await eventually("what it missed", lambda: room.data, ["meanwhile"])
    expect("asked to recover, recovered", room.answers, [(False, False), (True, True)])
    await eventually("the end of one without a new token", lambda: unheard.disconnected, [1])
    expect("what came before it", unheard.connecting, [0, 3005])
    done("py: a token that is not refreshed in time ends the connection with 3005, and a new one brings it back")
    await late.disconnect()


async def renewed_too_late():
    """A backend that hands out a token from a cache."""
    cached = Tokens(lasting(SHORT_S, sub="py-cached"), lasting(-20, sub="py-cached"), lasting(LONG_S, sub="py-cached"))
    one, heard = client(get_token=cached)
    await one.connect()
    await eventually("how a refresh with an expired token ends", lambda: heard.connecting, [0, 3005])
    await eventually("connected again", lambda: len(heard.connected), 2)
    claims = {"sub": "py-cached", "channel": "py-cached"}
    late = Tokens(lasting(SHORT_S, **claims), lasting(-20, **claims), lasting(LONG_S, **claims))
    two, _, [(_, room)] = await in_rooms("py-cached", {"py-cached": {"get_token": late}})
    await eventually("how the same ends for a room", lambda: room.subscribing, [0, 2501])
    await eventually("subscribed again", lambda: len(room.subscribed), 2)
    expect("ends", (heard.disconnected, room.ended), ([], []))
    done("py: a refresh with an expired token brings a new one, for the connection and for a room")
    await one.disconnect()
    await two.disconnect()


async def renewed_wrongly():
    for what, wrong, code in (
        ("of somebody else", lasting(LONG_S, sub="py-other"), 3501),
        ("forged", lambda: token(secret=FORGED, sub="py-wrong"), 3500),
    ):
        one, heard = client(get_token=Tokens(lasting(SHORT_S, sub="py-wrong"), wrong))
        await one.connect()
        await eventually(f"a refresh with a token {what}", lambda: heard.disconnected, [code])
    done("py: a refresh with a wrong token is final")


async def in_rooms(user, options):
    """A connection, and a subscription with each of these tokens."""
    one, heard = client(token=token(sub=user))
    rooms = [await subscribe(one, channel, **options) for channel, options in options.items()]
    await one.connect()
    await one.ready()
    return one, heard, rooms


async def room_tokens():
    for_lounge = lasting(LONG_S, sub="py-guest", channel="py-lounge", info={"seat": 4})
    options = {
        "py-lounge": {"get_token": Tokens(for_lounge)},
        "py-without": {},
        "py-forged": {"token": token(secret=FORGED, sub="py-guest", channel="py-forged")},
        "py-of-another-room": {"token": for_lounge()},
        "py-of-another-user": {"token": token(sub="py-other", channel="py-of-another-user")},
        "py-of-a-connection": {"token": token(sub="py-guest")},
    }
    one, _, [(lounge, room), *others] = await in_rooms("py-guest", options)
    await lounge.ready()
    for subscription, refused_room in others:
        await eventually(f"the code of {subscription.channel}", lambda: refused_room.ended, [103])
    await lounge.publish("hello")
    await eventually("a publication of its own", lambda: room.data, ["hello"])
    expect("the info of a room token", room.publications[0].info.chan_info, {"seat": 4})
    infos = [info.chan_info for info in (await lounge.presence()).clients.values()]
    expect("the same in presence", infos, [{"seat": 4}])
    done("py: room tokens let in, and only where they belong")
    await one.disconnect()


async def room_tokens_that_end():
    short = lambda channel: lasting(SHORT_S, sub="py-comes", channel=channel)
    long = lambda channel: lasting(LONG_S, sub="py-comes", channel=channel)
    renews = Tokens(short("py-kept"), short("py-kept"), long("py-kept"))
    late = Tokens(short("py-regained"), ValueError("not now"), long("py-regained"))
    await call("publish", {"channel": "py-regained", "data": "before"})
    options = {
        "py-kept": {"get_token": renews},
        "py-regained": {"get_token": late},
        "py-lost": {"token": short("py-lost")()},
    }
    one, heard, [(kept, kept_room), (regained, regained_room), (_, lost_room)] = await in_rooms("py-comes", options)
    await regained.ready()
    await eventually("the code of a room token that ended", lambda: regained_room.subscribing, [0, 2501])
    await call("publish", {"channel": "py-regained", "data": "meanwhile"})
    await eventually("what was missed without a token", lambda: regained_room.data, ["meanwhile"])
    expect("asked to recover, recovered", regained_room.answers, [(False, False), (True, True)])
    await eventually("the end of a room without a new token", lambda: lost_room.ended, [1])
    expect("what came before it", lost_room.subscribing, [0, 2501])
    await eventually("tokens asked for", lambda: renews.asked, 3)
    await asyncio.sleep(SHORT_S + 1)
    await kept.publish("still here")
    await eventually("a room whose token was refreshed", lambda: kept_room.data, ["still here"])
    expect("how often it was subscribed", (len(kept_room.subscribed), kept_room.subscribing), (1, [0]))
    expect("connections made", len(heard.connected), 1)
    done("py: a room token is refreshed when it ends; where it is not, the room is left with 2501")
    await one.disconnect()


async def main():
    scenes = (refused, renewed, renewed_with_other_rooms, early, not_renewed, renewed_too_late, renewed_wrongly, room_tokens, room_tokens_that_end)
    await asyncio.gather(*(scene() for scene in scenes))


run(main)

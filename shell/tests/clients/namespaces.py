"""Three namespaces on one server, as PyPI `centrifuge-python` sees them: what is allowed and what is refused in each."""

import asyncio
import pathlib
import tempfile
import time

from harness import Server, call as answered, done, eventually, expect, run, token
from sdk import call, client, code_of, subscribe

SETTINGS = """
[namespaces.chat]
publish = "members"

[namespaces.status]
publish = "nobody"
history_messages = 1

[namespaces.private]
subscribe = "token"
publish = "token"
history_messages = 0
presence_list = false

[namespaces.lobby]
presence = "members"
presence_grace = "3s"
"""
LONG_S, SHORT_S = 600, 2


def signed(seconds=LONG_S, **claims):
    return token(sub="py-ann", exp=int(time.time()) + seconds, **claims)


def caps(*allow):
    return [{"channels": ["private:*"], "match": "wildcard", "allow": list(allow)}]


async def joined(at, name, **claims):
    """A client with these claims that has joined a room; its subscription; what is heard of the room."""
    one, _ = client(at, token=signed(**claims))
    await one.connect()
    subscription, room = await subscribe(one, name)
    await eventually("the answer to subscribe", lambda: len(room.subscribed), 1)
    return one, subscription, room


async def chat(at):
    one, subscription, room = await joined(at, "chat:1")
    expect("positioned in chat", room.subscribed[0].positioned, True)
    await subscription.publish("hello")
    await eventually("what a member published", lambda: room.data, ["hello"])
    expect("messages of the history", len((await subscription.history(limit=10)).publications), 1)
    done("py: members of a chat room publish and read its history")
    await one.disconnect()


async def status(at):
    one, subscription, room = await joined(at, "status:1")
    expect("positioned in status", room.subscribed[0].positioned, True)
    expect("code of a member's publish", await code_of(subscription.publish("mine")), 103)
    for number in (1, 2):
        await call("publish", {"channel": "status:1", "data": number}, at)
    await eventually("what the backend published", lambda: room.data, [1, 2])
    kept = (await subscription.history(limit=10)).publications
    expect("the history", [publication.data for publication in kept], [2])
    done("py: only the backend publishes a status, and the last one is kept")
    await one.disconnect()


async def private(at):
    plain, _ = client(at, token=signed())
    await plain.connect()
    _, refused = await subscribe(plain, "private:1")
    await eventually("the code of a join without a grant", lambda: refused.ended, [103])
    await plain.disconnect()
    one, subscription, room = await joined(at, "private:1", caps=caps("sub"))
    expect("positioned where nothing is retained", room.subscribed[0].positioned, False)
    expect("code of a publish that no cap allows", await code_of(subscription.publish("mine")), 103)
    await one.disconnect()
    writer, subscription, room = await joined(at, "private:1", caps=caps("sub", "pub", "hst", "prs"))
    await subscription.publish("allowed")
    await eventually("what a cap allowed to publish", lambda: room.data, ["allowed"])
    expect("code of the history that is not kept", await code_of(subscription.history(limit=1)), 108)
    expect("code of the presence that is not kept", await code_of(subscription.presence()), 108)
    await writer.disconnect()
    done("py: a private room is joined and written to only where a cap says so")


async def by_room_token(at):
    one, _ = client(at, token=signed())
    await one.connect()
    for number, allow, expected in ((1, ["pub"], "no error"), (2, ["hst"], 103), (3, [], 103)):
        name = f"private:by-token-{number}"
        subscription, room = await subscribe(one, name, token=signed(channel=name, allow=allow))
        await eventually(f"a join by the room's token with {allow}", lambda: len(room.subscribed), 1)
        expect(f"code of a publish with {allow}", await code_of(subscription.publish("allowed")), expected)
    _, refused = await subscribe(one, "private:another", token=signed(channel="private:by-token-1", allow=["pub"]))
    await eventually("the code of a join by another room's token", lambda: refused.ended, [103])
    await one.disconnect()
    done("py: a room's token admits to its room, and to what its allow says there")


async def taken_away(at):
    tokens = [signed(SHORT_S, caps=caps("sub")), signed()]

    async def get_token(*_):
        return tokens.pop(0)

    one, heard = client(at, get_token=get_token)
    await one.connect()
    _, kept = await subscribe(one, "chat:2")
    _, room = await subscribe(one, "private:2")
    await eventually("both rooms", lambda: [len(kept.subscribed), len(room.subscribed)], [1, 1])
    await eventually("the code of the room whose cap is gone", lambda: room.ended, [2000])
    expect("the other room, connections made", (kept.ended, len(heard.connected)), ([], 1))
    await one.disconnect()
    done("py: a refreshed token that lacks a cap ends what only the cap had allowed")


async def reloaded(at):
    """A page that is loaded again is a connection that ends, and another one."""
    watcher, _ = client(at, token=token(sub="py-bob", exp=int(time.time()) + LONG_S))
    await watcher.connect()
    subscription, room = await subscribe(watcher, "lobby:1", join_leave=True)
    comings = lambda: [(coming, info.user, info.client) for coming, info in room.comings][1:]
    clients = []
    for _ in range(2):
        page, heard = client(at, token=signed())
        await page.connect()
        _, seen = await subscribe(page, "lobby:1")
        await eventually("the answer to subscribe", lambda: len(seen.subscribed), 1)
        clients.append(heard.connected[0])
        await page.disconnect()
    first, second = clients
    reload = [("join", "py-ann", first), ("leave", "py-ann", first), ("join", "py-ann", second)]
    await eventually("what a member is told of a reload", comings, reload)
    expect("who is listed meanwhile", (await subscription.presence_stats()).num_users, 2)
    await eventually("the leave once the grace is over", comings, [*reload, ("leave", "py-ann", second)])
    expect("who is listed then", (await subscription.presence_stats()).num_users, 1)
    await watcher.disconnect()
    done("py: a page reload is a leave and a join at once, and who does not come back leaves after presence_grace")


async def unknown(at):
    one, _ = client(at, token=signed())
    await one.connect()
    _, room = await subscribe(one, "news:1")
    await eventually("the code of an unknown prefix", lambda: room.ended, [102])
    _, known = await subscribe(one, "lobby")
    await eventually("the answer to subscribe", lambda: len(known.subscribed), 1)
    _, answer = await asyncio.to_thread(answered, "publish", {"channel": "news:1", "data": 1}, at)
    expect("code of a call, and whether it names the prefix", (answer["error"]["code"], "news" in answer["error"]["message"]), (102, True))
    done("py: an unknown prefix is 102, and a name without one is not unknown")
    await one.disconnect()


async def steps():
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "parlor.toml")
        file.write_text(SETTINGS)
        server = await asyncio.to_thread(Server, "--config", str(file))
        for step in (chat, status, private, by_room_token, taken_away, reloaded, unknown):
            await step(server.address)
        await asyncio.to_thread(server.stop)


run(steps)

"""PyPI `cent`, unchanged, against a server that answers errors in the body, as it expects; expiry_grace is 1 s.

Of its methods Parlor has those in `HAS`. `LACKS` belongs to features that Parlor does not have: statuses of users,
blocking, revocation of tokens, and push notifications.
"""

import inspect
import time
import typing

import cent

from harness import API_KEY, address, done, eventually, expect, run, token
from sdk import client as sdk_client

HAS = set(
    "publish broadcast subscribe unsubscribe disconnect refresh presence presence_stats history history_remove "
    "channels connections info batch revoke_token invalidate_user_tokens".split()
)
LACKS = set(
    "update_user_status get_user_status delete_user_status block_user unblock_user "
    "device_register device_update device_remove device_list device_topic_list "
    "device_topic_update user_topic_list user_topic_update send_push_notification update_push_status "
    "cancel_push".split()
)
URL = f"http://{address()}/api"
api = cent.Client(URL, api_key=API_KEY)


def members(room):
    return sorted(info.user for info in api.presence(cent.PresenceRequest(channel=room)).presence.values())


def publications():
    first = api.publish(cent.PublishRequest(channel="cent", data={"n": 1}, tags={"a": "b"}, idempotency_key="one"))
    again = api.publish(cent.PublishRequest(channel="cent", data={"n": 1}, idempotency_key="one"))
    expect("publish, and again with its idempotency key", (first.offset, again), (1, first))
    sent = api.broadcast(cent.BroadcastRequest(channels=["cent", "x" * 201, "other"], data="b"))
    seen = [response.result.offset if response.result else response.error.code for response in sent.responses]
    expect("broadcast", seen, [2, 107, 1])
    api.publish(cent.PublishRequest(channel="cent", data="not kept", skip_history=True))
    since = cent.StreamPosition(offset=1, epoch=first.epoch)
    for options, expected in (
        ({}, []),
        ({"limit": 10}, [{"n": 1}, "b"]),
        ({"limit": 1, "reverse": True}, ["b"]),
        ({"limit": 10, "since": since}, ["b"]),
    ):
        history = api.history(cent.HistoryRequest(channel="cent", **options))
        seen = ([publication.data for publication in history.publications], history.offset, history.epoch)
        expect(f"history {options}", seen, (expected, 2, first.epoch))
    [kept] = api.history(cent.HistoryRequest(channel="cent", limit=1)).publications
    expect("a publication of it", (kept.offset, kept.tags), (1, {"a": "b"}))
    api.history_remove(cent.HistoryRemoveRequest(channel="cent"))
    expect("after history_remove", api.history(cent.HistoryRequest(channel="cent", limit=10)).publications, [])
    done("cent: publish, broadcast, history, history_remove")


async def people():
    ann, heard = sdk_client(token=token(sub="ann", info={"name": "Ann"}))
    bob, other = sdk_client(token=token(sub="bob"))
    for one in (ann, bob):
        await one.connect()
        await one.ready()
    for user in ("ann", "bob", "nobody"):
        api.subscribe(cent.SubscribeRequest(user=user, channel="hall"))
    await eventually("the room that the backend gave", lambda: "hall" in heard.rooms, True)
    info = api.presence(cent.PresenceRequest(channel="hall")).presence[heard.connected[0]]
    expect("presence", (info.client, info.user, info.conn_info), (heard.connected[0], "ann", {"name": "Ann"}))
    stats = api.presence_stats(cent.PresenceStatsRequest(channel="hall"))
    expect("presence_stats", (stats.num_clients, stats.num_users), (2, 2))
    rooms = api.channels(cent.ChannelsRequest(pattern="ha*")).channels
    expect("channels", {name: room.num_clients for name, room in rooms.items()}, {"hall": 2})
    connections = api.connections(cent.ConnectionsRequest(user="ann", expression="")).connections
    expect("connections", {id: entry.user for id, entry in connections.items()}, {heard.connected[0]: "ann"})
    [node] = api.info(cent.InfoRequest()).nodes
    expect("info", (node.num_clients, node.num_users), (2, 2))

    first = api.publish(cent.PublishRequest(channel="late", data=1))
    api.publish(cent.PublishRequest(channel="late", data=2))
    since = cent.StreamPosition(offset=1, epoch=first.epoch)
    api.subscribe(cent.SubscribeRequest(user="ann", channel="late", client=heard.connected[0], recover_since=since))
    await eventually("what came after the position", lambda: heard.room("late").data, [2])

    api.unsubscribe(cent.UnsubscribeRequest(user="bob", channel="hall"))
    await eventually("the end of the room", lambda: other.room("hall").ended, [None])
    expect("who is left", members("hall"), ["ann"])
    kept = {"user": "ann", "whitelist": heard.connected}
    api.disconnect(cent.DisconnectRequest(**kept))
    api.disconnect(cent.DisconnectRequest(user="bob", client=other.connected[0]))
    await eventually("the code of a disconnect", lambda: other.disconnected, [3503])
    expect("who was on the whitelist", members("hall"), ["ann"])
    done("cent: subscribe, unsubscribe, disconnect, presence, presence_stats, channels, connections, info")

    begun = time.time()
    api.refresh(cent.RefreshRequest(user="ann", expire_at=int(begun) + 1))
    await eventually("the code of a connection that the backend let expire", lambda: heard.connecting, [0, 3005])
    expect("not before its time", time.time() >= int(begun) + 1, True)
    await eventually("connected again", lambda: len(heard.connected), 2)
    api.refresh(cent.RefreshRequest(user="ann", client=heard.connected[1], expired=True))
    await eventually("the code of one that it ended", lambda: heard.connecting, [0, 3005, 3005])
    done("cent: refresh")
    await ann.disconnect()


async def revocations():
    """A client whose token is revoked is closed for good, and does not come back with that token."""
    one, heard = sdk_client(token=token(sub="ann", jti="stolen"))
    two, other = sdk_client(token=token(sub="bob", iat=int(time.time())))
    await one.connect()
    await two.connect()
    await eventually("both are in", lambda: [len(who.connected) > 0 for who in (heard, other)], [True, True])
    api.revoke_token(cent.RevokeTokenRequest(uid="stolen"))
    api.invalidate_user_tokens(cent.InvalidateUserTokensRequest(user="bob"))
    for who, seen in (("a revoked token", heard), ("invalidated tokens", other)):
        await eventually(f"the end of a client with {who}", lambda: seen.disconnected, [3500])
    again, refused = sdk_client(token=token(sub="ann", jti="stolen"))
    await again.connect()
    await eventually("the revoked token once more", lambda: refused.disconnected, [3500])
    done("cent: revoke_token and invalidate_user_tokens end SDKs for good")


def batch():
    requests = [
        cent.PublishRequest(channel="batch", data=1),
        cent.BroadcastRequest(channels=["batch", "other"], data=2),
        cent.HistoryRequest(channel="batch", limit=10),
        cent.PresenceStatsRequest(channel="batch"),
    ]
    for parallel in (False, True):
        publish, broadcast, history, stats = api.batch(cent.BatchRequest(requests=requests, parallel=parallel)).replies
        before = publish.offset - 1
        seen = [publication.data for publication in history.publications]
        expect("batch: what was done one after the other", seen[before:], [1, 2])
        expect("batch: a response in a reply", broadcast.responses[0].result.offset, publish.offset + 1)
        expect("batch: the last reply", stats.num_clients, 0)
    done("cent: batch")


def minimal(method):
    """A request for this method with the fields that it must have, filled with anything of their type."""
    request = typing.get_type_hints(getattr(cent.Client, method))["request"]
    fields = {name: field.annotation for name, field in request.model_fields.items() if field.is_required()}
    blank = lambda kind: [] if typing.get_origin(kind) is list else kind()
    return request(**{name: blank(kind) for name, kind in fields.items()})


def code(request, at=api):
    try:
        at._send(request)
        return "no error"
    except cent.CentApiResponseError as error:
        return error.code


def refusals():
    methods = {name for name, _ in inspect.getmembers(cent.Client, inspect.isfunction) if name[0] != "_"} - {"close"}
    expect("the methods of cent", methods, HAS | LACKS)
    expect("those that Parlor lacks", {name: code(minimal(name)) for name in LACKS}, dict.fromkeys(LACKS, 104))
    publish = lambda **fields: cent.PublishRequest(**{"channel": "cent", "data": 1, **fields})
    wrong = cent.StreamPosition(offset=1, epoch="another")
    for what, request, expected in (
        ("a name too long", publish(channel="x" * 201), 107),
        ("no name", publish(channel=""), 107),
        ("too much data", publish(data="x" * 65535), 106),
        ("a long idempotency key", publish(idempotency_key="k" * 201), 107),
        ("binary data", publish(b64data="aGk="), 107),
        ("a body too large", publish(data="x" * (1 << 20)), 106),
        ("a reserved room", cent.SubscribeRequest(user="ann", channel="#ann"), 103),
        ("an option of the room", cent.SubscribeRequest(user="ann", channel="a", info={}), 107),
        ("the anonymous user", cent.DisconnectRequest(user=""), 107),
        ("a close code of its own", cent.DisconnectRequest(user="ann", disconnect=cent.Disconnect(code=1000)), 107),
        ("history of another epoch", cent.HistoryRequest(channel="other", since=wrong), 112),
        ("an expression", cent.ConnectionsRequest(user="", expression="true"), 107),
    ):
        expect(what, code(request), expected)
    for what, request in (
        ("presence", cent.PresenceRequest(channel="empty")),
        ("presence_stats", cent.PresenceStatsRequest(channel="empty")),
        ("history", cent.HistoryRequest(channel="empty", limit=10)),
        ("history_remove", cent.HistoryRemoveRequest(channel="empty")),
        ("unsubscribe", cent.UnsubscribeRequest(user="nobody", channel="empty")),
        ("disconnect", cent.DisconnectRequest(user="nobody")),
        ("refresh", cent.RefreshRequest(user="nobody")),
    ):
        expect(f"{what} where there is nobody", code(request), "no error")
    try:
        seen = code(publish(), cent.Client(URL, api_key="wrong"))
    except cent.CentUnauthorizedError:
        seen = "unauthorized"
    expect("a wrong key", seen, "unauthorized")
    done(f"cent: refusals, and {len(LACKS)} methods that Parlor does not have")


async def asynchronously():
    async with cent.AsyncClient(URL, api_key=API_KEY) as other:
        result = await other.publish(cent.PublishRequest(channel="async", data=1))
        expect("publish of the asynchronous client", result.offset, 1)
    done("cent: the asynchronous client")


async def main():
    publications()
    await people()
    await revocations()
    batch()
    refusals()
    await asynchronously()


run(main)

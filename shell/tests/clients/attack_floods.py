"""Attacks by clients that send as much as they can, or end as they like."""

import re
import time

from harness import token
from judge import MEMBERS, PRODUCTION, attack, errors
from raw import CLOSE, PING, abort, command, connect, frame, upgraded, websocket
from raw_client import Client, ends_of

CONTINUATION = 0
JSON = "/connection/websocket"


def command_flood(stage, count, per_second, seconds, make):
    """Clients that send commands at a steady rate and read the answers: their replies."""
    clients = [Client(stage, JSON) for _ in range(count)]
    replies = []
    for client in clients:
        client.send(command(1, "connect") + command(2, "subscribe", channel="crowded"))
    begun, sent = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < seconds:
        while sent < passed * per_second:
            for client in clients:
                client.send(make(sent + 3))
            sent += 1
        for client in clients:
            replies += client.replies()
        time.sleep(0.002)
    stage.check("ends of clients within their rate", {client.end for client in clients}, {None})
    return [reply for reply in replies if reply["id"] > 2]


@attack("presence_stats and presence of a room of 3,000, asked for by 20 clients 90 times a second each")
def presence_flood(stage):
    crowd = stage.crowd()
    for user in range(30):
        crowd.plain(100, "crowded", query="&token=" + token(sub=f"user-{user}"))
    yield
    asks = lambda n: command(n, "presence_stats" if n % 2 else "presence", channel="crowded")
    replies = command_flood(stage, 20, 90, 2, asks)
    kinds = {}
    for reply in replies:
        kind = reply["error"]["code"] if "error" in reply else next(key for key in reply if key != "id")
        kinds[kind] = kinds.get(kind, 0) + 1
    stage.figures.append(f"answers: {kinds}")
    stage.check("answers, where presence does not fit", set(kinds), {"presence_stats", 106})


@attack(
    "joining and leaving a room of 400 who watch, as fast as allowed", *["--client-commands", "20000/s, burst 20000"]
)
def joins_and_leaves(stage):
    watchers = stage.crowd()
    watchers.json(400, "watched", name="watcher", join_leave=True)
    clients = [Client(stage, JSON) for _ in range(3)]
    for client in clients:
        client.send(command(1, "connect"))
    time.sleep(0.5)
    watchers.forget()
    yield
    pair = lambda n: (
        command(2 * n, "subscribe", channel="watched") + command(2 * n + 1, "unsubscribe", channel="watched")
    )
    for first in range(1, 401, 40):
        for client in clients:
            client.send(b"".join(pair(n) for n in range(first, first + 40)))
    replies, until = [], time.monotonic() + 10
    while len(replies) < 3 * 801 and time.monotonic() < until:
        for client in clients:
            replies += client.replies()
        time.sleep(0.002)
    joined = sum("subscribe" in reply for reply in replies)
    refused = [reply["error"] for reply in replies if "client_joins" in reply.get("error", {}).get("message", "")]
    errors = {(error["code"], error.get("temporary")) for error in refused}
    stage.check("what joins that are too many are told", errors, {(111, True)})
    stage.check("ends of clients that join too often", {client.end for client in clients}, {None})
    stage.figures.append(f"{joined} joins and leaves for 400 who watch")
    stage.faults += watchers.faults(joins=joined, leaves=joined)


def frames_flood(stage, path, first, one):
    """Two clients that send nothing but such frames: they are ended, by name, near what client_frames allows."""
    clients = [Client(stage, path) for _ in range(2)]
    yield
    sent, begun, chunk = 0, time.monotonic(), one * 500
    for client in clients:
        client.send(first)
    while any(client.end is None for client in clients) and time.monotonic() - begun < 4:
        for client in clients:
            sent += 500 * bool(client.send(chunk))
            client.heard()
    stage.figures.append(f"{sent} frames sent in {time.monotonic() - begun:.1f} s")
    ends = ends_of(clients, within=1)
    stage.check(
        f"how they ended: {ends}", {end and (end[0], "client_frames" in end[1]) for end in ends}, {(3013, True)}
    )


@attack("a flood of Pings ends with 3013 and client_frames")
def flood_of_pings(stage):
    yield from frames_flood(stage, "/ws/flooded", b"", frame(b"", PING))


@attack("a flood of empty continuations ends with 3013 and client_frames")
def flood_of_continuations(stage):
    yield from frames_flood(stage, "/ws/flooded", frame("x", fin=False), frame(b"", CONTINUATION, fin=False))


@attack("a flood of texts of white space ends with 3013 and client_frames")
def flood_of_white_space(stage):
    yield from frames_flood(stage, JSON, command(1, "connect"), frame(" "))


@attack("codes that backends and peers choose for a close make no names in /health or /metrics")
def chosen_codes(stage):
    codes = range(3000, 5000, 2)
    closed = [websocket(stage.at, "/ws/ended?token=" + token(sub=f"ended-{code}")) for code in codes]
    closing = [websocket(stage.at, "/ws/ended") for _ in codes]
    before = stage.health()["totals"]["closed"]
    yield
    chosen = [{"user": f"ended-{code}", "disconnect": {"code": code, "reason": "mine"}} for code in codes]
    answer = stage.call("batch", {"commands": [{"disconnect": one} for one in chosen]})
    stage.check("disconnects that were refused", (answer[0], errors(answer)), (200, {}))
    for n, code in enumerate(codes):
        closing[n].sendall(frame(code.to_bytes(2, "big") + b"mine", CLOSE))
        closing[n].close()
        closed[n].close()
        # What is judged here is names, and not how long a thousand ends take.
        if n % 20 == 0:
            time.sleep(0.01)
    time.sleep(0.5)
    stage.check("connections", stage.health()["connections"], MEMBERS)
    after = stage.health()["totals"]["closed"]
    stage.figures.append(f"{len(after)} kinds of ends")
    stage.check(f"kinds of ends that are new: {list(after)[:20]}", len(set(after) - set(before)) <= 10, True)
    stage.check("kinds that are numbers", [kind for kind in after if re.search(r"\d{4}", kind)], [])


@attack(
    "joining a room of 400 who watch by URL, and leaving it, again and again from one address",
    *PRODUCTION,
    "--allow-presence",
    "true",
)
def arrivals_in_a_watched_room(stage):
    watchers = stage.crowd()
    watchers.json(400, "watched", name="watcher", join_leave=True)
    time.sleep(0.5)
    watchers.forget()
    yield
    arrived, until = 0, time.monotonic() + 2
    while time.monotonic() < until:
        one = connect(stage.at, "127.0.0.9")
        arrived += upgraded(one, stage.at, "/ws/watched")[0] == 101
        abort(one)
    stage.figures.append(f"{arrived} arrivals before 400 who watch")
    stage.faults += watchers.faults(joins=arrived, leaves=arrived)

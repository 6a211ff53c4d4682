"""Attacks by members on those who share rooms, logs or the memory for these with them."""

import contextlib
import json
import os
import signal
import time

from crowd import numbered
from harness import token
from judge import CALL_MIB, attack, errors
from raw import (
    asked,
    frame,
    post,
    websocket,
)
from raw_client import Client

JSON = "/connection/websocket"


# Each of the two has an outbox of one MiB.
@attack("128 resubscribes at once, each with a recovery, all recover what is retained", memory=CALL_MIB + 2)
def resubscribes(stage):
    rooms, messages, each = 128, 100, 2000
    names = [f"back-{n}" for n in range(rooms)]
    said = {"channels": names, "data": {"x": "x" * each}}
    *_, last = asked(stage.at, [post(stage.at, "broadcast", said)] * messages)
    epochs = [response["result"]["epoch"] for response in last[1]["result"]["responses"]]
    yield
    clients = [Client(stage, JSON) for _ in range(2)]
    recovery = lambda n: {"channel": names[n], "recover": True, "epoch": epochs[n], "offset": 0}
    lines = [{"id": 1, "connect": {}}] + [{"id": 2 + n, "subscribe": recovery(n)} for n in range(rooms)]
    for client in clients:
        client.send(frame("\n".join(json.dumps(line) for line in lines)))
    recovered, until = {client: [] for client in clients}, time.monotonic() + 20
    while time.monotonic() < until and any(len(seen) < rooms for seen in recovered.values()):
        for client, seen in recovered.items():
            seen += [reply["subscribe"] for reply in client.replies() if "subscribe" in reply]
        time.sleep(0.001)
    for client, seen in recovered.items():
        whole = sum(one.get("recovered", False) and len(one["publications"]) == messages for one in seen)
        stage.check("rooms that were recovered whole, and the end", (whole, client.end), (rooms, None))
    stage.figures.append(f"{rooms * messages * each * len(clients) / 1e6:.0f} MB recovered")


def watched(stage, count, query=""):
    """A room that twenty watch, and a crowd of members in it."""
    watchers = stage.crowd()
    watchers.json(20, "watched", name="watcher", join_leave=True)
    crowd = stage.crowd()
    crowd.plain(count, "watched", query=query)
    eventually_members(stage, "watched", count + 20)
    time.sleep(0.5)
    watchers.forget()
    return watchers, crowd


def eventually_members(stage, room, count):
    until = time.monotonic() + 5
    while (seen := stage.call("presence_stats", {"channel": room})[1]["result"]["num_clients"]) != count:
        if time.monotonic() > until:
            stage.faults.append(f"members of {room}: expected {count}, saw {seen}")
            return
        time.sleep(0.05)


@contextlib.contextmanager
def paused(stage, seconds):
    """The server stands still, as on a machine that is busy, and has to do at once what came meanwhile."""
    os.kill(stage.server.pid, signal.SIGSTOP)
    try:
        yield
        time.sleep(seconds)
    finally:
        os.kill(stage.server.pid, signal.SIGCONT)


@attack(
    "2,000 connections of a watched room that end in a short pause are told to whoever watches and reads, each once"
)
def many_ends(stage):
    watchers, crowd = watched(stage, 2000)

    def pause(meanwhile):
        with paused(stage, 0.1):
            meanwhile()
        time.sleep(1)

    yield lambda: pause(lambda: None)
    pause(crowd.process.kill)
    stage.faults += watchers.faults(leaves=2000)
    eventually_members(stage, "watched", 20)


@attack("2,000 connections that a call ends are told to whoever watches and reads, each once")
def many_disconnects(stage):
    watchers, _ = watched(stage, 2000, query="&token=" + token(sub="many"))
    yield
    stage.check("the answer", stage.call("disconnect", {"user": "many"}), (200, {"result": {}}))
    stage.faults += watchers.faults(leaves=2000)
    eventually_members(stage, "watched", 20)


@attack(
    "2,000 connections of a watched room that one tick ends after a pause are told to whoever watches and reads",
    *["--ping-interval", "1s", "--pong-timeout", "900ms"],
)
def ends_of_one_tick(stage):
    watchers, crowd = watched(stage, 2000)

    def pause():
        with paused(stage, 1.2):
            pass
        time.sleep(1.5)

    yield pause
    os.kill(crowd.process.pid, signal.SIGSTOP)
    pause()
    stage.faults += watchers.faults(leaves=2000)
    crowd.process.kill()
    eventually_members(stage, "watched", 20)


@attack(
    "a member of 60 rooms fills history_bytes: all others are published to, and a small room loses nothing",
    *["--history-bytes", "4194304"],
)
def history_hoarder(stage):
    rooms = [f"hoard-{n}" for n in range(60)]
    for n in range(10):
        stage.call("publish", {"channel": "small", "data": n})
    watcher = stage.crowd()
    watcher.plain(2, "other")
    yield
    hoarder = Client(stage, "/ws?" + "&".join(f"room={room}" for room in rooms))
    payload = "x" * 64_000
    published, begun = 0, time.monotonic()
    while (seconds := time.monotonic() - begun) < 3:
        if published < 39 + 19 * seconds:
            text = {"type": "publish", "room": rooms[published % len(rooms)], "data": [published, payload]}
            hoarder.send(frame(json.dumps(text)))
            published += 1
        hoarder.heard()
        time.sleep(0.002)
    stage.check("the end of the hoarder", hoarder.end, None)
    for method, body in (
        ("publish", {"channel": "other", "data": numbered("other", 0)}),
        ("publish", {"channel": "other", "data": numbered("other", 1), "skip_history": True}),
        ("broadcast", {"channels": ["other"], "data": numbered("other", 2)}),
        ("publish_user", {"user": "ann", "data": 1}),
        ("publish_all", {"data": {"type": "all"}}),
    ):
        status, answer = stage.call(method, body)
        stage.check(f"{method} beside the hoarder: {answer}", (status, errors((status, answer))), (200, {}))
    stage.faults += watcher.faults(other=3)
    history = stage.call("history", {"channel": "small", "limit": 100})[1]["result"]["publications"]
    stage.check("what the small room retains", [publication["data"] for publication in history], list(range(10)))
    stage.figures.append(f"{published} messages of 64 KB hoarded")


@attack("who joins and leaves rooms displaces no log", *["--logs", "1000", "--connections", "400"])
def displaced_logs(stage):
    positions = [stage.call("publish", {"channel": "small", "data": n})[1]["result"] for n in range(10)]
    yield
    for first in range(0, 3000, 100):
        names = "&".join(f"room=passing-{n}" for n in range(first, first + 100))
        websocket(stage.at, f"/ws?{names}").close()
    history = stage.call("history", {"channel": "small", "limit": 100})[1]["result"]
    seen = ([publication["data"] for publication in history["publications"]], history["epoch"])
    stage.check("what the small room retains, and its epoch", seen, (list(range(10)), positions[0]["epoch"]))


# Each of the ten has an outbox of one MiB.
@attack(
    "who joins ten rooms with all that these retain is sent it, or as much as fits, and is not closed",
    memory=CALL_MIB + 10,
)
def joins_with_history(stage):
    names = [f"long-{n}" for n in range(10)]
    said = {"channels": names, "data": {"type": "said", "x": "x" * 2000}}
    asked(stage.at, [post(stage.at, "broadcast", said)] * 100)
    yield
    crowd = stage.crowd()
    crowd.plain(10, *names, query="&history=100", name="who joins")
    asked(stage.at, [post(stage.at, "publish", {"channel": names[0], "data": numbered("after", 0)})])
    stage.faults += crowd.faults(after=1)

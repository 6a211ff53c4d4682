"""Attacks by single calls of the API: what one of them may take is bounded, and who reads loses nothing by it."""

import json
import time

from crowd import numbered
from harness import token
from judge import CALL_MIB, attack, errors
from raw import asked, connect, post, websocket

READERS = 20
# More than an outbox holds.
MANY = 1025
RAISED = ["--batch-commands", "2000"]
PAYLOAD = 64_000
# As many as a batch may have.
READS = 1000


def readers(stage, *rooms, positions=True):
    """Members who read, in both protocols."""
    crowd = stage.crowd()
    crowd.plain(READERS // 2, *rooms, query="&positions=on" if positions else "", name="reader plain")
    crowd.json(READERS // 2, *rooms, name="reader json")
    return crowd


def send(stage, *calls):
    """Calls on one connection, sent together: their answers, and the longest time as a figure."""
    begun = time.monotonic()
    answers = asked(stage.at, [post(stage.at, method, body) for method, body in calls])
    stage.figures.append(f"{len(calls)} calls answered after {(time.monotonic() - begun) * 1000:.0f} ms")
    return answers


@attack("a batch of 1,025 publishes to one room reaches whoever reads, whole and in order", *RAISED)
def batch_of_publishes(stage):
    crowd = readers(stage, "room", positions=False)
    yield
    commands = [{"publish": {"channel": "room", "data": numbered("batch", n)}} for n in range(MANY)]
    [answer] = send(stage, ("batch", {"commands": commands}))
    stage.check("parts that were refused", (answer[0], errors(answer)), (200, {}))
    stage.faults += crowd.faults(batch=MANY)


@attack("a batch of as many publishes as are allowed reaches whoever reads with positions, whole and in order")
def batch_with_positions(stage):
    crowd = readers(stage, "room")
    yield
    commands = [{"publish": {"channel": "room", "data": numbered("batch", n)}} for n in range(1000)]
    [answer] = send(stage, ("batch", {"commands": commands}))
    stage.check("parts that were refused", (answer[0], errors(answer)), (200, {}))
    stage.faults += crowd.faults(batch=1000)


def named_often(stage, times, positions):
    """A broadcast says the same in one room again and again: a number that stands still, of which all are to come."""
    crowd = readers(stage, "room", positions=positions)
    yield
    [answer] = send(stage, ("broadcast", {"channels": ["room"] * times, "data": {"type": "said"}}))
    stage.check("rooms that were refused", (answer[0], errors(answer)), (200, {}))
    [last] = send(stage, ("publish", {"channel": "room", "data": numbered("after", 0)}))
    stage.check("the message after it: its offset", last[1].get("result", {}).get("offset"), times + 1)
    stage.faults += crowd.faults(said=times, after=1)


@attack("a broadcast that names one room 1,025 times reaches whoever reads 1,025 times")
def broadcast_to_one_room(stage):
    yield from named_often(stage, MANY, positions=False)


@attack("a broadcast that names one room 513 times reaches whoever reads with positions 513 times")
def broadcast_with_positions(stage):
    yield from named_often(stage, MANY // 2 + 1, positions=True)


@attack("1,025 publish_all, in batches of at most batch_commands, reach every connection in order")
def publish_all(stage):
    crowd = readers(stage, "room")
    yield
    commands = [{"publish_all": {"data": numbered("all", n)}} for n in range(MANY)]
    answers = send(stage, ("batch", {"commands": commands[:1000]}), ("batch", {"commands": commands[1000:]}))
    stage.check(
        "parts that were refused", [(status, errors((status, body))) for status, body in answers], [(200, {})] * 2
    )
    stage.faults += crowd.faults(all=MANY) + stage.busy.faults(all=MANY)


@attack("a batch of 1,025 publish_all reaches every connection in order", *RAISED)
def batch_of_publish_all(stage):
    crowd = readers(stage, "room")
    yield
    commands = [{"publish_all": {"data": numbered("all", n)}} for n in range(MANY)]
    [answer] = send(stage, ("batch", {"commands": commands}))
    stage.check("parts that were refused", (answer[0], errors(answer)), (200, {}))
    stage.faults += crowd.faults(all=MANY) + stage.busy.faults(all=MANY)


# Up to an outbox of each reader may wait, of one payload that all share.
@attack("a broadcast of 64 KB to 17 rooms reaches whoever is in all 17, 17 times", memory=CALL_MIB + READERS)
def broadcast_to_a_member_of_all_rooms(stage):
    rooms = [f"wide-{n}" for n in range(17)]
    crowd = readers(stage, *rooms)
    yield
    body = {"channels": rooms, "data": {"type": "said", "x": "x" * PAYLOAD}}
    answers = send(stage, ("broadcast", body), ("broadcast", body))
    stage.check("rooms that were refused", [errors(answer) for answer in answers], [{}, {}])
    stage.faults += crowd.faults(said=2 * 17)


@attack("what is more than broadcast_channels, batch_commands or api_body_bytes is refused whole, by name")
def calls_that_are_too_large(stage):
    yield
    names = {"channels": ["a"] * 245_000, "data": "x" * PAYLOAD}
    parts = lambda count, method: {"commands": [{method: {}}] * count}
    many = {"commands": [{"publish": {"channel": "busy", "data": 0}}] * 1001}
    before = stage.call("channels", {})[1]
    for what, method, body, limit in (
        ("64 KB and 245,000 names", "broadcast", names, "broadcast_channels"),
        ("10,001 names", "broadcast", {"channels": ["a"] * 10_001, "data": 1}, "broadcast_channels"),
        ("1,001 publishes", "batch", many, "batch_commands"),
        ("50,000 connections", "batch", parts(50_000, "connections"), "batch_commands"),
        ("60,000 limits", "batch", parts(60_000, "limits"), "batch_commands"),
        ("2 MB", "publish", {"channel": "a", "data": "x" * 2_000_000}, "api_body_bytes"),
    ):
        with stage.noted():
            [answer] = asked(stage.at, [post(stage.at, method, body)])
            stage.refused(what, answer, 413, 106, limit)
    stage.check("rooms that were made by it", stage.call("channels", {})[1], before)


@attack("a body of 1 MB, 64 KB of data and 10,000 times the same room, takes no more memory than it retains")
def body_of_one_name(stage):
    yield
    data = {"x": "x" * PAYLOAD}
    for _ in range(2):
        [answer] = send(stage, ("broadcast", {"channels": ["a"] * 10_000, "data": data}))
        stage.check("rooms that were refused", (answer[0], errors(answer)), (200, {}))


# What is retained besides is one payload, which 10,000 logs share, or is shortened to what may be retained.
@attack(
    "64 KB of data for 10,000 rooms takes no more memory than history_bytes",
    *["--history-bytes", "16777216"],
    memory=CALL_MIB + 16,
)
def body_of_many_names(stage):
    yield
    rooms = [f"many-{n}" for n in range(10_000)]
    for _ in range(2):
        [answer] = send(stage, ("broadcast", {"channels": rooms, "data": {"x": "x" * PAYLOAD}}))
        stage.check("rooms that were refused", (answer[0], errors(answer)), (200, {}))


def reads(stage, method, body):
    """A batch of reads, whose answer is bounded: what does not fit is refused by name, in a few words for each."""
    calls = [("batch", {"commands": [{method: body}] * READS})] * 2
    for answer in send(stage, *calls):
        length = len(json.dumps(answer[1], separators=(",", ":"), ensure_ascii=False))
        refused = errors(answer)
        most = (4 << 20) + 200 * sum(refused.values())
        stage.check(f"an answer of {length} bytes is at most {most}", length <= most, True)
        stage.check(
            "what is refused", {(code, "api_reply_bytes" in words) for code, words in refused} - {(106, True)}, set()
        )
    stage.figures.append(f"{sum(refused.values())} of {READS} parts refused")


@attack("a batch of reads of connections is answered with api_reply_bytes at most, and the rest refused by name")
def batch_of_connections(stage):
    crowd = stage.crowd()
    for n in range(20):
        crowd.plain(20, *[f"some-{n}-{room}" for room in range(10)])
    yield
    reads(stage, "connections", {})


@attack(
    "a batch of reads of history is answered with api_reply_bytes at most, and the rest refused by name",
    memory=CALL_MIB,
)
def batch_of_history(stage):
    for n in range(100):
        stage.call("publish", {"channel": "long", "data": {"n": n, "x": "x" * 40_000}})
    yield
    reads(stage, "history", {"channel": "long", "limit": 100})


@attack("a batch of reads of limits is answered with api_reply_bytes at most, and the rest refused by name")
def batch_of_limits(stage):
    yield
    reads(stage, "limits", {})


def many_rooms(stage, count, each=60):
    """So many rooms with members, whose long names differ at their ends."""
    for first in range(0, count, each):
        names = "&".join(f"room={'a' * 180}{n:06}" for n in range(first, first + each))
        stage.held(websocket(stage.at, f"/ws?{names}"))


@attack("a pattern of 1,000,000 characters is refused by name, and one of 200 holds nobody up, over 10,000 rooms")
def patterns(stage):
    many_rooms(stage, 10_000)
    yield
    stage.refused("a long pattern", stage.call("channels", {"pattern": "a*" * 500_000}), 400, 107, "room_name_bytes")
    begun, count = time.monotonic(), 0
    while time.monotonic() - begun < 2:
        send(stage, ("channels", {"pattern": "*a" * 99 + "*b"}), ("channels", {"pattern": "*a" * 99 + "b?"}))
        stage.figures.pop()
        count += 2
    stage.figures.append(f"{count} hard patterns in {time.monotonic() - begun:.1f} s")


@attack("walks over all rooms and connections, again and again, hold nobody up", memory=CALL_MIB)
def walks(stage):
    many_rooms(stage, 10_000)
    crowd = stage.crowd()
    crowd.plain(400, "walked")
    yield
    begun, count = time.monotonic(), 0
    one = connect(stage.at)
    stage.held(one)
    calls = [
        ("connections", {"user": "nobody"}),
        ("channels", {"pattern": "none*"}),
        ("connections", {"channel": "none"}),
    ]
    while time.monotonic() - begun < 2:
        answers = asked(stage.at, [post(stage.at, *call) for call in calls * 3])
        stage.check("statuses", {status for status, _ in answers}, {200})
        count += len(answers)
    stage.figures.append(f"{count} walks")


@attack("a batch of 1,000 calls that put a user's 500 connections into rooms and take them out holds nobody up")
def batch_of_subscribes(stage):
    crowd = stage.crowd()
    crowd.plain(500, "room", query="&token=" + token(sub="many"))
    yield
    where = {"user": "many", "channel": "other"}
    [answer] = send(stage, ("batch", {"commands": [{"subscribe": where}, {"unsubscribe": where}] * 500}))
    stage.check("parts that were refused", (answer[0], errors(answer)), (200, {}))
    stage.faults += crowd.faults()

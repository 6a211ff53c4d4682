"""Members of rooms in a process of their own: they read all the time, notice what is lost, repeated or out of order,
and tell how long messages took. A crowd can also publish, at a steady rate that waits for nobody."""

import contextlib
import multiprocessing
import os
import re
import resource
import selectors
import time
from dataclasses import dataclass, field

from raw import (
    CHUNK,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Answers,
    Parser,
    abort,
    command,
    connect,
    frame,
    post,
    upgraded,
)

# Every publication is an object that begins like this: a stream, a number that counts up from 0, and when it was sent.
NUMBERED = re.compile(rb'\{"s":"([^"]+)","n":(\d+),"t":(\d+)')
# A message of which all are the same, where they cannot be numbered.
SAID = b'{"type":"said"'
# What is not numbered, so that one too many is not noticed before the end.
EXACT = ("said", "joins", "leaves")
JOINED, LEFT = b'"join":{', b'"leave":{'
# What tells a member that it was refused something, or that it missed something.
ERRORS_AND_GAPS = re.compile(rb'"error":|"type":"error"|"type":"gap"|"unsubscribe":\{"code"|"recovered":false')
# How long it sleeps at most, and how long it may take over an order.
BEAT_S = 0.02
WELCOME_S = 30
# How nice the load is where nothing can be preferred to it.
LOAD = 5


def prefer(task):
    """Lets a thread go before everything else that the machine does, however much that is, where that is allowed: what is
    judged is how the server shares its time, and not how the system does."""
    try:
        os.sched_setscheduler(task, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    except OSError:
        return False
    return True


def stand_back(task):
    """Lets a thread leave the processors to those who measure and are measured, unless they are preferred anyway."""
    if prefer(task):
        os.sched_setscheduler(task, os.SCHED_OTHER, os.sched_param(0))
    else:
        os.setpriority(os.PRIO_PROCESS, task, LOAD)


def numbered(stream, number, padding=0):
    """A publication's payload of about so many bytes."""
    return {"s": stream, "n": number, "t": time.monotonic_ns(), "x": "x" * padding}


@dataclass(eq=False)
class Member:
    """One WebSocket that reads."""

    name: str
    socket: object
    parser: Parser = field(default_factory=Parser)
    next: dict = field(default_factory=dict)
    joins: int = 0
    leaves: int = 0
    end: object = None
    faults: list = field(default_factory=list)

    def count_of(self, what):
        return self.next.get(what.encode(), 0) if what not in ("joins", "leaves") else getattr(self, what)

    def fault(self, what):
        if len(self.faults) < 3:
            self.faults.append(f"{self.name} {what}")

    def send(self, bytes):
        # What it says is an answer of few bytes to a server that reads, or that is about to end the connection.
        with contextlib.suppress(OSError):
            self.socket.send(bytes)

    def receive(self, came, now):
        """Judges what came; returns the longest time that a publication of these took, in nanoseconds."""
        longest = 0
        for opcode, payload in self.parser.frames(came):
            if opcode == TEXT:
                longest = max(longest, self.check_text(payload, now))
            elif opcode == PING:
                self.send(frame(payload, PONG))
            elif opcode == CLOSE:
                self.end = f"{int.from_bytes(payload[:2], 'big')} {payload[2:].decode()}".strip()
                self.fault(f"was closed with {self.end}")
                self.send(frame(payload, CLOSE))
        return longest

    def check_text(self, payload, now):
        longest = 0
        if payload == b"{}":
            self.send(frame("{}"))
        for found in NUMBERED.finditer(payload):
            stream, number = found[1], int(found[2])
            expected = self.next.get(stream, 0)
            if number != expected:
                self.fault(f"expected {expected} of {stream.decode()}, saw {number}")
            self.next[stream] = number + 1
            longest = max(longest, now - int(found[3]))
        if SAID in payload:
            self.next[b"said"] = self.next.get(b"said", 0) + payload.count(SAID)
        if JOINED in payload or LEFT in payload:
            self.joins += payload.count(JOINED)
            self.leaves += payload.count(LEFT)
        if ERRORS_AND_GAPS.search(payload, 0, 4096):
            self.fault(f"was told {payload[:120].decode(errors='replace')}")
        return longest


@dataclass
class Lap:
    """What was seen since the lap before: times in milliseconds."""

    worst: float = 0.0
    # How late the crowd itself was at most to publish.
    jitter: float = 0.0
    published: int = 0


class _Process:
    """What runs in the process of a crowd: one loop over its sockets and its orders."""

    def __init__(self, at, orders):
        self.at, self.orders = at, orders
        self.members, self.lap, self.faults = [], Lap(), []
        self.selector = selectors.DefaultSelector()
        self.selector.register(orders, selectors.EVENT_READ, None)
        self.waiting = None
        self.room = self.api = None
        self.sent = self.answered = 0
        self.pause_s = self.due = 0.0
        self.over = False

    def loop(self):
        while not self.over:
            sleep_s = min(BEAT_S, self.due - time.monotonic()) if self.room else BEAT_S
            for key, _ in self.selector.select(max(0, sleep_s)):
                self.read(key)
            self.publish()
            self.answer_expectation()

    def read(self, key):
        if key.data is None:
            self.order(*self.orders.recv())
        elif key.data == "api":
            self.read_api()
        else:
            self.read_member(key.data)

    def read_member(self, member):
        try:
            came = member.socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError as broken:
            came, member.end = b"", member.end or type(broken).__name__
        if came:
            self.lap.worst = max(self.lap.worst, member.receive(came, time.monotonic_ns()) / 1e6)
            return
        self.selector.unregister(member.socket)
        if not member.end:
            member.end = "no Close"
            member.fault("was cut off without a Close")

    # The orders, by name.

    def order(self, name, *rest):
        answer = getattr(self, name)(*rest)
        if name != "expect":
            self.orders.send(answer)

    def join(self, names, path, rooms, source):
        """Connects members that join these rooms: by their URL, or by commands where there are any."""
        for name in names:
            one = connect(self.at, source)
            status, rest = upgraded(one, self.at, path)
            if status != 101:
                self.faults.append(f"{name} was answered {status}")
                continue
            member = Member(name, one)
            commands = [command(n, "subscribe", **room) for n, room in enumerate(rooms, 2)]
            one.sendall(b"".join([command(1, "connect"), *commands] if rooms else []))
            one.setblocking(False)
            member.receive(rest, time.monotonic_ns())
            self.members.append(member)
            self.selector.register(one, selectors.EVENT_READ, member)
        return len(self.members)

    def start(self, room, per_second):
        """Begins to publish to a room."""
        self.room, self.pause_s, self.due = room, 1 / per_second, time.monotonic()
        self.api, self.answers = connect(self.at), Answers()
        self.api.setblocking(False)
        self.selector.register(self.api, selectors.EVENT_READ, "api")

    def new_lap(self):
        lap, self.lap = self.lap, Lap()
        return lap

    def published(self):
        return self.sent

    def forget(self):
        for member in self.members:
            member.joins = member.leaves = 0

    def expect(self, demands, within):
        """Answers with what is wrong: once all have so many of each stream, of joins and of leaves, or too late."""
        self.waiting = (demands, time.monotonic() + within)

    def stop(self):
        self.over = True
        for member in self.members:
            abort(member.socket)

    # What happens between the orders.

    def publish(self):
        while self.room and (late := time.monotonic() - self.due) >= 0:
            self.due += self.pause_s
            self.lap.jitter = max(self.lap.jitter, late * 1000)
            self.lap.published += 1
            body = {"channel": self.room, "data": numbered(self.room, self.sent, 64)}
            try:
                self.api.sendall(post(self.at, "publish", body))
                self.sent += 1
            except OSError as broken:
                self.faults.append(f"publishing broke after {self.sent} messages: {broken}")
                self.room = None

    def read_api(self):
        try:
            came = self.api.recv(CHUNK)
        except OSError:
            came = b""
        if not came:
            self.faults.append(f"the API ended the connection of the publisher after {self.answered} answers")
            self.selector.unregister(self.api)
            self.room = None
        for status, body in self.answers.answers(came):
            self.answered += 1
            if status != 200:
                self.faults.append(f"a publication was answered {status} {body[:120].decode()}")

    def answer_expectation(self):
        if not self.waiting:
            return
        demands, until = self.waiting
        lacking = self.lacking(demands)
        if lacking and time.monotonic() < until and any(member.end is None for member in self.members):
            return
        faults = self.faults + [fault for member in self.members for fault in member.faults] + lacking
        self.faults, self.waiting = [], None
        for member in self.members:
            member.faults = []
        self.orders.send(faults)

    def lacking(self, demands):
        """What the open members have not got yet: the first few."""
        lacking = []
        for what, count in demands.items():
            for member in self.members:
                got = member.count_of(what)
                if not member.end and (got < count or (what in EXACT and got > count)):
                    lacking.append(f"{member.name} has {got} of {count} of {what}")
                    if len(lacking) == 3:
                        return lacking
        return lacking


def _begin(at, orders, measures):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    (prefer if measures else stand_back)(0)
    _Process(at, orders).loop()


class Crowd:
    """A process of members. Its methods are orders; each is answered before it returns."""

    def __init__(self, at, measures=False):
        context = multiprocessing.get_context("spawn")
        self.at = at
        self.orders, theirs = context.Pipe()
        self.process = context.Process(target=_begin, args=(at, theirs, measures), daemon=True)
        self.process.start()
        theirs.close()

    def _order(self, *order, within=WELCOME_S):
        self.orders.send(order)
        if not self.orders.poll(within):
            raise TimeoutError(f"a crowd did not answer {order[0]!r} within {within} s")
        return self.orders.recv()

    def plain(self, count, *rooms, query="", name="plain", source="127.0.0.1"):
        """Members that join by their URL."""
        path = "/ws?greeting=off" + "".join(f"&room={room}" for room in rooms) + query
        self._order("join", [f"{name} {n}" for n in range(count)], path, [], source)

    def json(self, count, *rooms, name="json", source="127.0.0.1", **options):
        """Members that join by commands of the json protocol."""
        subscribes = [{"channel": room, **options} for room in rooms]
        names = [f"{name} {n}" for n in range(count)]
        self._order("join", names, "/connection/websocket", subscribes, source)

    def start(self, room, per_second):
        self._order("start", room, per_second)

    def lap(self):
        return self._order("new_lap")

    def published(self):
        """How many messages it has published."""
        return self._order("published")

    def forget(self):
        """Counts joins and leaves from here on."""
        self._order("forget")

    def faults(self, within=6, **demands):
        """What anybody of it lost, saw twice or out of order, or was closed with, as soon as all have what is demanded:
        so many of each stream, of what was `said`, and of `joins` and `leaves`."""
        return self._order("expect", demands, within, within=within + WELCOME_S)

    def stop(self):
        with contextlib.suppress(OSError, EOFError):
            self._order("stop")
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()

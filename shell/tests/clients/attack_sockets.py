"""Attacks by sockets that are no members: what one address, one path or one request may take from the others."""

import json
import multiprocessing
import selectors
import time

from judge import PRODUCTION, attack
from raw import CHUNK, abort, connect, post, upgrade_request, upgraded

# So low for one address that a slow machine exceeds it, too.
RATES = ["--new-connections", "1000/s, burst 2000", "--new-connections-per-ip", "50/s, burst 150"]
# From a client to a server in another part of the world, and back.
FAR_S = 0.05
STATUS = b"HTTP/1.1 "


def request(at, method, path, *headers):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {at}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def probe(at, orders, source, distance_s):
    """Asks for an upgrade, a call and /health/live, one after the other, until it is told to stop; then it tells what
    each was answered, and how long a round took at most. From connecting to asking a client far away needs some time."""
    seen, longest, rounds = set(), 0.0, 0

    def ask(what):
        one = connect(at, source)
        try:
            time.sleep(distance_s)
            if what == "upgrade":
                return upgraded(one, at, "/ws/other")[0]
            one.sendall(post(at, "info", {}) if what == "API" else request(at, "GET", "/health/live"))
            return int(one.recv(CHUNK)[9:12] or 0)
        except OSError as broken:
            return type(broken).__name__
        finally:
            abort(one)

    orders.send("ready")
    while not orders.poll(0.02):
        begun = time.monotonic()
        for what in ("upgrade", "API", "live"):
            seen.add((what, ask(what)))
        rounds += 1
        longest = max(longest, time.monotonic() - begun)
    orders.send((seen, longest, rounds))


class Others:
    """Who wants in while an attack lasts, from an address and in a process of its own."""

    def __init__(self, stage, distance_s=0.0):
        context = multiprocessing.get_context("spawn")
        self.stage, self.distance_s = stage, distance_s
        self.orders, theirs = context.Pipe()
        self.process = context.Process(target=probe, args=(stage.at, theirs, "127.0.0.2", distance_s), daemon=True)

    def __enter__(self):
        self.process.start()
        self.orders.recv()

    def __exit__(self, *_):
        self.orders.send("stop")
        seen, longest, rounds = self.orders.recv()
        self.process.join()
        what = f"what others at {self.distance_s * 1000:.0f} ms were answered"
        self.stage.check(what, seen, {("upgrade", 101), ("API", 200), ("live", 200)})
        self.stage.check(f"a round took {longest:.1f} s", longest < 2, True)
        self.stage.figures.append(f"{rounds} rounds of others, {longest * 1000:.0f} ms at most")


class Flood:
    """Sockets that send one request again and again, at a steady rate of all together, and read the answers."""

    # Requests of one socket that wait for their answers.
    WAITING = 100

    def __init__(self, stage, sockets, bytes):
        self.bytes, self.selector, self.waiting = bytes, selectors.DefaultSelector(), {}
        for _ in range(sockets):
            one = stage.held(connect(stage.at))
            one.setblocking(False)
            self.waiting[one] = 0
            self.selector.register(one, selectors.EVENT_READ)
        self.sent, self.statuses, self.ended = 0, {}, 0

    def read(self, one):
        try:
            came = one.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            came = b""
        if not came:
            self.selector.unregister(one)
            del self.waiting[one]
            self.ended += 1
        # Heads that come in two parts are missed; the count is a figure, and no verdict.
        parts = came.split(STATUS)[1:]
        for part in parts:
            self.statuses[part[:3]] = self.statuses.get(part[:3], 0) + 1
        if came:
            self.waiting[one] -= len(parts)

    def run(self, seconds, per_second, each=10):
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < seconds and self.waiting:
            for one in list(self.waiting):
                if self.sent >= passed * per_second:
                    break
                if self.waiting[one] < self.WAITING:
                    try:
                        # What is cut off by a full socket would be no request any more.
                        part = one.send(self.bytes * each)
                        while part < len(self.bytes) * each:
                            one.settimeout(5)
                            part += one.send((self.bytes * each)[part:])
                        one.setblocking(False)
                    except OSError:
                        continue
                    self.waiting[one] += each
                    self.sent += each
            for key, _ in self.selector.select(0.005):
                self.read(key.fileobj)

    def report(self, stage):
        statuses = {status.decode(): count for status, count in self.statuses.items()}
        stage.figures.append(f"{self.sent} requests, answers {json.dumps(statuses)}, {self.ended} sockets ended")
        return set(statuses)


@attack("a flood of upgrades from one address costs the others no 429 and no 503", *PRODUCTION, *RATES)
def flood_of_upgrades(stage):
    yield
    asks, seen, until = upgrade_request(stage.at, "/ws/flooded"), {}, time.monotonic() + 3
    with Others(stage):
        while time.monotonic() < until:
            one = connect(stage.at, "127.0.0.9")
            one.sendall(asks)
            answer = one.recv(CHUNK)
            status = int(answer[9:12] or 0)
            seen[status] = seen.get(status, 0) + 1
            if status == 429 and (b"new_connections_per_ip" not in answer or b"etry-" not in answer):
                stage.check("a 429 names its limit and when to come back", answer[:400], "new_connections_per_ip")
            abort(one)
    stage.figures.append(f"the flood was answered {seen}")
    stage.check("what the flood was answered", set(seen), {101, 429})


def idle_sockets(stage, say):
    """Three times as many sockets as there are places, from eight addresses, who hold on to them."""
    yield
    with Others(stage), Others(stage, FAR_S):
        begun = time.monotonic()
        for n in range(1500):
            # Faster, it would fill all places anew while a client far away is still on its way.
            time.sleep(max(0, begun + n / IDLE_PER_S - time.monotonic()))
            one = stage.held(connect(stage.at, f"127.0.0.{10 + n % 8}"))
            one.sendall(say)
            if say.endswith(b"\r\n\r\n"):
                one.recv(CHUNK)
        time.sleep(0.5)
    hits = stage.health()["totals"]["limits"]
    stage.check("whether http_connections was in the way", hits.get("http_connections", 0) > 0, True)
    stage.figures.append(f"hits of http_connections: {hits.get('http_connections')}")


IDLE_PER_S = 750
PLACES = ["--http-connections", "500"]


@attack("1,500 sockets that say nothing, with 500 places for them, lock nobody out", *PRODUCTION, *PLACES)
def silent_sockets(stage):
    yield from idle_sockets(stage, b"")


@attack("1,500 sockets that begin a request, with 500 places for them, lock nobody out", *PRODUCTION, *PLACES)
def half_requests(stage):
    yield from idle_sockets(stage, b"GET /health/live HTTP/1.1\r\nHost: ")


@attack("1,500 sockets that asked once, with 500 places for them, lock nobody out", *PRODUCTION, *PLACES)
def sockets_that_asked_once(stage):
    yield from idle_sockets(stage, request(stage.at, "GET", "/health/live"))


@attack("1,500 sockets of one address: beyond http_connections_per_ip they are refused, by name", *PRODUCTION)
def sockets_of_one_address(stage):
    yield
    refused = 0
    with Others(stage):
        for _ in range(1500):
            stage.held(connect(stage.at, "127.0.0.9"))
        for one in stage.sockets[-100:]:
            one.sendall(request(stage.at, "GET", "/health/live"))
            try:
                answer = one.recv(CHUNK)
            except OSError:
                continue
            refused += answer.startswith(STATUS + b"429") and b"http_connections_per_ip" in answer
        # Others have been served by now, and are for some time more.
        time.sleep(0.3)
    stage.check("the last hundred that were refused by name", refused, 100)


def pipelined(method, path, status, sockets, per_second):
    def steps(stage):
        flood = Flood(stage, sockets, request(stage.at, method, path))
        yield
        flood.run(2, per_second)
        stage.check("statuses", flood.report(stage), {status})

    return steps


@attack("HEAD /openapi.json, pipelined by 150 sockets")
def pipelined_heads(stage):
    yield from pipelined("HEAD", "/openapi.json", "200", 150, 5000)(stage)


@attack("GET /health, pipelined by 150 sockets")
def pipelined_health(stage):
    yield from pipelined("GET", "/health", "200", 150, 5000)(stage)


@attack("URLs that name 1,700 rooms, pipelined by 50 sockets")
def long_urls(stage):
    path = "/ws?" + "&".join(f"room={n:04}" for n in range(1350))
    yield from pipelined("GET", path, "400", 50, 1000)(stage)


@attack("URLs that name one room 1,700 times, pipelined by 50 sockets")
def long_urls_of_one_room(stage):
    yield from pipelined("GET", "/ws?" + "&".join(["room=a"] * 1700), "400", 50, 1000)(stage)


@attack("calls without a key, pipelined by 150 sockets")
def calls_without_a_key(stage):
    yield from pipelined("POST", "/api/publish", "401", 150, 5000)(stage)

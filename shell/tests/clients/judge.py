"""What an attack on the server may cost the others: next to nothing, judged beside a room of 100 members in which 50
messages a second are published, all by what these see, and by the memory of the server."""

import contextlib
import os
import pathlib
import re
import threading
import time
from dataclasses import dataclass, field

from crowd import Crowd, prefer, stand_back
from harness import Failed, Server, expect, http
from raw import abort, asked, post

ROOM, MEMBERS, PER_SECOND = "busy", 100, 50
# Those who measure are the first and the last of the room; they are few, so that they are never what is slow.
FIRST, LAST = 2, 2
QUIET_S = 1.5
# An attack that is over sooner is judged together with what comes right after it.
LEAST_S = 0.5
MOST_FAULTS = 6
# The worst delay beside an attack is at most so many times that of the same run without it, and so many milliseconds,
# and as late as those who measure were themselves, who publish and read in one process, up to as many, and as long as
# the server waited for a processor, up to as many: what is preferred to all else is held back for 50 ms of each second.
TIMES, SLACK_MS = 3, 50
ATTEMPTS = 3
# What a call may raise the peak of memory by, besides what waits and is retained.
CALL_MIB = 32
# All sockets of these runs come from one machine at once, which may be slow to go on with them.
SERVED = ["--new-connections", "20000/s, burst 20000", "--request-timeout", "60s", "--log-level", "error"]
PRODUCTION = ["--dev", "false", "--allow-anonymous", "true"]

ATTACKS = {}


@dataclass
class Attack:
    """An attack: its words, the settings of its server, and by how many MiB the peak of memory may rise."""

    steps: object
    words: str
    settings: list
    memory: int

    @property
    def name(self):
        return self.steps.__name__


def attack(words, *settings, memory=CALL_MIB):
    """Registers a generator as an attack. What it does before it yields is there in the run without the attack as well;
    what it does then is the attack, and ends when the attack's own consequences are known. What it yields, if anything,
    is called in the run without."""

    def register(steps):
        ATTACKS[steps.__name__] = Attack(steps, words, list(settings), memory)
        return steps

    return register


class Busy:
    """The busy room: members who measure, and members who only check what they receive."""

    def __init__(self, at):
        self.clock, self.others = Crowd(at, measures=True), Crowd(at)
        self.crowds = [self.clock, self.others]
        third = (MEMBERS - FIRST - LAST) // 3
        self.clock.plain(FIRST, ROOM, name="first of the busy room")
        self.others.plain(third, ROOM, query="&positions=on", name="busy with positions")
        self.others.plain(third, ROOM, name="busy plain")
        self.others.json(MEMBERS - FIRST - LAST - 2 * third, ROOM, name="busy json")
        self.clock.json(LAST - 1, ROOM, name="last but one of the busy room")
        self.clock.plain(1, ROOM, name="last of the busy room")

    def start(self):
        self.clock.start(ROOM, PER_SECOND)

    def faults(self, **demands):
        """What is wrong in the room, when all that was published until now is there, and what else is demanded."""
        demands[ROOM] = self.clock.published()
        return [fault for crowd in self.crowds for fault in crowd.faults(**demands)]

    def stop(self):
        for crowd in self.crowds:
            crowd.stop()


@dataclass
class Stage:
    """A server, its busy room, and what an attack needs."""

    server: Server
    busy: Busy
    sockets: list = field(default_factory=list)
    crowds: list = field(default_factory=list)
    # What went wrong, and what was measured besides.
    faults: list = field(default_factory=list)
    figures: list = field(default_factory=list)

    @property
    def at(self):
        return self.server.address

    def crowd(self):
        """Other members, in a process of their own."""
        crowd = Crowd(self.at)
        self.crowds.append(crowd)
        return crowd

    def held(self, one):
        """A socket that is open until the attack is over."""
        self.sockets.append(one)
        return one

    def check(self, what, seen, expected):
        with self.noted():
            expect(what, seen, expected)

    @contextlib.contextmanager
    def noted(self):
        """A step that fails is a fault, and the others follow."""
        try:
            yield
        except Failed as failed:
            self.faults.append(re.sub(r"\s+", " ", str(failed))[:300])
        except OSError as broken:
            self.faults.append(f"{type(broken).__name__}: {broken}")

    def refused(self, what, answer, status, code, limit):
        """A refusal has its status and code, and says which limit it is."""
        seen, body = answer
        error = body.get("error") or {}
        words = error.get("message", "") + str(error.get("limit", ""))
        self.check(f"{what}: {words[:100]!r}", (seen, error.get("code"), limit in words), (status, code, True))

    def call(self, method, body):
        """One API call: (status, parsed JSON)."""
        return asked(self.at, [post(self.at, method, body)])[0]

    def health(self):
        return http("/health", at=self.at)[1]

    def memory(self, what):
        """Memory of the server in MiB: VmRSS, or VmHWM, its peak."""
        status = pathlib.Path(f"/proc/{self.server.pid}/status").read_text()
        return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) / 1024

    def cpu(self):
        """Milliseconds that threads of the server ran, and that they waited for a processor."""
        ran = waited = 0
        for thread in pathlib.Path(f"/proc/{self.server.pid}/task").iterdir():
            times = (thread / "schedstat").read_text().split()
            ran, waited = ran + int(times[0]), waited + int(times[1])
        return ran / 1e6, waited / 1e6

    def forget_peak(self):
        # Without this right the peak since the start counts, which is no higher than what is there before an attack.
        with contextlib.suppress(OSError):
            pathlib.Path(f"/proc/{self.server.pid}/clear_refs").write_text("5")
        return self.memory("VmHWM")

    def end(self):
        for one in self.sockets:
            abort(one)
        for crowd in [*self.crowds, self.busy]:
            crowd.stop()


@dataclass
class Verdict:
    """What an attack cost."""

    quiet: object
    beside: object
    raised: float
    seconds: float
    waited: float
    faults: list
    figures: list

    @property
    def bound_ms(self):
        return TIMES * self.quiet.worst + SLACK_MS + min(self.beside.jitter, SLACK_MS) + min(self.waited, SLACK_MS)

    @property
    def in_time(self):
        return self.beside.worst <= self.bound_ms

    def __str__(self):
        delays = f"worst delay {self.quiet.worst:.0f} ms without, {self.beside.worst:.0f} ms with it"
        within = f"(at most {self.bound_ms:.0f}; the publisher was late by {self.beside.jitter:.0f} ms)"
        return ", ".join([f"{delays} {within}", f"peak {self.raised:+.1f} MiB", *self.figures, f"{self.seconds:.1f} s"])


def unknown(settings, known):
    """The settings that this server does not have, and the others."""
    pairs = list(zip(settings[::2], settings[1::2], strict=True))
    missing = [name for name, _ in pairs if f"      {name} <" not in known]
    # The later of two is the one that holds.
    return missing, [word for name, value in dict(pairs).items() if name not in missing for word in (name, value)]


def run_once(one, known):
    """Runs an attack on a server of its own."""
    missing, settings = unknown([*SERVED, *one.settings], known)
    with Server(*settings) as server:
        for thread in pathlib.Path(f"/proc/{server.pid}/task").iterdir():
            prefer(int(thread.name))
        stage = Stage(server, Busy(server.address))
        stage.faults += [f"there is no setting {name}" for name in missing]
        try:
            return judged(one, stage)
        finally:
            stage.end()


def judged(one, stage):
    busy = stage.busy
    steps = one.steps(stage)
    meanwhile = next(steps) or (lambda: time.sleep(QUIET_S))
    busy.start()
    time.sleep(0.3)
    busy.clock.lap()
    meanwhile()
    stage.faults += busy.faults()
    quiet = busy.clock.lap()
    before, cpu, begun = stage.forget_peak(), stage.cpu(), time.monotonic()
    attacking = threading.Thread(target=carry_out, args=(steps, stage))
    attacking.start()
    attacking.join()
    time.sleep(max(0, LEAST_S - (time.monotonic() - begun)))
    # What was sent until now has to arrive as well.
    stage.faults += busy.faults()
    beside, seconds = busy.clock.lap(), time.monotonic() - begun
    raised = stage.memory("VmHWM") - before
    ran, waited = (after - before for after, before in zip(stage.cpu(), cpu))
    stage.figures.append(f"the server ran {ran:.0f} ms and waited {waited:.0f} ms for a processor")
    return Verdict(quiet, beside, raised, seconds, waited, stage.faults, stage.figures)


def carry_out(steps, stage):
    """The attack itself, which leaves the processors to the server and to those who measure."""
    stand_back(threading.get_native_id())
    with stage.noted():
        for _ in steps:
            pass


def faults_of(one, verdict):
    """What is wrong: what others suffered, memory, and delay."""
    found = list(verdict.faults)
    if verdict.raised > one.memory:
        found.append(f"the peak of memory rose by {verdict.raised:.1f} MiB, more than {one.memory}")
    if not verdict.in_time:
        found.append(f"the worst delay was {verdict.beside.worst:.0f} ms, more than {verdict.bound_ms:.0f}")
    return found


def attempt(one, known):
    """Runs an attack up to three times, until the worst delay is as it should be: (last verdict, faults). Other faults
    are not forgiven."""
    for _ in range(ATTEMPTS):
        verdict = run_once(one, known)
        found = faults_of(one, verdict)
        if verdict.in_time or verdict.faults:
            break
    return verdict, found


def errors(answer):
    """What the parts of a batch or of a broadcast were refused with: {(code, message): how many}."""
    body = answer[1]
    parts = body.get("replies") or body.get("result", {}).get("responses", [])
    found = {}
    for part in parts:
        if "error" in part:
            key = (part["error"]["code"], part["error"]["message"])
            found[key] = found.get(key, 0) + 1
    return found

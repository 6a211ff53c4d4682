"""A client by hand, that does what no library does and notices what it is told."""

import json
import time

from harness import expect
from raw import CHUNK, CLOSE, TEXT, Parser, connect, upgraded


class Client:
    """A hostile client that notices what it is told."""

    def __init__(self, stage, path, source="127.0.0.1", receive=None):
        self.socket = stage.held(connect(stage.at, source, receive))
        status, rest = upgraded(self.socket, stage.at, path)
        expect(f"the answer to {path[:40]}", status, 101)
        self.parser, self.end, self.texts = Parser(), None, []
        self.take(rest)

    def take(self, came):
        for opcode, payload in self.parser.frames(came):
            if opcode == TEXT:
                self.texts.append(payload)
            elif opcode == CLOSE:
                self.end = (int.from_bytes(payload[:2], "big"), payload[2:].decode())

    def read(self):
        """Takes what has come. An end is kept in `end`, as a code and a reason."""
        self.socket.setblocking(False)
        while self.end is None:
            try:
                came = self.socket.recv(CHUNK)
            except BlockingIOError:
                break
            except OSError as broken:
                self.end = (None, type(broken).__name__)
                break
            if not came:
                self.end = (None, "no Close")
            self.take(came)

    def heard(self):
        """The texts that have come since it was last asked."""
        self.read()
        texts, self.texts = self.texts, []
        return texts

    def replies(self):
        """Of these texts, the replies of the json protocol."""
        lines = [line for text in self.heard() for line in text.splitlines()]
        return [json.loads(line) for line in lines if line.startswith(b'{"id":')]

    def send(self, data):
        """Sends all of it, unless the connection is over, and reads what comes meanwhile."""
        rest = memoryview(data)
        while rest and self.end is None:
            try:
                rest = rest[self.socket.send(rest) :]
            except BlockingIOError:
                self.read()
                time.sleep(0.0005)
            except OSError:
                self.read()
                self.end = self.end or (None, "reset")
        return not rest


def ends_of(clients, within=6):
    """How these clients' connections ended: {(code, reason): how many}; None for one that is open."""
    until = time.monotonic() + within
    while time.monotonic() < until and any(client.end is None for client in clients):
        for client in clients:
            client.read()
        time.sleep(0.02)
    found = {}
    for client in clients:
        found[client.end] = found.get(client.end, 0) + 1
    return found

"""WebSocket and HTTP by hand: what no library sends, and as fast as it can be sent."""

import contextlib
import json
import socket
import struct

from harness import API_KEY

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
FIN = 0x80
CHUNK = 1 << 18
PATIENCE_S = 10
KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = f"Connection: Upgrade\r\nUpgrade: websocket\r\n{KEY}\r\n"
ABORT = struct.pack("ii", 1, 0)


def frame(payload, opcode=TEXT, fin=True):
    """A frame of a client. Its mask is zero, which leaves the payload as it is."""
    payload = payload.encode() if isinstance(payload, str) else payload
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", FIN * fin | opcode, FIN | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", FIN * fin | opcode, FIN | 126, size)
    else:
        head = struct.pack("!BBQ", FIN * fin | opcode, FIN | 127, size)
    return head + bytes(4) + payload


def command(number, method, **fields):
    """A command of the json protocol, in a frame."""
    return frame(json.dumps({"id": number, method: fields}))


class Parser:
    """Takes frames of the server, which are whole messages, out of a stream."""

    def __init__(self):
        self.rest = b""

    def frames(self, came):
        """The complete frames with what came: a list of (opcode, payload)."""
        data = self.rest + came if self.rest else came
        found, at, end = [], 0, len(data)
        while end - at >= 2:
            size, head = data[at + 1], 2
            if size == 126:
                head = 4
                size = int.from_bytes(data[at + 2 : at + 4], "big")
            elif size == 127:
                head = 10
                size = int.from_bytes(data[at + 2 : at + 10], "big")
            if end - at < head + size:
                break
            found.append((data[at] & 15, data[at + head : at + head + size]))
            at += head + size
        self.rest = data[at:]
        return found


def connect(at, source="127.0.0.1", receive=None):
    """A TCP connection from this address of loopback, with a receive buffer of so many bytes."""
    host, port = at.split(":")
    one = socket.socket()
    one.settimeout(PATIENCE_S)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    if source != "127.0.0.1":
        one.bind((source, 0))
    one.connect((host, int(port)))
    return one


def abort(one):
    """Ends a connection with a reset, so that no port stays behind."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    one.close()


def upgrade_request(at, path):
    return f"GET {path} HTTP/1.1\r\nHost: {at}\r\n{HEADERS}\r\n".encode()


def upgraded(one, at, path):
    """The status of an upgrade on this connection, and what came behind the head of its answer."""
    one.sendall(upgrade_request(at, path))
    came = b""
    while b"\r\n\r\n" not in came:
        more = one.recv(CHUNK)
        if not more:
            return 0, came
        came += more
    head, _, rest = came.partition(b"\r\n\r\n")
    return int(head[9:12]), rest


def websocket(at, path, source="127.0.0.1", receive=None, first=b""):
    """A WebSocket of which nothing was read yet, after it sent these frames."""
    one = connect(at, source, receive)
    status, _ = upgraded(one, at, path)
    if status != 101:
        one.close()
        raise ConnectionError(f"an upgrade at {path[:40]} was answered {status}")
    one.sendall(first)
    return one


def post(at, method, body):
    """An API call as it goes over the wire. The body is JSON already, or becomes it."""
    body = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
    head = f"POST /api/{method} HTTP/1.1\r\nHost: {at}\r\nX-API-Key: {API_KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Answers:
    """Takes HTTP answers out of a stream."""

    def __init__(self):
        self.rest = b""

    def answers(self, came):
        """The complete answers with what came: a list of (status, body). Bodies have a length."""
        self.rest += came
        found = []
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            head = self.rest[:end].lower()
            where = head.find(b"content-length:")
            size = int(head[where + 15 :].split(b"\r\n")[0]) if where >= 0 else 0
            if len(self.rest) < end + 4 + size:
                break
            found.append((int(head[9:12]), self.rest[end + 4 : end + 4 + size]))
            self.rest = self.rest[end + 4 + size :]
        return found


def asked(at, requests, within=60):
    """The answers to API calls that are sent together on one connection: a list of (status, JSON)."""
    one, reader, found = connect(at), Answers(), []
    with one:
        one.settimeout(within)
        one.sendall(b"".join(requests))
        while len(found) < len(requests):
            came = one.recv(CHUNK)
            if not came:
                raise ConnectionError(f"{len(found)} of {len(requests)} calls were answered before the end")
            found += reader.answers(came)
    return [(status, json.loads(body)) for status, body in found]

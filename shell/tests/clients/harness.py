"""What the checks share: a server to use, the HTTP API, tokens, and comparisons that say what was seen."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
import traceback
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
API_KEY = "check-key-check-key"
SECRET = "check-secret-check-secret-check-secret"
STARTUP_S = 10
SHUTDOWN_S = 40

# Proxies from the environment are for the package registries, not for loopback.
for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
    os.environ.pop(name, None)
    os.environ.pop(name.upper(), None)


def binary():
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    return os.environ.get("CHECK_BINARY", f"{target}/release/parlor")


class Server:
    """The release binary, on a free port of loopback and in development mode unless the arguments say otherwise."""

    def __init__(self, *args, port=0, defaults=True, env=None):
        command = [binary(), *args]
        if defaults:
            command += ["--listen", f"127.0.0.1:{port}", "--api-key", API_KEY, "--token-secret", SECRET]
            command += [] if "--dev" in args else ["--dev", "true"]
        self.output = []
        self.terminated = False
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(env or {})}
        )
        self._ready = threading.Event()
        self.address = None
        threading.Thread(target=self._read, daemon=True).start()
        if not self._ready.wait(STARTUP_S) or self.address is None:
            self.process.kill()
            raise SystemExit(f"{command} was not ready after {STARTUP_S} s; it said:\n" + "".join(self.output))

    def _read(self):
        for line in self.process.stdout:
            self.output.append(line)
            found = re.search(r"^parlor is listening on https?://(\S+)", line)
            if found and self.address is None:
                self.address = found.group(1)
                self._ready.set()
        self._ready.set()

    @property
    def port(self):
        return int(self.address.split(":")[1])

    @property
    def pid(self):
        return self.process.pid

    def environment(self):
        return {
            "CHECK_ADDRESS": self.address,
            "CHECK_BINARY": binary(),
            "CHECK_API_KEY": API_KEY,
            "CHECK_TOKEN_SECRET": SECRET,
        }

    def terminate(self):
        self.terminated = True
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        """Stops it in peace; it has to end by itself, with exit code 0."""
        # A second signal would end it at once.
        if self.process.poll() is None and not self.terminated:
            self.terminate()
        try:
            code = self.process.wait(SHUTDOWN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise SystemExit(f"the server was still there {SHUTDOWN_S} s after SIGTERM; it said:\n" + self.tail())
        if code != 0:
            raise SystemExit(f"the server's exit code: expected 0, saw {code}; it said:\n" + self.tail())

    def tail(self):
        return "".join(self.output[-40:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def free_port():
    """A port of loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def address():
    """Where the server is that the runner started for this check."""
    return os.environ["CHECK_ADDRESS"]


def http(path, body=None, headers=None, at=None):
    """One request: (status, parsed JSON, or text that is none). A body makes it a POST."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    if headers is None and path == "/health":
        headers = {"X-API-Key": API_KEY}
    request = urllib.request.Request(f"http://{at or address()}{path}", data, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, parsed(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, parsed(refused)


def parsed(answer):
    text = answer.read() or b"null"
    return json.loads(text) if answer.headers.get_content_type() == "application/json" else text.decode()


def call(method, body, at=None, key=API_KEY):
    """One API call: (status, parsed JSON)."""
    return http(f"/api/{method}", body, {"X-API-Key": key} if key else {}, at)


def api(method, body, at=None):
    """One API call that has to succeed: its result."""
    status, answer = call(method, body, at)
    if status != 200 or "result" not in answer:
        raise Failed(f"POST /api/{method} {body}", "200 with a result", f"{status} {answer}")
    return answer["result"]


def token(secret=SECRET, header=None, **claims):
    """A JSON Web Token signed with HS256 (RFC 7515, RFC 7519)."""
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")
    signed = part(header or {"alg": "HS256", "typ": "JWT"}) + b"." + part(claims)
    signature = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


class Failed(AssertionError):
    def __init__(self, what, expected, seen):
        super().__init__(f"{what}\n  expected: {expected}\n  seen:     {seen}")


def expect(what, seen, expected):
    if seen != expected:
        raise Failed(what, repr(expected), repr(seen))


def run(steps):
    """Runs a check's steps; one that fails says what was expected and what was seen, and where."""
    try:
        asyncio.run(steps())
    except Failed as failed:
        frames = [(pathlib.Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(failed.__traceback__)]
        lines = ", ".join(f"{file.name}:{line}" for file, line in frames if file.parent == HERE)
        print(f"{failed}\n  at:       {lines}", flush=True)
        raise SystemExit(1) from None


def done(step):
    """Every step that a check completes is a line that the runner counts."""
    print(f"ok {step}", flush=True)


async def eventually(what, look, expected, within=10.0):
    """Waits until `look()` returns what is expected; `look` may be a coroutine function."""
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if asyncio.iscoroutine(seen):
            seen = await seen
        if seen == expected:
            return
        if time.monotonic() > deadline:
            raise Failed(f"{what} (waited {within} s)", repr(expected), repr(seen))
        await asyncio.sleep(0.02)

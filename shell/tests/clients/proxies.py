"""nginx, Caddy and HAProxy with the configurations of the README, as written there but for ports and certificates: what
clients and backends can do through them, and what each common mistake looks like."""

import asyncio
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time

import websockets

from harness import API_KEY, ROOT, Failed, Server, done, eventually, expect, run, token

README = (ROOT / "README.md").read_text()
HOST = "chat.example.com"
PAGE = f"https://{HOST}"
STARTUP_S = 10
# A quiet connection has to outlast the proxy's patience by its pings: both are shorter here, in the same proportion.
PING_S, PATIENCE_S = 1, 3
PINGS = ["--ping-interval", f"{PING_S}s", "--pong-timeout", "500ms"]
SERVED = ["--dev", "false", "--public-hosts", PAGE, "--trusted-proxies", "127.0.0.1"]
# What a client says of itself, as if it were a proxy.
FORGED = "192.0.2.66"


def block(language):
    """The one configuration of the README in this language."""
    [text] = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return text


def replaced(text, *pairs):
    for before, after in pairs:
        if before not in text:
            raise Failed(f"{before!r} in the configuration of the README", "it is there", text)
        text = text.replace(before, after)
    return text


def without(text, *beginnings):
    """The same configuration without the lines that begin like this."""
    for beginning in beginnings:
        kept = [line for line in text.splitlines() if not line.strip().startswith(beginning)]
        expect(f"lines that begin with {beginning!r}", len(text.splitlines()) - len(kept), 1)
        text = "\n".join(kept) + "\n"
    return text


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def certificate(folder):
    """A certificate for the host, and both of its files in one, as HAProxy wants them."""
    key, chain, both = folder / "host.key", folder / "host.pem", folder / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", key, "-out", chain]
    subprocess.run(command, check=True, capture_output=True)
    both.write_text(chain.read_text() + key.read_text())
    return key, chain, both


class Proxy:
    """One proxy in front of a server, on a port of its own, until the block ends."""

    def __init__(self, folder, name, text, command):
        self.name, self.port = name, free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
        self.file = self.folder / "configuration"
        self.file.write_text(text(self))
        self.command = [str(part) for part in command(self)]

    def __enter__(self):
        self.log = open(self.folder / "log", "w+")
        # Nothing of the user's own is read or written.
        environment = {**os.environ, "HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder)}
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log, env=environment)
        deadline = time.monotonic() + STARTUP_S
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.05)
        self.__exit__()
        raise Failed(f"{self.name} listens within {STARTUP_S} s", "it does", (self.folder / "log").read_text())

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def context(self):
        return ssl._create_unverified_context()

    def connect(self, path):
        """A WebSocket through the proxy, from the server's own page."""
        options = {"host": "127.0.0.1", "port": self.port, "ssl": self.context(), "server_hostname": HOST}
        return websockets.connect(f"wss://{HOST}{path}", origin=PAGE, proxy=None, **options)

    def request(self, path, body=None, host=HOST, **headers):
        """One HTTP request through the proxy: status and body."""
        connection = http.client.HTTPConnection(HOST)
        tcp = socket.create_connection(("127.0.0.1", self.port), 10)
        with contextlib.closing(connection), self.context().wrap_socket(tcp, server_hostname=HOST) as connection.sock:
            data = None if body is None else json.dumps(body).encode()
            connection.request("POST" if data else "GET", path, data, {"Host": host, "X-API-Key": API_KEY, **headers})
            answer = connection.getresponse()
            return answer.status, "" if answer.status == 101 else answer.read().decode()

    def upgrade(self, path, origin=PAGE, host=HOST):
        """What a request for a WebSocket is answered, from a page of this origin: status and body."""
        asked = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        asked["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
        return self.request(path, host=host, **asked, **({"Origin": origin} if origin else {}))


class Proxies:
    """The three proxies, each with the README's configuration, or with a mistake in it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.key, self.chain, self.both = certificate(self.folder)

    def nginx(self, target, change=lambda text: text):
        def text(proxy):
            places = [("listen 443 ssl", f"listen 127.0.0.1:{proxy.port} ssl"), ("127.0.0.1:8000", target)]
            places += [("/etc/ssl/chat.example.com.pem", str(self.chain)), ("/etc/ssl/chat.example.com.key", str(self.key))]
            places += [("proxy_read_timeout 60s", f"proxy_read_timeout {PATIENCE_S}s")]
            server = replaced(change(block("nginx")), *places)
            paths = "".join(
                f"{kind}_temp_path {proxy.folder}/{kind};\n"
                for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            return (
                f"daemon off; pid {proxy.folder}/pid; error_log stderr; events {{}}\n"
                f"http {{ access_log off;\n{paths}{server}}}\n"
            )

        return Proxy(self.folder, "nginx", text, lambda proxy: ["nginx", "-p", proxy.folder, "-c", proxy.file])

    def caddy(self, target, change=lambda text: text):
        def text(proxy):
            tls = f"{HOST} {{\n    tls {self.chain} {self.key}\n    bind 127.0.0.1"
            site = replaced(change(block("caddy")), (f"{HOST} {{", tls), ("127.0.0.1:8000", target))
            return f"{{\n    admin off\n    auto_https disable_redirects\n    https_port {proxy.port}\n}}\n{site}"

        command = lambda proxy: ["caddy", "run", "--adapter", "caddyfile", "--config", proxy.file]
        return Proxy(self.folder, "Caddy", text, command)

    def haproxy(self, target, change=lambda text: text):
        def text(proxy):
            places = [(":443", f"127.0.0.1:{proxy.port}"), ("/etc/ssl/chat.example.com.pem", str(self.both))]
            places += [("127.0.0.1:8000", target), ("timeout tunnel 60s", f"timeout tunnel {PATIENCE_S}s")]
            return replaced(change(block("haproxy")), *places)

        return Proxy(self.folder, "HAProxy", text, lambda proxy: ["haproxy", "-db", "-f", proxy.file])

    def all(self):
        return [self.nginx, self.caddy, self.haproxy]


async def json_client(proxy, path="/connection/websocket", **options):
    """A json client that is connected and in the room `lobby`."""
    client = await proxy.connect(path, **options)
    for command in ({"id": 1, "connect": {"token": token(sub="ann")}}, {"id": 2, "subscribe": {"channel": "lobby"}}):
        await client.send(json.dumps(command))
    replies = []
    while len(replies) < 2:
        text = await asyncio.wait_for(client.recv(), 5)
        replies += [json.loads(line) for line in text.splitlines() if line != "{}"]
    expect(f"replies through {proxy.name}", [reply.get("error") for reply in replies], [None, None])
    return client


async def publication(client):
    """The next publication; pings are answered on the way."""
    while True:
        for line in (await asyncio.wait_for(client.recv(), 5)).splitlines():
            if line == "{}":
                await client.send("{}")
            elif "push" in (frame := json.loads(line)):
                return frame["push"]["pub"]["data"]


async def stay(client, seconds):
    """Answers pings for so long, while nothing else is sent."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await publication(client)


async def as_in_the_readme(proxies, make):
    with Server(*SERVED, *PINGS) as server, make(server.address) as proxy:
        client = await json_client(proxy)
        status, body = proxy.request("/api/publish", {"channel": "lobby", "data": 1})
        expect("an API call", (status, json.loads(body)["result"]["offset"]), (200, 1))
        expect("what the client hears", await publication(client), 1)
        await stay(client, 2 * PATIENCE_S)
        proxy.request("/api/publish", {"channel": "lobby", "data": 2})
        expect("what a client hears after a quiet time", await publication(client), 2)
        await client.close()

        plain = f"/ws/lobby?token={token(sub='ann')}"
        for what, options, status in (
            ("the server's own page", {}, 101),
            ("its Host with the default port", {"host": f"{HOST}:443"}, 101),
            ("no browser", {"origin": None}, 101),
            ("a page without TLS", {"origin": f"http://{HOST}"}, 403),
            ("a page of another site", {"origin": "https://evil.example"}, 403),
        ):
            expect(f"{what}, through {proxy.name}", proxy.upgrade(plain, **options)[0], status)
        expect("health", proxy.request("/health/live")[0], 200)
        expect("a path that is not there", proxy.request("/forged", Forwarded=f"for={FORGED};proto=http")[0], 404)
        forged_in_log = lambda: [FORGED in line for line in server.output if "/forged" in line]
        await eventually("whether the log believes who forges", forged_in_log, [False])

        async with proxy.connect(plain) as socket:
            await socket.recv()
            stopping = asyncio.create_task(asyncio.to_thread(server.stop))
            await asyncio.wait_for(socket.wait_closed(), 30)
            expect("the code at SIGTERM", socket.close_code, 3001)
            await stopping
        done(f"proxies: {proxy.name} as in the README passes clients, pings, API calls, origins and the end on")


async def under_a_prefix(proxies):
    path = f"/live/ws/lobby?token={token(sub='ann')}"

    def nginx(text):
        return replaced(text, ("location / {", "location /live/ {"), ("127.0.0.1:8000;", "127.0.0.1:8000/;"))

    def caddy(text):
        line = "reverse_proxy 127.0.0.1:8000"
        return replaced(text, (line, f"handle_path /live/* {{\n{line}\n}}"))

    def haproxy(text):
        return replaced(text, ("backend parlor\n", "backend parlor\n    http-request replace-path /live(/.*) \\1\n"))

    for written in ("location /live/ {", "http://127.0.0.1:8000/;", "handle_path /live/* {", r"replace-path /live(/.*) \1"):
        expect(f"{written!r} in the README", written in README, True)
    with Server(*SERVED, *PINGS) as server:
        for make, change in ((proxies.nginx, nginx), (proxies.caddy, caddy), (proxies.haproxy, haproxy)):
            with make(server.address, change) as proxy:
                expect(f"{proxy.name} under a prefix", proxy.upgrade(path)[0], 101)
        leaves_it = lambda text: replaced(text, ("location / {", "location /live/ {"))
        with proxies.nginx(server.address, leaves_it) as proxy:
            expect("a prefix that is left on the path", proxy.upgrade(path)[0], 404)
    done("proxies: paths behind a prefix, with all three")


async def mistakes(proxies):
    path = f"/ws/lobby?token={token(sub='ann')}"
    with Server(*SERVED, *PINGS) as server:
        version, upgrade, connection = "proxy_http_version", "proxy_set_header Upgrade", "proxy_set_header Connection"
        for lines, expected, words in (
            ([version], 400, "HTTP/1.0"),
            ([upgrade], 426, upgrade),
            ([connection], 400, connection),
            ([upgrade, connection], 426, connection),
            ([version, upgrade, connection], 426, version),
        ):
            with proxies.nginx(server.address, lambda text: without(text, *lines)) as proxy:
                status, body = proxy.upgrade(path)
                seen = (status, "a proxy" in body, words in body)
                expect(f"nginx without {lines}: {body}", seen, (expected, True, True))
        with proxies.nginx(server.address, lambda text: without(text, "proxy_set_header Host")) as proxy:
            status, body = proxy.upgrade(path)
            expect(f"nginx with a Host of its own: {body}", (status, "Host" in body), (403, True))
        status, body = dead_end(proxies)
        expect("nginx before nothing", status, 502)
    with Server(*SERVED) as server, proxies.nginx(server.address) as proxy:
        async with proxy.connect(path) as socket:
            await asyncio.wait_for(socket.wait_closed(), 3 * PATIENCE_S)
            expect("a proxy with less patience than ping_interval", socket.close_code, 1006)
    done("proxies: each common mistake looks as the README says")


def dead_end(proxies):
    with proxies.nginx(f"127.0.0.1:{free_port()}") as proxy:
        return proxy.request("/health")


async def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        proxies = Proxies(folder)
        for make in proxies.all():
            await as_in_the_readme(proxies, make)
        await under_a_prefix(proxies)
        await mistakes(proxies)


run(main)

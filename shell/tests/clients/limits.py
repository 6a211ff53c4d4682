"""What a user meets who asks for too much: each refusal names its limit, and the limit counts it."""

import asyncio
import contextlib
import itertools
import json
import socket
import time

import websockets

from harness import Server, call, done, eventually, expect, http, run, token
from proxy import Proxy
from sdk import client, code_of, subscribe

# Of the defaults: bursts, what is refilled in a second, and the refusals that end a connection.
COMMANDS, COMMANDS_PER_S = 200, 100
PUBLISHES, PUBLISHES_PER_S = 40, 20
REFUSALS = 100
AT_ONCE = 10
# Where addresses of this machine are counted like others.
PRODUCTION = ["--dev", "false", "--allow-anonymous", "true"]
PATIENCE_S = 10


def hits(at):
    return http("/health", at=at)[1]["totals"]["limits"]


def passed(what, seen, burst, per_second, begun):
    """At least the burst passes, and at most what was refilled since then beside it."""
    most = burst + per_second * (time.monotonic() - begun) + 1
    expect(f"{what}: {seen}, which is within {burst} and {most:.0f}", burst <= seen <= most, True)


async def flood(path, at, first, command):
    """What a client hears that sends more than it may, until its connection ends: (frames, close code)."""
    seen = []

    async def listen():
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in socket:
                seen.append(json.loads(text))

    async with websockets.connect(f"ws://{at}{path}") as socket:
        listening, begun = asyncio.create_task(listen()), time.monotonic()
        with contextlib.suppress(websockets.ConnectionClosed):
            await socket.send(first)
            for n in itertools.count(2, AT_ONCE):
                for more in range(AT_ONCE):
                    await socket.send(command(n + more))
                # An end that is not orderly drops what was not written yet: answers need a moment to get out.
                await asyncio.sleep(0.002)
                if time.monotonic() - begun > PATIENCE_S:
                    break
        await asyncio.wait_for(listening, 5)
    return seen[1:], socket.close_code


async def floods(at):
    ping = lambda n: json.dumps({"id": n, "ping": {}})
    begun = time.monotonic()
    seen, code = await flood("/connection/websocket", at, '{"id":1,"connect":{}}', ping)
    errors = [frame["error"] for frame in seen if "error" in frame]
    expect("the code that json ends with", code, 3013)
    # The connect itself was one of them.
    passed("commands that passed", len(seen) - len(errors) + 1, COMMANDS, COMMANDS_PER_S, begun)
    kinds = {(error["code"], error["temporary"], "client_commands" in error["message"]) for error in errors}
    expect("what the others were told", (kinds, len(errors) <= REFUSALS), ({(111, True, True)}, True))

    begun = time.monotonic()
    seen, code = await flood("/ws/flood", at, '{"type":"ping"}', lambda _: '{"type":"ping"}')
    errors = [frame for frame in seen if frame["type"] == "error"]
    expect("the code that plain ends with", code, 3013)
    passed("pings that passed", len(seen) - len(errors), COMMANDS, COMMANDS_PER_S, begun)
    kinds = {(error["code"], "client_commands" in error["message"]) for error in errors}
    expect("what the others were told", (kinds, len(errors) <= REFUSALS), ({(111, True)}, True))
    done(f"limits: a flood of commands is told 111, and ends with 3013 after {REFUSALS} refusals")


async def sdk_that_hurries(at):
    one, heard = client(at)
    subscription, room = await subscribe(one, "hurry")
    await one.connect()
    await subscription.ready()
    begun = time.monotonic()
    codes = await asyncio.gather(*(code_of(subscription.publish(n)) for n in range(3 * PUBLISHES)))
    sent = [n for n, code in enumerate(codes) if code == "no error"]
    passed("publications that passed", len(sent), PUBLISHES, PUBLISHES_PER_S, begun)
    expect("what the others were told", set(codes), {"no error", 111})
    await eventually("what the room received", lambda: room.data, sent)
    await asyncio.sleep(1)
    expect("a second later", await code_of(subscription.publish("later")), "no error")
    expect("connections made", len(heard.connected), 1)
    commands = (code_of(subscription.presence()) for _ in range(COMMANDS + 2 * REFUSALS))
    await asyncio.gather(*commands, return_exceptions=True)
    await eventually("the code of one that does not listen", lambda: heard.connecting, [0, 3013])
    await subscription.ready()
    await subscription.publish("back")
    await eventually("the room after it came back", lambda: room.data, [*sent, "later", "back"])
    done("limits: an SDK that hurries is told 111, is disconnected with 3013, and comes back")
    await one.disconnect()


async def within_its_rate(at):
    one, heard = client(at)
    subscription, _ = await subscribe(one, "steady")
    await one.connect()
    await subscription.ready()
    codes, until = set(), time.monotonic() + 3
    while time.monotonic() < until:
        codes.add(await code_of(subscription.presence_stats()))
        await asyncio.sleep(0.012)
    expect("what a client within its rate is told", (codes, len(heard.connected)), ({"no error"}, 1))
    await one.disconnect()
    done("limits: a client within its rate is never refused")


async def replaced(at):
    """The default: the oldest connection of a user makes room, and stays away."""
    mine = token(sub="ann")
    first, heard = client(at, token=mine)
    await first.connect()
    await first.ready()
    for _ in range(2):
        one, _ = client(at, token=mine)
        await one.connect()
        await one.ready()
    await eventually("the user's oldest connection", lambda: heard.disconnected, [3504])
    expect("connections of the user", len(connections(at, "ann")), 2)
    done("limits: at connections_per_user the oldest connection is closed with 3504")


async def cut_off(mode):
    """A client that loses its network, of which the server does not know yet, at a limit of one connection."""
    ping_s, pong_s = 3, 2
    arguments = ["--connections-per-user", "1", "--user-limit", mode]
    with Server(*arguments, "--ping-interval", f"{ping_s}s", "--pong-timeout", f"{pong_s}s") as server:
        async with Proxy(server.address) as proxy:
            one, heard = client(proxy.address, token=token(sub="ann"))
            await one.connect()
            await one.ready()
            proxy.strand()
            expect("connections of the user", len(connections(server.address, "ann")), 1)
            await eventually("back after the cut", lambda: len(heard.connected), 2, within=ping_s + pong_s + 5)
            expect("it was never over", heard.disconnected, [])
            await one.disconnect()
    done(f"limits: a client that was cut off is back in time where a user's connections are limited ({mode})")


async def per_user(at):
    mine = token(sub="ann")
    clients = [client(at, token=mine) for _ in range(3)]
    for one, _ in clients[:2]:
        await one.connect()
        await one.ready()
    await clients[2][0].connect()
    refused = clients[2][1]
    await eventually("one connection too many of a user", lambda: hits(at).get("connections_per_user", 0) > 0, True)
    expect("how it was told, of which it is not final", (refused.connected, refused.disconnected), ([], []))
    await clients[2][0].disconnect()
    async with websockets.connect(f"ws://{at}/ws/x?token={mine}") as socket:
        await asyncio.wait_for(socket.wait_closed(), 5)
        seen = (socket.close_code, "connections_per_user" in socket.close_reason)
        expect("one connection too many of a user, plain", seen, (3014, True))
    await clients[0][0].disconnect()
    await eventually("connections of the user", lambda: len(connections(at, "ann")), 1)
    async with websockets.connect(f"ws://{at}/ws/x?token={mine}") as socket:
        expect("one that comes after another has gone", json.loads(await socket.recv())["authenticated"], True)
    await clients[1][0].disconnect()

    one, heard = client(at)
    rooms = [await subscribe(one, f"room-{n}") for n in range(3)]
    await one.connect()
    await eventually("one room too many", lambda: [room.ended for _, room in rooms], [[], [], [106]])
    await one.disconnect()
    done("limits: connections_per_user may be 3014, rooms_per_connection is 106")


def connections(at, user):
    return call("connections", {"user": user}, at)[1]["result"]["connections"]


async def arrive(at, address):
    """A new connection from this address: 101 and its socket, or how it is refused and because of which limit."""
    try:
        socket = await websockets.connect(f"ws://{at}/ws/x", local_addr=(address, 0))
        return 101, socket
    except websockets.InvalidStatus as refused:
        return refused.response.status_code, json.loads(refused.response.body)["error"]["limit"]


async def per_ip(at):
    many = [await arrive(at, "127.0.0.1") for _ in range(4)]
    refused = await arrive(at, "127.0.0.1")
    expect("one connection too many from an address", refused, (429, "connections_per_ip"))
    other = await arrive(at, "127.0.0.2")
    expect("statuses of the others", [status for status, _ in [*many, other]], [101] * 5)
    await many[0][1].close()
    await eventually("connections", lambda: http("/health", at=at)[1]["connections"], 4)
    many[0] = await arrive(at, "127.0.0.1")
    expect("one that comes after another has gone", many[0][0], 101)
    for _, socket in [*many, other]:
        await socket.close()
    done("limits: connections_per_ip is 429, and other addresses are not held to account")


async def new_ones(at, name, status):
    """A burst of three, and one a second."""
    sockets, begun = [], time.monotonic()
    while (answer := await arrive(at, "127.0.0.1"))[0] == 101:
        sockets.append(answer[1])
    expect(f"one new connection too many for {name}", answer, (status, name))
    passed("those before it", len(sockets), 3, 1, begun)
    expect(f"hits of {name}", hits(at)[name], 1)
    await asyncio.sleep(1.1)
    later, socket = await arrive(at, "127.0.0.1")
    expect("one that comes later", later, 101)
    for socket in [*sockets, socket]:
        await socket.close()
    done(f"limits: {name} is {status}, until it is refilled")


def look(at, socket):
    """One GET on a socket that stays open: the first line of its answer."""
    socket.sendall(f"GET /health/live HTTP/1.1\r\nHost: {at}\r\n\r\n".encode())
    return socket.recv(4096).split(b"\r\n")[0]


async def hoarded(at, sockets):
    """Sockets of one who asks once on each and never again, while others want in."""
    host, port = at.split(":")
    for kind in ("silent", "asked once"):
        hoard = []
        for _ in range(sockets):
            hoard.append(socket.create_connection((host, int(port)), 5))
            if kind == "asked once":
                expect("an answer to the hoarder", await asyncio.to_thread(look, at, hoard[-1]), b"HTTP/1.1 200 OK")
        begun = time.monotonic()
        for _ in range(10):
            expect("/health/live", (await asyncio.to_thread(http, "/health/live", None, None, at))[0], 200)
            expect("a call", (await asyncio.to_thread(call, "info", {}, at))[0], 200)
            async with websockets.connect(f"ws://{at}/ws/x") as client:
                expect("a client", json.loads(await asyncio.wait_for(client.recv(), 5))["type"], "connection")
        expect("ten of each within 5 s", time.monotonic() - begun < 5, True)
        for one in hoard:
            one.close()
    expect("the limit that was in the way", hits(at)["http_connections"] > 0, True)
    done(f"limits: {sockets} sockets of one address lock nobody out, with fewer places than that")


async def flood_of_upgrades(at, burst):
    """Upgrades of one address as fast as they go: what it is refused, others are not."""
    host, port = at.split(":")
    asked = (
        f"GET /ws/x HTTP/1.1\r\nHost: {at}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()

    def flood():
        seen = {}
        until = time.monotonic() + 2
        while time.monotonic() < until:
            with socket.create_connection((host, int(port)), 5) as one:
                one.sendall(asked)
                status = one.recv(4096)[9:12]
                seen[status] = seen.get(status, 0) + 1
        return seen

    flooding = asyncio.create_task(asyncio.to_thread(flood))
    statuses = []
    while not flooding.done():
        status, client = await arrive(at, "127.0.0.2")
        statuses.append(status)
        if status == 101:
            await client.close()
        await asyncio.sleep(0.05)
    seen = await flooding
    expect(f"the flood is refused: {seen}", set(seen), {b"101", b"429"})
    expect("it was a flood", seen[b"429"] > burst, True)
    expect(f"what others were answered, {len(statuses)} times", set(statuses), {101})
    done("limits: a flood of upgrades from one address costs the others nothing")


async def main():
    with Server() as server:
        await floods(server.address)
        await asyncio.gather(sdk_that_hurries(server.address), within_its_rate(server.address))
        counted = hits(server.address)
        expect("limits that were hit", set(counted), {"client_commands", "client_publishes", "client_refusals"})
    with Server("--connections-per-user", "2", "--rooms-per-connection", "2", "--user-limit", "refuse") as server:
        await per_user(server.address)
    with Server("--connections-per-user", "2") as server:
        await replaced(server.address)
    await asyncio.gather(cut_off("replace"), cut_off("refuse"))
    with Server("--connections-per-ip", "4") as server:
        await per_ip(server.address)
    with Server("--http-connections", "50", *PRODUCTION) as server:
        await hoarded(server.address, 60)
    rates = ["--new-connections-per-ip", "20/s, burst 40", "--new-connections", "100/s, burst 200"]
    with Server(*rates, *PRODUCTION) as server:
        await flood_of_upgrades(server.address, 40)
    for name, status in (("new_connections", 503), ("new_connections_per_ip", 429)):
        with Server("--" + name.replace("_", "-"), "1/s, burst 3", *PRODUCTION) as server:
            await new_ones(server.address, name, status)


run(main)

"""Every method of the HTTP API through `curl`, and through PyPI `cent` what it knows of them."""

import asyncio
import json
import subprocess

import cent
import websockets

from harness import API_KEY, Failed, address, done, eventually, expect, http, run, token


def curl(method, body, *options, key=API_KEY):
    """(status, parsed JSON) of one call."""
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "10", *options]
    command += [
        "-H",
        f"X-API-Key: {key}",
        "-w",
        "\n%{http_code}",
        "-d",
        body if isinstance(body, str) else json.dumps(body),
    ]
    command.append(f"http://{address()}/api/{method}")
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        raise Failed(f"curl /api/{method}", "exit code 0", f"{ran.returncode} {ran.stderr}")
    answer, status = ran.stdout.rsplit("\n", 1)
    return int(status), json.loads(answer)


def result(method, body):
    status, answer = curl(method, body)
    if status != 200 or "result" not in answer:
        raise Failed(f"/api/{method} {body}", "200 with a result", (status, answer))
    return answer["result"]


async def connect(path):
    socket = await websockets.connect(f"ws://{address()}{path}")
    return socket, json.loads(await socket.recv())["client"]


async def received(*sockets):
    return [json.loads(await asyncio.wait_for(socket.recv(), 5)) for socket in sockets]


async def every_method():
    ann, ann_id = await connect("/ws/one?token=" + token(sub="ann"))
    bob, bob_id = await connect("/ws?room=one&room=two")

    first = result("publish", {"channel": "one", "data": {"n": 1}, "tags": {"a": "b"}, "idempotency_key": None})
    second = result("publish", {"channel": "one", "data": {"n": 2}})
    expect("positions of two messages", [first["offset"], second["offset"], first["epoch"]], [1, 2, second["epoch"]])
    expect("skip_history", result("publish", {"channel": "one", "data": 3, "skip_history": True}).get("offset", 0), 0)
    for expected in ({"n": 1}, {"n": 2}, 3):
        expect("publish", await received(ann, bob), [expected] * 2)
    responses = result("broadcast", {"channels": ["two", "x" * 201, "empty"], "data": "b"})["responses"]
    offsets = [response.get("result", response.get("error")) for response in responses]
    expect("broadcast", [offsets[0]["offset"], offsets[1]["code"], offsets[2]["offset"]], [1, 107, 1])
    expect("broadcast", await received(bob), ["b"])
    result("send", {"client": bob_id, "data": "s"})
    expect("send", await received(bob), ["s"])
    result("publish_user", {"user": "ann", "data": "u"})
    expect("publish_user", await received(ann), ["u"])
    result("publish_all", {"data": "all"})
    expect("publish_all", await received(ann, bob), ["all", "all"])
    done("api: publish, broadcast, send, publish_user, publish_all")

    rooms = {"#ann": {"num_clients": 1}, "one": {"num_clients": 2}, "two": {"num_clients": 1}}
    expect("channels", result("channels", {})["channels"], rooms)
    expect("channels by pattern", result("channels", {"pattern": "t*"})["channels"], {"two": {"num_clients": 1}})
    users = lambda body: {
        client: entry.get("user", "") for client, entry in result("connections", body)["connections"].items()
    }
    expect("connections", users({}), {ann_id: "ann", bob_id: ""})
    expect("connections of a user", users({"user": "ann"}), {ann_id: "ann"})
    expect("connections in a room", users({"channel": "two"}), {bob_id: ""})
    node = result("info", {})["nodes"][0]
    counts = [node[name] for name in ("num_clients", "num_users", "num_channels")]
    expect("info: clients, users (anonymous counts once), channels", counts, [2, 2, 3])
    _, health = http("/health")
    gauges = [health[name] for name in ("connections", "users", "rooms")]
    expect("health: connections, users, rooms", gauges, [2, 1, 3])
    done("api: channels, connections, info, and /health agree with what there is")

    extra, _ = await connect("/ws/one?token=" + token(sub="ann"))
    body = {"user": "ann", "whitelist": [ann_id], "disconnect": {"code": 4123, "reason": "elsewhere"}}
    expect("disconnect", result("disconnect", body), {})
    await asyncio.wait_for(extra.wait_closed(), 5)
    expect("who was disconnected, and how", (extra.close_code, extra.close_reason), (4123, "elsewhere"))
    expect("who stayed", users({"user": "ann"}), {ann_id: "ann"})
    expect("disconnect of nobody", result("disconnect", {"user": "nobody"}), {})
    result("disconnect", {"user": "ann"})
    await asyncio.wait_for(ann.wait_closed(), 5)
    expect("disconnect with the default code", (ann.close_code, bool(ann.close_reason)), (3503, True))
    await bob.close()
    await eventually("rooms after everyone left", lambda: result("channels", {})["channels"], {})
    done("api: disconnect")


def refusals():
    publish = {"channel": "one", "data": 1}
    wrong = [
        ("no key", 401, 101, curl("publish", publish, key="")),
        ("a wrong key", 401, 101, curl("publish", publish, key="wrong")),
        ("no such method", 404, 104, curl("nothing", {})),
        ("not JSON", 400, 107, curl("publish", "{")),
        ("no channel", 400, 107, curl("publish", {"data": 1})),
        ("no data", 400, 107, curl("publish", {"channel": "one"})),
        ("a name too long", 400, 107, curl("publish", {"channel": "x" * 201, "data": 1})),
        ("an unsupported field", 400, 107, curl("publish", {**publish, "b64data": "aGk="})),
        ("an unknown client", 400, 107, curl("send", {"client": "0" * 8, "data": 1})),
        ("too much data", 413, None, curl("publish", {"channel": "one", "data": "x" * (65 << 10)})),
    ]
    for what, status, code, (seen, answer) in wrong:
        expect(what, (seen, answer["error"]["code"] if code else None), (status, code))
    asked = curl("publish", {"data": 1}, "-H", "X-Centrifugo-Error-Mode: body")
    expect("errors in the body, where asked for", (asked[0], asked[1]["error"]["code"]), (200, 107))
    expect("GET", http("/api/publish")[0], 405)
    key = {"Authorization": f"apikey {API_KEY}"}
    expect("the key as Authorization", http("/api/info", {}, key)[0], 200)
    done("api: what is refused, and with which status")


async def through_cent():
    client = cent.Client(f"http://{address()}/api", api_key=API_KEY)
    socket, client_id = await connect("/ws/cent?token=" + token(sub="carl"))
    published = client.publish(cent.PublishRequest(channel="cent", data={"n": 1}))
    expect("cent: publish", (published.offset, await received(socket)), (1, [{"n": 1}]))
    sent = client.broadcast(cent.BroadcastRequest(channels=["cent", "other"], data="b"))
    expect("cent: broadcast", [response.result.offset for response in sent.responses], [2, 1])
    await received(socket)
    channels = client.channels(cent.ChannelsRequest(pattern="c*"))
    expect("cent: channels", {name: entry.num_clients for name, entry in channels.channels.items()}, {"cent": 1})
    info = client.info(cent.InfoRequest())
    expect("cent: info", [(node.num_clients, node.num_channels) for node in info.nodes], [(1, 2)])
    connections = client.connections(cent.ConnectionsRequest(user="carl", expression=""))
    expect(
        "cent: connections", {key: entry.user for key, entry in connections.connections.items()}, {client_id: "carl"}
    )
    request = cent.DisconnectRequest(user="carl", disconnect=cent.Disconnect(code=4000, reason="cent"))
    client.disconnect(request)
    await asyncio.wait_for(socket.wait_closed(), 5)
    expect("cent: disconnect", socket.close_code, 4000)
    done("api: PyPI cent, unchanged")


async def main():
    await every_method()
    refusals()
    await through_cent()


run(main)

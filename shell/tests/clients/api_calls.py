"""The methods of the HTTP API that are Parlor's own or have more to them, through `curl`."""

import asyncio
import json
import subprocess

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

    commands = [{"publish": {"channel": "batch", "data": 1}}, {"publish": {"channel": "batch"}}, {"info": {}}]
    status, answer = curl("batch", {"commands": commands})
    kinds = [[*reply] for reply in answer["replies"]]
    expect("batch: one error among replies", (status, kinds), (200, [["publish"], ["error"], ["info"]]))
    row = result("limits", {})["limits"]["client_publishes"]
    expect("a row of limits", row["value"], "20/s, burst 40")
    done("api: batch, limits")


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
        ("an id that no connection can have", 404, 102, curl("send", {"client": "0" * 8, "data": 1})),
        ("an empty id", 400, 107, curl("send", {"client": "", "data": 1})),
        ("a field that comes twice", 400, 107, curl("publish", '{"channel":"one","data":1,"data":2}')),
        ("brackets", 400, 107, curl("publish", '{"channel":"one","data":' + "[" * 65 + "]" * 65 + "}")),
        ("too much data", 413, None, curl("publish", {"channel": "one", "data": "x" * (65 << 10)})),
    ]
    for what, status, code, (seen, answer) in wrong:
        expect(what, (seen, answer["error"]["code"] if code else None), (status, code))
    for mode, key, expected in (
        ("body", API_KEY, (200, 107)),
        ("transport", API_KEY, (400, 107)),
        ("anything", API_KEY, (400, 107)),
        ("body", "wrong", (401, 101)),
    ):
        status, answer = curl("publish", {"data": 1}, "-H", f"X-Centrifugo-Error-Mode: {mode}", key=key)
        expect(f"errors in the mode {mode}", (status, answer["error"]["code"]), expected)
    expect("GET", http("/api/publish")[0], 405)
    key = {"Authorization": f"apikey {API_KEY}"}
    expect("the key as Authorization", http("/api/info", {}, key)[0], 200)
    done("api: what is refused, and with which status")


async def main():
    await every_method()
    refusals()


run(main)

"""API keys with names and rights, as the developer of a backend uses them: PyPI `cent` and aiohttp, unchanged."""

import json
import pathlib
import subprocess
import tempfile

import aiohttp
import cent

from harness import API_KEY, SECRET, Server, binary, call, done, eventually, expect, http, run

CI, CHAT = "key-of-ci-key-of-ci-key-of-ci", "key-of-the-chat-key-of-the-chat"
SETTINGS = """
dev = false
[[api_keys]]
name = "ci"
key_file = "{folder}/ci"
methods = ["publish", "broadcast", "history"]
rooms = ["ci:*", "#ann"]
[[api_keys]]
name = "chat"
key = "{chat}"
rooms = ["*"]
"""


def status_of(api, request, method):
    """The status of a call."""
    try:
        getattr(api, method)(request)
    except cent.CentUnauthorizedError:
        return 401
    except cent.CentTransportError as error:
        return error.status_code
    return 200


def of_cent(at):
    url = f"http://{at}/api"
    ci, chat, everything = (cent.Client(url, api_key=key) for key in (CI, CHAT, API_KEY))
    publish = lambda room: (cent.PublishRequest(channel=room, data={"room": room}), "publish")
    info, ann = (cent.InfoRequest(), "info"), (cent.DisconnectRequest(user="ann"), "disconnect")
    members = (cent.PresenceRequest(channel="ci:1"), "presence")
    for who, api, expected in (
        ("ci", ci, [200, 200, 403, 403, 403, 403]),
        ("chat", chat, [200, 403, 200, 200, 403, 403]),
        ("the key that may do everything", everything, [200] * 6),
        ("a wrong key", cent.Client(url, api_key=CI[:-1]), [401] * 6),
    ):
        calls = [publish("ci:1"), publish("#ann"), publish("chat"), members, info, ann]
        expect(f"cent with {who}", [status_of(api, *one) for one in calls], expected)
    # cent itself fails where an answer in a batch is an error.
    publications = [{"publish": {"channel": room, "data": 1}} for room in ("ci:1", "chat", "ci:2")]
    status, answer = call("batch", {"commands": publications}, at, CI)
    seen = [status, *[reply.get("error", {}).get("code") for reply in answer["replies"]]]
    expect("a batch of the key ci", seen, [200, None, 103, None])
    done("api keys: cent with a key for some methods and rooms, and each call of a batch is judged")


async def of_headers(at):
    async with aiohttp.ClientSession() as session:
        for headers, expected in (
            ({"Authorization": f"Bearer {CI}"}, 200),
            ({"Authorization": f"apikey {CI}"}, 200),
            ({"X-API-Key": CI}, 200),
            ({"X-API-Key": CI, "Authorization": "Basic dXNlcjpwYXNz"}, 200),
            ({"Authorization": f"Basic {CI}"}, 401),
            ({"Authorization": CI}, 401),
            ({}, 401),
        ):
            body = {"channel": "ci:1", "data": 1}
            async with session.post(f"http://{at}/api/publish", json=body, headers=headers) as answer:
                said = await answer.text()
                expect(f"the status with {sorted(headers)}", answer.status, expected)
                expect("a key in the answer", CI in said, False)
        body = {"channel": "secret-room", "data": 1}
        async with session.post(f"http://{at}/api/publish", json=body, headers={"X-API-Key": CI}) as answer:
            message = (await answer.json())["error"]["message"]
            expect("what is refused", (answer.status, "secret-room" in message, "ci:*" in message), (403, True, False))
    done("api keys: X-API-Key, Authorization with apikey and with Bearer; a refusal names what is missing")


async def wrong_keys(at):
    statuses = [call("info", {}, at, f"wrong-{number}")[0] for number in range(40)]
    expect("the first and the last of 40 wrong keys", (statuses[0], statuses[-1]), (401, 429))
    expect("a right key meanwhile", call("info", {}, at)[0], 200)
    await eventually("a wrong key later", lambda: call("info", {}, at, "wrong")[0], 401)
    expect("the count", http("/health", at=at)[1]["totals"]["limits"]["wrong_keys_per_ip"] >= 1, True)
    done("api keys: wrong keys are 401, then 429, and a right one is served all the same")


def lines(server):
    """The fields of the log's lines about calls."""
    parsed = [json.loads(line) for line in server.output if line.startswith("{")]
    return [line for line in parsed if line["event"] == "API call"]


async def steps():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "ci").write_text(CI + "\n")
        file = folder / "parlor.toml"
        file.write_text(SETTINGS.format(folder=folder, chat=CHAT))
        flags = ["--config", str(file), "--listen", "127.0.0.1:0", "--api-key", API_KEY, "--token-secret", SECRET]
        with Server(*flags, "--log-format", "json", defaults=False) as server:
            of_cent(server.address)
            await of_headers(server.address)
            await wrong_keys(server.address)
        said = [(line["key"], line["method"], line.get("room"), line["result"]) for line in lines(server)]
        expect("who published first", said[0], ("ci", "publish", "ci:1", "done"))
        expect("who disconnected", [line for line in said if line[1:] == ("disconnect", None, "done")][-1][0], "api_key")
        expect("lines about what is only read", [line for line in said if line[1] in ("info", "presence")], [])
        shown = subprocess.run([binary(), "config", "show", *flags], capture_output=True, text=True).stdout
        everything = "".join(server.output) + shown
        expect("keys in the log and in config show", [key for key in (CI, CHAT, API_KEY) if key in everything], [])
        expect("names in config show", '[[api_keys]] "ci", publish, broadcast, history; rooms ci:*, #ann' in shown, True)
        done("api keys: the log names the key of each call that changes something, and shows none")


run(steps)

"""What the README tells a newcomer to do, done as it is written there, on the port that is written there."""

import asyncio
import json
import os
import re
import subprocess
import tempfile
import time

import websockets

from harness import HERE, ROOT, Failed, Server, done, eventually, expect, http, run, token
from sdk import client, code_of, subscribe

README = (ROOT / "README.md").read_text()
KEY = "my-own-api-key-0"
SECRET = "s" * 32


def block(language, beginning):
    """The one block of the README that begins like this."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    found = [text for text in blocks if text.startswith(beginning)]
    if len(found) != 1:
        raise Failed(f"a block of the README that begins with {beginning!r}", "exactly one", found)
    return found[0]


def shell(command, **environment):
    """What a command prints; it has to end with exit code 0."""
    environment = {**os.environ, **environment}
    ran = subprocess.run(["bash", "-euc", command], capture_output=True, text=True, timeout=30, env=environment)
    if ran.returncode != 0:
        raise Failed(command, "exit code 0", f"{ran.returncode} {ran.stdout} {ran.stderr}")
    return ran.stdout


async def printed_by(script, command, text):
    """Runs a script in Node, publishes once it is connected, and waits until it has printed this text."""
    node = ["node", "--experimental-websocket", "--no-warnings", "--input-type=module", "-e", script]
    process = subprocess.Popen(node, cwd=HERE, stdout=subprocess.PIPE, text=True)
    try:
        rooms = lambda: http("/health", at="127.0.0.1:8000")[1]["rooms"]
        await eventually("rooms while the script of the README runs", rooms, 1)
        offset = json.loads(shell(command))["result"]["offset"]
        read = lambda: asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 10)
        line = await read()
        if line.startswith('{"type":"connection"'):
            line = await read()
        expect(f"what {script.split('(')[0]!r} prints", line.strip(), text)
        return offset
    finally:
        process.kill()
        process.wait()


async def first_start():
    with Server(defaults=False) as server:
        expect("the address of a first start", server.address, "127.0.0.1:8000")
        printed = [line for line in server.output if line.strip().startswith("curl ")]
        expect("commands to paste that the server prints", len(printed), 1)
        offset = await printed_by(block("js", "new WebSocket"), printed[0], '"hello"')
        expect("where the first message is", offset, 1)
    done("readme: a first start, its curl, and the line for the browser's console")


async def a_key_of_ones_own():
    started = block("sh", f"PARLOR_API_KEY={KEY} ").split(" -- ")[1].split()
    with Server(*started, defaults=False, env={"PARLOR_API_KEY": KEY}):
        await printed_by(block("js", "import { Centrifuge }"), block("sh", "curl "), "{ text: 'hello' }")
    done("readme: the curl example, as written, and the json client")


async def the_four_calls():
    call_function = block("sh", "call() ")
    with Server("--token-secret", SECRET, defaults=False, env={"PARLOR_API_KEY": KEY}) as server:
        url = f"ws://{server.address}/ws/lobby?token=" + token(SECRET, sub="ann")
        async with websockets.connect(url) as socket:
            client = json.loads(await socket.recv())["client"]
            calls = re.findall(r"`call (\w+) '(.*?)'`", README)
            expect(
                "calls in the README",
                [call for call, _ in calls],
                ["send", "publish", "publish_user", "publish_all", "connections"],
            )
            for call, body in calls[:4]:
                body = body.replace('"client": "…"', f'"client": "{client}"').replace("…", f'"{call}"')
                shell(f"{call_function}\ncall {call} '{body}'", PARLOR_API_KEY=KEY)
                expect(call, json.loads(await asyncio.wait_for(socket.recv(), 5)), call)
            found = shell(f"{call_function}\ncall connections '{calls[4][1]}'", PARLOR_API_KEY=KEY)
            expect("connections of ann", list(json.loads(found)["result"]["connections"]), [client])
    done("readme: the four calls of a connection manager")


async def the_configuration():
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        written = block("toml", "listen = ")
        file.write(written.replace('api_key = "…"', f'api_key = "{KEY}"').replace('secret = "…"', f'secret = "{SECRET}"'))
        file.flush()
        with Server("--config", file.name, "--listen", "127.0.0.1:0", defaults=False) as server:
            url = f"ws://{server.address}/ws/pipeline/7?token=" + token(SECRET, sub="ann")
            async with websockets.connect(url, origin="https://app.example.com") as socket:
                expect("the room of the route", json.loads(await socket.recv())["message"], "Connected to pipeline_7")
                await socket.send('{"type":"subscribe","events":[]}')
                expect("the route's own word", json.loads(await socket.recv())["type"], "subscription_confirmed")
    done("readme: the configuration file")


async def in_private_room(at, claims, room, of_room=""):
    """What a user with these claims may do in a room: the codes of a join, a publish, the history and the presence."""
    one, _ = client(at, token=token(SECRET, exp=int(time.time()) + 600, **claims))
    await one.connect()
    try:
        subscription, heard = await subscribe(one, room, token=of_room)
        await eventually(f"the answer to subscribe in {room}", lambda: len(heard.subscribed) + len(heard.ended), 1)
        if heard.ended:
            return heard.ended
        steps = subscription.publish("said"), subscription.history(limit=1), subscription.presence()
        return ["no error", *[await code_of(step) for step in steps]]
    finally:
        await one.disconnect()


async def the_tokens():
    """The namespaces of the README, in production mode, and its two tokens."""
    claims = json.loads(block("json", '{"sub": "ann", "caps"'))
    of_room = re.findall(r'`({"sub": "ann", "channel": .*?})`', README)
    expect("tokens of a room in the README", len(of_room), 1)
    of_room = json.loads(of_room[0])
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(block("toml", 'subscribe = "users"'))
        file.flush()
        flags = ["--dev", "false", "--listen", "127.0.0.1:0", "--api-key", KEY, "--token-secret", SECRET]
        with Server("--config", file.name, *flags, defaults=False) as server:
            may = lambda *with_what: in_private_room(server.address, *with_what)
            yes = "no error"
            expect("of caps, in private:7", await may(claims, "private:7"), [yes, yes, yes, 103])
            expect("of caps, in private:8", await may(claims, "private:8"), [yes, 103, yes, 103])
            expect("without a token that grants it", await may({"sub": "ann"}, "private:7"), [103])
            signed = token(SECRET, exp=int(time.time()) + 600, **of_room)
            expect("of a room's token", await may({"sub": "ann"}, "private:7", signed), [yes, yes, 103, 103])
    done("readme: the namespaces, and what its two tokens grant there")


async def main():
    await first_start()
    await a_key_of_ones_own()
    await the_four_calls()
    await the_configuration()
    await the_tokens()


run(main)

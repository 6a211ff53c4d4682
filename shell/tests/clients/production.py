"""Outside development mode: who gets in, and how a server without a key refuses to start."""

import asyncio
import json
import subprocess

import websockets

from harness import address, binary, done, eventually, expect, run, token
from sdk import client, code_of, subscribe


async def admission():
    for what, options in (("without a token", {}), ("with a forged token", {"token": "a.b.c"})):
        refused, heard = client(**options)
        await refused.connect()
        await eventually(f"json {what}", lambda: heard.disconnected, [3500])

    one, _ = client(token=token(sub="ann"))
    subscription, _ = await subscribe(one, "production")
    await one.connect()
    await subscription.ready()
    for what, wrong in (
        ("publish", subscription.publish("hello")),
        ("history", subscription.history(limit=1)),
        ("presence", subscription.presence()),
        ("presence_stats", subscription.presence_stats()),
    ):
        expect(f"{what} by a client", await code_of(wrong), 103)
    await one.disconnect()
    done("production: json needs a token, clients neither publish nor read history and presence")

    async with websockets.connect(f"ws://{address()}/ws/production?token=a.b.c") as socket:
        await asyncio.wait_for(socket.wait_closed(), 5)
        expect("plain with a forged token", socket.close_code, 3500)
    async with websockets.connect(f"ws://{address()}/ws/production") as socket:
        await socket.send(json.dumps({"type": "auth", "token": token(sub="ann")}))
        greeting = json.loads(await asyncio.wait_for(socket.recv(), 5))
        expect(
            "plain with a token in its first message",
            (greeting["type"], greeting["authenticated"]),
            ("connection", True),
        )
    async with websockets.connect(f"ws://{address()}/ws/production") as socket:
        await asyncio.wait_for(socket.wait_closed(), 15)
        expect("plain that never says who it is", socket.close_code, 3502)
    done("production: plain waits for a token, and not for ever")


async def origins():
    async def status(origin):
        try:
            async with websockets.connect(f"ws://{address()}/ws/x?token=" + token(sub="ann"), origin=origin):
                return 101
        except websockets.InvalidStatus as answer:
            return answer.response.status_code

    seen = {origin: await status(origin) for origin in (None, f"http://{address()}", "https://evil.example", "null")}
    expect("origins", list(seen.values()), [101, 101, 403, 403])
    done("production: origins of other sites are refused")


def starts_that_are_refused():
    for what, arguments, word in (
        ("every address without a key", ["--listen", "0.0.0.0:0"], "api-key"),
        ("a flag that does not exist", ["--lisen", "127.0.0.1:0"], "--listen"),
    ):
        ran = subprocess.run([binary(), *arguments], capture_output=True, text=True, timeout=10)
        said = ran.stdout + ran.stderr
        expect(
            f"{what} is refused, and the message has {word!r} in it: {said!r}",
            (ran.returncode != 0, word in said),
            (True, True),
        )
    done("production: a start that cannot be right is refused with what to set")


async def main():
    starts_that_are_refused()
    await admission()
    await origins()


run(main)

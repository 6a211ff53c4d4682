"""A member that wants to end or to fool the others, whose clients are PyPI `centrifuge-python` and `websockets`."""

import asyncio
import json

import websockets

from harness import API_KEY, address, call, done, eventually, expect, http, run, token
from sdk import client, code_of, subscribe

ROOM = "py-hostile"
DEPTH, DIGITS = 64, 400


def nested(depth):
    return "[" * depth + "]" * depth


# What ended the official SDK for good, and history served it again: its parser gives up on a thousand brackets and on an
# integer of 4,301 digits, and half of a surrogate pair is no text.
POISON = [nested(2000), "9" * 5000, nested(DEPTH + 1), "9" * (DIGITS + 1), '"\\ud800"', '{"\\udc00":1}']
TYPES = ["connection", "pong", "subscribed", "authenticated", "published", "position", "gap", "reconnect", "error"]
# As large as it may be, and null.
ALLOWED = [nested(DEPTH), "9" * DIGITS, '"\\ud83d\\ude00"', "null"]


async def said(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), 5))


async def json_client():
    socket = await websockets.connect(f"ws://{address()}/connection/websocket", ping_interval=None)
    await socket.send('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"' + ROOM + '"}}')
    expect("the answers to connect and subscribe", [(await said(socket))["id"] for _ in range(2)], [1, 2])
    return socket


async def refusal(socket, text, where):
    """What a publication is answered: the code of an error, past everything else that comes."""
    await socket.send(text)
    while True:
        frame = await said(socket)
        if where in frame:
            return frame[where]["code"] if where == "error" else frame.get("code")


async def backend(data):
    """The status and the code of a publication through the API, which has to be written as it is."""
    body = f'{{"channel":"{ROOM}","data":{data}}}'.encode()
    status, answer = await asyncio.to_thread(http, "/api/publish", body, {"X-API-Key": API_KEY})
    return status, answer.get("error", {}).get("code")


async def one_client_cannot_end_another():
    victim, heard = client()
    await victim.connect()
    subscription, room = await subscribe(victim, ROOM)
    await eventually("subscriptions of the victim", lambda: len(room.subscribed), 1)
    hostile = await json_client()
    plain = await websockets.connect(f"ws://{address()}/ws/{ROOM}?greeting=off", ping_interval=None)
    types = [f'{{"type":"{word}"}}' for word in TYPES] + ['{"\\u0074ype":"g\\u0061p"}', '{"type":"a","type":"gap"}']
    for data in POISON + types:
        command = f'{{"id":3,"publish":{{"channel":"{ROOM}","data":{data}}}}}'
        expect(f"json: {data[:30]}", await refusal(hostile, command, "error"), 107)
        message = f'{{"type":"publish","id":4,"data":{data}}}'
        expect(f"plain: {data[:30]}", await refusal(plain, message, "id"), 107)
    for data in POISON:
        expect(f"API: {data[:30]}", await backend(data), (400, 107))
    for data in ALLOWED:
        await hostile.send(f'{{"id":5,"publish":{{"channel":"{ROOM}","data":{data}}}}}')
        expect(f"API: {data[:30]}", await backend(data), (200, None))
    allowed = [json.loads(data) for data in ALLOWED]
    await eventually("publications at the victim", lambda: len(room.data), 2 * len(ALLOWED))
    expect("each twice", all(room.data.count(data) == 2 for data in allowed), True)
    history = await subscription.history(limit=-1)
    expect("what the log has", len(history.publications), 2 * len(ALLOWED))
    expect("the victim was never disconnected", (heard.disconnected, heard.connecting[1:], heard.errors), ([], [], []))
    await asyncio.gather(victim.disconnect(), hostile.close(), plain.close())
    done("python: no member ends another by what it publishes, and all that is allowed arrives")


async def one_client_cannot_end_another_by_its_info():
    victim, heard = client()
    await victim.connect()
    _, room = await subscribe(victim, ROOM, join_leave=True)
    await eventually("subscriptions of the victim", lambda: len(room.subscribed), 1)
    deep = json.loads(nested(DEPTH + 1))
    async with websockets.connect(f"ws://{address()}/connection/websocket", ping_interval=None) as hostile:
        await hostile.send(json.dumps({"id": 1, "connect": {"token": token(sub="hostile", info=deep)}}))
        try:
            await asyncio.wait_for(hostile.recv(), 5)
        except websockets.ConnectionClosed as closed:
            expect("the end of a token with brackets", closed.rcvd.code, 3500)
    good = await websockets.connect(f"ws://{address()}/ws/{ROOM}?token={token(sub='good', info=deep[0])}")
    await eventually("who has come", lambda: [info.conn_info for _, info in room.comings][-1:], [deep[0]])
    expect("the victim was never disconnected", (heard.disconnected, heard.errors), ([], []))
    await asyncio.gather(victim.disconnect(), good.close())
    done("python: no member ends another by the info of its token")


async def personal_room_cannot_be_left():
    me, heard = client(token=token(sub="py-home"))
    await me.connect()
    await eventually("connections", lambda: len(heard.connected), 1)
    async with websockets.connect(f"ws://{address()}/connection/websocket", ping_interval=None) as raw:
        await raw.send(json.dumps({"id": 1, "connect": {"token": token(sub="py-home")}}))
        await said(raw)
        expect("leaving", await refusal(raw, '{"id":2,"unsubscribe":{"channel":"#py-home"}}', "error"), 103)
        taking = {"user": "py-home", "channel": "#py-home"}
        expect("taking out", (await asyncio.to_thread(call, "unsubscribe", taking))[0], 403)
        await asyncio.to_thread(call, "publish_user", {"user": "py-home", "data": 7})
        expect("what reaches the user", (await said(raw))["push"]["pub"]["data"], 7)
    expect("a room that looks like another", await code_of(me.publish("lob\u202eby", 1)), 107)
    await me.disconnect()
    done("python: nobody leaves its personal room, and no name turns the text around it")


async def main():
    await one_client_cannot_end_another()
    await one_client_cannot_end_another_by_its_info()
    await personal_room_cannot_be_left()


run(main)

"""[[alerts]] with a URL, beside a real Alertmanager that is given the same alert: what both post differs in nothing but what
Alertmanager's configuration decides."""

import asyncio
import datetime
import http.server
import json
import pathlib
import subprocess
import tempfile
import threading
import urllib.request

import websockets

from harness import Server, done, eventually, expect, free_port, run

RULE = """
node_name = "node-1"
[[alerts]]
name = "crowded \\"now\\""
figure = "connections"
above = 1
clear = 0
severity = "critical"
url = "http://127.0.0.1:{port}/{path}"
"""
# A group for each alert, told at once.
CONFIGURATION = """
route: {{receiver: parlor, group_by: [alertname, instance], group_wait: 0s, group_interval: 1s}}
receivers: [{{name: parlor, webhook_configs: [{{url: "http://127.0.0.1:{port}/theirs"}}]}}]
"""


class Hook(http.server.BaseHTTPRequestHandler):
    """Notes the bodies that are posted, by the path."""

    told = {"/ours": [], "/theirs": []}

    def do_POST(self):
        self.told[self.path].append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def shape(value):
    """The names and the kinds of what is in a value."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


def give(port, alert):
    """Gives Alertmanager an alert, as Prometheus does."""
    body = json.dumps([{"labels": alert["labels"], "annotations": alert["annotations"], "startsAt": alert["startsAt"]}])
    address = f"http://127.0.0.1:{port}/api/v2/alerts"
    headers = {"Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body.encode(), headers), timeout=5) as answer:
            return answer.status
    except OSError:
        return None


def compare(ours, theirs):
    expect("the shape of a notification", shape(ours), shape(theirs))
    for name in ("version", "status", "receiver", "groupKey", "groupLabels", "commonLabels", "commonAnnotations", "truncatedAlerts"):
        expect(name, ours[name], theirs[name])
    [mine], [other] = ours["alerts"], theirs["alerts"]
    for name in ("status", "labels", "annotations", "fingerprint", "endsAt"):
        expect(f"{name} of the alert", mine[name], other[name])
    starts = [datetime.datetime.fromisoformat(alert["startsAt"].replace("Z", "+00:00")) for alert in (mine, other)]
    expect("the time at which it starts", starts[0], starts[1])


async def beside_alertmanager(hook, folder, ours):
    port = free_port()
    (folder / "alertmanager.yml").write_text(CONFIGURATION.format(port=hook))
    command = ["prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data",
               f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await eventually("an Alertmanager that takes alerts", lambda: give(port, ours["alerts"][0]), 200)
        await eventually("what it posts", lambda: len(Hook.told["/theirs"]) > 0, True)
        compare(ours, Hook.told["/theirs"][0])
    finally:
        process.terminate()
        process.wait(10)


async def steps():
    hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "parlor.toml").write_text(RULE.format(port=hook.server_port, path="ours"))
        with Server("--config", str(folder / "parlor.toml")) as server:
            room = f"ws://{server.address}/ws/a?greeting=off"
            async with websockets.connect(room), websockets.connect(room):
                await eventually("a notification", lambda: len(Hook.told["/ours"]), 1)
            await eventually("its end", lambda: len(Hook.told["/ours"]), 2)
            expect("what it was told", [told["status"] for told in Hook.told["/ours"]], ["firing", "resolved"])
            done("alerts: an alert is raised and cleared at its URL")
        await beside_alertmanager(hook.server_port, folder, Hook.told["/ours"][0])
        done("alerts: a real Alertmanager posts the same about the same alert, to its fingerprint and group")
    hook.shutdown()


run(steps)

"""/metrics as Prometheus reads it, and what shell/ops asks of it, the rules for alerts and Grafana's dashboard: promtool, PyPI
prometheus-client, a real Prometheus."""

import asyncio
import json
import math
import pathlib
import re
import shutil
import subprocess
import tempfile
import urllib.parse
import urllib.request

import websockets
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

from harness import API_KEY, Server, api, done, eventually, expect, free_port, run

OPS = pathlib.Path(__file__).resolve().parents[2] / "ops"
OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3"


def page(at, accept="*/*"):
    request = urllib.request.Request(f"http://{at}/metrics", headers={"Accept": accept, "X-API-Key": API_KEY})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def promtool(*arguments, text=""):
    """What promtool says, and its exit code: 0 where it finds nothing."""
    ran = subprocess.run(["promtool", *map(str, arguments)], input=text, capture_output=True, text=True, timeout=60)
    return ran.returncode, ran.stdout + ran.stderr


async def load(at):
    """Clients that come, receive and go, and calls that succeed and read."""
    async with websockets.connect(f"ws://{at}/ws/metrics?greeting=off") as staying:
        for number in range(20):
            async with websockets.connect(f"ws://{at}/ws/metrics?greeting=off"):
                api("publish", {"channel": "metrics", "data": number}, at)
            await asyncio.wait_for(staying.recv(), 5)
        api("history", {"channel": "metrics", "limit": 1}, at)


def forms(at):
    text = page(at)
    expect("promtool check metrics", promtool("check", "metrics", text=text), (0, ""))
    families = {family.name: family for family in classic(text)}
    same = {family.name: family for family in openmetrics(page(at, OPENMETRICS))}
    # The parser of the text format cuts `_total` off, too.
    expect("the families of both forms", sorted(families), sorted(same))
    published = families["parlor_publications"].samples[0].value
    expect("publications", published, same["parlor_publications"].samples[0].value)
    expect("publications, as counted here", published, 20)
    expect("the number of series", sum(len(family.samples) for family in families.values()) <= 1000, True)
    done("metrics: promtool finds nothing, and both forms are parsed and agree")


def names_exist(at, expressions):
    """That each metric which is asked for is there, and each value of a label."""
    text = page(at)
    there = set(re.findall(r"^([a-z_]+)", text, re.MULTILINE))
    named = {name for expression in expressions for name in re.findall(r"\b((?:parlor|process)_\w+)", expression)}
    expect("metrics that are asked for and not there", sorted(named - there), [])
    values = set(re.findall(r'(\w+)="([^"]*)"', text))
    matchers = [matcher for expression in expressions for matcher in re.findall(r'(\w+)!?=~?"([\w|]+)"', expression)]
    asked = {(label, value) for label, choice in matchers if label != "job" for value in choice.split("|")}
    expect("values of labels that are asked for and not there", sorted(asked - values), [])


def dashboard():
    """The queries of Grafana's dashboard, as Grafana sends them where all servers are chosen."""
    board = json.loads((OPS / "dashboard.json").read_text())
    expect("its variables", [variable["name"] for variable in board["templating"]["list"]], ["datasource", "job", "instance"])
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    expect("what panels are named alike", len(panels) - len({panel["title"] for panel in panels}), 0)
    targets = [target for panel in panels for target in panel["targets"]]
    expect("where panels and queries ask", {asks["datasource"]["uid"] for asks in panels + targets}, {"${datasource}"})
    queries = [target["expr"] for target in targets]
    for variable, value in {"$job": ".+", "$instance": ".+", "$__rate_interval": "10s"}.items():
        queries = [query.replace(variable, value) for query in queries]
    expect("variables that nothing sets", [query for query in queries if "$" in query], [])
    return queries


def rules(at):
    alerts = OPS / "alerts.yml"
    status, said = promtool("check", "rules", alerts)
    expect(f"promtool check rules: {said}", status, 0)
    status, said = promtool("test", "rules", OPS / "alerts_test.yml")
    expect(f"promtool test rules: {said}", status, 0)
    rules = [rule for group in yaml.safe_load(alerts.read_text())["groups"] for rule in group["rules"]]
    names_exist(at, [rule["expr"] for rule in rules])
    tested = {case["alertname"] for test in yaml.safe_load((OPS / "alerts_test.yml").read_text())["tests"] for case in test["alert_rule_test"]}
    expect("rules without a test", sorted({rule["alert"] for rule in rules} - tested), [])
    runbook = (OPS / "RUNBOOK.md").read_text()
    for rule in rules:
        expect(f"what {rule['alert']} says", sorted(rule["annotations"]), ["description", "runbook_url", "summary"])
        expect(f"the severity of {rule['alert']}", rule["labels"]["severity"] in ("critical", "warning"), True)
        anchor = rule["annotations"]["runbook_url"].rpartition("#")[2]
        expect(f"the runbook about {rule['alert']}", f"## {rule['alert']}\n" in runbook and anchor == rule["alert"].lower(), True)
    done(f"metrics: {len(rules)} alert rules, each tested by promtool, with a section of the runbook")


def has_data(values):
    """A quotient of nothing is not a number."""
    return bool(values) and not any(math.isnan(value) for value in values)


async def in_prometheus(at):
    """A real Prometheus collects, with the key as Bearer, knows the rules, and answers what the dashboard asks."""
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "key").write_text(API_KEY)
        shutil.copy(OPS / "alerts.yml", folder)
        (folder / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["alerts.yml"],
            "scrape_configs": [{
                "job_name": "parlor",
                "authorization": {"credentials_file": str(folder / "key")},
                "static_configs": [{"targets": [at]}],
            }],
        }))
        command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                   f"--web.listen-address=127.0.0.1:{port}"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def asked(expression):
            query = urllib.parse.urlencode({"query": expression})
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=5) as answer:
                    return [float(found["value"][1]) for found in json.load(answer)["data"]["result"]]
            except OSError:
                return None

        try:
            await eventually("what Prometheus has collected", lambda: asked("parlor_publications_total"), [20.0])
            expect("its view of the server", asked('up{job="parlor"}'), [1.0])
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/rules", timeout=5) as answer:
                known = [rule for group in json.load(answer)["data"]["groups"] for rule in group["rules"]]
            expect("rules that fail", [rule["name"] for rule in known if rule["health"] == "err"], [])
            queries = dashboard()
            names_exist(at, queries)
            without_data = queries
            # Until two samples have the load between them, as rates need.
            # Somebody stays, so that shares of connections are of some.
            async with websockets.connect(f"ws://{at}/ws/quiet?greeting=off"):
                for _ in range(20):
                    await load(at)
                    await asyncio.sleep(0.5)
                    without_data = [query for query in queries if not has_data(asked(query))]
                    if not without_data:
                        break
            expect("queries without data", without_data, [])
        finally:
            process.terminate()
            process.wait(10)
    done("metrics: a real Prometheus collects with the API key as Bearer, and evaluates every rule")
    done(f"metrics: every one of the {len(queries)} queries of the dashboard has data under load")


async def steps():
    with Server("--dev", "false", "--allow-anonymous", "true") as server:
        await load(server.address)
        forms(server.address)
        rules(server.address)
        await in_prometheus(server.address)


run(steps)

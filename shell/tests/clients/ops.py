"""The files by which a server runs in a container, without an engine: what they run is run, as process 1 of a namespace with
a user of its own, and what they say is compared with what the server does."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib

import yaml

from harness import API_KEY, ROOT, SECRET, Failed, binary, done, expect

OPS = ROOT / "shell/ops"
PATIENCE_S = 20
# Brings the loopback of a network namespace up, becomes the user, and then the program: process 1 of its namespace.
ENTER = """
import fcntl, os, socket, struct, sys
with socket.socket() as lo:
    fcntl.ioctl(lo, 0x8914, struct.pack("16sh14x", b"lo", 1))
os.setgroups([]), os.setgid(int(sys.argv[1])), os.setuid(int(sys.argv[1]))
os.execv(sys.argv[2], sys.argv[2:])
"""


def dockerfile():
    """The instructions of the last stage and of the one before, by their names, in order."""
    text = re.sub(r"^#.*\n", "", (OPS / "Dockerfile").read_text(), flags=re.MULTILINE)
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    expect("stages of the Dockerfile", len(stages), 2)
    return [[line.split(" ", 1) for line in ("FROM " + stage).splitlines() if line.strip()] for stage in stages]


def of(instructions, name):
    return [rest for word, rest in instructions if word == name]


def build(first, last):
    [image] = of(first, "FROM")
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    expect("the toolchain of the image", image, f"rust:{version}-bookworm AS build")
    [command] = of(first, "RUN")
    expect("the command of the build", command, "cargo build --release --locked --package parlor")
    packages = json.loads(subprocess.check_output(["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"], cwd=ROOT))
    [package] = [package for package in packages["packages"] if package["name"] == "parlor"]
    expect("a program of the package", "parlor" in [target["name"] for target in package["targets"]], True)
    copied = [rest.split()[1:] for rest in of(last, "COPY")]
    expect("what is copied", ["/parlor/target/release/parlor", "/usr/local/bin/parlor"] in copied, True)
    done("ops: the image is built by the toolchain that Cargo.toml asks for, and has the program")


class Container:
    """What the last stage runs, with an environment."""

    def __init__(self, last, folder, environment):
        self.program = folder / "parlor"
        shutil.copy(binary(), self.program)
        self.program.chmod(0o755)
        [user] = of(last, "USER")
        [entry] = of(last, "ENTRYPOINT")
        expect("the program that is process 1", json.loads(entry), ["parlor"])
        variables = dict(variable.split("=", 1) for variable in of(last, "ENV"))
        enter = [sys.executable, "-c", ENTER, user.split(":")[0], str(self.program)]
        self.outer = subprocess.Popen(
            ["unshare", "--pid", "--net", "--fork", *enter],
            env={**variables, **environment}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for line in self.outer.stdout:
            if line.startswith("parlor is listening on "):
                break
        else:
            raise Failed("the server in the namespace does not listen")
        [self.pid] = pathlib.Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children").read_text().split()

    def inside(self, *command):
        """Runs a command of the image in the namespace."""
        command = [str(self.program) if word == "parlor" else word for word in command]
        ran = subprocess.run(
            ["nsenter", "--target", self.pid, "--net", *command], env={}, capture_output=True, text=True, timeout=PATIENCE_S
        )
        return ran.returncode, ran.stdout.strip()

    def status(self, name):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return re.search(rf"^{name}:\s+(.*)$", status, re.MULTILINE)[1].split()

    def kill(self):
        if self.outer.poll() is None:
            os.kill(int(self.pid), signal.SIGKILL)
            self.outer.wait()


def runs(last, folder, manifests):
    if subprocess.run(["unshare", "--pid", "--net", "--fork", "true"], capture_output=True).returncode != 0:
        return done("ops: this system gives no namespaces, so that nothing was run as process 1")
    secrets = {"PARLOR_API_KEY": API_KEY, "PARLOR_TOKEN_SECRET": SECRET}
    container = Container(last, folder, secrets)
    try:
        expect("its number in its namespace", container.status("NSpid")[-1], "1")
        expect("its user", container.status("Uid")[0], "10001")
        [check] = of(last, "HEALTHCHECK")
        check = json.loads(check.split(" CMD ")[1])
        expect("the check of its health", container.inside(*check), (0, "ok"))
        [port] = of(last, "EXPOSE")
        for path in probes(manifests):
            code, said = container.inside("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{port}{path}")
            expect(path, (code, said), (0, "200"))
        os.kill(int(container.pid), signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_S
        while container.inside(*check) != (1, "stopping"):
            expect("process 1 obeys SIGTERM before its time is over", time.monotonic() < deadline, True)
        expect("its exit code", container.outer.wait(PATIENCE_S), 0)
    finally:
        container.kill()
    done("ops: as process 1 of a namespace and as its user, the server is healthy, answers the probes, and ends at SIGTERM")


def probes(manifests):
    [container] = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    return [container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")]


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|min)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "min": 60}[unit]


def checked(variables, folder):
    """The settings by these variables, whose secrets are files that an engine would mount."""
    secret = folder / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    key = folder / "key"
    key.write_text(API_KEY)
    place = lambda name, value: {"PARLOR_API_KEY_FILE": str(key), "PARLOR_TOKEN_SECRET_FILE": str(secret)}.get(name, value)
    variables = {name: place(name, value) for name, value in variables.items()}
    check = subprocess.run([binary(), "config", "check"], env=variables, capture_output=True, text=True, timeout=PATIENCE_S)
    expect(f"the settings by {sorted(variables)}", (check.returncode, check.stdout.splitlines()[-1]), (0, "the settings are right"))
    shown = subprocess.run([binary(), "config", "show"], env=variables, capture_output=True, text=True, timeout=PATIENCE_S)
    return tomllib.loads(shown.stdout)


def of_kubernetes(manifests, last, folder):
    expect("kinds", sorted(manifests), ["Deployment", "PodDisruptionBudget", "Service"])
    template = manifests["Deployment"]["spec"]["template"]
    pod, labels = template["spec"], template["metadata"]["labels"]
    [container] = pod["containers"]
    settings = checked({one["name"]: one["value"] for one in container["env"]}, folder)
    stop = sum(seconds(settings[name]) for name in ("drain_delay", "drain_timeout", "close_timeout", "linger_timeout"))
    expect(f"more than {stop} s until it is killed", pod["terminationGracePeriodSeconds"] > stop, True)
    [port] = container["ports"]
    expect("its port", (port["name"], str(port["containerPort"])), ("http", settings["listen"].split(":")[-1]))
    for probe in ("livenessProbe", "readinessProbe"):
        expect(probe, container[probe]["httpGet"]["port"], port["name"])
    [service] = manifests["Service"]["spec"]["ports"]
    expect("the service's target", service["targetPort"], port["name"])
    expect("the service's pods", manifests["Service"]["spec"]["selector"], labels)
    expect("the budget's pods", manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"], labels)
    [user] = of(last, "USER")
    expect("the user", f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}", user)
    [mount] = container["volumeMounts"]
    files = [one["value"] for one in container["env"] if one["name"].endswith("_FILE")]
    expect("where secrets are", {os.path.dirname(file) for file in files}, {mount["mountPath"]})
    # Not ready before what comes is refused.
    ready = container["readinessProbe"]
    noticed = ready["failureThreshold"] * ready["periodSeconds"] + ready["timeoutSeconds"]
    expect(f"noticed within {noticed} s", noticed <= seconds(settings["drain_delay"]), True)
    done("ops: Kubernetes waits longer than a stop takes, and asks the port and the paths that there are")


def of_compose(folder, last):
    compose = yaml.safe_load((OPS / "compose.yml").read_text())
    services = compose["services"]
    parlor, prometheus, grafana = (services[name] for name in ("parlor", "prometheus", "grafana"))
    variables = dict(variable.split("=", 1) for variable in of(last, "ENV"))
    settings = checked({**variables, **parlor["environment"]}, folder)
    stop = sum(seconds(settings[name]) for name in ("drain_delay", "drain_timeout", "close_timeout", "linger_timeout"))
    expect(f"more than {stop} s until it is killed", seconds(parlor["stop_grace_period"]) > stop, True)
    files = {f"/run/secrets/{name}" for name in parlor["secrets"]}
    expect("secrets", {value for name, value in parlor["environment"].items() if name.endswith("_FILE")}, files)
    for service in services.values():
        for path in [volume.split(":")[0] for volume in service.get("volumes", []) if volume.startswith("./")]:
            expect(path, (OPS / path).is_file(), True)
        for name in [config["source"] for config in service.get("configs", [])]:
            expect(f"the configuration {name}", name in compose["configs"], True)
    build = parlor["build"]
    expect("what is built", (OPS / build["context"] / build["dockerfile"]).resolve(), OPS / "Dockerfile")
    scraped = yaml.safe_load(compose["configs"]["prometheus"]["content"])
    [job] = scraped["scrape_configs"]
    [port] = of(last, "EXPOSE")
    expect("what is scraped", job["static_configs"], [{"targets": [f"parlor:{port}"]}])
    expect("the name that the alert rules know", job["job_name"], "parlor")
    expect("the key of Prometheus", os.path.basename(job["authorization"]["credentials_file"]) in prometheus["secrets"], True)
    rules = [volume.split(":")[1] for volume in prometheus["volumes"] if volume.startswith("./alerts.yml:")]
    expect("the alert rules", scraped["rule_files"], rules)
    promtool(scraped, folder)
    [board] = [volume.split(":")[1] for volume in grafana["volumes"] if volume.startswith("./dashboard.json:")]
    [provider] = yaml.safe_load(compose["configs"]["dashboards"]["content"])["providers"]
    expect("where dashboards are", os.path.dirname(board), provider["options"]["path"])
    [source] = yaml.safe_load(compose["configs"]["datasources"]["content"])["datasources"]
    expect("the data source", (source["type"], source["url"]), ("prometheus", "http://prometheus:9090"))
    done("ops: the compose file waits longer than a stop takes, and Prometheus and Grafana find the server, rules and dashboard")


def promtool(scraped, folder):
    """Prometheus' own word about the configuration, with the files where they are here."""
    key = folder / "key"
    scraped["scrape_configs"][0]["authorization"]["credentials_file"] = str(key)
    scraped["rule_files"] = [str(OPS / "alerts.yml")]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(scraped))
    ran = subprocess.run(["promtool", "check", "config", str(file)], capture_output=True, text=True, timeout=PATIENCE_S)
    expect("promtool check config", (ran.returncode, ran.stderr), (0, ""))


def main():
    first, last = dockerfile()
    documents = yaml.safe_load_all((OPS / "kubernetes.yml").read_text())
    manifests = {document["kind"]: document for document in documents}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        build(first, last)
        of_kubernetes(manifests, last, folder)
        of_compose(folder, last)
        runs(last, folder, manifests)


main()

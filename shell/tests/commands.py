#!/usr/bin/env python3
"""Runs the commands of README.md and sim/README.md, so that each does what is written there.

    shell/tests/commands.py          all of them, with release binaries that are built already
    shell/tests/commands.py --check  only whether each command is run by something

A command is a line of a block of shell, or a piece of code in the text that begins with the name of a program of the
repository and has arguments. What is not listed here has to be what a step of .ci/run does, word for word, or a block that
shell/tests/clients/readme.py runs. A command that nothing runs fails, and so does an entry for a command that is gone.
"""

import ast
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = ["README.md", "sim/README.md"]
TARGET = Path(REPOSITORY, os.environ.get("CARGO_TARGET_DIR", "target"))
READMES_OWN = REPOSITORY / "shell/tests/clients/readme.py"
STEPS = REPOSITORY / ".ci/run"
PATIENCE_SECONDS = 60
SIMULATOR = "cargo run --release -p parlor-sim -- "
# What begins a command in the text, where something follows.
INLINE = re.compile(r"(echo .* \| )?(parlor-sim|cargo|shell/tests/\S+\.py|core/benches/\S+\.py) \S")


class Failed(Exception):
    """What is wrong."""


@dataclass(frozen=True)
class Run:
    """What is run in place of a command: its own words where `text` is empty; how it ends, and a word that it prints."""

    text: str = ""
    exit_code: int = 0
    prints: str = ""
    # A server is told to stop once it has printed that.
    serves: bool = False


@dataclass(frozen=True)
class Step:
    """The step of .ci/run, by a piece of its command, that does what a command does."""

    part: str


@dataclass(frozen=True)
class NotRun:
    """Why a command is not run, or what is run for it."""

    reason: str


KEYS = "PARLOR_API_KEY=0123456789abcdef PARLOR_TOKEN_SECRET=0123456789abcdef0123456789abcdef"
# A server on a free port, for the commands behind it.
SERVED = (
    f"exec 3< <({KEYS} exec parlor --dev true --listen 127.0.0.1:0); server=$!; trap 'kill $server 2>/dev/null' EXIT; "
    "while read -r line <&3; do [[ $line == *listening* ]] && break; done; "
    "export PARLOR_URL=${line##* } PARLOR_API_KEY=0123456789abcdef; "
)
FUZZ = "cargo +nightly fuzz run -s none actions target/grown/actions corpus/actions -- -max_len=1024 -len_control=0"
# What breaks a guarantee of the manager, for the command that makes a trace short.
GHOST = "setup conns=3 rooms=1 users=1 ids_repeat=1 messages=1; enter 0 1; enter 1 1; violate 0 binary"
# The scopes of the documents: sim/tests/exhaustive.rs searches all of them to their ends. What takes seconds is begun here.
LARGE_SCOPES = [
    "parlor-sim exhaustive",
    "parlor-sim exhaustive --conns 2",
    "parlor-sim exhaustive --conns 3 --rooms 1 --queue 2",
    "parlor-sim exhaustive --protocol json --messages 1",
    "parlor-sim exhaustive --protocol json --rooms 1 --queue 2",
    "parlor-sim exhaustive --scope ends",
    "parlor-sim exhaustive --scope users --queue 2",
    "parlor-sim exhaustive --scope users --protocol json --queue 2",
]
SMALL_SCOPES = [
    "parlor-sim exhaustive --scope ends --protocol json --conns 1 --queue 2",
    "parlor-sim exhaustive --scope pings --conns 1 --queue 2",
    "parlor-sim exhaustive --scope pings --protocol json --conns 1 --queue 2",
    "parlor-sim exhaustive --scope home --protocol json --conns 1 --messages 2",
    "parlor-sim exhaustive --scope home --conns 1",
    "parlor-sim exhaustive --scope presence --queue 4",
]
HOW = {
    # README.md
    "cargo run --release": NotRun("readme.py starts the server as this does, from what is built"),
    "cargo test --workspace": Step("cargo test --workspace"),
    ".ci/run": NotRun("is what runs this"),
    "cargo run --release --example echo": NotRun("shell/tests/conformance.rs runs the example"),
    'tar -xzf "$(npm pack --silent centrifuge)" --strip-components=2 package/dist/centrifuge.js': Run(
        'tar -xzf "$(npm pack --silent centrifuge)" --strip-components=2 package/dist/centrifuge.js && ls',
        prints="centrifuge.js",
    ),
    "python3 -m http.server --bind 127.0.0.1 3000": Run(
        "python3 -u -m http.server --bind 127.0.0.1 0", prints="Serving HTTP on 127.0.0.1", serves=True
    ),
    "export PARLOR_API_KEY=…": NotRun("is set for the command after it"),
    "export PARLOR_TOKEN_SECRET=…": NotRun("is set for the command after it"),
    "parlor --public-hosts https://chat.example.com --trusted-proxies 127.0.0.1": Run(
        f"env {KEYS} parlor --public-hosts https://chat.example.com --trusted-proxies 127.0.0.1 --listen 127.0.0.1:0",
        prints="parlor is listening on http://",
        serves=True,
    ),
    "parlor health": Run(f"{SERVED} parlor health", prints="ok"),
    """parlor publish lobby '{"text": "hello"}'""": Run(
        f"""{SERVED} parlor publish lobby '{{"text": "hello"}}'""", prints="offset=1 epoch="
    ),
    "parlor publish --user ann 'your report is ready'": Run(
        f"{SERVED} parlor publish --user ann 'your report is ready'", prints="offset="
    ),
    "parlor listen lobby --history 10": Run(
        f"{SERVED} parlor publish lobby hello; timeout --preserve-status -s INT 2 parlor listen lobby --history 10",
        prints='"hello"',
    ),
    "parlor token ann --config parlor.toml": Run(
        "echo 'token_secret = \"a secret of at least 32 bytes, made up\"' > parlor.toml; parlor token ann --config parlor.toml",
        prints="eyJ",
    ),
    "parlor reload": Run(f"{SERVED} parlor reload", prints="changed: nothing"),
    "parlor explain lobby 42": Run(f"{SERVED} parlor explain lobby 42", prints="has no log"),
    "parlor input-log": Run(f"export PARLOR_INPUT_LOG_DIR=$PWD; {SERVED} parlor input-log", prints="steps, from the start"),
    "parlor drain": Run(f"{SERVED} parlor drain", prints="the server has ended"),
    "parlor config check": Run(prints="the settings are right"),
    "parlor completions bash": Run(prints="_parlor()"),
    "core/benches/counts.py accept": NotRun("writes the baselines that the step 'instruction counts' compares with"),
    "cargo run --release -p parlor-sim --": NotRun("begins the commands that are run here"),
    # sim/README.md
    "cargo test": Step("cargo test --workspace"),
    "cargo test -p parlor-sim": Step("cargo test --workspace"),
    "cargo mutants -p parlor-core -j 2": NotRun("takes hours, and a program that is not needed for anything else"),
    "cargo mutants -p parlor-core": NotRun("takes hours, and a program that is not needed for anything else"),
    "shell/tests/defects.py": Step("shell/tests/defects.py --sample 3"),
    "shell/tests/defects.py --only a_talker_is_served_alone": Run(
        "shell/tests/defects.py --only a_talker_is_served_alone --list", prints="a_talker_is_served_alone"
    ),
    "shell/tests/defects.py --list": Run(prints="a_talker_is_served_alone"),
    "shell/tests/defects.py --check": Run(prints="defects can be put in"),
    "mkdir -p target/grown/actions": NotRun("makes a folder for the fuzzer"),
    FUZZ: NotRun("needs a nightly toolchain; sim/tests/corpus.rs runs the same target on what is kept"),
    "parlor-sim fuzz TARGET FILE": Run("parlor-sim fuzz actions sim/README.md"),
    "parlor-sim shrink FILE --subject v1": Run(
        f"parlor-sim shrink <(echo '{GHOST}') --subject v1", exit_code=1, prints="violate 0 binary"
    ),
    "parlor-sim --seed 7": Run(),
    "parlor-sim --seed 7 --steps 300": Run(),
    "parlor-sim --seeds 1000": Run("parlor-sim --seeds 20"),
    "parlor-sim --seeds 1000 --driver": Run("parlor-sim --seeds 20 --driver"),
    "parlor-sim --seeds 1000 --shards 4": Run("parlor-sim --seeds 20 --shards 4"),
    "parlor-sim --seeds 1000 --unforeseen": Run("parlor-sim --seeds 20 --unforeseen"),
    "parlor-sim --driver --seeds 1000": Run("parlor-sim --driver --seeds 20"),
    "parlor-sim --driver --seeds 2000 --seed 1": Run("parlor-sim --driver --seeds 20 --seed 1"),
    "parlor-sim --seeds 10000": Run("parlor-sim --seeds 20"),
    "parlor-sim --seeds 10000 --seed 1": Run("parlor-sim --seeds 20 --seed 1"),
    "parlor-sim --seeds 3000 --seed 77000000": Run("parlor-sim --seeds 20 --seed 77000000"),
    "parlor-sim --seeds 1000 --judge checkers": Run("parlor-sim --seeds 20 --judge checkers"),
    "parlor-sim exhaustive --scope home --protocol json --conns 1": Run(),
    "parlor-sim exhaustive --scope engine": Run(prints="clean: 44038 states"),
    **{command: Run(f"{command} --states 2000", exit_code=5) for command in LARGE_SCOPES},
    **{command: Run() for command in SMALL_SCOPES},
    "parlor-sim replay sim/tests/regressions/lost-while-closing.trace": Run(),
    'echo "setup conns=1; enter 0 1; flush" | parlor-sim replay -': Run(),
    # A machine that is wrong must be found, and the one that is right must not.
    "parlor-sim hunt parlor": Run("timeout 10 parlor-sim hunt parlor", exit_code=1),
    "parlor-sim hunt seeded": Step('parlor-sim" hunt seeded'),
    "parlor-sim hunt seeded:an_event_that_is_told_twice": Run(),
    "parlor-sim hunt seeded --keep sim/tests/seeded": Run(
        'parlor-sim hunt seeded:an_event_that_is_told_twice --keep "$(mktemp -d)"'
    ),
    "parlor-sim hunt seeded --judge each": Run("parlor-sim hunt seeded:an_event_that_is_told_twice --judge each"),
    "parlor-sim redis-compare --server URL": Step("sim/tests/redis.py"),
    "parlor-sim canary": Step('parlor-sim" canary'),
    "parlor-sim canary --seed 1": Step('parlor-sim" canary --seed'),
}


def commands_of(document):
    """The commands of a document, in order: (line, command)."""
    text = (REPOSITORY / document).read_text()
    found, blocks = [], []
    for block in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        blocks.append(block.span())
        if block[1] in ("sh", "bash", "console"):
            first = text[: block.start()].count("\n") + 2
            lines = enumerate(block[2].splitlines(), first)
            found += [(number, re.sub(r"\s+# .*", "", line)) for number, line in lines if line.strip()]
    for code in re.finditer(r"`([^`\n]+)`", text):
        in_block = any(begin <= code.start() < end for begin, end in blocks)
        command = code[1].replace(r"\|", "|")
        if not in_block and INLINE.match(command):
            found.append((text[: code.start()].count("\n") + 1, command))
    # A table whose head has the beginning of a command, and whose rows have flags.
    for table in re.finditer(r"^\|.*\| `(parlor-sim \w+)` with \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE):
        first = text[: table.start(2)].count("\n") + 1
        for number, row in enumerate(table[2].splitlines(), first):
            found.append((number, f"{table[1]} {row.split('|')[2].strip(' `')}"))
    # `cargo run -- …` of the simulator is what the text calls `parlor-sim …`.
    return [(number, command.replace(SIMULATOR, "parlor-sim ").strip()) for number, command in found]


def run_by_readme():
    """How the blocks of shell begin that readme.py takes out of the README and runs."""
    tree = ast.parse(READMES_OWN.read_text())
    constants = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    arguments = [node.args for node in calls if node.func.id == "block" and len(node.args) == 2]
    value = lambda node: eval(compile(ast.Expression(node), str(READMES_OWN), "eval"), {}, constants)
    return [value(beginning) for language, beginning in arguments if value(language) == "sh"]


def steps_text():
    """The commands of .ci/run as a reader of the documents would write them."""
    return STEPS.read_text().replace('"$target/release/parlor-sim"', "parlor-sim")


def is_a_step(command, steps):
    return re.search(rf"{re.escape(command)}(?=\n|$)", steps, re.MULTILINE) is not None


def plan():
    """What is to be run: {command: Run}. Raises `Failed` for what nothing runs, and for entries of commands that are gone."""
    wrong, runs, seen = [], {}, set()
    readmes, steps = run_by_readme(), steps_text()
    for document in DOCUMENTS:
        for line, command in commands_of(document):
            seen.add(command)
            how = HOW.get(command)
            if isinstance(how, Run):
                runs[command] = how
            elif isinstance(how, Step):
                if how.part not in STEPS.read_text():
                    wrong.append(f"{command}: .ci/run has no step with {how.part!r}")
            elif how is None and not is_a_step(command, steps):
                if not (document == "README.md" and any(command.startswith(words) for words in readmes)):
                    wrong.append(f"{document}:{line}: nothing runs: {command}")
    wrong += [f"is in no document any more: {command}" for command in HOW if command not in seen]
    if wrong:
        raise Failed("\n".join(wrong))
    return runs


def carry_out(command, run, folder):
    """Runs a command, with the programs that are built. Raises `Failed` where it does not do what it should."""
    text = run.text or command
    environment = {**os.environ, "PATH": f"{TARGET / 'release'}:{os.environ['PATH']}"}
    where = folder if text.startswith(("tar ", "python3 -u -m http.server")) else REPOSITORY
    process = subprocess.Popen(
        ["bash", "-uc", f"exec {text}" if run.serves else text],
        cwd=where,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    # A server that prints nothing would be waited for without end.
    overdue = threading.Timer(PATIENCE_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    try:
        if run.serves:
            overdue.start()
            said = ""
            while run.prints not in said and (line := process.stdout.readline()):
                said += line
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE_SECONDS)
        else:
            said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        raise Failed(f"{text}: not done after {PATIENCE_SECONDS} s") from None
    finally:
        overdue.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    if run.prints not in said or (process.returncode != run.exit_code and not run.serves):
        shown = "\n".join(line[:300] for line in said.splitlines()[-10:])
        raise Failed(f"{text}: exit code {process.returncode}, expected {run.exit_code} and {run.prints!r}:\n{shown}")


def main():
    runs = plan()
    if "--check" in sys.argv[1:]:
        print(f"{len(runs)} commands can be run, and everything else is run elsewhere")
        return
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for command, run in runs.items():
            begun = time.monotonic()
            try:
                carry_out(command, run, folder)
                print(f"ok {command} ({time.monotonic() - begun:.1f} s)", flush=True)
            except Failed as wrong:
                failed += 1
                print(f"FAILED {command}\n{wrong}", flush=True)
    print(f"{len(runs) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    try:
        main()
    except Failed as wrong:
        sys.exit(str(wrong))

"""Runs every client check against the release binary, each with a server of its own, side by side.

Usage: run.py [script …]   Ends with a line 'N passed, N failed'; a step that a check completes counts as one.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from harness import HERE, ROOT, Server

LIMIT_S = 240
NODE = ["node", "--experimental-websocket", "--no-warnings"]
ANSFLOW = ["--config", str(ROOT / "shell/examples/ansflow.toml")]

# What runs it, the script, and the server's arguments; None for a check that starts its servers itself.
CHECKS = [
    (NODE, "centrifuge_js.mjs", []),
    ([sys.executable], "centrifuge_py.py", []),
    ([sys.executable], "plain_websockets.py", []),
    (NODE, "plain_node.mjs", ANSFLOW),
    ([sys.executable], "api_calls.py", []),
    ([sys.executable], "production.py", ["--dev", "false"]),
    ([sys.executable], "shutdown.py", None),
    ([sys.executable], "readme.py", None),
]
# Needs the machine to itself, so it only runs when it is named.
ALONE = [([sys.executable], "robustness.py", None)]


def script(interpreter, name, environment):
    command = [*interpreter, name]
    return subprocess.run(
        command,
        cwd=HERE,
        env={**os.environ, **environment},
        timeout=LIMIT_S,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def check(interpreter, name, arguments):
    """Runs one check: (name, seconds, whether it passed, what it said)."""
    begun = time.monotonic()
    try:
        if arguments is None:
            ran = script(interpreter, name, {})
        else:
            with Server(*arguments) as server:
                ran = script(interpreter, name, server.environment())
                if ran.returncode != 0:
                    ran.stdout += "what the server said last:\n" + server.tail()
        passed, said = ran.returncode == 0, ran.stdout
    except subprocess.TimeoutExpired as late:
        passed, said = False, f"{(late.stdout or b'').decode()}\nnot done after {LIMIT_S} s"
    except SystemExit as refused:
        passed, said = False, str(refused)
    return name, time.monotonic() - begun, passed, said


def main():
    named = sys.argv[1:]
    chosen = [entry for entry in CHECKS + ALONE if entry[1] in named] if named else CHECKS
    steps = failures = 0
    with ThreadPoolExecutor(len(chosen)) as pool:
        for name, seconds, passed, said in pool.map(lambda entry: check(*entry), chosen):
            steps += sum(line.startswith("ok ") for line in said.splitlines())
            failures += not passed
            print(f"{'passed' if passed else 'FAILED'} {name} ({seconds:.1f} s)")
            print("\n".join("    " + line for line in said.splitlines()), flush=True)
    print(f"{steps} passed, {failures} failed")
    sys.exit(1 if failures else 0)


main()

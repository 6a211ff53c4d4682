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
# Each attack is run up to three times, and some of them for seconds.
LONGER_S = {"attacks.py": 480}
NODE = ["node", "--experimental-websocket", "--no-warnings"]
PYTHON = [sys.executable]
ANSFLOW = ["--config", str(ROOT / "shell/examples/ansflow.toml")]
# What the checks send as too large is just beyond this.
SMALL_PUBLICATIONS = ["--publication-bytes", "61000"]
SOON_EXPIRED = ["--expiry-grace", "1s", "--token-leeway", "0s"]
UNPACED = ["--client-frames", "off", "--client-commands", "off", "--client-publishes", "off"]
ROOM_TOKENS = ["--allow-subscribe", "false"]
# What is retained of 20 messages a second covers ten seconds.
RETAINED = ["--history-messages", "200", "--history-age", "1m"]

# What runs it, the script, and the server's arguments; None for a check that starts its servers itself.
CHECKS = [
    (NODE, "centrifuge_js.mjs", SMALL_PUBLICATIONS),
    (PYTHON, "centrifuge_py.py", SMALL_PUBLICATIONS),
    (NODE, "recovery.mjs", UNPACED),
    (PYTHON, "recovery.py", []),
    (NODE, "presence.mjs", []),
    (PYTHON, "presence.py", []),
    (NODE, "tokens.mjs", SOON_EXPIRED + ROOM_TOKENS),
    (PYTHON, "tokens.py", SOON_EXPIRED + ROOM_TOKENS),
    (PYTHON, "token_keys.py", None),
    (PYTHON, "api_keys.py", None),
    (PYTHON, "tls.py", None),
    (PYTHON, "namespaces.py", None),
    (NODE, "plain_node.mjs", ANSFLOW),
    (PYTHON, "plain_websockets.py", SOON_EXPIRED),
    (PYTHON, "plain_recovery.py", []),
    (PYTHON, "hostile.py", []),
    (NODE, "hostile.mjs", []),
    (PYTHON, "api_calls.py", []),
    (PYTHON, "cent_client.py", ["--api-error-mode", "body", *SOON_EXPIRED]),
    (PYTHON, "limits.py", None),
    (PYTHON, "production.py", ["--dev", "false"]),
    (PYTHON, "shutdown.py", None),
    (PYTHON, "metrics.py", None),
    (PYTHON, "alerts.py", None),
    (PYTHON, "ops.py", None),
    (PYTHON, "readme.py", None),
]
# What needs the machine to itself only runs when it is named.
ALONE = [
    (PYTHON, "openapi.py", []),
    (NODE, "crowd.mjs", RETAINED),
    (NODE, "drain.mjs", []),
    (NODE, "input_log.mjs", []),
    (PYTHON, "robustness.py", None),
    (PYTHON, "cheap.py", None),
    (PYTHON, "attacks.py", None),
    (PYTHON, "proxies.py", None),
    (NODE, "browser.mjs", []),
    (NODE, "console.mjs", []),
    (PYTHON, "browser_tls.py", None),
]


def script(interpreter, name, environment):
    command = [*interpreter, name]
    return subprocess.run(
        command,
        cwd=HERE,
        env={**os.environ, **environment},
        timeout=LONGER_S.get(name, LIMIT_S),
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
        passed, said = False, f"{(late.stdout or b'').decode()}\nnot done after {LONGER_S.get(name, LIMIT_S)} s"
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

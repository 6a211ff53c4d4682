#!/usr/bin/env python3
"""Instruction counts of the benchmarks of core and shell, and whether they are still what the baselines say.

    core/benches/counts.py            counts, and fails where something takes 3 % more than its baseline
    core/benches/counts.py accept     counts, and writes the baselines anew: for a change that is worth its price
    core/benches/counts.py install    installs the runner that matches Cargo.lock, into the target folder
    core/benches/counts.py prove      proves, from the baselines, that what `check` is to find is found

Needs valgrind. The counts are those of an optimised build: they depend on rustc, which the baselines name, and hardly on anything else.
"""

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
RUNNER = TARGET / "gungraun-runner"
# Each package with benchmarks, and its folder.
PACKAGES = {"parlor-core": "core", "parlor": "shell"}

# In percent of the baseline. A count that is above the first fails. One that is below the second is told; below the third it fails too, for a
# baseline with that much room would let the next change take all of it back.
MORE = 3.0
LESS = -3.0
FAR_LESS = -10.0

HEADER = """\
# Instructions that each benchmark takes: written by `core/benches/counts.py accept`, compared by `core/benches/counts.py`.
"""


def baseline_path(package):
    return ROOT / PACKAGES[package] / "benches" / "baseline.toml"


def toolchain():
    lines = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True, cwd=ROOT).stdout.splitlines()
    host = next(line.removeprefix("host: ") for line in lines if line.startswith("host: "))
    return f"{lines[0]} {host}"


def folder():
    """Where the benchmarks are built: not where the release build is, for cargo would put a binary of other features there.

    A process has its own path in its memory, and what is allocated behind that takes a few instructions more or fewer by how
    long it is. So the path is one that is as long wherever the repository is.
    """
    built = TARGET / "counts"
    built.mkdir(parents=True, exist_ok=True)
    link = Path("/tmp", f"parlor-counts-{hashlib.sha256(bytes(built)).hexdigest()[:16]}")
    link.unlink(missing_ok=True)
    link.symlink_to(built)
    return link


def count():
    """The instructions of each benchmark, by package and name."""
    # All of them at once: packages that are built alone are built with other features.
    command = ["cargo", "bench", "--workspace", "--bench", "instructions", "--", "--output-format=json"]
    # Nothing that is set here for other builds may change what is counted.
    env = {key: value for key, value in os.environ.items() if key != "RUSTFLAGS" and not key.startswith("CARGO_PROFILE_")}
    env["CARGO_TARGET_DIR"] = str(folder())
    env["PATH"] = f"{RUNNER / 'bin'}{os.pathsep}{env['PATH']}"
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env)
    if out.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed: valgrind and {RUNNER}/bin are needed (counts.py install)")
    counts = {package: {} for package in PACKAGES}
    for line in filter(None, out.stdout.splitlines()):
        bench = json.loads(line)
        package = next(package for package, folder in PACKAGES.items() if folder == bench["package_dir"])
        name = f"{bench['function_name']}.{bench['id']}"
        counts[package][name] = bench["profiles"][0]["data"]["total"]["metrics"]["Ir"]["values"]["new"]
    return counts


def compare(counts, baseline):
    """A line for each benchmark, and whether it fails."""
    for name in sorted(counts.keys() | baseline.keys()):
        if name not in counts:
            yield f"{name}: no such benchmark any more", True
        elif name not in baseline:
            yield f"{name}: {counts[name]}, without a baseline", True
        else:
            percent = 100 * counts[name] / baseline[name] - 100
            words, fails = "", False
            if percent > MORE:
                words, fails = f": MORE than {MORE:+g} %", True
            elif percent < FAR_LESS:
                words, fails = ": far LESS: the baseline is to be tightened", True
            elif percent < LESS:
                words = ": less: the baseline can be tightened"
            yield f"{name}: {baseline[name]} -> {counts[name]} ({percent:+.2f} %){words}", fails


def check():
    here, wrong, differs = toolchain(), 0, None
    for package, counts in count().items():
        baseline = tomllib.loads(baseline_path(package).read_text())
        if baseline["toolchain"] != here:
            differs = baseline["toolchain"]
        lines = list(compare(counts, baseline["instructions"]))
        print(f"{package}:", *(line for line, _ in lines), sep="\n  ")
        wrong += sum(fails for _, fails in lines)
    if differs:
        print(f"The baselines were counted with {differs}, this is {here}: part of any difference is the toolchain's. Compare with the commit before.")
    if wrong:
        print(f"{wrong} counts are not what the baselines say. Where that is meant, and worth it: core/benches/counts.py accept")
    return wrong > 0


def accept():
    for package, counts in count().items():
        rows = "".join(f"{json.dumps(name)} = {counts[name]}\n" for name in sorted(counts))
        text = f"{HEADER}toolchain = {json.dumps(toolchain())}\n\n[instructions]\n{rows}"
        baseline_path(package).write_text(text)
        print(f"{baseline_path(package).relative_to(ROOT)}:\n{rows}")


def install():
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    version = next(package["version"] for package in lock["package"] if package["name"] == "gungraun")
    # A debug build does: it only starts valgrind and reads what that writes.
    command = ["cargo", "install", "gungraun-runner", "--version", f"={version}", "--locked", "--debug", "--quiet"]
    env = dict(os.environ, CARGO_TARGET_DIR=str(RUNNER / "build"))
    subprocess.run([*command, "--root", str(RUNNER)], check=True, env=env)


def prove():
    """Each benchmark by itself: 5 % more is found, 2 % is let pass, far less is found, and so is one that is missing."""
    for package in PACKAGES:
        baseline = tomllib.loads(baseline_path(package).read_text())["instructions"]
        # Without these, a benchmark that was lost with its baseline would not be missed.
        assert len(baseline) >= 4, f"{package} has benchmarks"
        for name, before in baseline.items():
            for now, found in [(before * 1.05, True), (before * 1.02, False), (before * 0.95, False), (before * 0.85, True)]:
                failing = [line for line, fails in compare({**baseline, name: round(now)}, baseline) if fails]
                assert len(failing) == found and all(line.startswith(f"{name}:") for line in failing), (name, now, failing)
            without = {other: before for other, before in baseline.items() if other != name}
            assert [fails for _, fails in compare(without, baseline) if fails] == [True], name
            assert [fails for _, fails in compare(baseline, without) if fails] == [True], name
        print(f"{package}: 5 % more is found in each of {len(baseline)} counts")


if __name__ == "__main__":
    actions = {"check": check, "accept": accept, "install": install, "prove": prove}
    match sys.argv[1:]:
        case []:
            sys.exit(check())
        case [action] if action in actions:
            sys.exit(actions[action]() or 0)
        case _:
            raise SystemExit(__doc__)

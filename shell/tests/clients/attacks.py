"""Attacks the release binary beside a busy room: one call, member, address or room costs the others nothing but its
share.

Usage: attacks.py [attack …]   One line for each with what was measured; exit code 1 if any is not as it should be.
"""

import asyncio
import resource
import subprocess
import sys
import time

import attack_calls  # noqa: F401
import attack_floods  # noqa: F401
import attack_memory  # noqa: F401
import attack_rooms  # noqa: F401
import attack_sockets  # noqa: F401
from harness import Failed, binary, done, run
from judge import ATTACKS, MOST_FAULTS, attempt


async def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    known = subprocess.run([binary(), "--help"], capture_output=True, text=True, check=True).stdout
    names = sys.argv[1:] or list(ATTACKS)
    if wrong := [name for name in names if name not in ATTACKS]:
        raise SystemExit(f"there is no attack {wrong[0]}; there are: {', '.join(ATTACKS)}")
    failed, begun = [], time.monotonic()
    for name in names:
        one = ATTACKS[name]
        try:
            verdict, faults = await asyncio.to_thread(attempt, one, known)
        except (Failed, OSError, EOFError, SystemExit) as broken:
            verdict, faults = "not measured", [f"{type(broken).__name__}: {broken}"]
        if faults:
            failed.append(f"{name} ({faults[0]})")
            print(f"FAILED attack {name}: {one.words}: {verdict}", flush=True)
            print("\n".join(f"    {fault}" for fault in faults[:MOST_FAULTS]), flush=True)
            if len(faults) > MOST_FAULTS:
                print(f"    and {len(faults) - MOST_FAULTS} more", flush=True)
        else:
            done(f"attack {name}: {one.words}: {verdict}")
    print(f"{len(names)} attacks took {time.monotonic() - begun:.0f} s", flush=True)
    if failed:
        raise SystemExit(f"not as they should be: {', '.join(failed)}")


if __name__ == "__main__":
    run(main)

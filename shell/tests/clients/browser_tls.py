"""TLS in Chromium over a local CA: a page connects by wss:// where the browser trusts the CA, and only there."""

import asyncio
import json
import os
import pathlib
import subprocess
import tempfile

from authority import Authority
from harness import HERE, Server, done, expect, run

PATIENCE_S = 60


def home(folder, name, authority=None):
    """A home folder, whose database of certificates has the CA where one is given."""
    database = folder / name / ".pki" / "nssdb"
    database.mkdir(parents=True)
    certutil = ["certutil", "-d", f"sql:{database}"]
    subprocess.run([*certutil, "-N", "--empty-password"], check=True, timeout=PATIENCE_S)
    if authority is not None:
        trust = ["-A", "-n", "ca", "-t", "C,,", "-i", str(authority.file)]
        subprocess.run([*certutil, *trust], check=True, timeout=PATIENCE_S)
    return str(folder / name)


class Page:
    """A page in a browser with this home, and what it says of its connection, line by line."""

    def __init__(self, at, of):
        self.at, self.home = at, of

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            "node", "browser_tls.mjs", self.at, cwd=HERE, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "HOME": self.home},
        )
        return self

    async def says(self):
        return json.loads(await asyncio.wait_for(self.process.stdout.readline(), PATIENCE_S))

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.wait()


async def steps():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        authority = Authority(folder)
        authority.issue()
        trusting, strange = home(folder, "trusting", authority), home(folder, "strange")
        with Server(*authority.flags()) as server:
            at = f"localhost:{server.port}"
            async with Page(at, trusting) as page:
                expect("a page whose browser trusts the CA", await page.says(), "open")
                for data in ("hello", "x" * 60_000):
                    await asyncio.to_thread(authority.publish, server.address, data)
                    expect("what it hears", await page.says(), data)
            async with Page(at, strange) as page:
                expect("a page whose browser does not", await page.says(), "refused")
    done("browser: Chromium trusts a local CA, connects over TLS and hears what is published")


run(steps)

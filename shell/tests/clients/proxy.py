"""A TCP proxy between clients and the server, to break what the two believe to be connected."""

import asyncio

from harness import address

CHUNK = 1 << 16


class Proxy:
    def __init__(self, target=None):
        self.target = target or address()
        # While it is true, whoever comes is hung up on.
        self.refusing = False
        self._pairs, self._midway, self._stranded, self._tasks = set(), set(), set(), set()
        self._over = asyncio.Event()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._come, "127.0.0.1")
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self._over.set()
        self.cut()
        await asyncio.gather(*self._tasks)

    def _come(self, reader, near):
        task = asyncio.create_task(self._join(reader, near))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader, near):
        try:
            if self.refusing:
                raise ConnectionRefusedError
            back, far = await asyncio.open_connection(*self.target.split(":"))
        except OSError:
            near.transport.abort()
            return
        pair = (near, far)
        self._pairs.add(pair)
        pumps = [asyncio.create_task(pump) for pump in (self._pump(reader, far), self._pump(back, near, pair))]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        if pair in self._stranded:
            await self._over.wait()
        self._end(pair)
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, source, sink, pair=None):
        while bytes := await source.read(CHUNK):
            if pair in self._midway:
                sink.write(bytes[: len(bytes) // 2])
                return
            sink.write(bytes)
            await sink.drain()

    def _end(self, pair):
        self._pairs.discard(pair)
        self._midway.discard(pair)
        self._stranded.discard(pair)
        for writer in pair:
            writer.transport.abort()

    def cut(self):
        for pair in list(self._pairs):
            self._end(pair)

    def strand(self):
        """Cuts the clients off without a word to the server: its sockets stay open, and nobody answers there."""
        for near, far in self._pairs - self._stranded:
            self._stranded.add((near, far))
            near.transport.abort()

    def cut_midway(self):
        """Cuts in the middle of what the server sends next."""
        self._midway |= self._pairs

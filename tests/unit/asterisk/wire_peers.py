"""Hand-driven peers on real sockets, for the protocol tests."""

import asyncio
import itertools
import socket
import struct
from collections.abc import Awaitable, Callable

from hypothesis import settings
from hypothesis import strategies as st

DEADLINE_S = 5.0

unhurried = settings(deadline=None, max_examples=150)
"""For property tests on a busy machine."""

CUTS = st.lists(st.integers(0, 10_000), max_size=12)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until `condition` holds; no fixed sleep, but a deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.001)


class Peer:
    """A hand-driven TCP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def line(self) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.readline()

    async def exactly(self, count: int) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.readexactly(count)

    async def closed(self) -> bytes:
        """Wait for the end of the connection; return what came before it."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    def fin(self) -> None:
        self.writer.close()

    def rst(self) -> None:
        self.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.writer.transport.abort()


Connect = Callable[[int], Awaitable[Peer]]


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut `data` at these places, taken modulo its length."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]

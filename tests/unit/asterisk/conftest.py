"""What the protocol tests share: connections to a server, and the rule that nothing is left."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from wire_peers import Connect, Peer, until


def open_sockets() -> set[str]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """Fail a test that leaves a task, a socket or a report to the loop's exception handler."""
    loop = asyncio.get_running_loop()
    reports: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    before = open_sockets()
    ours = asyncio.current_task()
    yield
    await until(lambda: asyncio.all_tasks() <= {ours, asyncio.current_task()})
    await until(lambda: open_sockets() <= before)
    assert not reports


@pytest.fixture
async def connect(nothing_left: None) -> AsyncIterator[Connect]:
    peers: list[Peer] = []

    async def make(port: int) -> Peer:
        peers.append(Peer(*await asyncio.open_connection("127.0.0.1", port)))
        return peers[-1]

    yield make
    for peer in peers:
        peer.writer.transport.abort()

"""A real Redis of the tests' own, on a free port of the loopback."""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from ivr.processes import Server

HOST = "127.0.0.1"


@pytest.fixture
async def redis_server() -> AsyncIterator[tuple[Server, str]]:
    """A running redis-server and its URL; stopped at the end."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.fail("redis-server is missing: apt-get install redis-server")
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        url = f"redis://{HOST}:{port}/0"

        async def ready() -> bool:
            client: Redis = Redis.from_url(url)
            try:
                return bool(await client.ping())
            except Exception:
                return False
            finally:
                await client.aclose()

        command = [
            program, "--bind", HOST, "--port", str(port), "--dir", name,
            "--save", "", "--appendonly", "no", "--daemonize", "no",
        ]  # fmt: skip
        server = Server("Redis", command, log=Path(name) / "log", ready=ready)
        await server.start()
        try:
            yield server, url
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks are left: {left}"
        finally:
            await server.stop()

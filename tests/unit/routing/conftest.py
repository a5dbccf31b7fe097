"""A real Redis of the tests' own, on a socket in a temporary folder."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from ivr.processes import Server


@pytest.fixture
async def redis_server() -> AsyncIterator[tuple[Server, str]]:
    """A running redis-server and its URL; stopped at the end."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.fail("redis-server is missing: apt-get install redis-server")
    with tempfile.TemporaryDirectory(prefix="hr-") as name:  # a socket's path must be short
        path = Path(name) / "s"
        url = f"unix://{path}"

        async def ready() -> bool:
            if not path.exists():
                return False
            client: Redis = Redis.from_url(url)
            try:
                return bool(await client.ping())
            except Exception:
                return False
            finally:
                await client.aclose()

        command = [
            program, "--port", "0", "--unixsocket", str(path), "--dir", name,
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

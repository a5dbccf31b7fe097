"""One real site for all tests of this folder, and what must hold after each of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.asterisk.site import Site, models_dir, until


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.asterisk)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def whole_site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    if not (models_dir() / "whisper-base").is_dir():
        pytest.fail("Whisper base is missing: run `make test`, or `hotline models fetch`")
    site = Site(tmp_path_factory.mktemp("site"))
    try:
        await site.start()
        yield site
    finally:
        await site.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def site(whole_site: Site) -> AsyncIterator[Site]:
    """The site as every test finds it and must leave it: no channel, call, task or file left."""
    if not whole_site.service.running:
        await whole_site.restart_service()
    await whole_site.ready()
    pid, before = whole_site.service.pid, await _held(whole_site)
    yield whole_site
    await whole_site.no_channels()
    if not whole_site.service.running or whole_site.service.pid != pid:
        return

    async def as_before() -> bool:
        now = await _held(whole_site)
        return all(now[key] <= before[key] + _SLACK[key] for key in now)

    try:
        await until(as_before, "the service lets go of everything", 10, every=0.3)
    except AssertionError:
        raise AssertionError(
            f"left behind: before {before}, now {await _held(whole_site)}"
        ) from None


_SLACK = {"hotline_calls_now": 0, "hotline_tasks": 2, "process_open_fds": 4}
"""HTTP requests of the test itself, pooled connections to Redis and the database."""


async def _held(site: Site) -> dict[str, float]:
    await asyncio.sleep(0)
    return {name: await site.metric(name) for name in _SLACK}

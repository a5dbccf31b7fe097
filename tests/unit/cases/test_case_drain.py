import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from case_events import event
from conftest import Cluster
from test_case_journal import APPENDER, Problems

from ivr.cases.drain import BATCH, Drain
from ivr.cases.journal import Journal, segments
from ivr.cases.store import CaseStore, DatabaseAway, DatabaseRefused

CALL = UUID(int=1)
OLD = "n-20200101T000000.000000Z-1.jsonl"


@asynccontextmanager
async def running(drain: Drain) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(drain.run())
        try:
            yield
        finally:
            task.cancel()


async def test_events_come_from_the_journal_into_the_case(tmp_path: Path, store: CaseStore) -> None:
    drain = Drain(tmp_path / "journal", store)
    async with Journal(tmp_path / "journal", "n", segment_bytes=500) as journal:
        for after, kind in enumerate(["opened", "answered", "talking", "closed"]):
            await journal.append(event(CALL, kind, after))
            assert await drain.drain_once() == 1
            assert await drain.drain_once() == 0
    assert await Drain(tmp_path / "journal", store).drain_once() == 0
    assert len(await store.events(CALL)) == 4


async def test_two_drains_of_one_journal_do_no_harm(tmp_path: Path, url: str) -> None:
    stores = [CaseStore(url), CaseStore(url)]
    folder = tmp_path / "journal"
    async with Journal(folder, "n", segment_bytes=5_000) as journal:
        for number in range(300):
            await journal.append(event(UUID(int=number), "opened"))
        for store in stores:
            await store.open()
        taken = await asyncio.gather(*(Drain(folder, store).drain_once() for store in stores))
    assert sum(taken) == 300
    numbers = {case.number for case in await stores[0].list(1_000)}
    assert numbers == {f"{number:06d}/26" for number in range(1, 301)}
    for store in stores:
        await store.close()


async def test_a_new_database_is_filled_from_the_same_journal(
    tmp_path: Path, sqlite_store: CaseStore
) -> None:
    async with Journal(tmp_path / "journal", "n") as journal:
        await journal.append(event(CALL, "opened"))
    assert await Drain(tmp_path / "journal", sqlite_store).drain_once() == 1
    other = CaseStore(f"sqlite+aiosqlite:///{tmp_path}/other.db")
    await other.open()
    assert await Drain(tmp_path / "journal", other).drain_once() == 1
    await other.close()


async def test_the_segments_of_a_killed_process_are_drained(
    tmp_path: Path, store: CaseStore
) -> None:
    folder = tmp_path / "journal"
    with subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(200)]
        process.kill()
        acknowledged += [line for line in process.stdout if line.endswith("\n")]
    await Drain(folder, store).drain_once()
    assert await store.unknown(UUID(line.strip()) for line in acknowledged) == set()


async def test_waiting_for_a_call_to_be_drained(tmp_path: Path, sqlite_store: CaseStore) -> None:
    drain = Drain(tmp_path / "journal", sqlite_store, interval_s=0.01)
    async with Journal(tmp_path / "journal", "n") as journal:
        await journal.append(event(CALL, "opened"))
        with pytest.raises(TimeoutError):
            await drain.wait_drained(CALL, 0.05)
        async with running(drain):
            await drain.wait_drained(CALL, 10)
            assert await sqlite_store.get(CALL) is not None
            for number in range(20):
                await journal.append(event(CALL, "key", number))
                await drain.wait_drained(CALL, 10)
                assert len(await sqlite_store.events(CALL)) == number + 2
            await drain.wait_drained(uuid4(), 10)


async def test_postgresql_goes_away_and_comes_back(tmp_path: Path, postgresql: Cluster) -> None:
    problems, store = Problems(), CaseStore(postgresql.new_database())
    drain = Drain(tmp_path, store, interval_s=0.02, on_problem=problems)
    async with Journal(tmp_path, "n") as journal, running(drain):
        await journal.append(event(CALL, "opened"))
        await drain.wait_drained(CALL, 10)
        await asyncio.to_thread(postgresql.stop)
        try:
            for number in range(5):
                assert await journal.append(event(CALL, "key", number))
            problem = await problems.next()
            assert (problem.part, problem.over) == ("database", False)
        finally:
            await asyncio.to_thread(postgresql.start)
        assert (await problems.next()).over
        await drain.wait_drained(CALL, 10)
        assert len(await store.events(CALL)) == 6
        assert problems.none_left
    await store.close()


async def test_a_sqlite_folder_goes_away_and_comes_back(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.write_text("not a folder yet")
    problems, store = Problems(), CaseStore(f"sqlite+aiosqlite:///{place}/cases.db")
    drain = Drain(tmp_path / "journal", store, interval_s=0.02, on_problem=problems)
    async with Journal(tmp_path / "journal", "n") as journal:
        await journal.append(event(CALL, "opened"))
        async with running(drain):
            assert "is away" in (await problems.next()).text
            place.unlink()
            assert (await problems.next()).over
            await drain.wait_drained(CALL, 10)
            assert problems.none_left
    await store.close()


async def test_a_torn_end_is_reported_once_its_writer_is_gone(
    tmp_path: Path, sqlite_store: CaseStore
) -> None:
    problems, folder = Problems(), tmp_path / "journal"
    drain = Drain(folder, sqlite_store, on_problem=problems)
    async with Journal(folder, "n") as journal:
        await journal.append(event(CALL, "opened"))
        (path,) = segments(folder)
        with path.open("ab") as file:
            file.write(b'{"v":1,"id"')
        assert await drain.drain_once() == 1
        assert problems.none_left
    for _ in range(2):
        assert await drain.drain_once() == 0
    assert "unfinished last line" in (await problems.next()).text
    assert problems.none_left


def old_segment(folder: Path, *lines: str) -> Path:
    folder.mkdir()
    path = folder / OLD
    path.write_text("".join(f"{line}\n" for line in lines))
    os.utime(path, (0, 0))
    return path


async def test_old_drained_segments_are_removed(tmp_path: Path, store: CaseStore) -> None:
    path = old_segment(tmp_path / "journal", event(CALL, "opened").to_line())
    async with Journal(tmp_path / "journal", "n") as journal:
        await journal.append(event(CALL, "answered"))
        for live in segments(tmp_path / "journal"):
            os.utime(live, (0, 0))
        assert await Drain(tmp_path / "journal", store).drain_once() == 2
        assert not path.exists()
        assert len(segments(tmp_path / "journal")) == 1
        assert OLD not in await store.offsets()


async def test_damaged_segments_are_kept(tmp_path: Path, sqlite_store: CaseStore) -> None:
    problems, good = Problems(), event(CALL, "opened").to_line()
    path = old_segment(tmp_path / "journal", good, "rubbish", good.replace("opened", "x"))
    for _ in range(2):
        drain = Drain(tmp_path / "journal", sqlite_store, on_problem=problems)
        await drain.drain_once()
        await drain.drain_once()
    assert path.exists()
    assert "cannot be read" in (await problems.next()).text
    assert problems.none_left


async def test_one_refused_event_does_not_hold_the_others(
    tmp_path: Path, sqlite_store: CaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems, apply = Problems(), sqlite_store.apply
    lines = [event(UUID(int=number), "opened").to_line() for number in range(5)]
    path = old_segment(tmp_path / "journal", *lines)

    async def picky(events, *, offsets):  # type: ignore[no-untyped-def]
        if any(one.call == UUID(int=2) for one in events):
            raise DatabaseRefused("not that one")
        return await apply(events, offsets=offsets)

    monkeypatch.setattr(sqlite_store, "apply", picky)
    drain = Drain(tmp_path / "journal", sqlite_store, on_problem=problems)
    assert await drain.drain_once() == 4
    assert "not that one" in (await problems.next()).text
    assert await drain.drain_once() == 0
    assert path.exists()
    assert problems.none_left


async def test_a_batch_that_failed_is_taken_in_later(
    tmp_path: Path, sqlite_store: CaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Journal(tmp_path / "journal", "n") as journal:
        await asyncio.gather(
            *(journal.append(event(UUID(int=n % 7), "key", n)) for n in range(1_200))
        )
    real, left = sqlite_store.apply, [1]

    async def flaky(events, *, offsets):  # type: ignore[no-untyped-def]
        if not left:
            raise DatabaseAway("gone")
        left.pop()
        return await real(events, offsets=offsets)

    drain = Drain(tmp_path / "journal", sqlite_store)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_store, "apply", flaky)
        with pytest.raises(DatabaseAway):
            await drain.drain_once()
    assert await drain.drain_once() == 1_200 - BATCH

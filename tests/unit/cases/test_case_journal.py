import asyncio
import contextlib
import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from case_events import event
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr.cases.event import CaseEvent
from ivr.cases.journal import Damage, Journal, is_live, read_segment, scan_segment, segments
from ivr.cases.problem import Problem
from ivr.errors import HotlineError

CALL = UUID(int=1)


class Problems:
    """Hears problems, and lets a test wait for the next."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Problem] = asyncio.Queue()

    def __call__(self, problem: Problem) -> None:
        self._queue.put_nowait(problem)

    async def next(self) -> Problem:
        async with asyncio.timeout(10):
            return await self._queue.get()

    @property
    def none_left(self) -> bool:
        return self._queue.empty()


def everything(folder: Path) -> list[CaseEvent]:
    return [found for path in segments(folder) for found, _ in read_segment(path)]


async def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    happened = [event(CALL, "key", i, key=str(i)) for i in range(50)]
    async with Journal(tmp_path / "journal", "node/1") as journal:
        for one in happened:
            assert await journal.append(one)
            assert everything(tmp_path / "journal")[-1] == one
        (path,) = segments(tmp_path / "journal")
        assert is_live(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.name.startswith("node_1-")
        assert path.name.endswith(f"Z-{os.getpid()}.jsonl")
    assert everything(tmp_path / "journal") == happened
    assert not is_live(path)


async def test_waiting_appends_share_one_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, real = 0, os.fdatasync

    def counting(descriptor: int) -> None:
        nonlocal count
        count += 1
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", counting)
    async with Journal(tmp_path, "n") as journal:
        assert all(await asyncio.gather(*(journal.append(event(CALL, "key")) for _ in range(500))))
    assert count < 100
    assert len(everything(tmp_path)) == 500


async def test_offsets_lead_to_the_next_event(tmp_path: Path) -> None:
    happened = [event(CALL, "key", i) for i in range(5)]
    async with Journal(tmp_path, "n") as journal:
        for one in happened:
            await journal.append(one)
    (path,) = segments(tmp_path)
    found, offset = next(iter(read_segment(path)))
    assert found == happened[0]
    assert [found for found, _ in read_segment(path, offset)] == happened[1:]


async def test_segments_are_rotated_by_size(tmp_path: Path) -> None:
    happened = [event(CALL, "heard", i, transcript="x" * 200) for i in range(50)]
    async with Journal(tmp_path, "n", segment_bytes=2_000) as journal:
        for one in happened:
            await journal.append(one)
        live = [is_live(path) for path in segments(tmp_path)]
    assert len(live) > 5
    assert live == [False] * (len(live) - 1) + [True]
    assert everything(tmp_path) == happened
    assert all(path.stat().st_size < 3_000 for path in segments(tmp_path))


async def test_an_unused_segment_leaves_no_file(tmp_path: Path) -> None:
    async with Journal(tmp_path, "n"):
        assert len(segments(tmp_path)) == 1
    assert segments(tmp_path) == []


async def test_a_cancelled_caller_leaves_the_event(tmp_path: Path) -> None:
    async with Journal(tmp_path, "n") as journal:
        task = asyncio.ensure_future(journal.append(event(CALL, "abandoned")))
        await asyncio.wait([task], timeout=0)
        task.cancel()
        await asyncio.wait([task])
    assert [found.kind for found in everything(tmp_path)] == ["abandoned"]


async def test_a_folder_that_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HotlineError, match="cannot be written"):
        await Journal(tmp_path / "file" / "journal", "n").open()


async def test_appending_to_a_closed_journal_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await Journal(tmp_path, "n").append(event(CALL, "key"))


async def test_a_deleted_segment_is_replaced(tmp_path: Path) -> None:
    async with Journal(tmp_path, "n") as journal:
        await journal.append(event(CALL, "opened"))
        segments(tmp_path)[0].unlink()
        assert await journal.append(event(CALL, "closed"))
    assert [found.kind for found in everything(tmp_path)] == ["closed"]


APPENDER = """
import asyncio, sys
from pathlib import Path
from uuid import uuid4
from ivr.cases.event import CaseEvent
from ivr.cases.journal import Journal

async def caller(journal):
    while True:
        event = CaseEvent.now(uuid4(), "key", text="x" * 300)
        assert await journal.append(event)
        sys.stdout.write(f"{event.id}\\n")
        sys.stdout.flush()

async def main():
    async with Journal(Path(sys.argv[1]), "n", segment_bytes=50_000) as journal:
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(caller(journal))

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 150, 1_000])
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, lines: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(lines)]
        # Several looks: the segment may just be changing.
        assert any(is_live(path) for _ in range(20) for path in segments(tmp_path))
        process.send_signal(signal.SIGKILL)
        acknowledged += [line for line in process.stdout if line.endswith("\n")]
    kept = {str(found.id) for found in everything(tmp_path)}
    assert {line.strip() for line in acknowledged} <= kept
    assert not any(is_live(path) for path in segments(tmp_path))


@settings(max_examples=60)
@given(cut=st.integers(1, 400), rest=st.binary(max_size=30).filter(lambda b: b"\n" not in b))
def test_a_torn_end_is_told_and_harmless(
    tmp_path_factory: pytest.TempPathFactory, cut: int, rest: bytes
) -> None:
    happened = [event(CALL, "heard", i, transcript="y" * 300) for i in range(3)]
    lines = [one.to_line().encode() + b"\n" for one in happened]
    path = tmp_path_factory.mktemp("torn") / "n-20261123T100000.000000Z-1.jsonl"
    path.write_bytes(lines[0] + lines[1] + lines[2][:cut] + rest)
    records = list(scan_segment(path))
    assert [record.found for record in records[:2]] == happened[:2]
    assert len(records) == 3
    torn = records[2].found
    assert isinstance(torn, Damage)
    assert torn.torn
    assert torn.offset == records[2].next_offset == records[1].next_offset


def test_a_damaged_line_in_the_middle_is_told_and_passed(tmp_path: Path) -> None:
    happened = [event(CALL, "key", i) for i in range(2)]
    lines = [one.to_line().encode() + b"\n" for one in happened]
    path = tmp_path / "n-20261123T100000.000000Z-1.jsonl"
    path.write_bytes(lines[0] + b"\0" * 40 + b"\n" + lines[1])
    found = [record.found for record in scan_segment(path)]
    assert [found[0], found[2]] == happened
    assert isinstance(found[1], Damage)
    assert not found[1].torn
    assert everything(tmp_path) == happened


def fill(ballast: Path) -> None:
    """Take what is left of the disk."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", disk],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk here")
    yield disk
    subprocess.run(["umount", disk], check=True)


async def test_a_full_disk_refuses_nothing(small_disk: Path) -> None:
    problems = Problems()
    folder, ballast = small_disk / "journal", small_disk / "ballast"
    async with Journal(folder, "n", on_problem=problems, retry_s=0.02) as journal:
        happened = [event(CALL, "opened")]
        assert await journal.append(happened[0])
        fill(ballast)
        while True:
            happened.append(event(CALL, "heard", transcript="z" * 3_000))
            if not await journal.append(happened[-1]):
                break
        problem = await problems.next()
        assert (problem.part, problem.over) == ("journal", False)
        assert "No space" in problem.text
        for _ in range(50):
            happened.append(event(CALL, "key"))
            assert not await journal.append(happened[-1])
        assert journal.held >= 50
        ballast.unlink()
        assert (await problems.next()).over
        happened.append(event(CALL, "closed"))
        assert await journal.append(happened[-1])
        assert problems.none_left
        assert (journal.held, journal.lost) == (0, 0)
    assert everything(folder) == happened
    damages = [
        r.found for p in segments(folder) for r in scan_segment(p) if isinstance(r.found, Damage)
    ]
    assert damages == []


async def test_starting_on_a_full_disk(small_disk: Path) -> None:
    problems = Problems()
    ballast = small_disk / "ballast"
    fill(ballast)
    async with Journal(small_disk, "n", on_problem=problems, retry_s=0.02) as journal:
        assert not await journal.append(event(CALL, "opened"))
        assert not (await problems.next()).over
        ballast.unlink()
        assert (await problems.next()).over
    assert len(everything(small_disk)) == 1


@contextlib.contextmanager
def no_growth() -> Iterator[None]:
    """No file of this process may grow: what a full quota looks like, for any user.

    No fixture: pytest reports to a file before it takes fixtures down, and would fail there.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_memory_is_bounded_and_the_newest_are_dropped(tmp_path: Path) -> None:
    problems = Problems()
    journal = Journal(tmp_path, "n", on_problem=problems, memory=10, retry_s=0.02)
    with no_growth():
        await journal.open()
        for key in range(30):
            assert not await journal.append(event(CALL, "key", key=str(key)))
        assert not (await problems.next()).over
        assert (journal.held, journal.lost) == (10, 20)
    problem = await problems.next()
    assert problem.over
    assert "20 events were dropped" in problem.text
    await journal.close()
    assert [found.data["key"] for found in everything(tmp_path)] == [str(k) for k in range(10)]


async def test_what_could_never_be_written_is_said_at_the_end(tmp_path: Path) -> None:
    problems = Problems()
    with no_growth():
        async with Journal(tmp_path, "n", on_problem=problems, retry_s=0.02) as journal:
            assert not await journal.append(event(CALL, "opened"))
    assert not (await problems.next()).over
    assert "1 events could not be written" in (await problems.next()).text


async def test_a_failed_fsync_moves_to_a_new_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems, real, failures = Problems(), os.fdatasync, [errno.EIO]

    def failing(descriptor: int) -> None:
        if failures:
            raise OSError(failures.pop(), "Input/output error")
        real(descriptor)

    async with Journal(tmp_path, "n", on_problem=problems, retry_s=0.02) as journal:
        before = event(CALL, "opened")
        assert await journal.append(before)
        first = segments(tmp_path)[0]
        monkeypatch.setattr(os, "fdatasync", failing)
        after = event(CALL, "closed")
        failures[:] = [errno.EIO]
        assert not await journal.append(after)
        assert not (await problems.next()).over
        assert (await problems.next()).over
        assert len(segments(tmp_path)) == 2
    assert [found for found, _ in read_segment(first)] == [before]
    assert everything(tmp_path) == [before, after]


async def test_a_slow_disk_does_not_hold_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, real = threading.Event(), os.fdatasync

    def slow(descriptor: int) -> None:
        gate.wait(20)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    async with Journal(tmp_path, "n", patience_s=0.05) as journal:
        assert not await journal.append(event(CALL, "opened"))
        gate.set()
        assert await journal.append(event(uuid4(), "closed"))
    assert len(everything(tmp_path)) == 2

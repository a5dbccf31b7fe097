"""The journal of one process: an event is on the disk before anything else happens.

One thread writes. All appends that wait while it is busy share the next fsync (group commit), so
a hundred callers cost little more than one::

    append a ──┐
    append b ──┼─> [thread: write, fdatasync] ──> a, b, c return
    append c ──┘

The journal refuses nothing. When the disk is full or broken, `append` says `False` at once, the
event stays in memory and is tried again until it is written; when even the memory allowed is full,
the newest events are dropped, because Asterisk's CEL can bring their calls back.
"""

import asyncio
import contextlib
import errno
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ivr.cases.event import CaseEvent
from ivr.cases.problem import OnProblem, Problem, ignore
from ivr.cases.segment import (
    Damage,
    Record,
    SegmentWriter,
    is_live,
    read_segment,
    scan_segment,
    segments,
)
from ivr.errors import HotlineError

__all__ = ["Damage", "Journal", "Record", "is_live", "read_segment", "scan_segment", "segments"]

SEGMENT_BYTES = 8 * 2**20
_BATCH = 2_000
_PASSING = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EMFILE, errno.ENFILE}
)
"""Troubles with which the service starts all the same."""


@dataclass(slots=True)
class _Waiting:
    line: bytes
    written: asyncio.Future[bool] | None


class Journal:
    """Append-only, one to a process; `async with` opens and closes it.

    `memory` is how many events wait at most while nothing can be written, `patience_s` how long an
    append waits for a slow disk, `retry_s` the pause between attempts on a failing one.
    `on_problem` is called in the event loop, once when trouble begins and once when it is over.
    """

    def __init__(
        self,
        directory: Path,
        node: str,
        *,
        on_problem: OnProblem = ignore,
        segment_bytes: int = SEGMENT_BYTES,
        memory: int = 100_000,
        patience_s: float = 1.0,
        retry_s: float = 0.5,
    ):
        self._directory, self._node = directory, node
        self._on_problem = on_problem
        self._segment_bytes, self._memory = segment_bytes, memory
        self._patience_s, self._retry_s = patience_s, retry_s
        self._queue: deque[_Waiting] = deque()
        self._wake = threading.Condition()
        self._closing = threading.Event()
        self._failing = False
        self._lost = 0
        self._segment: SegmentWriter | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def held(self) -> int:
        """Events that are in memory only."""
        return len(self._queue)

    @property
    def lost(self) -> int:
        """Events dropped because the memory allowed for them was full."""
        return self._lost

    async def open(self) -> None:
        """Begin; a full disk does not hinder it.

        Raises `HotlineError` when the folder cannot be used at all.
        """
        self._loop = asyncio.get_running_loop()
        try:
            await asyncio.to_thread(self._open_segment)
        except OSError as error:
            if error.errno not in _PASSING:
                raise HotlineError(
                    f"{self._directory}: the journal cannot be written ({error.strerror}); "
                    "give the folder to the user of the service"
                ) from error
            self._fail(str(error))
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Write what waits, with one last attempt on a failing disk, and let go of the segment."""
        if self._thread is None:
            return
        self._closing.set()
        with self._wake:
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)
        self._thread = None
        if self._queue:
            text = f"{len(self._queue)} events could not be written before the end and are lost"
            self._on_problem(Problem("journal", text))

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def append(self, event: CaseEvent) -> bool:
        """Keep the event; return when the disk has it.

        True when it is on the disk, False when it is in memory only, because the disk fails or is
        slower than `patience_s`. Never raises for the disk. A caller who is cancelled leaves the
        event in the journal.
        """
        if self._loop is None or self._thread is None:
            raise RuntimeError("the journal is not open")
        line = event.to_line().encode() + b"\n"
        with self._wake:
            if len(self._queue) >= self._memory:
                self._lost += 1
                return False
            written = None if self._failing else self._loop.create_future()
            self._queue.append(_Waiting(line, written))
            self._wake.notify()
        if written is None:
            return False
        done, _ = await asyncio.wait([written], timeout=self._patience_s)
        return bool(done) and written.result()

    def _work(self) -> None:
        """Write batches until closed; the only one who touches the segment."""
        while True:
            with self._wake:
                while not self._queue and not self._closing.is_set():
                    self._wake.wait()
                batch = [self._queue[i] for i in range(min(_BATCH, len(self._queue)))]
            last = self._closing.is_set()
            if not batch:
                break
            try:
                self._write(b"".join(waiting.line for waiting in batch))
            except OSError as error:
                self._fail(str(error))
                with self._wake:
                    batch = list(self._queue)
                self._settle(batch, written=False)
                if last:
                    break
                self._closing.wait(self._retry_s)
                continue
            with self._wake:
                for _ in batch:
                    self._queue.popleft()
            self._mend()
            self._settle(batch, written=True)
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _write(self, lines: bytes) -> None:
        segment = self._segment
        if segment is None or segment.unusable:
            segment = self._open_segment()
        elif segment.size >= self._segment_bytes:
            try:
                segment = self._open_segment()
            except OSError as error:  # a longer segment is better than no event
                if error.errno not in _PASSING:
                    raise
        segment.write(lines)

    def _open_segment(self) -> SegmentWriter:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        segment = SegmentWriter(self._directory, self._node)
        if self._segment is not None:
            self._segment.close()
        self._segment = segment
        return segment

    def _fail(self, reason: str) -> None:
        if not self._failing:
            self._failing = True
            text = f"events wait in memory, the journal cannot be written: {reason}; free the disk"
            self._tell(Problem("journal", text))

    def _mend(self) -> None:
        if self._failing and len(self._queue) < _BATCH:
            self._failing = False
            lost = f"; {self._lost} events were dropped" if self._lost else ""
            self._tell(Problem("journal", f"the journal is written again{lost}", over=True))

    def _tell(self, problem: Problem) -> None:
        self._call(lambda: self._on_problem(problem))

    def _settle(self, batch: list[_Waiting], *, written: bool) -> None:
        futures = [waiting.written for waiting in batch if waiting.written is not None]
        for waiting in batch:
            waiting.written = None

        def settle() -> None:
            for future in futures:
                if not future.done():
                    future.set_result(written)

        if futures:
            self._call(settle)

    def _call(self, action: Callable[[], None]) -> None:
        """Run the action in the event loop; nobody is left to hear it when that has ended."""
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(action)

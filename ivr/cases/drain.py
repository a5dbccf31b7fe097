"""From the journal into the database, without an end: what makes cases of events.

Offsets are kept in the same transaction as what was read up to them, so nothing is lost and nothing
comes twice, whenever this process or the database dies. Several may drain the same journal.
"""

import asyncio
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from uuid import UUID

from ivr.cases.event import CaseEvent
from ivr.cases.problem import OnProblem, Problem, ignore
from ivr.cases.segment import Damage, is_live, scan_segment, segments
from ivr.cases.store import CaseStore, DatabaseAway, DatabaseRefused

BATCH = 100
"""Lines of one transaction: few enough that catching up does not hold the loop of live calls."""
_SLOWEST_S = 10.0
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class _Batch:
    events: list[tuple[CaseEvent, int]]
    damages: list[Damage]
    next_offset: int
    at_end: bool


class Drain:
    """Follows every segment in `journal_dir`, live and orphaned, and applies it to `store`.

    Looks for news every `interval_s`; while the database is away it tries again with growing pauses
    (up to 10 s). Segments whose writer is gone are removed when they are drained and have not
    been touched for `keep_days`; never those with a damage in their middle or an event refused.
    """

    def __init__(
        self,
        journal_dir: Path,
        store: CaseStore,
        *,
        interval_s: float = 0.2,
        keep_days: float = 7.0,
        on_problem: OnProblem = ignore,
    ):
        self._directory, self._store = journal_dir, store
        self._interval_s, self._keep_s = interval_s, keep_days * _DAY_S
        self._on_problem = on_problem
        self._offsets: dict[str, int] | None = None
        self._flawed: set[str] = set()
        self._torn: set[str] = set()
        self._trouble = ""
        self._pass = asyncio.Condition()

    async def run(self) -> None:
        """Drain until cancelled. The store is opened, and opened again after it was away."""
        pause_s, opened = self._interval_s, False
        while True:
            try:
                if not opened:
                    await self._store.open()
                    opened = True
                await self.drain_once()
            except (DatabaseAway, OSError) as error:
                self._away(str(error))
                opened, self._offsets = False, None
                pause_s = min(_SLOWEST_S, max(pause_s * 2, 0.1))
            else:
                self._back()
                pause_s = self._interval_s
            await asyncio.sleep(pause_s)

    async def drain_once(self) -> int:
        """Take in all that is in the journal now; return how many events were new.

        Raises `DatabaseAway`, `OSError`.
        """
        if self._offsets is None:
            self._offsets = await self._store.offsets()
        taken = 0
        for path in await asyncio.to_thread(segments, self._directory):
            try:
                taken += await self._drain_segment(path, self._offsets)
            except FileNotFoundError:  # empty and let go by its writer, or removed by another drain
                continue
        async with self._pass:
            self._pass.notify_all()
        return taken

    async def wait_drained(self, call: UUID, timeout: float) -> None:  # noqa: ASYNC109
        """Wait until all that the journal holds of the call now is in the database.

        Somebody else must be draining with this object (`run`). Raises `TimeoutError` after
        `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            async with self._pass:
                start = dict(self._offsets or {})
            targets = await asyncio.to_thread(self._targets, call, start)
            async with self._pass:
                await self._pass.wait_for(lambda: self._reached(targets))

    def _reached(self, targets: dict[str, int]) -> bool:
        offsets = self._offsets or {}
        return all(offsets.get(name, 0) >= offset for name, offset in targets.items())

    def _targets(self, call: UUID, start: dict[str, int]) -> dict[str, int]:
        """Find the end of the call's last event in each segment where it has one."""
        targets = {}
        for path in segments(self._directory):
            try:
                for record in scan_segment(path, start.get(path.name, 0)):
                    if isinstance(record.found, CaseEvent) and record.found.call == call:
                        targets[path.name] = record.next_offset
            except FileNotFoundError:
                continue
        return targets

    async def _drain_segment(self, path: Path, offsets: dict[str, int]) -> int:
        name, taken = path.name, 0
        offset = offsets.get(name, 0)
        status = await asyncio.to_thread(path.stat)
        old = time.time() - status.st_mtime > self._keep_s
        if status.st_size <= offset and not old:
            return 0
        # Asked before reading: then a torn end of a segment without a writer stays torn.
        live = await asyncio.to_thread(is_live, path)
        while True:
            batch = await asyncio.to_thread(_read, path, offset)
            if batch.next_offset > offset:
                taken += await self._apply(name, batch)
                offset = offsets[name] = batch.next_offset
            self._damaged(name, batch, live=live)
            if batch.at_end:
                break
        if old and not live and name not in self._flawed:
            await self._remove(path, offsets)
        return taken

    async def _remove(self, path: Path, offsets: dict[str, int]) -> None:
        """Remove a segment, once the database has shown that it holds every event of it."""
        batch = await asyncio.to_thread(_read, path, 0, limit=None)
        flawed = any(not damage.torn for damage in batch.damages)
        if flawed or await self._store.unknown(event.id for event, _ in batch.events):
            self._flawed.add(path.name)
            return
        await asyncio.to_thread(path.unlink)
        await self._store.forget_segment(path.name)
        offsets.pop(path.name, None)

    async def _apply(self, name: str, batch: _Batch) -> int:
        """Apply a batch; where the database refuses it, all but the events it refuses."""
        events = [event for event, _ in batch.events]
        try:
            return await self._store.apply(events, offsets={name: batch.next_offset})
        except DatabaseRefused:
            pass
        taken = 0
        for event, next_offset in batch.events:
            try:
                taken += await self._store.apply([event], offsets={name: next_offset})
            except DatabaseRefused as error:
                self._flawed.add(name)
                text = f"{name}: event {event.id} of call {event.call} is not in a case: {error}"
                self._on_problem(Problem("event", text))
        await self._store.apply([], offsets={name: batch.next_offset})
        return taken

    def _damaged(self, name: str, batch: _Batch, *, live: bool) -> None:
        for damage in batch.damages:
            if damage.torn and (live or name in self._torn):
                continue
            (self._torn if damage.torn else self._flawed).add(name)
            what = "an unfinished last line" if damage.torn else "a line that cannot be read"
            text = f"{name}: {what} at byte {damage.offset} is left out: {damage.reason}"
            self._on_problem(Problem("segment", text))

    def _away(self, reason: str) -> None:
        if not self._trouble:
            self._trouble = reason
            text = f"cases wait in the journal, the database is away: {reason}"
            self._on_problem(Problem("database", text))

    def _back(self) -> None:
        if self._trouble:
            self._trouble = ""
            self._on_problem(Problem("database", "the database is back", over=True))


def _read(path: Path, offset: int, limit: int | None = BATCH) -> _Batch:
    """Read the next lines of a segment, all without a limit."""
    events: list[tuple[CaseEvent, int]] = []
    damages: list[Damage] = []
    count, end = 0, offset
    for record in islice(scan_segment(path, offset), limit):
        count, end = count + 1, record.next_offset
        if isinstance(record.found, CaseEvent):
            events.append((record.found, end))
        else:
            damages.append(record.found)
    return _Batch(events, damages, end, at_end=limit is None or count < limit)

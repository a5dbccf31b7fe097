"""How fast the journal keeps events: `python benchmarks/journal.py [FOLDER]`.

The folder decides: an fsync on a memory disk costs nothing. By default the figures are those of the
folder from which it is run.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from ivr.cases.event import CaseEvent
from ivr.cases.journal import Journal

SECONDS = 5.0


async def writer(journal: Journal, until: float, took: list[float]) -> None:
    """Append events like a call's, one after the other, until the time is over."""
    call = uuid4()
    while (begin := time.perf_counter()) < until:
        event = CaseEvent.now(call, "heard", transcript="dziura w jezdni " * 8, confidence=0.9)
        assert await journal.append(event)
        took.append(time.perf_counter() - begin)


async def measure(folder: Path, writers: int) -> None:
    """Print appends a second and how long one took."""
    took: list[float] = []
    async with Journal(folder, "bench", patience_s=30) as journal:
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(writers):
                group.create_task(writer(journal, begin + SECONDS, took))
        lasted = time.perf_counter() - begin
    took.sort()
    p50, p99 = (1_000 * took[int(len(took) * part)] for part in (0.5, 0.99))
    rate = len(took) / lasted
    print(
        f"{writers:4d} writers: {rate:9,.0f} appends/s   p50 {p50:7.2f} ms   p99 {p99:7.2f} ms"
        f"   max {1_000 * took[-1]:7.2f} ms"
    )


def main() -> None:
    """Measure 1, 10 and 100 concurrent writers."""
    place = sys.argv[1] if len(sys.argv) > 1 else "."
    with tempfile.TemporaryDirectory(prefix="journal-", dir=place) as folder:
        for writers in (1, 10, 100):
            asyncio.run(measure(Path(folder), writers))


if __name__ == "__main__":
    main()

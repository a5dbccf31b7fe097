"""The files of the journal: `<node>-<start>-<pid>.jsonl`, one line an event, one writer each.

The writer holds an exclusive `flock` as long as it lives, so any other process can tell a live
segment from one that was closed, or orphaned by a crash.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ivr.cases.event import BadLine, CaseEvent

SUFFIX = ".jsonl"
_NAME = re.compile(r"(?P<node>.+)-(?P<start>\d{8}T\d{6}\.\d{6}Z)-(?P<pid>\d+)\.jsonl")


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that cannot be read; `torn` when it is the unfinished last one."""

    offset: int
    reason: str
    torn: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One line read: an event or a damage, and the offset (bytes) after it."""

    found: CaseEvent | Damage
    next_offset: int


def segments(directory: Path) -> list[Path]:
    """List the segments of a journal, the earliest first; none where there is no folder."""
    found = [path for path in directory.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.name)]
    return sorted(found, key=_age)


def _age(path: Path) -> tuple[str, str]:
    match = _NAME.fullmatch(path.name)
    return (match["start"] if match else "", path.name)


def is_live(path: Path) -> bool:
    """Tell whether a running process writes this segment."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def scan_segment(path: Path, offset: int = 0) -> Iterator[Record]:
    """Read every line from `offset` (bytes) on, the damaged ones too.

    A last line without its newline ends the reading: as a torn `Damage` whose `next_offset` is its
    own beginning, for it may be in the middle of being written.
    """
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                yield Record(Damage(offset, f"{len(line)} bytes without an end", torn=True), offset)
                return
            end = offset + len(line)
            if line.strip():
                try:
                    yield Record(CaseEvent.from_line(line), end)
                except BadLine as error:
                    yield Record(Damage(offset, str(error)), end)
            offset = end


def read_segment(path: Path, offset: int = 0) -> Iterator[tuple[CaseEvent, int]]:
    """Read the events from `offset` (bytes) on, each with the offset after it; skip damages."""
    for record in scan_segment(path, offset):
        if isinstance(record.found, CaseEvent):
            yield record.found, record.next_offset


class SegmentWriter:
    """The one writer of a new segment; blocking, for a thread of its own."""

    def __init__(self, directory: Path, node: str):
        start = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        name = re.sub(r"[^A-Za-z0-9_.]", "_", node) or "node"
        self.path = directory / f"{name}-{start}-{os.getpid()}{SUFFIX}"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o600)
        self.size = 0
        """Bytes that are safely on the disk."""
        self._broken = False
        try:
            fcntl.flock(
                self._descriptor, fcntl.LOCK_EX
            )  # at worst waits for a reader's short probe
            _sync_folder(directory)
        except OSError:
            self.close()
            raise

    @property
    def unusable(self) -> bool:
        """Whether lines need a new segment: this one failed, or somebody deleted it."""
        return self._broken or os.fstat(self._descriptor).st_nlink == 0

    def write(self, lines: bytes) -> None:
        """Append whole lines and return when the disk has them.

        Raises `OSError`; then none of them counts and the same lines, in the same order, are to be
        written again: here, or to a new segment when this one has become `unusable`.
        """
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            self._take_back()
            raise
        try:
            os.fdatasync(self._descriptor)
        except OSError:  # the kernel may have dropped the pages: a second fsync proves nothing
            self._take_back()
            self._broken = True
            raise
        self.size += len(lines)

    def _take_back(self) -> None:
        """Cut off what a failed write left; where even that fails, nothing may follow it."""
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError:
            self._broken = True

    def close(self) -> None:
        """Let go of the segment; an empty one is removed."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):
            if not self.size and not os.fstat(self._descriptor).st_size:
                self.path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1


def _sync_folder(directory: Path) -> None:
    """Make the new name itself survive a power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

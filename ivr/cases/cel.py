"""Asterisk's own record of every channel (CEL), read as a witness that needs none of our processes.

`cel_custom` writes it in the columns of `CUSTOM_CONF`. Tried with Asterisk 22.10: `cel_custom.so`
wants `res_cdrel_custom.so` loaded before it, and `apps=all` in cel.conf gives no APP_START at all,
so the applications are named in `CEL_CONF`.
"""

import csv
import os
import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Self

FILE = "hotline.csv"
"""Under `<astlogdir>/cel-custom/`."""

CEL_CONF = """\
[general]
enable=yes
apps=answer,agi,dial,playback,queue
events=CHAN_START,CHAN_END,ANSWER,HANGUP,BRIDGE_ENTER,BRIDGE_EXIT,APP_START,USER_DEFINED,LINKEDID_END
"""

_COLUMNS = (
    "eventtype",
    "eventtime",
    "CHANNEL(uniqueid)",
    "CHANNEL(linkedid)",
    "CHANNEL(channame)",
    "CHANNEL(context)",
    "CHANNEL(exten)",
    "CHANNEL(appname)",
    "CHANNEL(appdata)",
    "CALLERID(num)",
    "CALLERID(name)",
    "userdeftype",
    "eventextra",
)
MAPPING = ",".join(f"${{CSV_QUOTE(${{{column}}})}}" for column in _COLUMNS)
"""The value of the one line in cel_custom.conf; eventtime is seconds.microseconds of the epoch."""

CUSTOM_CONF = f"[mappings]\n{FILE} => {MAPPING}\n"

_BEGINNING = re.compile(rb'"[^"\n]*","\d{9,}\.\d{6}","')
_MAX_RECORD = 1 << 20


@dataclass(frozen=True, slots=True)
class CelEvent:
    """One line of the record; `at` is UTC, a channel is known by its `uniqueid`.

    All channels of one call share the `linkedid`, which is the uniqueid of the first of them.
    """

    kind: str
    at: datetime
    uniqueid: str
    linkedid: str
    channel: str
    context: str
    exten: str
    app: str
    app_data: str
    number: str
    name: str
    user_kind: str
    extra: str

    @classmethod
    def from_record(cls, record: bytes) -> Self:
        """Read one record (which may hold newlines inside its quotes).

        Raises `ValueError` for anything but thirteen columns with a time.
        """
        rows = list(csv.reader([record.decode("utf-8", "replace")], strict=True))
        if len(rows) != 1 or len(rows[0]) != len(_COLUMNS):
            raise ValueError("not one row of thirteen columns")
        kind, at, *rest = rows[0]
        seconds, _, micro = at.partition(".")
        when = datetime.fromtimestamp(int(seconds), UTC).replace(microsecond=int(micro or "0"))
        return cls(kind, when, *rest)


assert len(fields(CelEvent)) == len(_COLUMNS)  # noqa: S101 - one field to each column


def split_records(data: bytes) -> tuple[list[bytes], int]:
    """Split what has been read into complete records; tell how many bytes they take.

    A record is complete at a newline outside quotes. When a line begins like a record although a
    quote is open, what was before it is torn (Asterisk was killed) and stands as a record of its
    own, which nobody can read.
    """
    records: list[bytes] = []
    used = start = 0
    for line in data.split(b"\n")[:-1]:
        end = used + len(line) + 1
        if start < used and (_BEGINNING.match(line) or end - start > _MAX_RECORD):
            records.append(data[start:used])
            start = used
        used = end
        if data.count(b'"', start, end) % 2 == 0:
            records.append(data[start:end])
            start = end
    return records, start


@dataclass(frozen=True, slots=True)
class Position:
    """Where a follower is: the file's inode, and the bytes of it that it has read."""

    inode: int
    offset: int


class CelFollower:
    """Reads what is new in the record, across rotation, truncation and torn lines; blocking.

    `position` can be kept and given to the next process, which then reads on, the rest of a file
    that was rotated in between included (while its name begins with the old one). `damaged`
    counts the records that could not be read.
    """

    def __init__(self, path: Path, position: Position | None = None):
        self._path = path
        self._file: BinaryIO | None = None
        self._wanted = position
        self._offset = 0
        self.damaged = 0

    @property
    def position(self) -> Position | None:
        """Where reading will go on; None before anything was read."""
        if self._file is None:
            return self._wanted
        return Position(_inode(self._file), self._offset)

    def read(self, at_most: int = 4 * 2**20) -> list[CelEvent]:
        """Give the next events, from at most so many bytes; an empty list when there are none."""
        if self._file is None and not self._open():
            return []
        while True:
            events = self._read_some(at_most)
            if events or not self._rotated():
                return events
            self.close()
            self._wanted = None
            if not self._open():
                return []

    def close(self) -> None:
        """Let go of the file; reading goes on where it was."""
        if self._file is not None:
            self._wanted = self.position
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> bool:
        """Open the file of the position wanted, under whatever name it has now, or the current."""
        candidates = [self._path]
        if self._wanted is not None:
            candidates += sorted(self._path.parent.glob(f"{self._path.name}?*"))
        for path in candidates:
            try:
                file = path.open("rb")
            except OSError:
                continue
            if self._wanted is None or _inode(file) == self._wanted.inode:
                self._file, self._offset = file, self._wanted.offset if self._wanted else 0
                return True
            file.close()
        if self._wanted is None:
            return False
        self._wanted = None
        return self._open()

    def _read_some(self, at_most: int) -> list[CelEvent]:
        file = self._file
        if file is None:
            return []
        if file.seek(0, 2) < self._offset:  # truncated where it lies
            self._offset = 0
        events: list[CelEvent] = []
        while not events:
            file.seek(self._offset)
            data = file.read(at_most)
            records, used = split_records(data)
            if not used:
                if len(data) < at_most:
                    break
                used, records = len(data), [data]  # no record is that long
            self._offset += used
            for record in records:
                if (event := _event(record)) is None:
                    self.damaged += 1
                    event = _saved(record)
                if event is not None:
                    events.append(event)
        return events

    def _rotated(self) -> bool:
        """Tell whether the name stands for another file by now, and ours has nothing more."""
        if self._file is None:
            return False
        try:
            current = self._path.stat().st_ino
        except OSError:
            return False
        if current == _inode(self._file):
            return False
        if self._file.seek(0, 2) > self._offset:  # the old file ends in a torn record
            self.damaged += 1
        return True


def _event(record: bytes) -> CelEvent | None:
    try:
        return CelEvent.from_record(record)
    except (ValueError, csv.Error, OverflowError):
        return None


def _saved(record: bytes) -> CelEvent | None:
    """Save the whole record behind a torn one that lost its newline."""
    begins = [match.start() for match in _BEGINNING.finditer(record, 1)]
    return _event(record[begins[-1] :]) if begins else None


def _inode(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_ino

"""One thing that happened in a call, and its line in the journal.

A line is a JSON object in ASCII::

    {"v":1,"id":"<uuid>","call":"<uuid>","at":"2026-11-23T22:27:30.425068+00:00","kind":"opened","data":{}}

Kinds and data that this version does not know are kept, never refused: a journal may be older or
younger than the program that reads it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self, TypeAlias
from uuid import UUID, uuid4

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

VERSION = 1


class EventKind(StrEnum):
    """The kinds of events, in the order in which they come about, with their data.

    The order matters: of two events in the same microsecond the earlier kind counts first.
    """

    OPENED = "opened"
    """asterisk_id (uniqueid of the caller's channel), channel, caller_number, caller_name,
    language, node"""
    ANSWERED = "answered"
    LANGUAGE_CHANGED = "language_changed"
    """language"""
    KEY = "key"
    """key"""
    HEARD = "heard"
    """transcript, language, engine, confidence"""
    UNDERSTOOD = "understood"
    """topic, confidence, second, emergency (yes, ask, no), why; and where a place was said:
    place_said, any of district, street, house_number, crossing, landmark"""
    MENU_CHOSEN = "menu_chosen"
    """topic, key"""
    EMERGENCY = "emergency"
    """why"""
    EMERGENCY_TRUNK = "emergency_trunk"
    """trunk"""
    EMERGENCY_FAILED = "emergency_failed"
    EMERGENCY_ANSWERED = "emergency_answered"
    """trunk"""
    QUEUED = "queued"
    """queue, topic, priority"""
    STEP = "step"
    """step (from 0), asks, able (consultant: what they do): a step of waiting without an offer"""
    CALLBACK_ASKED = "callback_asked"
    """topic, language, priority, arrived_at, queued_at (the board's clock)"""
    CALLBACK_DIALLED = "callback_dialled"
    """attempt, consultant"""
    CALLBACK_FAILED = "callback_failed"
    """attempt, status"""
    CALLBACK_ANSWERED = "callback_answered"
    """attempt"""
    CALLBACK_ENDED = "callback_ended"
    """why, by: there will be no (further) callback"""
    OFFERED = "offered"
    """consultant, step, level, considered, why"""
    RINGING = "ringing"
    """consultant"""
    NO_ANSWER = "no_answer"
    """consultant"""
    TALKING = "talking"
    """consultant"""
    TALK_ENDED = "talk_ended"
    """talk_s"""
    RECORDED = "recorded"
    """recording, consent"""
    SURVEY = "survey"
    """score"""
    CONSULTANT_NOTE = "consultant_note"
    """any of topic, second_topic, district, street, house_number, lat, lon, unit, disposition,
    status, note, consent"""
    ABANDONED = "abandoned"
    """wait_s, where"""
    DEGRADED = "degraded"
    """why"""
    ORPHANED = "orphaned"
    CLOSED = "closed"
    """outcome, wait_s, talk_s, queue, consultant"""


_RANK = {kind.value: rank for rank, kind in enumerate(EventKind)}


class BadLine(ValueError):  # noqa: N818 - it names what was read
    """A line of the journal that is no event; says why."""


@dataclass(frozen=True, slots=True)
class CaseEvent:
    """What happened at `at` (UTC) in the call `call`; the `id` makes a repetition harmless."""

    id: UUID
    call: UUID
    at: datetime
    kind: str
    data: Mapping[str, JSON]

    def __post_init__(self) -> None:
        """Refuse a time without a zone; hold every other one in UTC."""
        if self.at.tzinfo is None:
            raise ValueError(f"the time of an event needs a zone: {self.at}")
        object.__setattr__(self, "at", self.at.astimezone(UTC))

    @classmethod
    def now(cls, call: UUID, kind: str, **data: JSON) -> Self:
        """Make an event that happens now."""
        return cls(uuid4(), call, datetime.now(UTC), kind, data)

    @property
    def order(self) -> tuple[datetime, int, UUID]:
        """The place of the event in its call, the same in whatever order events arrive."""
        return self.at, _RANK.get(self.kind, len(_RANK)), self.id

    def to_line(self) -> str:
        """Give the line, without its newline; ASCII, so no separator can hide in a text.

        A value that JSON does not know is written as its text: losing an event would be worse.
        """
        return json.dumps(
            {
                "v": VERSION,
                "id": str(self.id),
                "call": str(self.call),
                "at": self.at.isoformat(timespec="microseconds"),
                "kind": str(self.kind),
                "data": dict(self.data),
            },
            separators=(",", ":"),
            default=str,
        )

    @classmethod
    def from_line(cls, line: str | bytes) -> Self:
        """Read a line back.

        Raises `BadLine` for anything that is not a complete event of a version up to `VERSION`.
        """
        try:
            raw: Any = json.loads(line)
            version = raw["v"]
            if type(version) is not int or not 1 <= version <= VERSION:
                raise BadLine(f"written in version {version!r}, this program reads {VERSION}")
            kind, data = raw["kind"], raw["data"]
            if not isinstance(kind, str) or not isinstance(data, dict):
                raise BadLine("kind is not a text or data not an object")
            at = datetime.fromisoformat(raw["at"])
            return cls(UUID(raw["id"]), UUID(raw["call"]), at, kind, data)
        except BadLine:
            raise
        except KeyError as error:
            raise BadLine(f"lacks {error}") from None
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise BadLine(f"no event: {error}") from None

"""From events to the case: a pure fold, the same in whatever order and however often they come.

A case is never changed in any other way: who wants another topic or status in it applies an event
(`consultant_note`). Events that Asterisk's CEL gave (`"source": "cel"` in their data) know less
than the service's own, so they only fill what is still empty.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

from sqlalchemy import String

from ivr.cases.event import JSON, CaseEvent, EventKind
from ivr.cases.model import CALLBACK, STATUSES, TRANSCRIPT_LIMIT, Case
from ivr.cases.numbers import normalise
from ivr.cases.text import clean

NEW, RUNNING, CLOSED, _, PASSED_ON = STATUSES

_LIMITS = {
    column.key: column.type.length or TRANSCRIPT_LIMIT
    for column in Case.__table__.columns
    if isinstance(column.type, String)
}
PROJECTED = tuple(c.key for c in Case.__table__.columns if c.key not in {"uuid", "number"})
"""The fields that are made of events."""

_MAX_SECONDS = 1e7
_NOTHING_TO_DO = {"abandoned", "callback_cancelled", "callback_joined"}


def fold(uuid: UUID, events: Iterable[CaseEvent]) -> Case:
    """Make the case (without its number) from all its events, in any order, repeated or not.

    Raises `ValueError` when there is none.
    """
    ordered = sorted({event.id: event for event in events}.values(), key=lambda event: event.order)
    if not ordered:
        raise ValueError(f"case {uuid} has no events")
    case = Case(uuid=uuid, opened_at=ordered[0].at, channel="phone", emergency="no", status=NEW)
    for event in ordered:
        project(case, event)
    return case


def project(case: Case, event: CaseEvent) -> Case:
    """Change the case by its next event, and return it; unknown kinds change nothing."""
    step = _STEPS.get(event.kind)
    if step is not None:
        step(case, event)
    return case


def _opened(case: Case, event: CaseEvent) -> None:
    data = event.data
    _fill(case, data, "asterisk_id", "node", "language", "caller_name")
    if case.caller_number is None and isinstance(number := data.get("caller_number"), str):
        case.caller_number = normalise(number)
    if channel := _text(data, "channel"):
        case.channel = clean(channel, _LIMITS["channel"])


def _answered(case: Case, event: CaseEvent) -> None:
    case.answered_at = case.answered_at or event.at


def _language_changed(case: Case, event: CaseEvent) -> None:
    _replace(case, event.data, "language")


def _heard(case: Case, event: CaseEvent) -> None:
    _replace(case, event.data, "language")
    if said := _text(event.data, "transcript"):
        before = f"{case.transcript}\n" if case.transcript else ""
        case.transcript = clean(before + said, TRANSCRIPT_LIMIT)


def _understood(case: Case, event: CaseEvent) -> None:
    data = event.data
    _replace(case, data, "topic")
    if "place_said" in data:  # the service sends the best place so far, and all of it
        for name in _PLACE:
            setattr(case, name, _clipped(name, _text(data, name)))
    case.confidence = _number(data, "confidence", 0.0, 1.0)
    case.second_topic = _clipped("second_topic", _text(data, "second"))
    answer = _text(data, "emergency")
    if answer in {"yes", "ask", "no"} and case.emergency_outcome is None:
        case.emergency = answer
        case.emergency_why = _clipped("emergency_why", _text(data, "why"))


def _topic_chosen(case: Case, event: CaseEvent) -> None:
    _replace(case, event.data, "topic")


def _emergency(case: Case, event: CaseEvent) -> None:
    case.emergency = "yes"
    case.emergency_outcome = case.emergency_outcome or "trying"
    if why := _text(event.data, "why"):
        case.emergency_why = _clipped("emergency_why", why)


def _emergency_trunk(case: Case, event: CaseEvent) -> None:
    _emergency(case, event)
    _replace(case, event.data, "emergency_trunk", under="trunk")


def _emergency_answered(case: Case, event: CaseEvent) -> None:
    _emergency_trunk(case, event)
    case.emergency_outcome = "answered"


def _emergency_failed(case: Case, event: CaseEvent) -> None:
    _emergency(case, event)
    if case.emergency_outcome != "answered":
        case.emergency_outcome = "failed"


def _queued(case: Case, event: CaseEvent) -> None:
    _replace(case, event.data, "queue")
    _replace(case, event.data, "topic")
    case.queued_at = case.queued_at or event.at


def _callback_asked(case: Case, event: CaseEvent) -> None:
    case.outcome = CALLBACK


def _callback_ended(case: Case, event: CaseEvent) -> None:
    if case.outcome == CALLBACK:
        case.outcome = None


def _talking(case: Case, event: CaseEvent) -> None:
    if _from_cel(event):
        _fill(case, event.data, "consultant")
    else:
        _replace(case, event.data, "consultant")
    if case.talking_at is None:
        case.talking_at = event.at
        waiting_since = case.queued_at or case.answered_at or case.opened_at
        case.wait_s = max(0.0, (event.at - waiting_since).total_seconds())
    if case.status == NEW:
        case.status = RUNNING
    if case.outcome == CALLBACK:  # should the service die now, nobody is called back once more
        case.outcome = "answered"


def _talk_ended(case: Case, event: CaseEvent) -> None:
    if (talk_s := _number(event.data, "talk_s", 0.0, _MAX_SECONDS)) is not None:
        case.talk_s = (case.talk_s or 0.0) + talk_s


def _recorded(case: Case, event: CaseEvent) -> None:
    _replace(case, event.data, "recording")
    if isinstance(consent := event.data.get("consent"), bool):
        case.consent = consent


def _survey(case: Case, event: CaseEvent) -> None:
    if (score := _number(event.data, "score", 0, 100)) is not None:
        case.survey = round(score)


def _consultant_note(case: Case, event: CaseEvent) -> None:
    data = event.data
    for name in _NOTED:
        _replace(case, data, name)
    if (lat := _number(data, "lat", -90.0, 90.0)) is not None:
        case.lat = lat
    if (lon := _number(data, "lon", -180.0, 180.0)) is not None:
        case.lon = lon
    if isinstance(consent := data.get("consent"), bool):
        case.consent = consent
    status = _text(data, "status")
    if status in STATUSES:
        case.status = status
    elif _text(data, "disposition"):
        case.status = CLOSED


def _abandoned(case: Case, event: CaseEvent) -> None:
    case.outcome = "abandoned"
    case.ended_at = event.at
    if (wait_s := _number(event.data, "wait_s", 0.0, _MAX_SECONDS)) is not None:
        case.wait_s = wait_s


def _degraded(case: Case, event: CaseEvent) -> None:
    if case.outcome in {None, "orphaned"}:
        case.outcome = "degraded"


def _orphaned(case: Case, event: CaseEvent) -> None:
    case.outcome = case.outcome or "orphaned"


def _closed(case: Case, event: CaseEvent) -> None:
    data, weak = event.data, _from_cel(event)
    outcome = _text(data, "outcome")
    if outcome and (not weak or case.outcome in {None, "orphaned"}):
        case.outcome = _clipped("outcome", outcome)
    case.ended_at = (case.ended_at or event.at) if weak else event.at
    for name in ("wait_s", "talk_s"):
        seconds = _number(data, name, 0.0, _MAX_SECONDS)
        if seconds is not None and (not weak or getattr(case, name) is None):
            setattr(case, name, seconds)
    for name in ("queue", "consultant"):
        (_fill if weak else _replace)(case, data, name)
    if case.outcome == "emergency" and case.status in {NEW, RUNNING}:
        case.status = PASSED_ON
    elif case.outcome in _NOTHING_TO_DO and case.status == NEW:
        case.status = CLOSED


_PLACE = ("district", "street", "house_number", "crossing", "landmark", "place_said")

_NOTED = (
    "topic",
    "second_topic",
    "district",
    "street",
    "house_number",
    "unit",
    "disposition",
    "note",
)

_STEPS: Mapping[str, Callable[[Case, CaseEvent], None]] = {
    EventKind.OPENED: _opened,
    EventKind.ANSWERED: _answered,
    EventKind.LANGUAGE_CHANGED: _language_changed,
    EventKind.HEARD: _heard,
    EventKind.UNDERSTOOD: _understood,
    EventKind.MENU_CHOSEN: _topic_chosen,
    EventKind.EMERGENCY: _emergency,
    EventKind.EMERGENCY_TRUNK: _emergency_trunk,
    EventKind.EMERGENCY_ANSWERED: _emergency_answered,
    EventKind.EMERGENCY_FAILED: _emergency_failed,
    EventKind.QUEUED: _queued,
    EventKind.CALLBACK_ASKED: _callback_asked,
    EventKind.CALLBACK_ENDED: _callback_ended,
    EventKind.TALKING: _talking,
    EventKind.TALK_ENDED: _talk_ended,
    EventKind.RECORDED: _recorded,
    EventKind.SURVEY: _survey,
    EventKind.CONSULTANT_NOTE: _consultant_note,
    EventKind.ABANDONED: _abandoned,
    EventKind.DEGRADED: _degraded,
    EventKind.ORPHANED: _orphaned,
    EventKind.CLOSED: _closed,
}


def _from_cel(event: CaseEvent) -> bool:
    return event.data.get("source") == "cel"


def _text(data: Mapping[str, JSON], key: str) -> str | None:
    value = data.get(key)
    return value if isinstance(value, str) and value else None


def _clipped(name: str, value: str | None) -> str | None:
    return None if value is None else clean(value, _LIMITS[name])


def _number(data: Mapping[str, JSON], key: str, low: float, high: float) -> float | None:
    """Give a number within its limits; anything else is no number."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and low <= value <= high else None


def _replace(case: Case, data: Mapping[str, JSON], name: str, *, under: str = "") -> None:
    if value := _text(data, under or name):
        setattr(case, name, _clipped(name, value))


def _fill(case: Case, data: Mapping[str, JSON], *names: str) -> None:
    for name in names:
        if getattr(case, name) is None:
            _replace(case, data, name)

"""Events for tests, at known times."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from ivr.cases.event import JSON, CaseEvent

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def event(call: UUID, kind: str, after_s: float = 0.0, **data: JSON) -> CaseEvent:
    """An event of a call, so many seconds after the start."""
    return CaseEvent(uuid4(), call, START + timedelta(seconds=after_s), kind, data)

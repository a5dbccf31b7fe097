import math
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.cases.event import BadLine, CaseEvent, EventKind

any_text = st.text(st.characters(exclude_categories=()))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=10,
)
times = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=2))]))
events = st.builds(
    CaseEvent,
    id=st.uuids(),
    call=st.uuids(),
    at=times.filter(lambda at: 1900 < at.year < 9000),
    kind=st.sampled_from([kind.value for kind in EventKind]) | any_text,
    data=st.dictionaries(any_text, json_values, max_size=5),
)


@given(events)
def test_a_line_gives_the_event_back(event: CaseEvent) -> None:
    line = event.to_line()
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert CaseEvent.from_line(line) == event
    assert CaseEvent.from_line(line.encode() + b"\n") == event


@given(st.binary() | any_text | json_values.map(str))
def test_anything_else_is_a_bad_line_and_nothing_worse(line: bytes | str) -> None:
    with pytest.raises(BadLine):
        CaseEvent.from_line(line)


@given(events, st.integers(0, 200))
def test_a_torn_line_is_a_bad_line(event: CaseEvent, missing: int) -> None:
    line = event.to_line()
    with pytest.raises(BadLine):
        CaseEvent.from_line(line[: -1 - missing])


def test_unknown_kinds_and_data_are_kept() -> None:
    event = CaseEvent.now(uuid4(), "invented_later", colour="green", deep=[{"a": 1}])
    assert CaseEvent.from_line(event.to_line()) == event


def test_what_json_does_not_know_is_written_as_text() -> None:
    call = UUID(int=7)
    event = CaseEvent.now(call, "opened", who=call, wait=math.inf)  # type: ignore[arg-type]
    assert CaseEvent.from_line(event.to_line()).data == {"who": str(call), "wait": math.inf}


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        CaseEvent(uuid4(), uuid4(), datetime(2026, 1, 1), "opened", {})


def test_a_younger_version_is_told_from_damage() -> None:
    line = CaseEvent.now(uuid4(), "opened").to_line().replace('"v":1', '"v":2')
    with pytest.raises(BadLine, match="version 2"):
        CaseEvent.from_line(line)

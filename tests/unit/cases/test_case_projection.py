from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import case_events
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.cases.event import CaseEvent, EventKind
from ivr.cases.projection import fold

CALL = UUID(int=19115)


event = partial(case_events.event, CALL)
any_text = st.text(st.characters(exclude_categories=()), max_size=20)
values = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | any_text
    | st.sampled_from(
        ["yes", "ask", "no", "cel", "abandoned", "emergency", "Zamknięte", "x" * 5000]
    )
)
keys = st.sampled_from(
    [
        "asterisk_id",
        "channel",
        "caller_number",
        "caller_name",
        "language",
        "node",
        "transcript",
        "topic",
        "confidence",
        "second",
        "emergency",
        "why",
        "queue",
        "consultant",
        "talk_s",
        "trunk",
        "wait_s",
        "where",
        "score",
        "outcome",
        "status",
        "disposition",
        "lat",
        "lon",
        "source",
        "consent",
        "recording",
        "note",
    ]
)
events = st.builds(
    CaseEvent,
    id=st.uuids(),
    call=st.just(CALL),
    at=st.integers(0, 5).map(lambda s: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=s)),
    kind=st.sampled_from([kind.value for kind in EventKind]) | st.just("invented"),
    data=st.dictionaries(keys, values, max_size=6),
)


@given(st.lists(events, min_size=1, max_size=12, unique_by=lambda e: e.id), st.data())
def test_any_order_and_repetition_gives_the_same_case(
    happened: list[CaseEvent], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(happened), max_size=5))
    shuffled = data.draw(st.permutations(happened + again))
    assert fold(CALL, shuffled).as_dict() == fold(CALL, happened).as_dict()


@given(st.lists(events, min_size=1, max_size=12))
def test_every_field_fits_its_column(happened: list[CaseEvent]) -> None:
    case = fold(CALL, happened)
    for column in type(case).__table__.columns:
        value = getattr(case, column.key)
        assert value is not None or column.nullable
        length = getattr(column.type, "length", None)
        if isinstance(value, str):
            assert "\0" not in value
            value.encode()
            assert length is None or len(value) <= length


def test_a_call_answered_by_a_consultant() -> None:
    case = fold(
        CALL,
        [
            event("opened", 0, asterisk_id="n-1.1", caller_number="601234567", caller_name="Jan"),
            event("answered", 1),
            event("heard", 5, transcript="dziura w jezdni", language="pl"),
            event("understood", 6, topic="roads", confidence=0.9, second="waste", emergency="no"),
            event("heard", 7, transcript="na Puławskiej", language="pl"),
            event("queued", 10, queue="roads", topic="roads", priority=3),
            event("offered", 12, consultant="anna"),
            event("no_answer", 27, consultant="anna"),
            event("talking", 30, consultant="ewa"),
            event("talk_ended", 90, talk_s=60),
            event("survey", 95, score=5),
            event("closed", 96, outcome="answered", wait_s=20, talk_s=60, queue="roads"),
        ],
    )
    assert case.caller_number == "+48601234567"
    assert case.transcript == "dziura w jezdni\nna Puławskiej"
    assert (case.topic, case.second_topic, case.emergency) == ("roads", "waste", "no")
    assert (case.consultant, case.wait_s, case.talk_s, case.survey) == ("ewa", 20, 60, 5)
    assert (case.outcome, case.status) == ("answered", "W trakcie")


def test_a_call_to_112_over_the_second_trunk() -> None:
    case = fold(
        CALL,
        [
            event("opened", 0),
            event("understood", 3, emergency="yes", why="fire"),
            event("emergency", 3, why="fire"),
            event("emergency_trunk", 4, trunk="a"),
            event("emergency_failed", 5),
            event("emergency_trunk", 6, trunk="b"),
            event("emergency_answered", 8, trunk="b"),
            event("closed", 60, outcome="emergency"),
        ],
    )
    assert (case.emergency, case.emergency_why) == ("yes", "fire")
    assert (case.emergency_outcome, case.emergency_trunk) == ("answered", "b")
    assert case.status == "Przekierowane"


def test_a_later_understanding_does_not_take_an_emergency_back() -> None:
    case = fold(CALL, [event("emergency", 1), event("understood", 2, emergency="no")])
    assert case.emergency == "yes"


def test_an_abandoned_call_is_done_with() -> None:
    abandoned = event("abandoned", 9, wait_s=4, where="menu")
    case = fold(CALL, [event("opened", 0), abandoned, event("closed", 9, outcome="abandoned")])
    assert (case.outcome, case.status, case.wait_s) == ("abandoned", "Zamknięte", 4)


def test_a_note_completes_the_case() -> None:
    noted = {"topic": "waste", "district": "Wola", "street": "Górczewska", "house_number": "12a"}
    case = fold(
        CALL,
        [
            event("opened", 0),
            event("consultant_note", 5, **noted, lat=52.2, lon=20.9, disposition="done"),
        ],
    )
    assert {key: getattr(case, key) for key in noted} == noted
    assert (case.lat, case.lon, case.status) == (52.2, 20.9, "Zamknięte")


@pytest.mark.parametrize("cel_after_s", [5, 500])
def test_what_asterisk_tells_only_fills_gaps(cel_after_s: float) -> None:
    case = fold(
        CALL,
        [
            event("opened", 0),
            event("closed", 50, outcome="answered", wait_s=7, talk_s=30, consultant="anna"),
            event("closed", cel_after_s, source="cel", outcome="abandoned", wait_s=1, talk_s=2),
        ],
    )
    assert (case.outcome, case.wait_s, case.talk_s) == ("answered", 7, 30)
    assert case.ended_at is not None
    assert (case.ended_at - case.opened_at).total_seconds() == 50


def test_no_events_no_case() -> None:
    with pytest.raises(ValueError, match="no events"):
        fold(UUID(int=1), [])

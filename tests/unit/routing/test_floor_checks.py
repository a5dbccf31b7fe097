"""The checks of the floor's benchmark find what they are to find."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from routing_data import ROUTING, consultant

from benchmarks.floor import checks
from benchmarks.floor.checks import Span
from ivr.cases.event import CaseEvent

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = {
    "101": consultant("101", roads=5).consultant,
    "102": consultant("102", waste=5).consultant,
}
NAMES = UUID(int=0)


def case(name: str, *steps: tuple[float, str, dict[str, object]]) -> dict[str, list[CaseEvent]]:
    """A case's events: seconds, kind, data."""
    call = uuid5(NAMES, name)
    return {
        name: [
            CaseEvent(uuid5(call, f"{at}{kind}"), call, BEGIN + timedelta(seconds=at), kind, data)  # type: ignore[arg-type]
            for at, kind, data in steps
        ]
    }


def served(
    name: str, queued: float, offered: float, until: float, who: str = "101", topic: str = "roads"
) -> dict[str, list[CaseEvent]]:
    return case(
        name,
        (queued, "queued", {"topic": topic, "priority": 3}),
        (offered, "offered", {"consultant": who}),
        (offered + 1, "talking", {"consultant": who}),
        (until, "talk_ended", {}),
        (until + 0.1, "closed", {}),
    )


def test_a_fair_day_has_nothing_to_complain_of() -> None:
    events = served("a", 0, 1, 10) | served("b", 2, 11, 20)
    assert checks.finals(events) == []
    assert checks.overlaps(checks.offers(events), "") == []
    assert checks.passed_over(events, PEOPLE, ROUTING) == []


def test_a_later_caller_served_first_is_found() -> None:
    events = served("a", 0, 11, 20) | served("b", 2, 4, 10)
    assert checks.passed_over(events, PEOPLE, ROUTING) == ["101 was offered b before a"]
    others = served("a", 0, 11, 20, "102", "waste") | served("b", 2, 4, 10)
    assert checks.passed_over(others, PEOPLE, ROUTING) == [], "101 knows nothing of waste yet"


def test_who_rang_in_vain_waits_on_at_the_same_place() -> None:
    first = case(
        "a",
        (0, "queued", {"topic": "roads", "priority": 3}),
        (1, "offered", {"consultant": "101"}),
        (5, "no_answer", {"consultant": "101"}),
        (30, "abandoned", {}),
        (30, "closed", {}),
    )
    events = first | served("b", 2, 8, 10)
    assert checks.passed_over(events, PEOPLE, ROUTING) == ["101 was offered b before a"]


def test_two_calls_at_once_are_found() -> None:
    events = served("a", 0, 1, 10) | served("b", 0, 5, 12)
    assert checks.overlaps(checks.offers(events), "has two") == ["101 has two: a and b"]


def test_cases_without_an_end_or_with_two_are_found() -> None:
    assert checks.finals(case("a", (0, "queued", {}))) == ["a was closed 0 times"]
    twice = case("b", (0, "closed", {}), (1, "closed", {}))
    assert checks.finals(twice) == ["b was closed 2 times"]
    back = case("c", (0, "callback_asked", {}), (1, "closed", {}), (2, "closed", {}))
    assert checks.finals(back) == []


def test_what_the_witness_saw_otherwise_is_found() -> None:
    talks = checks.talks(served("a", 0, 1, 10), {"a": "channel"})
    at = BEGIN.timestamp()
    assert talks == [Span("101", "channel", at + 2, at + 10)]
    assert checks.disagreements(talks, talks) == []
    assert len(checks.disagreements(talks, [])) == 1
    assert len(checks.disagreements([], talks)) == 1
    assert len(checks.disagreements(talks, [Span("101", "channel", at + 2, at + 11)])) == 1

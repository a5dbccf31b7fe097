"""What callers who wait are told: from the queue as it is, by the rules of the plan."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routing_data import NOW, ROUTING, call, consultant, waiting_calls
from scipy.stats import lognorm

from benchmarks.estimate import IMPATIENT, PATIENT, QUEUES, Result, Scenario, late, run
from benchmarks.simulator import alike
from ivr.loading import load_staff
from ivr.routing.estimate import Busy, Forecast, Newcomers, forecast
from ivr.routing.handling import HandlingTimes
from ivr.routing.plan import WaitingCall
from ivr.routing.skills import Consultant, Routing, Step
from ivr.routing.staff import Floor, Staff

MEAN_S = 240.0
TYPICAL = lognorm(1.0, scale=MEAN_S * np.exp(-0.5))
"""Handling times as the estimate takes them to be."""


def sure(mean_s: float = MEAN_S, **by_topic_s: float) -> HandlingTimes:
    """Handling times learned from so many calls that nothing about them is in doubt."""
    times = HandlingTimes(mean_s, by_topic_s)
    for share in (np.arange(500) * 0.618 + 0.1) % 1:
        for topic in by_topic_s or ("",):
            times.add(topic, by_topic_s.get(topic, mean_s) * float(lognorm.ppf(share, 1) * 0.6065))
    return times


def talking(name: str, age_s: float = 60.0, topic: str = "roads") -> Busy:
    return Busy(name, "talking", NOW - age_s, topic)


def crew(size: int, ages: Sequence[float] = ()) -> tuple[Floor, list[Busy]]:
    """So many who can all do everything; the first of them in talks of these ages, others free."""
    staff = alike(size)
    busy = [talking(name, age, "other") for name, age in zip(staff.ids, ages, strict=False)]
    return Floor.of(staff, dict.fromkeys(staff.ids[len(busy) :], NOW)), busy


def line(*waited: float, priority: int = 3) -> list[WaitingCall]:
    """Callers of `crew`, by how long they have waited."""
    return [
        call(f"c{i}", "other", waited=seconds, priority=priority)
        for i, seconds in enumerate(waited)
    ]


def floor_with(*people: Consultant, free: Sequence[str] = (), routing: Routing = ROUTING) -> Floor:
    return Floor.of(Staff(people, routing), dict.fromkeys(free, NOW))


def person(name: str, **skills: int) -> Consultant:
    return consultant(name, **skills).consultant


# ---- when it will be


@pytest.mark.parametrize("age_s", [0.0, 30.0, 300.0, 1200.0])
def test_the_rest_of_a_talk_depends_on_its_age(age_s: float) -> None:
    floor, busy = crew(1, [age_s])
    found = forecast(None, line(5), floor, busy, sure(), NOW)["c0"]
    longer = TYPICAL.sf(age_s)

    def rest(share: float) -> float:
        return float(TYPICAL.isf(longer * (1 - share))) - age_s

    assert found.expected_s == pytest.approx(rest(0.5) + 4, rel=0.06)
    assert found.low_s == pytest.approx(rest(0.1) + 4, rel=0.2)
    assert found.high_s == pytest.approx(rest(0.9) + 4, rel=0.1)
    assert found.position == 0


def test_topics_have_their_own_times() -> None:
    floor = floor_with(person("101", roads=5))
    times = sure(240, roads=120, taxes=480)
    waits = {
        topic: forecast(None, [call("a")], floor, [talking("101", 60, topic)], times, NOW)["a"]
        for topic in ("roads", "taxes")
    }
    assert (waits["roads"].expected_s or 0) < 0.5 * (waits["taxes"].expected_s or 0)


def test_who_can_be_served_now_waits_for_the_answer_alone() -> None:
    floor, busy = crew(3, [10, 10])
    found = forecast(None, line(20, 10), floor, busy, sure(), NOW, ring_s=5)
    assert found["c0"] == Forecast(0, 5, 5, 5)
    assert (found["c1"].expected_s or 0) > 5
    assert found["c1"].position == 1


def test_the_best_are_chosen_for_all_who_can_be_served_now() -> None:
    strict = Routing({}, (Step(level=4),))
    floor = floor_with(
        person("101", roads=4, taxes=5), person("102", roads=5), free=["101", "102"], routing=strict
    )
    waiting = [call("a", "roads", waited=9), call("b", "taxes", waited=5)]
    found = forecast(None, waiting, floor, [], sure(), NOW)
    assert found == {"a": Forecast(0, 4, 4, 4), "b": Forecast(0, 4, 4, 4)}


def test_where_little_is_known_the_range_is_wider() -> None:
    floor, busy = crew(10, [60] * 10)
    waiting = line(*range(100, 20, -1))
    widths = []
    for times in (sure(), HandlingTimes(240)):
        told = forecast(["c79"], waiting, floor, busy, times, NOW)["c79"]
        widths.append((told.high_s or 0) - (told.low_s or 0))
    assert widths[1] > 1.3 * widths[0]


def test_known_ends_are_taken_as_they_are() -> None:
    floor, _ = crew(1)
    busy_floor = Floor.of(floor.staff, {})
    (name,) = floor.staff.ids
    until = Busy(name, "wrap_up", NOW - 5, "other", NOW + 20)
    assert forecast(None, line(9), busy_floor, [until], sure(), NOW)["c0"] == Forecast(
        0, 24, 24, 24
    )
    over = Busy(name, "wrap_up", NOW - 5, "other", NOW - 1)
    assert forecast(None, line(9), busy_floor, [over], sure(), NOW)["c0"] == Forecast(0, 4, 4, 4)


def test_a_talk_that_still_rings_is_all_to_come() -> None:
    floor, _ = crew(1, [0])
    (name,) = floor.staff.ids
    rings = forecast(None, line(9), floor, [Busy(name, "ringing", NOW - 1, "other")], sure(), NOW)
    talks = forecast(None, line(9), floor, [talking(name, 0, "other")], sure(), NOW)
    assert (rings["c0"].expected_s or 0) == pytest.approx((talks["c0"].expected_s or 0) + 3)


def test_who_is_less_able_answers_when_the_step_begins() -> None:
    experts = [person(str(101 + i), roads=5) for i in range(4)]
    floor = floor_with(*experts, person("105", roads=3), free=["105"])
    busy = [talking(expert.id, 90) for expert in experts]
    found = forecast(None, [call("a", waited=8)], floor, busy, sure(), NOW)["a"]
    assert found.expected_s == found.high_s == pytest.approx(12 + 4)
    assert (found.low_s or 99) < 16


def test_of_two_idle_the_better_one_answers_when_the_step_begins() -> None:
    steps = Routing({}, (Step(for_s=20, level=4), Step(level=2)))
    floor = floor_with(
        person("101", roads=2, taxes=2), person("102", roads=3), person("103", roads=5, taxes=5),
        free=["101", "102"], routing=steps,
    )  # fmt: skip
    waiting = [call("a", "roads", waited=10), call("b", "taxes", waited=5)]
    found = forecast(None, waiting, floor, [Busy("103", "paused", NOW)], sure(), NOW)
    assert found["a"].expected_s == 10 + 4
    assert found["b"].high_s == 15 + 4


def test_nobody_able_on_duty_is_no_promise() -> None:
    staff = Staff([person("101", roads=5), consultant("102", pl=0).consultant], ROUTING)
    waiting = [call("a", waited=50), call("b", waited=40), call("c", language="en")]
    times = HandlingTimes(240)
    logged_out = Floor.of(staff, {"102": NOW}, on_duty=["102"])
    found = forecast(None, waiting, logged_out, [talking("101")], times, NOW)
    assert found["a"] == Forecast(0, None, None, None)
    assert found["b"] == Forecast(1, None, None, None)
    assert found["c"].expected_s == 4  # only at the last step is anybody there: so it is in force
    paused = Floor.of(staff, {"102": NOW})
    for busy in ([Busy("101", "paused", NOW - 60)], []):
        assert forecast(["a"], waiting, paused, busy, times, NOW)["a"].expected_s is None
    back = [Busy("101", "paused", NOW - 60, until=NOW + 30)]
    assert forecast(["a"], waiting, paused, back, times, NOW)["a"].expected_s == 34


def test_a_caller_who_does_not_wait_is_told_nothing() -> None:
    floor, busy = crew(2, [5, 5])
    assert forecast(["gone"], line(5), floor, busy, sure(), NOW) == {}
    assert forecast(None, [], floor, busy, sure(), NOW) == {}


# ---- the place


def test_the_place_counts_who_goes_before() -> None:
    floor, busy = crew(2, [30, 200])
    found = forecast(None, line(10, 40, 20, 30), floor, busy, sure(), NOW)
    assert {name: told.position for name, told in found.items()} == {
        "c1": 0, "c3": 1, "c2": 2, "c0": 3,
    }  # fmt: skip
    by_place = sorted(found.values(), key=lambda told: told.position)
    assert [told.expected_s for told in by_place] == sorted(t.expected_s or 0 for t in by_place)


def test_a_higher_priority_goes_before_who_came_earlier() -> None:
    floor, busy = crew(1, [30])
    waiting = [call("early", "other", waited=90), call("vip", "other", waited=5, priority=1)]
    found = forecast(None, waiting, floor, busy, sure(), NOW)
    assert found["vip"].position == 0
    assert found["early"].position == 1
    assert (found["vip"].expected_s or 0) < (found["early"].expected_s or 0)


def test_who_waits_for_other_consultants_is_not_ahead() -> None:
    people = (person("101", roads=5), person("102", taxes=5))
    strict = Routing({}, (Step(level=3),))
    floor = floor_with(*people, routing=strict)
    busy = [talking("101", 60), talking("102", 60, "taxes")]
    taxes = [call(f"t{i}", "taxes", waited=100 - i) for i in range(5)]
    alone = forecast(["me"], [call("me")], floor, busy, sure(), NOW)
    assert forecast(["me"], [*taxes, call("me")], floor, busy, sure(), NOW) == alone
    assert alone["me"].position == 0
    soon = [Busy("102", "wrap_up", NOW, until=NOW + 1), Busy("101", "wrap_up", NOW, until=NOW + 9)]
    assert forecast(["me"], [*taxes, call("me")], floor, soon, sure(), NOW)["me"].position == 0
    relaxed = floor_with(*people, routing=Routing({}, (Step(level=0),)))
    assert forecast(["me"], [*taxes, call("me")], relaxed, busy, sure(), NOW)["me"].position == 5


def test_who_is_served_after_all_is_not_ahead() -> None:
    """Who came earlier can wait for one of two only, and that one is later free."""
    floor = floor_with(
        person("101", roads=5),
        person("102", roads=5, taxes=5),
        routing=Routing({}, (Step(level=3),)),
    )
    busy = [Busy("101", "wrap_up", NOW, until=NOW + 5), Busy("102", "wrap_up", NOW, until=NOW + 90)]
    waiting = [call("taxes", "taxes", waited=60), call("me")]
    found = forecast(None, waiting, floor, busy, sure(), NOW)
    assert found == {"taxes": Forecast(0, 94, 94, 94), "me": Forecast(0, 9, 9, 9)}


# ---- who comes and who goes


def test_newcomers_of_a_higher_priority_go_before_and_others_do_not() -> None:
    floor, busy = crew(10, [30, 60, 90, 30, 60, 90, 30, 60, 90, 30])
    waiting = line(*range(90, 10, -1))
    last = waiting[-1].id

    def told(*newcomers: Newcomers) -> Forecast:
        return forecast([last], waiting, floor, busy, sure(), NOW, newcomers=newcomers)[last]

    plain = told()
    assert told(Newcomers("other", "pl", 3, 0.007), Newcomers("other", "pl", 4, 0.007)) == plain
    overtaken = told(Newcomers("other", "pl", 1, 0.004), Newcomers("other", "pl", 2, 0.003))
    # Ten at 240 s serve 0.042 a second; 0.007 of that is no longer for those who wait.
    assert overtaken.expected_s == pytest.approx((plain.expected_s or 0) * 0.042 / 0.035, rel=0.06)
    assert overtaken.position == plain.position


def test_who_gives_up_makes_room_for_who_stays() -> None:
    floor, busy = crew(2, [30, 60])
    waiting = line(*range(40, 20, -1))
    stay = forecast(None, waiting, floor, busy, sure(), NOW)
    leave = forecast(None, waiting, floor, busy, sure(), NOW, patience_s=100)
    assert leave["c0"] == stay["c0"]
    assert (leave["c19"].expected_s or 0) < 0.5 * (stay["c19"].expected_s or 0)
    assert leave["c19"].position == stay["c19"].position == 19


def test_who_has_waited_for_long_is_as_patient_as_who_has_not() -> None:
    floor, busy = crew(2, [30, 60])
    told = [
        forecast(None, line(*waited), floor, busy, sure(), NOW, patience_s=300)
        for waited in (range(20, 0, -1), range(3020, 3000, -1))
    ]
    assert told[0] == told[1]


# ---- what holds always


ages = st.lists(st.floats(0, 2000), min_size=1, max_size=6)
patient_waits = st.lists(st.floats(0, 900), min_size=1, max_size=15)


@settings(max_examples=40, deadline=None)
@given(patient_waits, ages, st.floats(0, 900))
def test_one_more_ahead_never_shortens(waited: list[float], old: list[float], one: float) -> None:
    floor, busy = crew(len(old), old)
    waiting = line(*waited)
    before = forecast(None, waiting, floor, busy, HandlingTimes(240), NOW)
    added = call("added", "other", waited=one)
    after = forecast(None, [*waiting, added], floor, busy, HandlingTimes(240), NOW)
    for name, told in before.items():
        assert (after[name].expected_s or 0) >= (told.expected_s or 0) - 0.01
        assert after[name].position >= told.position


@settings(max_examples=40, deadline=None)
@given(patient_waits, ages, st.booleans())
def test_one_more_consultant_never_lengthens(
    waited: list[float], old: list[float], is_free: bool
) -> None:
    waiting = line(*waited)
    fewer, busy = crew(len(old), old)
    before = forecast(None, waiting, fewer, busy, HandlingTimes(240), NOW)
    more, busy = crew(len(old) + 1, old if is_free else [*old, 500.0])
    after = forecast(None, waiting, more, busy, HandlingTimes(240), NOW)
    for name, told in before.items():
        assert (after[name].expected_s or 0) <= (told.expected_s or 0) + 0.01


@settings(max_examples=30, deadline=None)
@given(waiting_calls.filter(bool), st.lists(st.floats(0, 2000), min_size=5, max_size=5))
def test_the_same_queue_is_told_the_same_in_whatever_order_it_comes(
    waiting: list[WaitingCall], old: list[float]
) -> None:
    staff = Staff([person(str(101 + i), roads=i + 1, taxes=5 - i) for i in range(5)], ROUTING)
    floor = Floor.of(staff, {})
    busy = [talking(name, age) for name, age in zip(staff.ids, old, strict=True)]
    told = forecast(None, waiting, floor, busy, HandlingTimes(240), NOW, patience_s=200)
    turned = forecast(
        None, waiting[::-1], floor, busy[::-1], HandlingTimes(240), NOW, patience_s=200
    )
    assert told == turned
    assert told.keys() == {c.id for c in waiting}
    one = waiting[0].id
    alone = forecast([one], waiting, floor, busy, HandlingTimes(240), NOW, patience_s=200)
    assert alone[one] == told[one]
    for each in told.values():
        assert 0 <= each.position < len(waiting)
        if each.expected_s is not None:
            assert 4 <= (each.low_s or 0) <= each.expected_s <= (each.high_s or 0)


# ---- how good it is


def error(result: Result, way: int) -> float:
    return float(np.abs(result.told[:, way] - result.left).mean())


@pytest.mark.parametrize(("scenario", "impatient"), [(PATIENT[1], False), (IMPATIENT[0], True)])
def test_it_is_nearer_to_the_truth_than_what_others_tell(
    scenario: Scenario, impatient: bool
) -> None:
    staff, queue_of = load_staff(QUEUES)
    staff = Staff(staff.consultants, ROUTING)
    result = run(scenario, staff, queue_of, days=1, told=150, impatient=impatient)
    assert len(result.left) > 120
    rivals = [error(result, way) for way in range(1, result.told.shape[1])]
    assert error(result, 0) < 0.75 * min(rivals)
    assert late(result.told[:, 0], result.left) < 0.03
    inside = (result.left >= result.low - 0.01) & (result.left <= result.high + 0.01)
    assert 0.68 < inside.mean() < 0.92

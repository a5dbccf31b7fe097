"""Who is offered which call: the order, the choice, and what holds for every board."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routing_data import (
    NOW,
    ROUTING,
    FreeConsultant,
    call,
    consultant,
    free_consultants,
    planned,
    waiting_calls,
)

from ivr.routing.plan import MOST_CONSIDERED, WaitingCall, order
from ivr.routing.skills import Routing, Step


def pairs(waiting: list[WaitingCall], free: list[FreeConsultant]) -> list[tuple[str, str]]:
    return [(offer.call, offer.consultant) for offer in planned(waiting, free, ROUTING, NOW)]


def step_at(waiting: WaitingCall) -> int:
    return ROUTING.step_at(waiting.topic, NOW - waiting.queued_at, waiting.language)


def step_of(waiting: WaitingCall) -> Step:
    return ROUTING.steps_for(waiting.topic, waiting.language)[step_at(waiting)]


def test_callers_are_served_by_priority_and_then_by_arrival_across_queues() -> None:
    late_roads, early_waste = call("a", waited=5), call("b", "waste", waited=9)
    urgent = call("c", "water", waited=1, priority=0)
    assert [c.id for c in order([late_roads, early_waste, urgent])] == ["c", "b", "a"]
    one = [consultant("101", roads=5, waste=5, water=5)]
    assert pairs([late_roads, early_waste, urgent], one) == [("c", "101")]
    assert pairs([late_roads, early_waste], one) == [("b", "101")]


def test_a_caller_offered_before_keeps_the_place_of_the_first_arrival() -> None:
    first, second = call("x", waited=8), call("y", waited=7)
    assert pairs([second, first], [consultant("101", roads=5)]) == [("x", "101")]


def test_the_highest_level_is_chosen() -> None:
    free = [consultant("101", roads=4, idle=900), consultant("102", roads=5)]
    (offer,) = planned([call("a")], free, ROUTING, NOW)
    assert (offer.consultant, offer.level, offer.step) == ("102", 5, 0)
    assert offer.considered == ("102", "101")


def test_of_equals_the_one_whose_other_skills_are_least_wanted() -> None:
    free = [consultant("101", roads=5, waste=5, idle=900), consultant("102", roads=5, water=5)]
    waiting = [call("a", waited=9), call("b", "waste", waited=2)]
    assert pairs(waiting, free) == [("a", "102"), ("b", "101")]


def test_skills_wanted_by_callers_already_served_do_not_count() -> None:
    free = [consultant("101", roads=5, waste=5, idle=900), consultant("102", roads=5, idle=1)]
    waiting = [call("w", "waste", waited=20, language="uk"), call("a", waited=9)]
    assert ("a", "101") in pairs(waiting, free), "nobody behind wants waste"


def test_of_equals_with_equal_skills_the_longest_idle_then_the_lowest_extension() -> None:
    assert pairs(
        [call("a")], [consultant("101", roads=5, idle=3), consultant("102", roads=5, idle=7)]
    ) == [("a", "102")]
    assert pairs([call("a")], [consultant("102", roads=5), consultant("101", roads=5)]) == [
        ("a", "101")
    ]


@pytest.mark.parametrize(
    ("waited", "level", "served"),
    [(0, 4, True), (0, 3, False), (19.9, 3, False), (20, 3, True), (20, 1, False),
     (79.9, 1, False), (80, 1, True), (80, 0, True), (1e6, 0, True)],
)  # fmt: skip
def test_steps_relax_with_time(waited: float, level: int, served: bool) -> None:
    free = [consultant("101", **({"roads": level} if level else {}))]
    assert bool(pairs([call("a", waited=waited)], free)) is served


def test_a_topic_has_steps_of_its_own() -> None:
    free = [consultant("101", taxes=3)]
    assert pairs([call("a", "taxes", waited=4)], free) == []
    assert pairs([call("a", "taxes", waited=5)], free) == [("a", "101")]
    assert pairs([call("a", "taxes", waited=9)], [consultant("101", roads=5)]) == []


def test_the_time_until_the_next_step() -> None:
    assert ROUTING.next_step_in("roads", 0, "pl") == 20
    assert ROUTING.next_step_in("roads", 25, "pl") == 55
    assert ROUTING.next_step_in("roads", 80, "pl") is None
    assert ROUTING.next_step_in("taxes", 1, "pl") == 4


def test_the_language_is_asked_for_at_every_step() -> None:
    english = [consultant("101", pl=0, roads=5)]
    assert pairs([call("a", waited=1e6)], english) == []
    assert pairs([call("a", language="en")], english) == [("a", "101")]


def test_what_set_the_chosen_one_apart_is_told() -> None:
    def why(*free: FreeConsultant, behind: str = "roads") -> str:
        waiting = [call("a", waited=9), call("b", behind, waited=2)]
        return planned(waiting, free)[0].why

    assert why(consultant("101", roads=5)) == "only one"
    assert why(consultant("101", roads=5), consultant("102", roads=4)) == "level"
    some = consultant("101", roads=5, waste=3), consultant("102", roads=5, idle=3)
    assert why(*some, behind="waste") == "other skills least wanted"
    assert why(*some) == "longest idle"
    assert why(consultant("101", roads=5), consultant("102", roads=5)) == "lowest extension"


def test_a_step_whose_consultants_are_all_logged_out_is_left_out() -> None:
    helper = [consultant("101", roads=2)]
    expert = consultant("102", roads=5).consultant
    assert planned([call("a")], helper, others=[expert]) == [], "the expert may soon be free"
    (offer,) = planned([call("a")], helper, others=[])
    assert (offer.consultant, offer.step) == ("101", 1)
    (offer,) = planned([call("a")], [consultant("101", waste=5)], others=[])
    assert (offer.consultant, offer.step) == ("101", 2)


def test_a_step_may_overflow_to_the_consultants_of_another_topic() -> None:
    routing = Routing({}, (Step(for_s=20, level=4), Step(level=3, skill="waste")))
    free = [consultant("101", waste=5, roads=1), consultant("102", roads=3)]
    assert planned([call("a", waited=5)], free, routing) == []
    (offer,) = planned([call("a", waited=20)], free, routing)
    assert (offer.consultant, offer.level, offer.considered) == ("101", 5, ("101",))


def test_a_step_may_ask_for_several_skills() -> None:
    routing = Routing({}, (Step(level=4, also={"water": 2}),))
    free = [consultant("101", roads=5), consultant("102", roads=4, water=2)]
    (offer,) = planned([call("a")], free, routing)
    assert offer.considered == ("102",)


def test_a_language_has_steps_of_its_own_unless_the_topic_has() -> None:
    routing = Routing(
        {},
        (Step(level=0),),
        {"taxes": (Step(level=1),)},
        {"uk": (Step(for_s=30, level=0, language_level=4), Step(level=0))},
    )
    assert routing.steps_for("roads", "uk")[0].language_level == 4
    assert routing.steps_for("roads", "pl") == (Step(level=0),)
    assert routing.steps_for("taxes", "uk") == (Step(level=1),)


def test_a_caller_nobody_may_take_holds_up_nobody() -> None:
    stuck = call("stuck", waited=1e6, priority=0, language="uk")
    free = [consultant("101", roads=5), consultant("102", waste=5)]
    waiting = [stuck, call("a", waited=3), call("b", "waste", waited=2)]
    assert pairs(waiting, free) == [("a", "101"), ("b", "102")]


def test_nobody_waits_or_nobody_is_free() -> None:
    assert planned([], [consultant("101", roads=5)], ROUTING, NOW) == []
    assert planned([call("a")], [], ROUTING, NOW) == []


@given(waiting_calls, free_consultants)
def test_nobody_is_paired_twice_and_every_offer_meets_its_step(
    waiting: list[WaitingCall], free: list[FreeConsultant]
) -> None:
    offers = planned(waiting, free, ROUTING, NOW)
    assert len({offer.call for offer in offers}) == len(offers)
    assert len({offer.consultant for offer in offers}) == len(offers)
    calls = {c.id: c for c in waiting}
    people = {entry.consultant.id: entry.consultant for entry in free}
    for offer in offers:
        wanted, who = calls[offer.call], people[offer.consultant]
        assert offer.step == step_at(wanted)
        assert offer.level == who.level(wanted.topic)
        assert step_of(wanted).serves(who, wanted.topic, wanted.language)
        assert offer.consultant in offer.considered


@given(waiting_calls, free_consultants)
def test_no_waiting_caller_is_passed_over(
    waiting: list[WaitingCall], free: list[FreeConsultant]
) -> None:
    """Whoever gets nobody sees no able consultant idle or with somebody who came later."""
    offers = {offer.consultant: offer.call for offer in planned(waiting, free, ROUTING, NOW)}
    place = {c.id: position for position, c in enumerate(order(waiting))}
    for left in (c for c in waiting if c.id not in offers.values()):
        step = step_of(left)
        for entry in free:
            if step.serves(entry.consultant, left.topic, left.language):
                served = offers.get(entry.consultant.id)
                assert served is not None, "an able consultant stays free"
                assert place[served] < place[left.id]


@given(waiting_calls, free_consultants, st.randoms(use_true_random=False))
def test_every_process_makes_the_same_plan(
    waiting: list[WaitingCall], free: list[FreeConsultant], shuffle: random.Random
) -> None:
    offers = planned(waiting, free, ROUTING, NOW)
    shuffle.shuffle(waiting)
    shuffle.shuffle(free)
    assert planned(waiting, free, ROUTING, NOW) == offers


@given(waiting_calls, free_consultants, st.floats(0, 300))
def test_who_may_serve_only_grows_with_time(
    waiting: list[WaitingCall], free: list[FreeConsultant], later: float
) -> None:
    for one in waiting:
        now = {o.consultant: o.considered for o in planned([one], free, ROUTING, NOW)}
        then = {o.consultant: o.considered for o in planned([one], free, ROUTING, NOW + later)}
        if one.topic != "taxes" and now:
            assert set(*now.values()) <= set(*then.values())


def test_a_case_keeps_no_more_names_than_anybody_reads() -> None:
    free = [consultant(f"{n}", idle=n, roads=5 if n % 2 else 4) for n in range(100, 220)]
    (offer,) = planned([call("c1")], free)
    assert len(offer.considered) == MOST_CONSIDERED
    assert offer.considered[0] == offer.consultant == "219", "the longest idle of the best"
    assert set(offer.considered) <= {entry.consultant.id for entry in free if entry.idle_since}
    (few,) = planned([call("c1")], free[:5])
    assert len(few.considered) == 5

"""The simulator: it agrees with the formulas, is fair, and notices who is not."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routing_data import ROUTING, TOPICS

from benchmarks.simulator import alike, corrected, in_one_list
from ivr.routing import erlang
from ivr.routing.plan import Offer, WaitingCall, plan
from ivr.routing.policy import Planned
from ivr.routing.simulate import NoAnswer, Outcome, Shift, simulate
from ivr.routing.skills import Consultant, Priority
from ivr.routing.staff import Floor, Staff
from ivr.routing.summary import summarise
from ivr.routing.trace import Profile, Trace, make_trace, steady_trace

QUEUES = {topic: topic for topic in TOPICS}
ALL_KINDS: Mapping[Priority, float] = {"normal": 8, "vulnerable": 1, "callback": 1}


def skilled(size: int) -> Staff:
    people = [
        Consultant(
            id=str(100 + i),
            name="C",
            languages={"pl": 5, "uk": 3} if i % 3 == 0 else {"pl": 5},
            skills={TOPICS[i % 4]: 5, TOPICS[(i + 1) % 4]: 1 + i % 4},
        )
        for i in range(size)
    ]
    return Staff(people, ROUTING)


def busy_trace(
    seed: int,
    calls: float = 3000,
    patience_s: float = 120,
    priorities: Mapping[Priority, float] = MappingProxyType({"normal": 1.0}),
) -> Trace:
    profile = Profile(
        calls_by_hour=(1,) * 24,
        topics={"roads": 4, "waste": 3, "water": 2, "taxes": 1},
        languages={"pl": 9, "uk": 1},
        handling_s=240,
        patience_s=patience_s,
        priorities=dict(priorities),
    )
    return make_trace(profile, 1, calls, seed, burstiness=0.5)


@pytest.mark.parametrize("patience_s", [np.inf, 120.0])
@pytest.mark.parametrize(("calls", "consultants"), [(60, 6), (300, 23), (520, 39)])
def test_with_one_skill_every_caller_waits_as_in_one_list(
    calls: float, consultants: int, patience_s: float
) -> None:
    trace = steady_trace(calls, 20_000, 240, patience_s, seed=3)
    outcome = simulate(trace, alike(consultants), ring_s=0)
    waits, gave_up = in_one_list(trace, consultants)
    assert np.abs(outcome.wait_s - waits).max() < 1e-6
    assert (outcome.answered == (gave_up == 0)).all()
    assert outcome.busy_s.sum() == pytest.approx(trace.handling[outcome.answered].sum())


@pytest.mark.parametrize(("calls", "consultants"), [(30, 3), (60, 6), (240, 20)])
def test_with_one_skill_it_is_erlang_c_and_a(calls: float, consultants: int) -> None:
    """Freed of luck by a longer trace in one list (see benchmarks/simulator.py)."""
    (waits, in_time, mean_s, _), _, _ = corrected(calls, consultants, np.inf, 10_000, 1_000_000)
    expected = erlang.erlang_c(calls, 240, consultants)
    assert waits == pytest.approx(expected.waits, rel=0.02)
    assert in_time == pytest.approx(erlang.answered_within(calls, 240, consultants, 20), rel=0.02)
    assert mean_s == pytest.approx(expected.mean_s, rel=0.02)
    (_, _, mean_s, gives_up), _, _ = corrected(calls, consultants, 120, 10_000, 1_000_000)
    impatient = erlang.erlang_a(calls, 240, consultants, 120)
    assert gives_up == pytest.approx(impatient.gives_up, rel=0.02)
    assert mean_s == pytest.approx(impatient.mean_s, rel=0.02)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 16))
def test_every_call_ends_once_and_nobody_is_passed_over(seed: int, consultants: int) -> None:
    trace = busy_trace(seed, calls=1500)
    outcome = simulate(trace, skilled(consultants))
    assert outcome.passed_over == 0
    assert (outcome.wait_s >= 0).all()
    assert outcome.answered.sum() + (~outcome.answered).sum() == len(trace)
    gave_up = ~outcome.answered
    assert np.allclose(outcome.wait_s[gave_up], trace.patience[gave_up])
    assert (outcome.busy_s <= outcome.there_s + trace.handling.max() + 4).all()


def test_the_same_arguments_give_the_same_outcome() -> None:
    first, second = (simulate(busy_trace(7), skilled(8)) for _ in range(2))
    assert np.array_equal(first.wait_s, second.wait_s)
    assert np.array_equal(first.consultant, second.consultant)


class LastComesFirst(Planned):
    """What nobody should do to callers."""

    def offers(
        self,
        waiting: Mapping[str, WaitingCall],
        floor: Floor,
        now: float,
        news: WaitingCall | None,
    ) -> list[Offer]:
        turned = [replace(call, arrived_at=-call.arrived_at) for call in waiting.values()]
        return plan(turned, floor, now)


class PlannedAlways(Planned):
    """Plans at every event, be there something to decide or not."""

    def offers(
        self,
        waiting: Mapping[str, WaitingCall],
        floor: Floor,
        now: float,
        news: WaitingCall | None,
    ) -> list[Offer]:
        return super().offers(waiting, floor, now, None)


def test_a_policy_that_passes_callers_over_is_noticed() -> None:
    assert simulate(busy_trace(1), skilled(6), policy=LastComesFirst()).passed_over > 0


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 12))
def test_planning_only_where_something_can_change_changes_nothing(
    seed: int, consultants: int
) -> None:
    trace = busy_trace(seed, calls=800, priorities=ALL_KINDS)
    staff, no_answer = skilled(consultants), NoAnswer(0.1, seed=seed)
    some = simulate(trace, staff, no_answer=no_answer)
    always = simulate(trace, staff, policy=PlannedAlways(), no_answer=no_answer)
    assert np.array_equal(some.wait_s, always.wait_s)
    assert np.array_equal(some.consultant, always.consultant)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 0.5))
def test_nobody_is_passed_over_with_priorities_and_consultants_who_do_not_answer(
    seed: int, share: float
) -> None:
    trace = busy_trace(seed, calls=1200, priorities=ALL_KINDS)
    outcome = simulate(trace, skilled(10), no_answer=NoAnswer(share, pause_s=60, seed=seed))
    assert outcome.passed_over == 0
    assert outcome.no_answers > 0
    gave_up = ~outcome.answered
    assert (outcome.wait_s[gave_up] >= trace.patience[gave_up] - 1e-6).all()
    assert (outcome.wait_s[gave_up] <= trace.patience[gave_up] + 15).all()


def test_who_comes_first_waits_least() -> None:
    trace = busy_trace(3, calls=6000, priorities=ALL_KINDS)
    outcome = simulate(trace, skilled(12))
    waits = {
        name: outcome.wait_s[(trace.priority == number) & outcome.answered].mean()
        for number, name in enumerate(trace.priorities)
    }
    assert waits["callback"] < waits["vulnerable"] < waits["normal"]


def test_priorities_leave_the_other_chances_alone() -> None:
    plain, kinds = busy_trace(3), busy_trace(3, priorities=ALL_KINDS)
    assert np.array_equal(plain.arrives, kinds.arrives)
    assert np.array_equal(plain.patience, kinds.patience)
    assert np.mean(kinds.priority == 0) == pytest.approx(0.8, abs=0.03)


def test_who_does_not_answer_keeps_nobodys_place_and_is_paused() -> None:
    """One consultant, who never answers: each caller rings once in 15 + 100 s, then gives up."""
    trace = one_topic([0.0, 5.0], [60.0, 60.0], [40.0, 190.0])
    outcome = simulate(trace, alike(1), no_answer=NoAnswer(1.0, ring_s=15, pause_s=100))
    assert outcome.wait_s.tolist() == [40, 190]
    assert outcome.no_answers == 2
    assert outcome.busy_s.tolist() == [30]


def test_who_loses_patience_while_it_rings_in_vain_gives_up_after_it() -> None:
    trace = one_topic([0.0], [60.0], [10.0])
    outcome = simulate(trace, alike(1), no_answer=NoAnswer(1.0, ring_s=15))
    assert outcome.wait_s.tolist() == [15]
    assert not outcome.answered.any()
    assert outcome.never_served == 0


def one_topic(arrives: list[float], handling: list[float], patience: list[float]) -> Trace:
    zeros = np.zeros(len(arrives), dtype=np.int64)
    return Trace(
        ("other",), ("pl",), np.array(arrives), zeros, zeros, ("normal",), zeros,
        np.array(handling), np.array(patience),
    )  # fmt: skip


def test_nobody_is_rung_off_duty_and_a_talk_is_finished() -> None:
    staff = alike(2)
    shifts = [
        Shift(0, np.array([True, False])),
        Shift(10_000, np.array([False, False])),
        Shift(20_000, np.array([True, True])),
    ]
    trace = one_topic([9_990.0, 10_010.0], [100.0, 50.0], [np.inf, np.inf])
    outcome = simulate(trace, staff, shifts, ring_s=0)
    assert outcome.wait_s.tolist() == [0, 9_990]
    assert outcome.consultant[0] == 0
    assert outcome.there_s[1] < 100


def test_who_is_never_served_is_counted() -> None:
    trace = busy_trace(2, calls=50, patience_s=1e12)
    shifts = [Shift(0, np.zeros(4, dtype=np.bool_))]
    forever = replace(trace, patience=np.full(len(trace), np.inf))
    assert simulate(forever, skilled(4), shifts).never_served == len(trace)


def test_a_summary_counts_what_happened() -> None:
    trace = busy_trace(5)
    outcome: Outcome = simulate(trace, skilled(12))
    summary = summarise(trace, outcome, QUEUES)
    assert summary.total.calls == len(trace)
    assert sum(group.calls for group in summary.queues.values()) == len(trace)
    assert sum(group.calls for group in summary.languages.values()) == len(trace)
    assert sum(group.calls for group in summary.hours) == len(trace)
    assert summary.priorities["normal"] == summary.total
    in_time = outcome.answered & (outcome.wait_s <= 20)
    assert summary.total.within_20_s == pytest.approx(in_time.mean())
    assert summary.total.abandoned == pytest.approx((~outcome.answered).mean())
    assert 0 < summary.occupancy < 1


def test_arrivals_follow_the_profile_and_bursts_keep_the_mean() -> None:
    profile = Profile(
        calls_by_hour=(0,) * 8 + (3, 1) + (0,) * 14,
        topics={"roads": 1},
        languages={"pl": 1},
        handling_s=240,
        patience_s=60,
    )
    for burstiness in (0.0, 0.6):
        trace = make_trace(profile, 100, 400, 1, burstiness=burstiness)
        hours = trace.arrives // 3600 % 24
        assert set(hours.tolist()) == {8, 9}
        assert len(trace) == pytest.approx(40_000, rel=0.05)
        assert (hours == 8).mean() == pytest.approx(0.75, abs=0.02)
        assert trace.handling.mean() == pytest.approx(240, rel=0.03)

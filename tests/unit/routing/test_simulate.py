"""The simulator: it agrees with the formulas, is fair, and notices who is not."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routing_data import ROUTING, TOPICS

from ivr.routing import erlang
from ivr.routing.plan import Offer, WaitingCall, plan
from ivr.routing.simulate import Outcome, Shift, simulate
from ivr.routing.skills import Consultant, Routing, Step
from ivr.routing.staff import Floor, Staff
from ivr.routing.summary import summarise
from ivr.routing.trace import Profile, Trace, make_trace, steady_trace

QUEUES = {topic: topic for topic in TOPICS}


def alike(size: int) -> Staff:
    people = [
        Consultant(id=str(100 + i), name="C", languages={"pl": 5}, skills={"other": 5})
        for i in range(size)
    ]
    return Staff(people, Routing({}, (Step(level=0),)))


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


def busy_trace(seed: int, calls: float = 3000, patience_s: float = 120) -> Trace:
    profile = Profile(
        calls_by_hour=(1,) * 24,
        topics={"roads": 4, "waste": 3, "water": 2, "taxes": 1},
        languages={"pl": 9, "uk": 1},
        handling_s=240,
        patience_s=patience_s,
    )
    return make_trace(profile, 1, calls, seed, burstiness=0.5)


@pytest.mark.parametrize(("calls", "consultants"), [(60, 6), (120, 10), (300, 23)])
def test_with_one_skill_it_is_erlang_c(calls: float, consultants: int) -> None:
    trace = steady_trace(calls, 150_000, 240, np.inf, seed=3)
    outcome = simulate(trace, alike(consultants), ring_s=0)
    expected = erlang.erlang_c(calls, 240, consultants)
    assert np.mean(outcome.wait_s > 0) == pytest.approx(expected.waits, rel=0.04)
    assert outcome.wait_s.mean() == pytest.approx(expected.mean_s, rel=0.08)
    occupancy = outcome.busy_s.sum() / outcome.there_s.sum()
    assert occupancy == pytest.approx(expected.occupancy, rel=0.01)


def test_with_impatient_callers_it_is_erlang_a() -> None:
    trace = steady_trace(360, 150_000, 240, 120, seed=4)
    outcome = simulate(trace, alike(24), ring_s=0)
    expected = erlang.erlang_a(360, 240, 24, 120)
    assert np.mean(~outcome.answered) == pytest.approx(expected.gives_up, rel=0.04)
    assert outcome.wait_s.mean() == pytest.approx(expected.mean_s, rel=0.04)


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


def test_a_policy_that_passes_callers_over_is_noticed() -> None:
    def last_comes_first(waiting: Sequence[WaitingCall], floor: Floor, now: float) -> list[Offer]:
        turned = [replace(call, arrived_at=-call.arrived_at) for call in waiting]
        return plan(turned, floor, now)

    assert simulate(busy_trace(1), skilled(6), policy=last_comes_first).passed_over > 0


def test_nobody_is_rung_off_duty_and_a_talk_is_finished() -> None:
    staff = alike(2)
    shifts = [
        Shift(0, np.array([True, False])),
        Shift(10_000, np.array([False, False])),
        Shift(20_000, np.array([True, True])),
    ]
    calls = np.array([9_990.0, 10_010.0])
    zeros = np.zeros(2, dtype=np.int64)
    trace = Trace(
        ("other",), ("pl",), calls, zeros, zeros, np.array([100.0, 50.0]), np.full(2, np.inf)
    )
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

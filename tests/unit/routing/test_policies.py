"""Other ways of routing in the simulator: each does what is said of it."""

from dataclasses import replace

import numpy as np
import pytest
from routing_data import TOPICS

from benchmarks.routing.app_queue import AppQueue, Member, Queue, by_city_queue, by_penalty
from benchmarks.routing.others import RandomAble, Silos
from benchmarks.simulator import alike
from ivr.routing.simulate import NoAnswer, Outcome, simulate
from ivr.routing.skills import Consultant, Routing, Step
from ivr.routing.staff import Staff
from ivr.routing.trace import Profile, Trace, make_trace

QUEUE_OF = {"roads": "streets", "waste": "clean", "water": "streets", "taxes": "money"}
STEPS = (Step(for_s=20, level=4), Step(for_s=20, level=2), Step(level=0))
PROFILE = Profile(
    calls_by_hour=(1,) * 24,
    topics={"roads": 3, "waste": 3, "water": 2, "taxes": 2},
    languages={"pl": 9, "uk": 1},
    handling_s=240,
    patience_s=120,
)


def staff_of(*skills: dict[str, int]) -> Staff:
    people = [
        Consultant(id=str(100 + i), name="C", languages={"pl": 5}, skills=some)
        for i, some in enumerate(skills)
    ]
    return Staff(people, Routing({"normal": 3}, STEPS))


def skilled(size: int) -> Staff:
    people = [
        Consultant(
            id=str(100 + i),
            name="C",
            languages={"pl": 5, "uk": 4},
            skills={TOPICS[i % 4]: 5, TOPICS[(i + 1) % 4]: 2},
        )
        for i in range(size)
    ]
    return Staff(people, Routing({"normal": 3}, STEPS))


def calls(*rows: tuple[float, str, float]) -> Trace:
    """Arrival (s), topic, handling time (s); all in Polish, patient."""
    zeros = np.zeros(len(rows), dtype=np.int64)
    return Trace(
        TOPICS, ("pl",), np.array([row[0] for row in rows]),
        np.array([TOPICS.index(row[1]) for row in rows]), zeros, ("normal",), zeros,
        np.array([row[2] for row in rows]), np.full(len(rows), np.inf),
    )  # fmt: skip


def run(app: AppQueue, trace: Trace, staff: Staff, no_answer: NoAnswer | None = None) -> Outcome:
    return simulate(trace, staff, policy=app, ring_s=0, no_answer=no_answer)


def test_the_lowest_penalty_is_tried_first_and_equals_go_round() -> None:
    staff = staff_of({"roads": 5}, {"roads": 3}, {"roads": 5})
    app = by_penalty(staff, ["roads"], 1, least_level=1)
    assert [m.penalty for m in app.queues["roads-pl"].members] == [0, 2, 0]
    outcome = run(app, calls((0, "roads", 5), (100, "roads", 5), (200, "roads", 5)), staff)
    assert outcome.consultant.tolist() == [0, 2, 0]


def test_the_rules_open_a_call_in_whole_seconds_when_the_caller_looks() -> None:
    staff = staff_of({"roads": 2}, {"waste": 5})
    app = by_penalty(staff, ["roads"], 5, least_level=1)
    outcome = run(app, calls((0.4, "roads", 60)), staff)
    # Looks at 0.4, 5.4, 10.4, 15.4, 20.4 (20 s by the clock: not yet more than 20), 25.4.
    assert outcome.wait_s.tolist() == pytest.approx([25])
    assert run(by_penalty(staff, ["roads"], 1, least_level=1), calls((0.4, "roads", 60)), staff
    ).wait_s.tolist() == pytest.approx([21])  # fmt: skip


def test_members_are_those_with_the_skill_or_all() -> None:
    staff = staff_of({"roads": 5}, {"waste": 5})
    assert len(by_penalty(staff, ["roads"], 1, least_level=1).queues["roads-pl"].members) == 1
    assert len(by_penalty(staff, ["roads"], 1, least_level=0).queues["roads-pl"].members) == 2
    assert by_penalty(staff, ["roads"], 1, least_level=0).queues["roads-uk"].members == []
    city = by_city_queue(staff, QUEUE_OF, 1).queues
    assert [m.column for m in city["streets-pl"].members] == [0]
    assert [m.column for m in city["clean-pl"].members] == [1]


def test_nobody_is_woken_when_a_member_comes_free() -> None:
    staff = alike(1)
    app = AppQueue({"q": Queue([Member(0)])}, {("roads", "pl"): "q"}, retry_s=5)
    trace = calls((0, "roads", 10.5), (0.2, "roads", 60))
    # No member is available, so it is not the second caller's turn: once a second.
    assert run(app, trace, staff).wait_s.tolist() == pytest.approx([0, 11 - 0.0])


def test_who_had_his_turn_in_vain_looks_again_after_retry() -> None:
    staff = staff_of({"roads": 5}, {"roads": 1})
    queue = Queue([Member(0, 0), Member(1, 4)], ((0, 1), (1000, 5)))
    app = AppQueue({"q": queue}, {("roads", "pl"): "q"}, retry_s=5)
    trace = calls((0, "roads", 6.1), (1, "roads", 60))
    # A member is available, but not for him: he looks at 1, 6 and 11 s.
    assert run(app, trace, staff).wait_s[1] == 10


def test_there_is_no_order_across_queues() -> None:
    staff = staff_of({"roads": 5, "waste": 5})
    trace = calls((0, "roads", 10.5), (0.6, "roads", 5), (3.55, "waste", 5))
    queues = {"streets": Queue([Member(0)]), "clean": Queue([Member(0)])}
    app = AppQueue(queues, {("roads", "pl"): "streets", ("waste", "pl"): "clean"}, retry_s=1)
    outcome = run(app, trace, staff)
    assert outcome.wait_s[2] < outcome.wait_s[1], "who came later happened to look first"
    assert outcome.passed_over == 1
    assert simulate(trace, staff, ring_s=0).passed_over == 0


def test_force_longest_waiting_caller_keeps_a_member_for_one_who_may_not_have_him() -> None:
    staff = staff_of({"waste": 5})
    queues = {
        "streets": Queue([Member(0, 5)], ((0, 1), (1000, 5))),
        "clean": Queue([Member(0, 0)], ((0, 1), (1000, 5))),
    }
    names = {("roads", "pl"): "streets", ("waste", "pl"): "clean"}
    trace = calls((0, "roads", 5), (2, "waste", 5))
    free = run(AppQueue(queues, names, 1, force_longest=False), trace, staff)  # type: ignore[arg-type]
    held = run(AppQueue(queues, names, 1, force_longest=True), trace, staff)  # type: ignore[arg-type]
    assert free.wait_s[1] == 0
    assert held.wait_s[1] > 900, "nobody is served while the first one waits for the rule"


def test_who_is_not_answered_waits_for_retry_and_keeps_the_place() -> None:
    staff = alike(2)
    app = AppQueue({"q": Queue([Member(0), Member(1)])}, {("roads", "pl"): "q"}, retry_s=5)
    trace = replace(calls((0, "roads", 5)), patience=np.array([100.0]))
    outcome = run(app, trace, staff, NoAnswer(1.0, ring_s=15, pause_s=1e6))
    assert outcome.no_answers == 2, "the other member is tried, then both are paused"
    assert outcome.busy_s.tolist() == [15, 15]
    assert outcome.wait_s.tolist() == [100]


def test_a_team_serves_its_own_queues_in_order() -> None:
    staff = skilled(12)
    silos = Silos(staff, QUEUE_OF, PROFILE, teams=3)
    assert np.bincount(silos.team).tolist() == [4, 4, 4]
    assert silos.team_of["roads"] == silos.team_of["water"]
    assert len({silos.team_of[topic] for topic in QUEUE_OF}) == 3
    trace = make_trace(PROFILE, 1, 2500, seed=1)
    outcome = simulate(trace, staff, policy=silos)
    team = np.array([silos.team_of[topic] for topic in trace.topics])[trace.topic]
    done = outcome.answered
    assert (silos.team[outcome.consultant[done]] == team[done]).all()
    for number in range(3):
        mine = done & (team == number)
        begins = trace.arrives[mine] + outcome.wait_s[mine]
        assert (np.diff(begins) >= 0).all(), "one list, in order"


def test_a_random_able_consultant_is_able_and_nobody_is_passed_over() -> None:
    trace, staff = make_trace(PROFILE, 1, 2000, seed=2), skilled(12)
    chance = simulate(trace, staff, policy=RandomAble(1))
    assert chance.passed_over == 0
    quick = chance.answered & (chance.wait_s < 20 + 4)
    assert (chance.level[quick] >= 4).all()
    both = Staff(
        [Consultant(id=str(100 + i), name="C", languages={"pl": 5}, skills={"roads": 4 + i % 2})
         for i in range(4)],
        staff.routing,
    )  # fmt: skip
    quiet = calls(*((1000.0 * i, "roads", 60.0) for i in range(40)))
    assert (simulate(quiet, both).level == 5).all()
    assert set(simulate(quiet, both, policy=RandomAble(1)).level.tolist()) == {4, 5}


def test_app_queue_passes_callers_over_where_the_plan_does_not() -> None:
    trace, staff = make_trace(PROFILE, 1, 2500, seed=3), skilled(12)
    app = by_penalty(staff, TOPICS, 5, least_level=0)
    assert simulate(trace, staff, policy=app).passed_over > 20
    assert simulate(trace, staff).passed_over == 0

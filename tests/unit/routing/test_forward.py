"""The queue played forward: every run is what `plan()` would do."""

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routing_data import NOW, ROUTING, STEPS, TOPICS, waiting_calls

from ivr.routing.forward import RUNS, Caller, Runs
from ivr.routing.handling import HandlingTimes
from ivr.routing.plan import WaitingCall, order, plan
from ivr.routing.skills import Consultant, Routing, Step
from ivr.routing.staff import Floor, Staff

RING_S = 4.0
CROOKED = Routing(
    {},
    STEPS,
    {
        "roads": (
            Step(for_s=15, level=4),
            Step(for_s=25, level=3, skill="waste"),
            Step(for_s=40, level=2),
            Step(level=1, also={"water": 2}),
        ),
        "taxes": (Step(for_s=30, level=5), Step(level=2, skill="water")),
    },
    {"uk": (Step(for_s=10, level=0, language_level=4), Step(level=0))},
)
"""Steps that take back what others have allowed."""


def experts(levels: Sequence[Sequence[int]], routing: Routing) -> Staff:
    """Five who have different levels in each topic, so that nobody is anybody's equal."""
    people = [
        Consultant(
            id=str(101 + i),
            name="C",
            languages={"pl": 5, "uk": 3 + i} if i < 2 else {"pl": 5},
            skills={topic: levels[t][i] for t, topic in enumerate(TOPICS)},
        )
        for i in range(5)
    ]
    return Staff(people, routing)


@settings(max_examples=150, deadline=None)
@given(
    waiting_calls.filter(bool),
    st.lists(st.permutations(range(1, 6)), min_size=len(TOPICS), max_size=len(TOPICS)),
    st.lists(st.floats(0.5, 100), min_size=5, max_size=5),
    st.lists(st.booleans(), min_size=5, max_size=5),
    st.sampled_from((ROUTING, CROOKED)),
    st.sampled_from((None, 60.0, 300.0)),
)
def test_every_run_is_what_plan_would_do(
    waiting: list[WaitingCall],
    levels: list[list[int]],
    ends: list[float],
    on_duty: list[bool],
    routing: Routing,
    patience_s: float | None,
) -> None:
    """All runs at once against `plan()`, asked at every change, run by run and call by call."""
    staff = experts(levels, routing)
    there = np.array(on_duty)
    queue = order(waiting)
    callers = [Caller(c.id, c.topic, c.language, c.priority, c.queued_at - NOW) for c in queue]
    floor = Floor(staff, np.full(5, np.inf), there)
    runs = Runs(callers, floor, there, HandlingTimes(240), RING_S, patience_s)
    runs.begin(np.where(there, ends, np.inf), [])
    runs.play([c.id for c in queue])
    for number in (0, RUNS // 2):
        for each in queue:
            leaves = np.full(len(queue), np.inf) if runs._leaves is None else runs._leaves[number]
            expected = turn_by_plan(
                each,
                {c: (float(k), float(leave) if c.id != each.id else np.inf)
                 for c, k, leave in zip(queue, runs._keeps[number], leaves, strict=True)},
                floor,
                ends,
            )  # fmt: skip
            found = float(runs.answered(each.id)[number]) - RING_S
            assert found == pytest.approx(expected, abs=1e-3)


def turn_by_plan(
    caller: WaitingCall,
    queue: Mapping[WaitingCall, tuple[float, float]],
    floor: Floor,
    ends: Sequence[float],
) -> float:
    """When it is a caller's turn; of each: how long a consultant is kept, and when he leaves."""
    staff, idle = floor.staff, np.full(len(ends), np.inf)
    events = [(at, who) for who, at in enumerate(ends) if floor.on_duty[who]]
    for each in queue:
        begins = 0.0
        for step in staff.routing.steps_for(each.topic, each.language)[:-1]:
            begins += step.for_s or 0.0
            events.append((max(each.queued_at - NOW + begins, 0.0), -1))
    heapify(events)
    waiting = {each.id: each for each in queue}
    while events:
        at, who = heappop(events)
        if who >= 0:
            idle[who] = NOW + at
        here = [each for each in waiting.values() if queue[each][1] > at]
        # A moment later: what begins now has begun, whatever the last digit says.
        for offer in plan(here, Floor(staff, idle.copy(), floor.on_duty), NOW + at + 1e-6):
            if offer.call == caller.id:
                return at
            taken = staff.column[offer.consultant]
            idle[taken] = np.inf
            heappush(events, (at + queue[waiting.pop(offer.call)][0], taken))
    return np.inf

"""Calls through the real plan with a simulated clock: who waits how long, who gives up.

The plan is the very one that the service uses; only time, callers and consultants are made up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Literal

import numpy as np

from ivr.routing.plan import Offer, WaitingCall, plan
from ivr.routing.staff import Booleans, Floor, Staff
from ivr.routing.trace import Floats, Indices, Trace

Policy = Callable[[Sequence[WaitingCall], Floor, float], list[Offer]]
Kind = Literal["free", "step", "gives_up", "shift"]
NORMAL = 3
_NOBODY = -1


@dataclass(frozen=True)
class Shift:
    """From `at` seconds on these consultants are there, and no others."""

    at: float
    on_duty: Booleans


@dataclass
class Outcome:
    """What became of the calls, in the order of the trace; and of the consultants."""

    wait_s: Floats
    """Until the consultant answers, or the caller gives up."""
    consultant: Indices
    """The consultant's column, -1 for who gave up or still waits at the end."""
    level: Indices
    """The consultant's level in what the call is about."""
    busy_s: Floats
    """Seconds of ringing, talk and work after it, a consultant each."""
    there_s: Floats
    """Seconds on duty, a consultant each."""
    passed_over: int = 0
    """Offers for which an earlier caller, whom this consultant could serve, was left waiting."""
    never_served: int = 0
    """Callers who were still waiting when the last event was over."""

    @property
    def answered(self) -> Booleans:
        """Who was answered."""
        return np.asarray(self.consultant != _NOBODY)


@dataclass
class _World:
    trace: Trace
    floor: Floor
    policy: Policy
    ring_s: float
    outcome: Outcome
    waiting: dict[str, WaitingCall] = field(default_factory=dict)
    events: list[tuple[float, int, Kind, int]] = field(default_factory=list)
    number: "count[int]" = field(default_factory=count)
    leaving: set[int] = field(default_factory=set)
    busy: set[int] = field(default_factory=set)

    def later(self, at: float, kind: Kind, who: int) -> None:
        heappush(self.events, (at, next(self.number), kind, who))


def simulate(
    trace: Trace,
    staff: Staff,
    shifts: Sequence[Shift] = (),
    policy: Policy = plan,
    *,
    ring_s: float = 4.0,
) -> Outcome:
    """Send the calls of a trace through a policy. The same arguments give the same outcome.

    Without shifts everybody is always there. `ring_s` passes from the offer to the answer; a caller
    does not give up while it rings. Who goes off duty ends the talk first.
    """
    size, people = len(trace), len(staff.ids)
    outcome = Outcome(
        np.zeros(size),
        np.full(size, _NOBODY),
        np.zeros(size, dtype=np.int64),
        np.zeros(people),
        np.zeros(people),
    )
    everybody = np.full(people, not shifts)
    floor = Floor(staff, np.where(everybody, 0.0, np.inf), everybody)
    world = _World(trace, floor, policy, ring_s, outcome)
    for index, shift in enumerate(shifts):
        world.later(shift.at, "shift", index)
    _run(world, shifts)
    return outcome


def _run(world: _World, shifts: Sequence[Shift]) -> None:
    trace, events, waiting, floor = world.trace, world.events, world.waiting, world.floor
    arrives = trace.arrives.tolist()
    handled, ends = 0, (arrives[-1] if arrives else 0.0)
    now = began = 0.0
    while handled < len(arrives) or waiting:
        if handled < len(arrives) and (not events or arrives[handled] < events[0][0]):
            now = arrives[handled]
            call = _arrival(world, handled, now)
            handled += 1
            _offer(world, now)
            if call.id in waiting:
                _waits(world, call, now)
            continue
        if not events:
            break
        now, _, kind, who = heappop(events)
        match kind:
            case "free":
                _comes_free(world, who, now)
            case "gives_up":
                call_id = str(who)
                if call_id in waiting:
                    world.outcome.wait_s[who] = now - waiting.pop(call_id).arrived_at
                continue
            case "step":
                if str(who) not in waiting:
                    continue
                _next_step(world, waiting[str(who)], now)
            case "shift":
                world.outcome.there_s[floor.on_duty] += now - began
                began = now
                _change_shift(world, shifts[who], now)
        if waiting:
            _offer(world, now)
    world.outcome.there_s[floor.on_duty] += max(now, ends) - began
    world.outcome.never_served = len(waiting)


def _arrival(world: _World, index: int, now: float) -> WaitingCall:
    trace = world.trace
    call = WaitingCall(
        str(index), trace.topics[trace.topic[index]], trace.languages[trace.language[index]],
        NORMAL, now, now,
    )  # fmt: skip
    world.waiting[call.id] = call
    return call


def _waits(world: _World, call: WaitingCall, now: float) -> None:
    index = int(call.id)
    patience = world.trace.patience[index]
    if patience != np.inf:
        world.later(now + float(patience), "gives_up", index)
    _next_step(world, call, now)


def _next_step(world: _World, call: WaitingCall, now: float) -> None:
    routing = world.floor.staff.routing
    rest = routing.next_step_in(call.topic, now - call.queued_at, call.language)
    if rest is not None:
        world.later(max(now + rest, np.nextafter(now, np.inf)), "step", int(call.id))


def _comes_free(world: _World, who: int, now: float) -> None:
    world.busy.discard(who)
    if who in world.leaving:
        world.leaving.discard(who)
    else:
        world.floor.idle_since[who] = now


def _change_shift(world: _World, shift: Shift, now: float) -> None:
    floor = world.floor
    for who, there in enumerate(shift.on_duty.tolist()):
        if there and not floor.on_duty[who]:
            world.leaving.discard(who)
            if who not in world.busy:
                floor.idle_since[who] = now
        elif not there and floor.on_duty[who]:
            floor.idle_since[who] = np.inf
            if who in world.busy:
                world.leaving.add(who)
    floor.on_duty[:] = shift.on_duty


def _offer(world: _World, now: float) -> None:
    floor, outcome, trace = world.floor, world.outcome, world.trace
    offers = world.policy(list(world.waiting.values()), floor, now)
    for offer in offers:
        call = world.waiting.pop(offer.call)
        index, who = int(offer.call), floor.staff.column[offer.consultant]
        answered = now + world.ring_s
        ends = answered + float(trace.handling[index])
        outcome.wait_s[index] = answered - call.arrived_at
        outcome.consultant[index] = who
        outcome.level[index] = offer.level
        outcome.busy_s[who] += ends - now
        floor.idle_since[who] = np.inf
        world.busy.add(who)
        world.later(ends, "free", who)
        if world.waiting and _passes_over(world, call, who, now):
            outcome.passed_over += 1


def _passes_over(world: _World, served: WaitingCall, who: int, now: float) -> bool:
    """Whether an earlier caller of the same or a higher priority could have had this consultant.

    Asks each step itself, not the arrays that the plan looks at.
    """
    floor = world.floor
    staff = floor.staff
    consultant = staff.consultants[who]
    before = (served.priority, served.arrived_at)
    for call in world.waiting.values():
        if (call.priority, call.arrived_at) < before:
            step = floor.step(call.topic, call.language, now - call.queued_at)
            if staff.demand(call.topic, call.language, step).serves(
                consultant, call.topic, call.language
            ):
                return True
    return False

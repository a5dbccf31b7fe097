"""Calls through the real plan with a simulated clock: who waits how long, who gives up.

The plan is the very one that the service uses; only time, callers and consultants are made up.
Other ways of routing can stand in its place (`Policy`) and get the same calls.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Literal

import numpy as np

from ivr.routing.plan import WaitingCall
from ivr.routing.policy import Planned, Policy
from ivr.routing.staff import Booleans, Floor, Staff
from ivr.routing.trace import Floats, Indices, Trace

Kind = Literal["free", "no_answer", "look", "gives_up", "shift"]
NORMAL = 3
"""The priority of callers whose kind routing.yaml does not name."""
_NOBODY = -1


@dataclass(frozen=True)
class Shift:
    """From `at` seconds on these consultants are there, and no others."""

    at: float
    on_duty: Booleans


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Consultants who let it ring: the caller waits on at the same place."""

    share: float
    """Of all offers, 0 to 1."""
    ring_s: float = 15.0
    """Seconds until the call is taken back."""
    pause_s: float = 300.0
    """Seconds until that consultant is offered calls again."""
    seed: int = 0


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
    no_answers: int = 0
    """Offers that nobody answered."""
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
    shifts: Sequence[Shift]
    ring_s: float
    unanswered: NoAnswer
    outcome: Outcome
    chance: np.random.Generator
    waiting: dict[str, WaitingCall] = field(default_factory=dict)
    ringing: dict[int, WaitingCall] = field(default_factory=dict)
    """Whose telephone rings in vain, and for whom."""
    looks: dict[str, float] = field(default_factory=dict)
    """When a caller is to be looked at again; other such events are of no account."""
    events: list[tuple[float, int, Kind, int]] = field(default_factory=list)
    number: "count[int]" = field(default_factory=count)
    leaving: set[int] = field(default_factory=set)
    busy: set[int] = field(default_factory=set)
    crew_since: float = 0.0

    def later(self, at: float, kind: Kind, who: int) -> None:
        heappush(self.events, (at, next(self.number), kind, who))


def simulate(
    trace: Trace,
    staff: Staff,
    shifts: Sequence[Shift] = (),
    policy: Policy | None = None,
    *,
    ring_s: float = 4.0,
    no_answer: NoAnswer | None = None,
) -> Outcome:
    """Send the calls of a trace through a policy (`Planned`). The same arguments, the same outcome.

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
    unanswered = no_answer or NoAnswer(0.0)
    chance = np.random.default_rng(unanswered.seed)
    world = _World(trace, floor, policy or Planned(), shifts, ring_s, unanswered, outcome, chance)
    for index, shift in enumerate(shifts):
        world.later(shift.at, "shift", index)
    _run(world)
    return outcome


def _run(world: _World) -> None:
    events, waiting, outcome = world.events, world.waiting, world.outcome
    arrives, calls = world.trace.arrives.tolist(), _calls(world.trace, world.floor.staff)
    handled, ends = 0, (arrives[-1] if arrives else 0.0)
    now = 0.0
    while handled < len(arrives) or waiting or world.ringing:
        if handled < len(arrives) and (not events or arrives[handled] < events[0][0]):
            now, call = arrives[handled], next(calls)
            waiting[call.id] = call
            if (patience := world.trace.patience[handled]) != np.inf:
                world.later(now + float(patience), "gives_up", handled)
            handled += 1
            _offer(world, now, call)
        elif events:
            now, _, kind, who = heappop(events)
            changed, news = _happens(world, kind, who, now)
            if changed and waiting:
                _offer(world, now, news)
        else:
            break
    outcome.there_s[world.floor.on_duty] += max(now, ends) - world.crew_since
    outcome.never_served = len(waiting)


def _happens(world: _World, kind: Kind, who: int, now: float) -> tuple[bool, WaitingCall | None]:
    """Whether an offer may be possible now; and the caller whose chances alone have changed."""
    match kind:
        case "free":
            world.busy.discard(who)
            if who in world.leaving:
                world.leaving.discard(who)
            else:
                world.floor.idle_since[who] = now
            return True, None
        case "look":
            call = world.waiting.get(str(who))
            if call is not None and world.looks.get(call.id) == now:
                return True, call
        case "gives_up":
            if call := world.waiting.pop(str(who), None):
                _gives_up(world, call, now)
        case "no_answer":
            call = world.ringing.pop(who)
            if now - call.arrived_at < world.trace.patience[int(call.id)]:
                world.waiting[call.id] = call
                return True, call
            _gives_up(world, call, now)
        case "shift":
            _change_shift(world, world.shifts[who], now)
            return True, None
    return False, None


def _calls(trace: Trace, staff: Staff) -> Iterator[WaitingCall]:
    """The callers of the trace, each made when it is asked for."""
    numbers = [staff.routing.priorities.get(name, NORMAL) for name in trace.priorities]
    columns = (trace.arrives, trace.topic, trace.language, trace.priority)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for index, (at, topic, language, priority) in enumerate(rows):
        yield WaitingCall(
            str(index), trace.topics[topic], trace.languages[language], numbers[priority], at, at
        )


def _gives_up(world: _World, call: WaitingCall, now: float) -> None:
    world.outcome.wait_s[int(call.id)] = now - call.arrived_at
    world.looks.pop(call.id, None)


def _change_shift(world: _World, shift: Shift, now: float) -> None:
    floor = world.floor
    world.outcome.there_s[floor.on_duty] += now - world.crew_since
    world.crew_since = now
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


def _offer(world: _World, now: float, news: WaitingCall | None) -> None:
    floor, outcome, unanswered = world.floor, world.outcome, world.unanswered
    for offer in world.policy.offers(world.waiting, floor, now, news):
        call = world.waiting.pop(offer.call)
        world.looks.pop(call.id, None)
        who = floor.staff.column[offer.consultant]
        floor.idle_since[who] = np.inf
        world.busy.add(who)
        if world.waiting and _passes_over(world, call, who, now):
            outcome.passed_over += 1
        if unanswered.share and world.chance.random() < unanswered.share:
            back = now + unanswered.ring_s
            world.ringing[who] = call
            world.later(back, "no_answer", who)
            world.later(back + unanswered.pause_s, "free", who)
            outcome.busy_s[who] += unanswered.ring_s
            outcome.no_answers += 1
            continue
        index, answered = int(call.id), now + world.ring_s
        ends = answered + float(world.trace.handling[index])
        outcome.wait_s[index] = answered - call.arrived_at
        outcome.consultant[index] = who
        outcome.level[index] = floor.staff.consultants[who].level(call.topic)
        outcome.busy_s[who] += ends - now
        world.later(ends, "free", who)
    if news is not None and news.id in world.waiting:
        rest = world.policy.looks_again_in(news, floor, now)
        if rest is not None:
            at = max(now + rest, float(np.nextafter(now, np.inf)))
            world.looks[news.id] = at
            world.later(at, "look", int(news.id))


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

"""How long who waits will still wait: a forecast from the queue as it is, not from past waits.

The queue is played forward some dozen times by the rules of `plan()` (`forward.py`), each time with
other ends of the talks: who has talked for long will talk on for longer than who has just begun.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ivr.routing.forward import Caller, Runs, chances
from ivr.routing.handling import HandlingTimes
from ivr.routing.plan import WaitingCall, order, plan
from ivr.routing.staff import Floor, Seconds
from ivr.types import Language

LOW, HIGH = 0.1, 0.9
"""Four of five waits end between these quantiles."""
_MOST_NEWCOMERS = 64
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, slots=True)
class Busy:
    """What somebody on duty does who is not free; times are seconds since the epoch."""

    consultant: str
    kind: Literal["ringing", "talking", "wrap_up", "paused"]
    since: float
    """When it began to ring, or the talk was answered."""
    topic: str = ""
    """Of the call; "" where it is not known."""
    until: float | None = None
    """When it ends, where that is known, as of the work after a call."""


@dataclass(frozen=True, slots=True)
class Newcomers:
    """Callers of one kind who are still to come."""

    topic: str
    language: Language
    priority: int
    per_s: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a caller can expect, in seconds from now until a consultant answers.

    The three times are None where nobody on duty is sure to serve the caller: promise nothing.
    """

    position: int
    """Callers ahead who are served before, by consultants who could serve this one too."""
    expected_s: float | None
    """The median: it takes longer as often as not."""
    low_s: float | None
    high_s: float | None
    """Four of five waits end between `low_s` and `high_s`."""


def forecast(
    calls: Collection[str] | None,
    waiting: Sequence[WaitingCall],
    floor: Floor,
    busy: Iterable[Busy],
    handling: HandlingTimes,
    now: float,
    *,
    ring_s: float = 4.0,
    patience_s: float | None = None,
    newcomers: Sequence[Newcomers] = (),
) -> dict[str, Forecast]:
    """Forecast the waits of these calls, of all who wait where None.

    `waiting` are the callers without an offer. `busy` tells of everybody on duty who is not free:
    who is missing in it, or paused without an end, is not counted on. `ring_s` passes from the
    offer to the answer. `patience_s` is the mean time after which the others give up (None:
    never). Of the `newcomers` those count who by their priority go before one of the calls.

    Where everybody there may serve all who wait, and nobody gives up, one more caller ahead never
    shortens a wait and one more consultant never lengthens one. With skills and steps one more
    caller can, rarely, lead a consultant elsewhere to somebody's advantage.
    """
    queue = order(waiting)
    asked = [call for call in queue if calls is None or call.id in calls]
    if not asked:
        return {}
    free, talking = _free(floor, busy, now, ring_s)
    there = np.isfinite(free)
    there[[column for column, _, _ in talking]] = True
    crew = max(int(there.sum()), 1)
    callers = [Caller(c.id, c.topic, c.language, c.priority, c.queued_at - now) for c in queue]
    first = [kind for kind in newcomers if kind.priority < asked[-1].priority and kind.per_s > 0]
    if first:
        horizon_s = 120 + 2 * len(queue) * handling.mean() / crew
        callers = sorted([*callers, *_to_come(first, horizon_s)], key=lambda c: c.priority)
    runs = Runs(callers, floor, there, handling, ring_s, patience_s)
    runs.begin(free, talking)
    for offer in plan(queue, floor, now):
        runs.serve(offer.call, floor.staff.column[offer.consultant])
    runs.play([call.id for call in asked])
    return {call.id: _told(call.id, runs, [c.id for c in queue]) for call in asked}


def _free(
    floor: Floor, busy: Iterable[Busy], now: float, ring_s: float
) -> tuple[Seconds, list[tuple[int, str, float]]]:
    """Seconds until everybody is free where that is certain, else infinite; and the talks.

    A talk is the consultant's column, the topic and the age; one that still rings begins later.
    """
    free = np.where(np.isfinite(floor.idle_since) & floor.on_duty, 0.0, np.inf)
    talks: list[tuple[int, str, float]] = []
    for each in busy:
        column = floor.staff.column[each.consultant]
        if not floor.on_duty[column] or np.isfinite(free[column]):
            continue
        if each.until is not None:
            free[column] = max(each.until - now, 0.0)
        elif each.kind == "wrap_up":
            free[column] = 0.0
        elif each.kind == "talking":
            talks.append((column, each.topic, max(now - each.since, 0.0)))
        elif each.kind == "ringing":
            talks.append((column, each.topic, min(now - each.since - ring_s, 0.0)))
    return free, talks


def _to_come(kinds: Sequence[Newcomers], horizon_s: float) -> list[Caller]:
    """The callers of the next seconds: in every run the same kinds, at other times."""
    shares = np.cumsum([kind.per_s for kind in kinds])
    count = int(np.ceil(min(shares[-1] * horizon_s * 1.3 + 2, _MOST_NEWCOMERS)))
    names = [f"newcomer {number}" for number in range(count)]
    arrives = np.cumsum(-np.log(chances(names)) / shares[-1], axis=1)
    which = np.searchsorted(shares, np.arange(1, count + 1) * _GOLDEN % 1 * shares[-1], "right")
    found = []
    for number, name in enumerate(names):
        kind = kinds[which[number]]
        found.append(Caller(name, kind.topic, kind.language, kind.priority, arrives[:, number]))
    return found


def _told(call: str, runs: Runs, queue: Sequence[str]) -> Forecast:
    waits = runs.answered(call)
    position = runs.before(call, queue[: queue.index(call)])
    if np.isinf(waits).any():
        return Forecast(position, None, None, None)
    low, middle, high = np.quantile(waits, (LOW, 0.5, HIGH), method="weibull").round(2).tolist()
    return Forecast(position, middle, low, high)

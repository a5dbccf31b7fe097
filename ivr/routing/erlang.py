"""How long callers wait by the formulas of A. K. Erlang and C. Palm: one queue, one skill.

Calls arrive at random, handling times are exponential. Erlang C: callers wait for ever; Erlang A:
they lose patience after an exponential time. The simulator is checked against both.
"""

from dataclasses import dataclass
from math import exp, inf

_NEGLIGIBLE = 1e-15
MAX_CONSULTANTS = 10_000


@dataclass(frozen=True, slots=True)
class Wait:
    """What callers go through on average."""

    waits: float
    """Share of the callers whom nobody answers at once."""
    mean_s: float
    """Mean wait of all callers, also of those who give up."""
    gives_up: float
    """Share of the callers who give up."""
    occupancy: float
    """Share of the time that a consultant is busy."""


def erlang_c(calls_per_h: float, handling_s: float, consultants: int) -> Wait:
    """Waiting without impatience; the mean is infinite when the load is not less than the staff.

    >>> round(erlang_c(360, 240, 28).waits, 3)
    0.333
    """
    load = calls_per_h / 3600 * handling_s
    if load >= consultants:
        return Wait(1.0, inf, 0.0, 1.0)
    blocked = _blocked(load, consultants)
    waits = blocked / (1 - load / consultants * (1 - blocked))
    return Wait(waits, waits * handling_s / (consultants - load), 0.0, load / consultants)


def answered_within(calls_per_h: float, handling_s: float, consultants: int, s: float) -> float:
    """Share of the callers answered within `s` seconds, by Erlang C."""
    load = calls_per_h / 3600 * handling_s
    if load >= consultants:
        return 0.0
    waits = erlang_c(calls_per_h, handling_s, consultants).waits
    return 1 - waits * exp(-(consultants - load) * s / handling_s)


def erlang_a(calls_per_h: float, handling_s: float, consultants: int, patience_s: float) -> Wait:
    """Waiting with impatience, its mean `patience_s` seconds: the steady state, state by state."""
    arrivals, ends, gives_up = calls_per_h / 3600, 1 / handling_s, 1 / patience_s
    # Weights relative to the state "all are busy and nobody waits".
    busy, weight, below, idle_weight = float(consultants), 1.0, 0.0, 0.0
    for calls in range(consultants, 0, -1):
        weight *= calls * ends / arrivals
        below += weight
        idle_weight += weight * (calls - 1)
    weight, waiting, above, queue = 1.0, 0, 1.0, 0.0
    while weight > _NEGLIGIBLE * (above + below):
        waiting += 1
        weight *= arrivals / (consultants * ends + waiting * gives_up)
        above += weight
        queue += weight * waiting
    total = above + below
    mean_s = queue / total / arrivals
    return Wait(
        above / total,
        mean_s,
        mean_s * gives_up,
        (above * busy + idle_weight) / total / busy,
    )


def consultants_for(calls_per_h: float, handling_s: float, share: float, within_s: float) -> int:
    """The fewest consultants who answer this share of the callers within `within_s` seconds."""
    if calls_per_h <= 0:
        return 0
    load = calls_per_h / 3600 * handling_s
    low, high = int(load) + 1, int(load) + 2
    while answered_within(calls_per_h, handling_s, high, within_s) < share:
        high *= 2
        if high > MAX_CONSULTANTS:
            raise ValueError(f"{calls_per_h:g} calls an hour of {handling_s:g} s are too many")
    while low < high:
        middle = (low + high) // 2
        if answered_within(calls_per_h, handling_s, middle, within_s) >= share:
            high = middle
        else:
            low = middle + 1
    return low


def _blocked(load: float, consultants: int) -> float:
    """Erlang B: the share of calls lost where nobody may wait."""
    blocked = 1.0
    for n in range(1, consultants + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked

"""A simulation in numbers: for all callers, for each queue, for each language."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ivr.routing.simulate import Outcome
from ivr.routing.staff import Booleans
from ivr.routing.trace import HOURS, Trace

LEVELS_S = (20, 30)
"""A service level is the share of all calls answered within so many seconds."""


@dataclass(frozen=True, slots=True)
class Group:
    """What some callers went through; times in seconds, None where there was nobody."""

    calls: int
    within_20_s: float | None
    within_30_s: float | None
    mean_wait_s: float | None
    p95_wait_s: float | None
    abandoned: float | None
    skill: float | None
    """Mean level, 0 to 5, of who answered, in what the call was about."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that `hotline simulate` tells."""

    total: Group
    occupancy: float
    """Share of their time on duty that consultants were ringing, talking or working after it."""
    passed_over: int
    no_answers: int
    """Offers that nobody answered."""
    never_served: int
    queues: Mapping[str, Group]
    languages: Mapping[str, Group]
    priorities: Mapping[str, Group]
    """By the names of routing.yaml."""
    hours: tuple[Group, ...]
    """By hour of the day of arrival."""

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)


def summarise(trace: Trace, outcome: Outcome, queue_of: Mapping[str, str]) -> Summary:
    """Count; `queue_of` gives the queue of each topic."""
    queue_of_topic = np.array([queue_of[topic] for topic in trace.topics])
    queues = queue_of_topic[trace.topic]
    languages = np.array(trace.languages)[trace.language]
    priorities = np.array(trace.priorities)[trace.priority]
    hour = (trace.arrives // 3600 % HOURS).astype(int)
    there = float(outcome.there_s.sum())
    everyone = np.ones(len(trace), dtype=np.bool_)
    return Summary(
        _group(outcome, everyone),
        float(outcome.busy_s.sum()) / there if there else 0.0,
        outcome.passed_over,
        outcome.no_answers,
        outcome.never_served,
        {str(name): _group(outcome, queues == name) for name in sorted(set(queues.tolist()))},
        {str(name): _group(outcome, languages == name) for name in trace.languages},
        {str(name): _group(outcome, priorities == name) for name in trace.priorities},
        tuple(_group(outcome, hour == number) for number in range(HOURS)),
    )


def percent(value: float | None) -> str:
    """A share as it is printed."""
    return "-" if value is None else f"{value:.1%}"


def _group(outcome: Outcome, members: Booleans) -> Group:
    calls = int(members.sum())
    if not calls:
        return Group(0, None, None, None, None, None, None)
    waits, answered = outcome.wait_s[members], outcome.answered[members]
    within = [float((answered & (waits <= limit)).mean()) for limit in LEVELS_S]
    levels = outcome.level[members][answered]
    return Group(
        calls,
        within[0],
        within[1],
        float(waits.mean()),
        float(np.quantile(waits, 0.95)),
        float(1 - answered.mean()),
        float(levels.mean()) if len(levels) else None,
    )

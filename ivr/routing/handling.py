"""How long a call keeps a consultant, by topic: learned from recent calls, shrunk where few."""

import math
from collections.abc import Mapping
from typing import Any, Self

MEMORY = 500
"""About so many of a topic's latest calls count; each older one counts for 0.2 % less."""
TRUST = 30
"""The prior counts like so many calls: topics' means differ by about a quarter, single calls by 1.3
times the mean, and the square of their ratio is 27."""
SIGMA = 1.0
"""Of the lognormal handling times, as long as nothing is known: as in `trace.py`."""
_SHORTEST_S, _LONGEST = 1.0, 15
"""Seconds, and times the mean: a wrong number and a forgotten handset tell nothing of the rest."""


class HandlingTimes:
    """Mean handling times (talk and the work after it, seconds) and how they scatter.

    A topic with few calls has its prior, corrected by how far all topics together are from theirs.
    """

    def __init__(self, handling_s: float, by_topic_s: Mapping[str, float] | None = None):
        self._prior_s, self._by_topic_s = handling_s, dict(by_topic_s or {})
        self._topics: dict[str, list[float]] = {}
        """Weight of the calls, sum of their seconds."""
        self._all = [0.0, 0.0]
        """Seconds that the priors expected, seconds there were."""
        self._logs = [0.0, 0.0, 0.0]
        """Weight, sum and sum of squares of log(seconds / mean of the topic)."""

    def add(self, topic: str, seconds: float) -> None:
        """Learn from one call, from the answer until the consultant is free again."""
        mean = self.mean(topic)
        seconds = min(max(seconds, _SHORTEST_S), _LONGEST * mean)
        log = math.log(seconds / mean)
        _remember(self._logs, 1.0, log, log * log)
        _remember(self._all, self._prior(topic), seconds)
        _remember(self._topics.setdefault(topic, [0.0, 0.0]), 1.0, seconds)

    def mean(self, topic: str = "") -> float:
        """The mean of a topic, seconds; of one that nobody knows ("") that of all."""
        expected, found = self._all
        extra = TRUST * self._prior_s
        prior = self._prior(topic) * (found + extra) / (expected + extra)
        weight, total = self._topics.get(topic, (0.0, 0.0))
        return (total + TRUST * prior) / (weight + TRUST)

    @property
    def sigma(self) -> float:
        """The standard deviation of the logarithm, the same for all topics."""
        weight, total, squares = self._logs
        scatter = squares - total * total / weight if weight else 0.0
        return math.sqrt((scatter + TRUST * SIGMA**2) / (weight + TRUST))

    @property
    def doubt(self) -> float:
        """The standard error of all means, as a share of them."""
        weight, _, _ = self._logs
        return math.sqrt(math.expm1(self.sigma**2) / (weight + TRUST))

    def to_plain(self) -> dict[str, Any]:
        """What was learned, as JSON can keep it; the priors are not in it."""
        return {"topics": self._topics, "all": self._all, "logs": self._logs}

    @classmethod
    def from_plain(
        cls, plain: Mapping[str, Any], handling_s: float, by_topic_s: Mapping[str, float]
    ) -> Self:
        """Go on from what was learned; raises KeyError or ValueError for what is not of it."""
        times = cls(handling_s, by_topic_s)
        times._topics = {str(topic): _numbers(sums, 2) for topic, sums in plain["topics"].items()}
        times._all, times._logs = _numbers(plain["all"], 2), _numbers(plain["logs"], 3)
        return times

    def _prior(self, topic: str) -> float:
        return self._by_topic_s.get(topic, self._prior_s)


def _remember(sums: list[float], *values: float) -> None:
    for index, value in enumerate(values):
        sums[index] += value - sums[index] / MEMORY


def _numbers(values: Any, count: int) -> list[float]:
    found = [float(value) for value in values]
    if len(found) != count or not all(map(math.isfinite, found)):
        raise ValueError(f"{count} numbers expected, found {values!r}")
    return found

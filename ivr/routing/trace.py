"""Calls of a day or a year, made up from a profile: the same calls for every way of routing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ivr.routing.skills import Priority
from ivr.types import Language
from ivr.understanding.source import Configuration, Source

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
HOURS = 24
DAY_S = 86_400
_BURST_S = 300
"""With bursts, the rate of calls changes every five minutes."""
_SPREAD = 1.0
"""Sigma of the lognormal handling times: their 90th percentile is about 2.2 times the mean."""

Share = Annotated[float, Field(ge=0)]
_ALL_NORMAL: dict[Priority, float] = {"normal": 1.0}


class Profile(Configuration):
    """What a day of the hotline is like; see `queues/profile.yaml`."""

    calls_by_hour: Annotated[tuple[Share, ...], Field(min_length=HOURS, max_length=HOURS)]
    topics: Annotated[dict[str, Share], Field(min_length=1)]
    languages: Annotated[dict[Language, Share], Field(min_length=1)]
    handling_s: Annotated[float, Field(gt=0)]
    """Mean talk and work after it."""
    handling_by_topic_s: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    patience_s: Annotated[float, Field(gt=0)]
    """Mean time a caller waits before hanging up."""
    priorities: Annotated[dict[Priority, Share], Field(min_length=1)] = Field(
        default_factory=_ALL_NORMAL.copy
    )
    """Shares of the priorities of routing.yaml."""


def load_profile(path: Path, topics: frozenset[str]) -> Profile:
    """Read a profile; raises ConfigError with file, line and hint."""
    source = Source(path)
    profile = source.validate(Profile)
    for key in ("topics", "handling_by_topic_s"):
        for topic in getattr(profile, key):
            if topic not in topics:
                raise source.error(
                    f"unknown topic {topic!r}", key, topic,
                    hint="topics are: " + ", ".join(sorted(topics)),
                )  # fmt: skip
    for key in ("calls_by_hour", "topics", "languages", "priorities"):
        values = getattr(profile, key)
        if sum(values.values() if isinstance(values, Mapping) else values) <= 0:
            raise source.error(f"{key}: at least one must be more than 0", key)
    return profile


@dataclass(frozen=True)
class Trace:
    """Calls in the order of their arrival; a row of each array is one call."""

    topics: tuple[str, ...]
    languages: tuple[Language, ...]
    arrives: Floats
    """Seconds from the beginning, a midnight."""
    topic: Indices
    language: Indices
    priorities: tuple[Priority, ...]
    priority: Indices
    handling: Floats
    """Seconds."""
    patience: Floats
    """Seconds; infinite for who never gives up."""

    def __len__(self) -> int:
        return len(self.arrives)


def make_trace(
    profile: Profile,
    days: int,
    calls_a_day: float,
    seed: int,
    *,
    burstiness: float = 0.0,
) -> Trace:
    """Make the calls of some days.

    Arrivals are Poisson within each hour. `burstiness` is the coefficient of variation of the rate
    from one five minutes to the next: 0 is Poisson, 0.5 is lively. Handling times are lognormal,
    patience is exponential.
    """
    random = np.random.default_rng(seed)
    by_hour = np.array(profile.calls_by_hour)
    slots = HOURS * 3600 // _BURST_S
    mean = np.repeat(by_hour / by_hour.sum() * calls_a_day / (slots / HOURS), slots // HOURS)
    means = np.tile(mean, days)
    if burstiness > 0:
        shape = burstiness**-2
        means = means * random.gamma(shape, 1 / shape, len(means))
    counts = random.poisson(means)
    starts = np.repeat(np.arange(len(counts)) * float(_BURST_S), counts)
    arrives = np.sort(starts + random.uniform(0, _BURST_S, len(starts)))
    size = len(arrives)
    topics, languages = tuple(profile.topics), tuple(profile.languages)
    topic = _drawn(random, profile.topics, size)
    handling = np.array([profile.handling_by_topic_s.get(t, profile.handling_s) for t in topics])
    lognormal = random.lognormal(-(_SPREAD**2) / 2, _SPREAD, size)
    language = _drawn(random, profile.languages, size)
    patience = random.exponential(profile.patience_s, size)
    return Trace(
        topics,
        languages,
        arrives,
        topic,
        language,
        tuple(profile.priorities),
        _drawn(random, profile.priorities, size),  # last: priorities change nothing else
        handling[topic] * lognormal,
        patience,
    )


def steady_trace(
    calls_per_h: float, calls: int, handling_s: float, patience_s: float, seed: int
) -> Trace:
    """One topic, Polish, Poisson, exponential handling times: what Erlang's formulas tell of.

    `patience_s` may be infinite. The means are made exact, so that fewer calls show the truth.
    """
    random = np.random.default_rng(seed)
    forever = not np.isfinite(patience_s)
    nothing = np.zeros(calls, dtype=np.int64)
    gaps, handling = random.exponential(1, calls), random.exponential(1, calls)
    return Trace(
        ("other",),
        ("pl",),
        np.cumsum(gaps / gaps.mean() * 3600 / calls_per_h),
        nothing,
        nothing,
        ("normal",),
        nothing,
        handling / handling.mean() * handling_s,
        np.full(calls, np.inf) if forever else random.exponential(patience_s, calls),
    )


def _drawn(random: np.random.Generator, shares: Mapping[Any, float], size: int) -> Indices:
    weights = np.array(list(shares.values()), dtype=float)
    return random.choice(len(shares), size, p=weights / weights.sum())

"""The queue played forward many times at once, each time with other lengths of the talks.

The rules are those of `plan()`: priority, arrival, steps that begin, the highest level first. A row
of an array is a run, a column a caller or a consultant. The chances are fixed and evenly spread, so
the same queue has the same future.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from zlib import crc32

import numpy as np
from scipy.special import ndtr, ndtri  # type: ignore[import-untyped]

from ivr.routing.handling import HandlingTimes
from ivr.routing.staff import Booleans, Floor, Indices, Seconds
from ivr.types import Language

RUNS = 64
_SETS = 4093
_TIE_S = 1e-6
"""Of two idle consultants the one with the higher level looks at the queue first."""
_CHECKED_EVERY = 8
_NEVER = 1e12


@dataclass(frozen=True, slots=True)
class Caller:
    """Who waits or is still to come."""

    id: str
    topic: str
    language: Language
    priority: int
    since: float | Seconds
    """When the wait began or begins, seconds from now; of who is still to come one a run."""


_Window = tuple[Seconds, Seconds | None]
"""Begins and ends; None where none ends."""


class Runs:
    """Callers in the order in which they are served; times are seconds from now."""

    def __init__(
        self,
        callers: Sequence[Caller],
        floor: Floor,
        there: Booleans,
        handling: HandlingTimes,
        ring_s: float,
        patience_s: float | None,
    ):
        names = [caller.id for caller in callers]
        self._column = {name: i for i, name in enumerate(names)}
        self._handling, self._ring_s = handling, ring_s
        self._ids = floor.staff.ids
        self._free = np.full((RUNS, len(self._ids)), np.inf)
        topics = [caller.topic for caller in callers]
        self._keeps = ring_s + self._rest(names, topics, np.zeros(len(names)))
        self._windows = _windows(callers, floor, there)
        since = np.array(np.broadcast_arrays(*(caller.since for caller in callers)))
        self._since = since.reshape(len(names), -1).T
        self._leaves: Seconds | None = None
        if patience_s is not None:
            left = -np.log(chances([f"patience {name}" for name in names]))
            self._leaves = np.maximum(self._since, 0.0) + patience_s * left
        self._served = np.full(self._keeps.shape, np.inf)
        self._past = np.zeros(self._keeps.shape)
        """Infinite for who has been served."""

    def begin(self, free: Seconds, talks: Sequence[tuple[int, str, float]]) -> None:
        """When everybody comes free, and who talks: column, topic, age."""
        self._free[:] = free
        if talks:
            columns, topics, ages = zip(*talks, strict=True)
            names = [f"consultant {self._ids[column]}" for column in columns]
            self._free[:, columns] = self._rest(names, topics, np.array(ages))

    def serve(self, call: str, consultant: int) -> None:
        """Serve a caller now."""
        column = self._column[call]
        self._served[:, column], self._past[:, column] = 0.0, np.inf
        self._free[:, consultant] = self._keeps[:, column]

    def play(self, calls: Sequence[str]) -> None:
        """Go on until these are served, or nobody comes free any more."""
        columns = [self._column[call] for call in calls]
        at = np.zeros(RUNS)
        while np.isfinite(at).any() and not np.isfinite(self._served[:, columns]).all():
            for _ in range(_CHECKED_EVERY):
                at = self._next()

    def answered(self, call: str) -> Seconds:
        """When a consultant answers, in each run; infinite where nobody does.

        Also of who gives up before: as if that one caller had stayed.
        """
        return self._served[:, self._column[call]] + self._ring_s

    def before(self, call: str, others: Sequence[str]) -> int:
        """How many of these are mostly served before, by somebody who could serve this one too."""
        mine = self._column[call]
        theirs = np.array([self._column[other] for other in others], dtype=np.int_)
        served = self._served[:, mine]
        earlier = (self._served[:, theirs] <= served[:, None]).mean(axis=0) >= 0.5
        at = np.median(served)
        if at == 0:
            return 0
        if not np.isfinite(at):
            return int(np.isinf(np.median(self._served[:, theirs], axis=0)).sum())
        waited = at - self._since[0]
        able = np.any(
            [
                (begins <= waited) & (ends is None or waited < ends)
                for begins, ends in self._windows
            ],
            axis=0,
        )
        shared = able[:, theirs] & able[:, [mine]]
        return int((earlier & shared.any(axis=0)).sum())

    def _next(self) -> Seconds:
        """In each run the consultant who comes free next looks at the queue; returns when."""
        rows = np.arange(RUNS)
        who = self._free.argmin(axis=1)
        at: Seconds = self._free[rows, who]
        opens = self._opens(who, at)
        may = opens <= np.minimum(at, _NEVER)[:, None]
        if self._leaves is not None:
            may = self._pass_by(may, self._leaves > at[:, None], opens, at)
        column = may.argmax(axis=1)
        found = may[rows, column]
        self._served[rows[found], column[found]] = at[found]
        self._past[rows[found], column[found]] = np.inf
        # Who finds nobody looks again when somebody's step begins.
        self._free[rows, who] = np.where(found, at + self._keeps[rows, column], opens.min(axis=1))
        return at

    def _opens(self, who: Indices, at: Seconds) -> Seconds:
        """From when on each caller may be served by the consultant of each run, if not past."""
        since = self._since + self._past
        found = []
        for begins, ends in self._windows:
            opens = begins[who] + since
            if ends is not None:
                opens[ends[who] + self._since <= at[:, None]] = np.inf
            found.append(opens)
        return found[0] if len(found) == 1 else np.min(found, axis=0)

    def _pass_by(self, may: Booleans, stays: Booleans, opens: Seconds, at: Seconds) -> Booleans:
        """Leave out who has given up; note that it would have been their turn."""
        here = np.asarray(may & stays)
        first = np.where(here.any(axis=1), here.argmax(axis=1), here.shape[1])
        turn = may & (np.arange(here.shape[1]) < first[:, None])
        self._served[turn] = np.broadcast_to(at[:, None], turn.shape)[turn]
        self._past[turn] = opens[turn] = np.inf
        return here

    def _rest(self, names: Sequence[str], topics: Sequence[str], ages: Seconds) -> Seconds:
        """How much longer talks last: lognormal, given their ages; below 0 is a talk to begin."""
        sigma = self._handling.sigma
        means = {topic: self._handling.mean(topic) for topic in topics}
        doubt = self._handling.doubt * ndtri(chances(["are talks longer than they were?"]))
        mu = np.log([means[topic] for topic in topics]) - sigma**2 / 2 + doubt
        lasts = ndtr((mu - np.log(np.maximum(ages, _TIE_S))) / sigma)
        return np.asarray(np.exp(mu - sigma * ndtri(chances(names) * lasts)) - ages)


def chances(names: Sequence[str]) -> Seconds:
    """Numbers between 0 and 1: a column a name, its `RUNS` values evenly spread in an own order."""
    return _sets()[[crc32(name.encode()) % _SETS for name in names]].T


@cache
def _sets() -> Seconds:
    even = (np.arange(RUNS) + 0.5) / RUNS
    return np.random.default_rng(0).permuted(np.tile(even, (_SETS, 1)), axis=1)


def _windows(callers: Sequence[Caller], floor: Floor, there: Booleans) -> list[_Window]:
    """When, in seconds of waiting, who of those there may serve whom; one window is usual.

    A row a consultant, a column a caller.
    """
    kinds = {(caller.topic, caller.language) for caller in callers}
    of_kind = {kind: _windows_of(*kind, floor, there) for kind in kinds}
    never = np.full((2, len(there)), np.inf)
    found = []
    for number in range(max(1, *map(len, of_kind.values()))):
        windows = {kind: (of[number : number + 1] or [never])[0] for kind, of in of_kind.items()}
        both = np.array([windows[caller.topic, caller.language] for caller in callers])
        begins, ends = (np.ascontiguousarray(side.T) for side in both.transpose(1, 0, 2))
        found.append((begins, ends if np.isfinite(ends).any() else None))
    return found


def _windows_of(topic: str, language: Language, floor: Floor, there: Booleans) -> list[Seconds]:
    """The begins and ends of each consultant's first windows, then of the second, and so on."""
    staff = floor.staff
    found: list[Seconds] = []
    count, able = np.zeros(len(there), dtype=np.int_), np.zeros(len(there), dtype=np.bool_)
    begins = 0.0
    for step in staff.routing.steps_for(topic, language):
        ends = np.inf if step.for_s is None else begins + step.for_s
        in_force = floor.step(topic, language, begins)
        before, able = able, staff.able(topic, language, in_force) & there
        new = able & ~before
        count[new] += 1
        if count.max() > len(found):
            found.append(np.full((2, len(there)), np.inf))
        levels = staff.levels(staff.demand(topic, language, in_force).skill or topic)
        for number, window in enumerate(found, 1):
            this = count == number
            window[0, new & this] = begins - _TIE_S * levels[new & this]
            window[1, able & this] = ends
        begins = ends
    return found

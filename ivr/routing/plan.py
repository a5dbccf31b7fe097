"""Who is offered which call: a pure function of the board and the time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ivr.routing.staff import Floor, Indices, Levels
from ivr.types import Language

MOST_CONSIDERED = 50
"""More names than these nobody reads in a case."""


@dataclass(frozen=True, slots=True)
class WaitingCall:
    """A caller who waits; times are seconds since the epoch."""

    id: str
    topic: str
    language: Language
    priority: int
    arrived_at: float
    queued_at: float


@dataclass(frozen=True, slots=True)
class Offer:
    """A call for a consultant, with the reason as it is kept in the case."""

    call: str
    consultant: str
    step: int
    level: int
    considered: tuple[str, ...]
    """The able and free: the best first, then those of lower levels by extension; the first 50."""
    why: str
    """What set the chosen one apart."""


def order(waiting: Iterable[WaitingCall]) -> list[WaitingCall]:
    """Sort callers as they are served: priority, then arrival, across all queues."""
    return sorted(waiting, key=lambda call: (call.priority, call.arrived_at, call.id))


def plan(waiting: Sequence[WaitingCall], floor: Floor, now: float) -> list[Offer]:
    """Pair callers and consultants.

    Callers in order of priority and arrival; for each the able consultant with the highest level,
    among equals the one whose other skills the callers behind ask for least, then the longest
    idle. A caller nobody may take yet holds up nobody behind.
    """
    free = np.isfinite(floor.idle_since)
    left = int(free.sum())
    if not waiting or not left:
        return []
    callers = order(waiting)
    behind = _Demand(callers, floor)
    offers: list[Offer] = []
    for call in callers:
        behind.pass_by(call)
        step = floor.step(call.topic, call.language, now - call.queued_at)
        able = (floor.staff.able(call.topic, call.language, step) & free).nonzero()[0]
        if not len(able):
            continue
        offer, chosen = _choose(call, step, able, floor, behind)
        offers.append(offer)
        free[chosen] = False
        left -= 1
        if not left:
            break
    return offers


class _Demand:
    """What the callers behind the present one ask for."""

    def __init__(self, callers: Sequence[WaitingCall], floor: Floor):
        self._levels = floor.staff.levels
        self.wanted: dict[str, int] = {}
        for call in callers:
            self.wanted[call.topic] = self.wanted.get(call.topic, 0) + 1
        self._scarce: Levels | None = None

    def pass_by(self, call: WaitingCall) -> None:
        """From now on this one is no more behind."""
        self.wanted[call.topic] -= 1
        if self._scarce is not None:
            self._scarce -= self._levels(call.topic)

    def scarcity(self, topic: str) -> Levels:
        """How much everybody's skills in other topics are wanted."""
        if self._scarce is None:
            self._scarce = np.zeros_like(self._levels(topic))
            for other, callers in self.wanted.items():
                self._scarce += callers * self._levels(other)
        return self._scarce - self.wanted[topic] * self._levels(topic)


def _choose(
    call: WaitingCall, step: int, able: Indices, floor: Floor, behind: _Demand
) -> tuple[Offer, int]:
    staff = floor.staff
    skill = staff.demand(call.topic, call.language, step).skill or call.topic
    levels = staff.levels(skill)[able]
    highest = int(levels.max())
    best, why = able[levels == highest], "only one" if len(able) == 1 else "level"
    if len(best) > 1:
        scarce, idle = behind.scarcity(call.topic)[best], floor.idle_since[best]
        ranks = np.lexsort((best, idle, scarce))
        first, second = ranks[:2]
        if scarce[first] != scarce[second]:
            why = "other skills least wanted"
        else:
            why = "longest idle" if idle[first] != idle[second] else "lowest extension"
        best = best[ranks]
    considered = best[:MOST_CONSIDERED].tolist()
    if len(considered) < MOST_CONSIDERED:
        considered += able[levels != highest][: MOST_CONSIDERED - len(considered)].tolist()
    names = tuple([staff.ids[i] for i in considered])
    return Offer(call.id, names[0], step, highest, names, why), considered[0]

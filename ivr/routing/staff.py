"""The consultants and the routing made ready for planning: one column a consultant.

Arrays, so that a plan for thousands of callers and consultants takes milliseconds. Nothing here
changes; a reload makes another `Staff`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ivr.routing.skills import Consultant, Routing, Step
from ivr.types import Language

Booleans = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int_]
Levels = npt.NDArray[np.int64]
Seconds = npt.NDArray[np.float64]


class Staff:
    """All consultants, in the order of their extensions."""

    def __init__(self, consultants: Iterable[Consultant], routing: Routing):
        self.consultants = tuple(sorted(consultants, key=lambda c: c.id))
        self.routing = routing
        self.ids = tuple(c.id for c in self.consultants)
        self.column = {name: i for i, name in enumerate(self.ids)}
        topics = sorted({topic for c in self.consultants for topic in c.skills})
        self._levels = {topic: self._levels_in(topic) for topic in topics}
        self._none = np.zeros(len(self.ids), dtype=np.int64)
        self._able: dict[tuple[str, Language, int], Booleans] = {}

    def _levels_in(self, topic: str) -> Levels:
        return np.array([c.level(topic) for c in self.consultants], dtype=np.int64)

    def levels(self, topic: str) -> Levels:
        """Everybody's level in a topic, 0 to 5."""
        return self._levels.get(topic, self._none)

    def able(self, topic: str, language: Language, step: int) -> Booleans:
        """Who may serve such a caller at a step."""
        key = (topic, language, step)
        found = self._able.get(key)
        if found is None:
            demand = self.demand(topic, language, step)
            found = np.array(
                [demand.serves(c, topic, language) for c in self.consultants], dtype=np.bool_
            )
            self._able[key] = found
        return found

    def demand(self, topic: str, language: Language, step: int) -> Step:
        """What a step asks of a consultant."""
        return self.routing.steps_for(topic, language)[step]


@dataclass(frozen=True, slots=True)
class Floor:
    """Who is there at one moment."""

    staff: Staff
    idle_since: Seconds
    """Seconds since the epoch; infinite for who cannot be offered a call now."""
    on_duty: Booleans
    """Who is logged in, be it in a talk or in a pause."""

    @classmethod
    def of(
        cls, staff: Staff, free: Mapping[str, float], on_duty: Iterable[str] | None = None
    ) -> "Floor":
        """The free with the time since when; who is logged in (None: all)."""
        idle = np.full(len(staff.ids), np.inf)
        for name, since in free.items():
            idle[staff.column[name]] = since
        there = np.ones(len(staff.ids), dtype=np.bool_)
        if on_duty is not None:
            there[:] = False
            there[[staff.column[name] for name in on_duty]] = True
        return cls(staff, idle, there)

    def step(self, topic: str, language: Language, waited_s: float) -> int:
        """The step in force: that of the time, or a later one while all of it are logged out."""
        routing = self.staff.routing
        step = routing.step_at(topic, waited_s, language)
        last = len(routing.steps_for(topic, language)) - 1
        while step < last and not (self.staff.able(topic, language, step) & self.on_duty).any():
            step += 1
        return step

"""Who is on duty at which hour, as in `queues/rota.yaml`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from ivr.routing.simulate import Shift
from ivr.routing.skills import Routing
from ivr.routing.staff import Booleans, Staff
from ivr.routing.trace import DAY_S
from ivr.types import LANGUAGES
from ivr.understanding.source import Configuration, Source

HOUR_S = 3600


class _Shift(Configuration):
    name: Annotated[str, Field(min_length=1, max_length=40)]
    begins: Annotated[time, Field(alias="from")]
    ends: Annotated[time, Field(alias="to")]
    consultants: Annotated[tuple[str, ...], Field(min_length=1)]

    def covers(self, second: int) -> bool:
        """Whether a second of the day is in the shift; the same begin and end is the whole day."""
        begins, ends = _seconds(self.begins), _seconds(self.ends)
        if begins < ends:
            return begins <= second < ends
        return second >= begins or second < ends


class _RotaFile(Configuration):
    shifts: Annotated[tuple[_Shift, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Rota:
    """The shifts of a day."""

    shifts: tuple[_Shift, ...]

    def on_duty(self, second: int) -> set[str]:
        """Who is there at a second of the day."""
        return {who for shift in self.shifts if shift.covers(second) for who in shift.consultants}

    def changes(self) -> list[int]:
        """The seconds of the day at which somebody comes or goes, 0 among them."""
        ends = {_seconds(t) for shift in self.shifts for t in (shift.begins, shift.ends)}
        return sorted({0, *ends})

    def days(self, staff: Staff, days: int) -> list[Shift]:
        """The shifts of so many days, for the simulator."""
        crews = [(at, _crew(staff, self.on_duty(at))) for at in self.changes()]
        return [Shift(day * DAY_S + at, crew) for day in range(days) for at, crew in crews]

    def warnings(self, staff: Staff, routing: Routing, topics: Iterable[str]) -> list[str]:
        """Sentences about hours in which nobody is there, or nobody for a language or topic."""
        found = []
        for at, until in zip(self.changes(), [*self.changes()[1:], DAY_S], strict=True):
            hours = f"{_clock(at)}-{_clock(until)}"
            people = [staff.consultants[staff.column[who]] for who in self.on_duty(at)]
            if not people:
                found.append(f"{hours}: nobody is on duty")
                continue
            spoken = {language for person in people for language in person.languages}
            found += [
                f"{hours}: nobody speaks {language}"
                for language in LANGUAGES
                if language not in spoken
            ]
            for topic in sorted(topics):
                last = routing.steps_for(topic, "pl")[-1]
                if not any(last.serves(person, topic, "pl") for person in people):
                    found.append(f"{hours}: nobody may serve the topic {topic!r} in Polish")
        return found


def load_rota(path: Path, consultants: Sequence[str]) -> Rota:
    """Read a rota; raises ConfigError for unknown consultants and unreadable times."""
    source = Source(path)
    shifts = source.validate(_RotaFile).shifts
    for index, shift in enumerate(shifts):
        for who in shift.consultants:
            if who not in consultants:
                raise source.error(
                    f"shift {shift.name!r} has the unknown consultant {who!r}", "shifts", index,
                    hint="consultants.yaml must have the extension",
                )  # fmt: skip
    return Rota(shifts)


def _crew(staff: Staff, names: set[str]) -> Booleans:
    return np.array([name in names for name in staff.ids], dtype=np.bool_)


def _seconds(at: time) -> int:
    return at.hour * HOUR_S + at.minute * 60 + at.second


def _clock(second: int) -> str:
    return f"{second // HOUR_S:02d}:{second % HOUR_S // 60:02d}"

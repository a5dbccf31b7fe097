"""Who is offered which call: a pure function of the board and the time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from ivr.routing.skills import Consultant, Routing
from ivr.types import Language


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
class FreeConsultant:
    """A consultant who could be offered a call now, and since when."""

    consultant: Consultant
    idle_since: float


@dataclass(frozen=True, slots=True)
class Offer:
    """A call for a consultant, with the reason as it is kept in the case."""

    call: str
    consultant: str
    step: int
    level: int
    considered: tuple[str, ...]


def order(waiting: Iterable[WaitingCall]) -> list[WaitingCall]:
    """Sort callers as they are served: priority, then arrival, across all queues."""
    return sorted(waiting, key=lambda call: (call.priority, call.arrived_at, call.id))


def plan(
    waiting: Sequence[WaitingCall],
    free: Sequence[FreeConsultant],
    routing: Routing,
    now: float,
) -> list[Offer]:
    """Pair callers and consultants.

    Callers in order of priority and arrival; for each the able consultant with the highest level,
    among equals the one whose other skills the callers behind ask for least, then the longest
    idle. A caller nobody may take yet holds up nobody behind.
    """
    callers = order(waiting)
    left = {entry.consultant.id: entry for entry in free}
    offers: list[Offer] = []
    for position, call in enumerate(callers):
        if not left:
            break
        step = routing.step_at(call.topic, now - call.queued_at)
        demand = routing.steps_for(call.topic)[step]
        able = [e for e in left.values() if demand.serves(e.consultant, call.topic, call.language)]
        if not able:
            continue
        wanted = _wanted(callers[position + 1 :])

        best = min(able, key=partial(_rank, topic=call.topic, wanted=wanted))
        del left[best.consultant.id]
        offers.append(
            Offer(
                call.id,
                best.consultant.id,
                step,
                best.consultant.level(call.topic),
                tuple(sorted(entry.consultant.id for entry in able)),
            )
        )
    return offers


def _wanted(callers: Sequence[WaitingCall]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for call in callers:
        counts[call.topic] = counts.get(call.topic, 0) + 1
    return counts


def _rank(entry: FreeConsultant, topic: str, wanted: dict[str, int]) -> tuple[int, int, float, str]:
    skills = entry.consultant.skills
    scarce = sum(wanted.get(other, 0) * level for other, level in skills.items() if other != topic)
    return (-entry.consultant.level(topic), scarce, entry.idle_since, entry.consultant.id)

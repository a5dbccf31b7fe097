"""What must hold of a day on the floor, from the cases' events and from Asterisk's manager."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from ivr.cases.event import CaseEvent
from ivr.routing.skills import Consultant, Routing
from ivr.types import Language

TOLERANCE_S = 0.25
"""Decisions of one moment are written down one after the other."""
TALK_TOLERANCE_S = 0.5
_ENDS = {"no_answer", "talk_ended", "closed", "degraded"}
_WAITS = {"offered", "abandoned", "callback_asked", "closed", "degraded", "emergency"}


@dataclass(frozen=True, slots=True)
class Span:
    """Somebody kept busy: seconds since the epoch."""

    who: str
    call: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Wait:
    """A caller on the line who waits for an offer."""

    call: str
    topic: str
    language: Language
    place: tuple[int, float]
    begin: float
    end: float


def finals(cases: Mapping[str, Sequence[CaseEvent]]) -> list[str]:
    """Cases that did not end exactly once; one that was called back may end twice."""
    found = []
    for call, events in cases.items():
        closed = [event for event in events if event.kind == "closed"]
        asked = any(event.kind == "callback_asked" for event in events)
        if len(closed) not in ((1, 2) if asked else (1,)):
            found.append(f"{call} was closed {len(closed)} times")
    return found


def overlaps(spans: Sequence[Span], what: str) -> list[str]:
    """Pairs of one's spans that overlap."""
    found = []
    for one, other in pairwise(sorted(spans, key=lambda span: (span.who, span.begin))):
        if one.who == other.who and other.begin < one.end - TOLERANCE_S and one.call != other.call:
            found.append(f"{one.who} {what}: {one.call} and {other.call}")
    return found


def offers(cases: Mapping[str, Sequence[CaseEvent]]) -> list[Span]:
    """From each offer to no answer or the end of the talk."""
    spans = []
    for call, events in cases.items():
        for index, event in enumerate(events):
            if event.kind == "offered":
                end = next((e for e in events[index + 1 :] if e.kind in _ENDS), events[-1])
                who = str(event.data["consultant"])
                spans.append(Span(who, call, _at(event.at), _at(end.at)))
    return spans


def passed_over(
    cases: Mapping[str, Sequence[CaseEvent]], people: Mapping[str, Consultant], routing: Routing
) -> list[str]:
    """Offers made while somebody else should have had the consultant.

    Somebody of the same or a higher priority who had waited longer, and whom the consultant could
    have served at the step that the time gives.
    """
    waits = [wait for call, events in cases.items() for wait in _waits(call, events)]
    places = {wait.call: wait.place for wait in waits}
    found = []
    for offer in offers(cases):
        mine, who = places.get(offer.call), people[offer.who]
        for wait in waits:
            there = wait.begin + TOLERANCE_S < offer.begin < wait.end - TOLERANCE_S
            if mine is None or not there or wait.place >= mine:
                continue
            step = routing.step_at(wait.topic, offer.begin - wait.begin, wait.language)
            if routing.steps_for(wait.topic, wait.language)[step].serves(
                who, wait.topic, wait.language
            ):
                found.append(f"{offer.who} was offered {offer.call} before {wait.call}")
    return found


def disagreements(talks: Sequence[Span], witnessed: Sequence[Span]) -> list[str]:
    """Talks that the cases and the manager tell differently; `call` is the caller's channel."""
    seen = {(span.call, span.who): span for span in witnessed}
    found = []
    for talk in talks:
        other = seen.pop((talk.call, talk.who), None)
        if other is None:
            found.append(f"nobody but the case saw {talk.who} talk with {talk.call}")
        elif abs((talk.end - talk.begin) - (other.end - other.begin)) > TALK_TOLERANCE_S:
            found.append(f"{talk.who} with {talk.call}: durations differ")
    return found + [f"no case tells that {who} talked with {call}" for call, who in seen]


def talks(cases: Mapping[str, Sequence[CaseEvent]], channels: Mapping[str, str]) -> list[Span]:
    """The talks as the cases tell them; `channels` gives the caller's channel of each case."""
    spans = []
    for call, events in cases.items():
        for index, event in enumerate(events):
            if event.kind == "talking":
                end = next((e for e in events[index + 1 :] if e.kind == "talk_ended"), None)
                if end is not None:
                    who = str(event.data["consultant"])
                    spans.append(Span(who, channels[call], _at(event.at), _at(end.at)))
    return spans


def _waits(call: str, events: Sequence[CaseEvent]) -> Iterator[Wait]:
    queued = next((event for event in events if event.kind == "queued"), None)
    if queued is None:
        return
    data, since = queued.data, _at(queued.at)
    place = (int(str(data["priority"])), since)
    begin: float | None = since
    for event in events[events.index(queued) + 1 :]:
        if begin is not None and event.kind in _WAITS:
            yield Wait(call, str(data["topic"]), "pl", place, begin, _at(event.at))
            begin = None
        elif event.kind == "no_answer":
            begin = _at(event.at)


def _at(moment: datetime) -> float:
    return moment.timestamp()

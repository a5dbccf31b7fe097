"""What consultants corrected: sentences that were taken for another topic than they were about."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ivr.cases.event import CaseEvent, EventKind
from ivr.types import LANGUAGES, Language

_PERSONAL = re.compile(
    r"\d(?:[\s-]?\d){5,}"  # telephone numbers, PESEL, accounts
    r"|\S+@\S+"
    r"|\b(?:nazywam się|mam na imię|moje nazwisko|mój pesel|my name is|мене звати|моє прізвище)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Correction:
    """A sentence of a caller, the topic it was taken for, and the one a consultant gave it."""

    sentence: str
    language: Language
    understood: str
    corrected: str

    @property
    def personal(self) -> bool:
        """Whether the sentence seems to tell who the caller is: it must be edited before use."""
        return bool(_PERSONAL.search(self.sentence))


def correction_of(events: Iterable[CaseEvent]) -> Correction | None:
    """Return what a case's events, in any order, say was corrected; None where nothing was.

    The sentence is the one heard last before the topic was understood.
    """
    heard = sentence = understood = corrected = ""
    language: Language = "pl"
    spoken: Language = language
    for event in sorted(events, key=lambda e: e.order):
        data = event.data
        match event.kind:
            case EventKind.HEARD if isinstance(said := data.get("transcript"), str):
                heard = said.strip()
                spoken = next((k for k in LANGUAGES if k == data.get("language")), spoken)
            case EventKind.UNDERSTOOD if isinstance(topic := data.get("topic"), str):
                sentence, understood, language = heard, topic, spoken
            case EventKind.CONSULTANT_NOTE if isinstance(topic := data.get("topic"), str):
                corrected = topic
    if not sentence or not corrected or corrected == understood:
        return None
    return Correction(sentence, language, understood, corrected)

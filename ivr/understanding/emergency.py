"""Does the caller speak of danger? Certain, perhaps or no.

Several detectors look at a sentence, and the verdict is their union: regular expressions, key
phrases by their lemmas, key phrases by likeness of letters and sound (what recognisers make of
frightened speech), and a trained model, which also weighs what the lists found. A context may turn
"yes" into a question and explain a weak alarm away; it never silences a strong one, and neither
does the model: it may only have a strong sign asked about first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from ivr.types import Language
from ivr.understanding.alarms import MIN_FUZZY_CHARS, AlarmBook, Phrase, load_alarms
from ivr.understanding.text import fold, lemmas, normalise, sound_key, squeeze

Outcome = Literal["yes", "ask", "no"]
LIKE_STRONG = 0.87
"""Likeness (1 - Levenshtein distance / length) from which a phrase counts as said."""
LIKE_WEAK = 0.80
"""Likeness from which it is worth a question."""
SOUND_MALUS = 0.06
"""Taken from likeness by sound: sound keys have few letters, so more is alike by chance."""
NOTHING_HEARD = "nothing heard"
LEMMA_GAP = 1
"""Foreign words allowed between two words of a phrase when matching lemmas."""


@dataclass(frozen=True, slots=True)
class EmergencyVerdict:
    """What to do: connect to 112, ask, or go on; why, and what kind of danger it is."""

    outcome: Outcome
    why: str
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How the model's score (0 to 1) counts: found when it is trained."""

    asks: float = 0.5
    """From here it is worth a question by itself."""
    certain: float = 0.9
    """From here it is certain by itself."""
    doubts: float = 0.75
    """Below, a strong sign is asked about first: it is likelier that there is no danger."""
    harmless: float = 0.0
    """Below, a weak sign is none."""


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that a list has found; `explained` says which context speaks against it."""

    group: str
    strong: bool
    why: str
    explained: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the lists find in an utterance, the weightiest sign first."""

    signs: tuple[Sign, ...] = ()
    context: bool = False
    words: int = 0
    """Of the likeliest hearing: who shouts "fire" says less than who tells of a fire."""
    nothing_heard: bool = False

    @property
    def evidence(self) -> tuple[float, ...]:
        """The same as numbers, for a model to weigh."""
        strong = sum(s.strong and not s.explained for s in self.signs)
        return (
            float(strong > 0),
            float(strong > 1),
            float(any(s.strong and s.explained for s in self.signs)),
            float(any(not s.strong and not s.explained for s in self.signs)),
            float(any(not s.strong and s.explained for s in self.signs)),
            float(self.context),
            float(self.words),
        )


class EmergencyDetector:
    """Finds signs of emergencies in what callers say; stateless, safe between threads."""

    def __init__(self, book: AlarmBook) -> None:
        self._book = book

    @classmethod
    def load(cls, path: Path) -> "EmergencyDetector":
        """Read an emergencies file; raises ConfigError when it cannot be used."""
        return cls(load_alarms(path))

    def detect(self, text: str, language: Language) -> EmergencyVerdict:
        """Return what the lists alone say of an utterance. Never raises."""
        return decide(self.find([text], language))

    def find(self, texts: Sequence[str], language: Language) -> Findings:
        """Return the signs in any of the ways an utterance (or its beginning) was heard."""
        plain = [normalised for text in texts if (normalised := normalise(text))]
        if not plain:
            return Findings(nothing_heard=True)
        signs: list[Sign] = []
        context = False
        for heard in dict.fromkeys(plain):
            folded = fold(heard)
            contexts = [c for c in self._book.contexts if any(p.search(folded) for p in c.patterns)]
            context = context or bool(contexts)
            for sign in self._signs(heard, folded, language):
                why = next((c.why for c in contexts if c.explains(sign.group)), "")
                signs.append(replace(sign, explained=why))
        # Suicide first, so that the crisis line is offered; then what no context explains.
        signs.sort(key=lambda s: (not s.strong, bool(s.explained), s.group != "suicide"))
        return Findings(tuple(signs), context, len(plain[0].split()))

    def _signs(self, plain: str, folded: str, language: Language) -> list[Sign]:
        signs = []
        words = lemmas(plain, language)
        by_letters = squeeze(folded)
        by_sound = squeeze(sound_key(plain, language))
        for alarm in self._book.alarms:
            strong = alarm.strength == "strong"
            # Patterns of every language are tried: frightened callers fall back on their own.
            match = next((m for p in alarm.patterns if (m := p.search(folded))), None)
            if match:
                signs.append(Sign(alarm.group, strong, f"said {match[0].strip()!r}"))
                continue
            if alarm.language != language:
                continue
            for phrase in alarm.phrases:
                if _in_order(phrase.lemmas, words):
                    signs.append(Sign(alarm.group, strong, f"means {phrase.text!r}"))
                    break
                likeness = _likeness(phrase, by_letters, by_sound)
                if likeness >= LIKE_WEAK:
                    sure = likeness >= LIKE_STRONG
                    signs.append(Sign(alarm.group, strong and sure, f"sounds like {phrase.text!r}"))
                    if sure:
                        break
        return signs


def decide(
    findings: Findings, score: float | None = None, limits: Thresholds | None = None
) -> EmergencyVerdict:
    """Return the verdict from what the lists found and how likely a model thinks danger is."""
    if findings.nothing_heard:
        return EmergencyVerdict("no", NOTHING_HEARD)
    limits = limits or Thresholds()
    sign = findings.signs[0] if findings.signs else None
    why = sign.why if sign else "no sign of danger"
    why += f", but {sign.explained}" if sign and sign.explained else ""
    why += f", model {score:.2f}" if score is not None else ""
    group = sign.group if sign else None
    return EmergencyVerdict(_outcome(sign, score, limits), why, group)


def _outcome(sign: Sign | None, score: float | None, limits: Thresholds) -> Outcome:
    if score is None:
        return _by_lists(sign)
    explained = sign is not None and bool(sign.explained)
    if score >= limits.certain:
        return "ask" if explained else "yes"
    if sign is not None and sign.strong:
        return "yes" if score >= limits.doubts and not explained else "ask"
    worth_asking = limits.harmless if sign is not None and not explained else limits.asks
    return "ask" if score >= worth_asking else "no"


def _by_lists(sign: Sign | None) -> Outcome:
    """Without a model: strong is yes, weak is a question, and a context takes a step off."""
    if sign is None:
        return "no"
    if sign.strong:
        return "ask" if sign.explained else "yes"
    return "no" if sign.explained else "ask"


def _in_order(phrase: tuple[str, ...], words: list[str]) -> bool:
    """Whether the words of a phrase follow one another, at most LEMMA_GAP words between two."""
    for start, word in enumerate(words):
        if word != phrase[0]:
            continue
        at = start
        for wanted in phrase[1:]:
            window = words[at + 1 : at + 2 + LEMMA_GAP]
            if wanted not in window:
                break
            at += 1 + window.index(wanted)
        else:
            return True
    return False


def _likeness(
    phrase: Phrase, by_letters: tuple[str, list[int]], by_sound: tuple[str, list[int]]
) -> float:
    best = 0.0
    forms = ((phrase.squeezed, by_letters, 0.0), (phrase.sound, by_sound, SOUND_MALUS))
    for key, (squeezed, starts), malus in forms:
        size = len(key)
        if size < MIN_FUZZY_CHARS:
            continue
        # Quick, and never below what the windows give: a letter more or less in a window costs 1.
        if not fuzz.partial_ratio(key, squeezed, score_cutoff=100 * (LIKE_WEAK - 1 / size)):
            continue
        for start in starts:
            for length in (size, size - 1, size + 1):
                window = squeezed[start : start + length]
                if len(window) < size - 2:
                    break
                like = Levenshtein.normalized_similarity(key, window, score_cutoff=LIKE_WEAK)
                best = max(best, like - malus)
    return best

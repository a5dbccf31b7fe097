"""Does the caller speak of danger? Certain, perhaps or no.

Several detectors look at a sentence, and the verdict is their union: regular expressions, key
phrases by their lemmas, key phrases by likeness of letters and sound (what recognisers make of
frightened speech), and a trained model. A context may turn "yes" into a question and explain a
weak alarm away; it never silences a strong one. The trained model makes a weak sign certain, doubts
a strong one that nothing else in the sentence supports, and acts alone only when it is very sure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rapidfuzz.distance import Levenshtein

from ivr.types import Language
from ivr.understanding.alarms import MIN_FUZZY_CHARS, AlarmBook, Context, Phrase, load_alarms
from ivr.understanding.text import fold, lemmas, normalise, sound_key, squeeze

Outcome = Literal["yes", "ask", "no"]
AlarmScore = Callable[[str, Language], float]
"""A trained model: the probability, 0 to 1, that a sentence tells of an emergency."""

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
    """From here it is worth a question by itself, and makes a weak sign certain."""
    certain: float = 0.9
    """From here it is certain by itself."""
    doubts: float = 0.0
    """Below, even a strong sign is asked about first."""


@dataclass(frozen=True, slots=True)
class _Sign:
    group: str
    strong: bool
    why: str


class EmergencyDetector:
    """Finds emergencies in what callers say; stateless, safe to share between threads."""

    def __init__(
        self,
        book: AlarmBook,
        score: AlarmScore | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        self._book = book
        self._score = score
        self._thresholds = thresholds or Thresholds()

    @classmethod
    def load(cls, path: Path, score: AlarmScore | None = None) -> "EmergencyDetector":
        """Read an emergencies file; raises ConfigError when it cannot be used."""
        return cls(load_alarms(path), score)

    def with_score(
        self, score: AlarmScore, thresholds: Thresholds | None = None
    ) -> "EmergencyDetector":
        """Return the same detector with a trained model beside the lists."""
        return EmergencyDetector(self._book, score, thresholds)

    def detect(self, text: str, language: Language) -> EmergencyVerdict:
        """Return the verdict on one utterance (or the beginning of one). Never raises."""
        plain = normalise(text)
        if not plain:
            return EmergencyVerdict("no", NOTHING_HEARD)
        folded = fold(plain)
        signs = self._signs(plain, folded, language)
        contexts = [
            context
            for context in self._book.contexts
            if any(pattern.search(folded) for pattern in context.patterns)
        ]
        score = self._score(text, language) if self._score else None
        return _verdict(signs, contexts, score, self._thresholds)

    def has_sign(self, text: str, language: Language) -> bool:
        """Whether the lists find any sign of danger, explained or not; no model is asked."""
        plain = normalise(text)
        return bool(plain) and bool(self._signs(plain, fold(plain), language))

    def _signs(self, plain: str, folded: str, language: Language) -> list[_Sign]:
        signs = []
        words = lemmas(plain, language)
        by_letters = squeeze(folded)
        by_sound = squeeze(sound_key(plain, language))
        for alarm in self._book.alarms:
            strong = alarm.strength == "strong"
            # Patterns of every language are tried: frightened callers fall back on their own.
            match = next((m for p in alarm.patterns if (m := p.search(folded))), None)
            if match:
                signs.append(_Sign(alarm.group, strong, f"said {match[0].strip()!r}"))
                continue
            if alarm.language != language:
                continue
            for phrase in alarm.phrases:
                if _in_order(phrase.lemmas, words):
                    signs.append(_Sign(alarm.group, strong, f"means {phrase.text!r}"))
                    break
                likeness = _likeness(phrase, by_letters, by_sound)
                if likeness >= LIKE_WEAK:
                    sure = likeness >= LIKE_STRONG
                    signs.append(
                        _Sign(alarm.group, strong and sure, f"sounds like {phrase.text!r}")
                    )
                    if sure:
                        break
        return signs


def _verdict(
    signs: list[_Sign], contexts: list[Context], score: float | None, limits: Thresholds
) -> EmergencyVerdict:
    def context_of(sign: _Sign) -> Context | None:
        return next((c for c in contexts if c.explains(sign.group)), None)

    # Suicide first, so that the crisis line is offered; what no context explains before the rest.
    order = sorted(
        signs, key=lambda s: (not s.strong, context_of(s) is not None, s.group != "suicide")
    )
    sign = order[0] if order else None
    context = context_of(sign) if sign else None
    why = sign.why if sign else "no sign of danger"
    why += f", but {context.why}" if context else ""
    why += f", model {score:.2f}" if score is not None and score >= limits.asks else ""
    group = sign.group if sign else None
    return EmergencyVerdict(_outcome(sign, context, score, limits), why, group)


def _outcome(
    sign: _Sign | None, context: Context | None, score: float | None, limits: Thresholds
) -> Outcome:
    certain = score is not None and score >= limits.certain
    likely = score is not None and score >= limits.asks
    if sign is None:
        return "yes" if certain else "ask" if likely else "no"
    if context is not None:
        return "ask" if sign.strong or likely else "no"
    if sign.strong:
        return "ask" if score is not None and score < limits.doubts else "yes"
    return "yes" if likely else "ask"


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
        for start in starts:
            for length in (size, size - 1, size + 1):
                window = squeezed[start : start + length]
                if len(window) < size - 2:
                    break
                like = Levenshtein.normalized_similarity(key, window, score_cutoff=LIKE_WEAK)
                best = max(best, like - malus)
    return best

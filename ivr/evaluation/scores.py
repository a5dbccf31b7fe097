"""The measures: pure functions of what was judged. docs/evaluation.md says what each means."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jiwer

from ivr.understanding.meaning import Meaning
from ivr.understanding.sample_set import EMERGENCY, Sample
from ivr.understanding.text import normalise

Z95 = 1.959964
BINS = 10
RESAMPLED = 1000
"""Draws of the bootstrap."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A sample and what was made of it; None where that was not measured. Times in seconds."""

    sample: Sample
    meaning: Meaning | None
    classify_s: float = 0.0
    heard: str | None = None
    recognise_s: float | None = None
    failed: bool = False
    seen: bool = False
    """Whether the topics learned from this very sentence."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its counts and 95 % interval; `share` is None where there is nothing."""

    part: int
    whole: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Bin:
    """Sentences of like confidence, and how many of them were right."""

    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Miss:
    """A sentence that was not understood as it should be."""

    what: str
    line: int
    text: str
    heard: str | None
    language: str
    topic: str
    said: str
    confidence: float
    emergency: str
    why: str


@dataclass(frozen=True, slots=True)
class Scores:
    """Everything measured under one condition."""

    condition: str
    scored: int
    rates: dict[str, Rate]
    seen_rates: dict[str, Rate]
    """Recordings of sentences seen in training, apart: what hearing costs, not understanding."""
    topics: dict[str, Rate]
    confusion: dict[str, dict[str, int]]
    calibration_error: float | None
    bins: tuple[Bin, ...]
    words: Rate
    characters: Rate
    exact: Rate
    failed: Rate
    latency_ms: dict[str, dict[str, float]]
    misses: tuple[Miss, ...]


def wilson(part: int, whole: int) -> Rate:
    """A share with Wilson's score interval (E. B. Wilson, JASA 22, 1927), 95 %."""
    if not whole:
        return Rate(part, whole, None, None, None)
    share, square = part / whole, Z95 * Z95
    centre = (share + square / (2 * whole)) / (1 + square / whole)
    spread = math.sqrt(share * (1 - share) / whole + square / (4 * whole * whole))
    spread *= Z95 / (1 + square / whole)
    return Rate(part, whole, share, max(0.0, centre - spread), min(1.0, centre + spread))


def error_rate(pairs: Sequence[tuple[int, int]]) -> Rate:
    """Errors over units of all sentences, (errors, units) each; may exceed 1.

    The interval is the bootstrap's over sentences: the words of one sentence are wrong together,
    so Wilson's, which takes them as independent, would be too narrow.
    """
    errors, units = sum(e for e, _ in pairs), sum(u for _, u in pairs)
    if not units:
        return Rate(errors, units, None, None, None)
    draw = random.Random(19115)  # noqa: S311 - statistics, not secrets
    found = []
    for _ in range(RESAMPLED):
        some = draw.choices(pairs, k=len(pairs))
        found.append(sum(e for e, _ in some) / max(1, sum(u for _, u in some)))
    return Rate(errors, units, errors / units, percentile(found, 2.5), percentile(found, 97.5))


def word_edits(said: str, heard: str) -> tuple[int, int]:
    """Words wrong, missing or too many, and words said; case and punctuation do not count."""
    return _edits(jiwer.process_words, said, heard)


def character_edits(said: str, heard: str) -> tuple[int, int]:
    """Characters wrong, missing or too many, and characters said, spaces included."""
    return _edits(jiwer.process_characters, said, heard)


def _edits(process: Callable[[str, str], Any], said: str, heard: str) -> tuple[int, int]:
    reference, hypothesis = normalise(said), normalise(heard)
    if not reference:  # nothing to count against: jiwer refuses it
        return 0, 0
    found = process(reference, hypothesis)
    wrong = found.substitutions + found.deletions
    return wrong + found.insertions, wrong + found.hits


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that so many per cent of the values do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def reliability(pairs: Sequence[tuple[float, bool]]) -> tuple[Bin, ...]:
    """Ten bins of confidence 0 to 1, the empty ones left out."""
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for confidence, right in pairs:
        bins[min(BINS - 1, int(confidence * BINS))].append((confidence, right))
    return tuple(
        Bin(len(b), sum(c for c, _ in b) / len(b), sum(r for _, r in b) / len(b))
        for _, b in sorted(bins.items())
    )


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """Expected calibration error: the mean gap of confidence and accuracy; None of nothing."""
    total = sum(b.count for b in bins)
    return sum(abs(b.confidence - b.accuracy) * b.count for b in bins) / total if total else None


def said_topic(topic: str, meaning: Meaning) -> str:
    """The topic a caller ends with who answers the emergency question truthfully."""
    asked = meaning.emergency == "ask" and topic == EMERGENCY
    return EMERGENCY if asked or meaning.emergency == "yes" else meaning.topic


_Pair = tuple[Sample, str, Meaning]


def _share(pairs: Sequence[_Pair], test: Callable[[_Pair], bool]) -> Rate:
    return wilson(sum(test(pair) for pair in pairs), len(pairs))


def _right(pair: _Pair) -> bool:
    return said_topic(pair[1], pair[2]) == pair[1]


def understanding_rates(pairs: Sequence[_Pair]) -> dict[str, Rate]:
    """The shares that say how callers fare; the keys are explained in docs/evaluation.md."""
    alarms = [p for p in pairs if p[1] == EMERGENCY]
    others = [p for p in pairs if p[1] != EMERGENCY]
    tricky = [p for p in others if p[0].kind == "tricky"]
    normal = [p for p in others if p[0].kind == "normal"]
    routed = [p for p in others if p[2].emergency != "yes"]
    return {
        "emergency_yes_or_ask": _share(alarms, lambda p: p[2].emergency != "no"),
        "emergency_yes": _share(alarms, lambda p: p[2].emergency == "yes"),
        "tricky_sent_to_112": _share(tricky, lambda p: p[2].emergency == "yes"),
        "tricky_asked": _share(tricky, lambda p: p[2].emergency == "ask"),
        "ordinary_sent_to_112": _share(normal, lambda p: p[2].emergency == "yes"),
        "ordinary_asked": _share(normal, lambda p: p[2].emergency == "ask"),
        "right_topic_when_sure": _share([p for p in routed if not p[2].unsure], _right),
        "right_topic": _share(routed, _right),
        "unsure": _share(routed, lambda p: p[2].unsure),
    }


def _what(pair: _Pair) -> str | None:
    sample, topic, meaning = pair
    if topic == EMERGENCY:
        return "emergency not seen" if meaning.emergency == "no" else None
    if meaning.emergency == "yes":
        return "sent to 112"
    if meaning.topic != topic:
        return "wrong topic, unsure" if meaning.unsure else "wrong topic"
    return f"{sample.kind} asked" if meaning.emergency == "ask" else None


_ORDER = ("emergency not seen", "sent to 112", "wrong topic", "wrong topic, unsure")


def _misses(judged: Sequence[Judged]) -> tuple[Miss, ...]:
    found = []
    for one in judged:
        sample, topic, meaning = one.sample, one.sample.topic, one.meaning
        if (
            one.seen
            or topic is None
            or meaning is None
            or not (what := _what((sample, topic, meaning)))
        ):
            continue
        found.append(
            Miss(what, sample.line, sample.text, one.heard, sample.language, topic, meaning.topic,
                 meaning.confidence, meaning.emergency, meaning.why)
        )  # fmt: skip
    rank = {what: i for i, what in enumerate(_ORDER)}
    return tuple(sorted(found, key=lambda miss: (rank.get(miss.what, len(rank)), miss.line)))


def _latency(seconds: Sequence[float]) -> dict[str, float]:
    return {f"p{p}": 1000 * percentile(seconds, p) for p in (50, 95, 99)} if seconds else {}


def score(condition: str, judged: Sequence[Judged]) -> Scores:
    """Measure what was judged under one condition."""
    meant, seen = (
        [(j.sample, j.sample.topic, j.meaning) for j in judged
         if j.meaning and j.sample.topic and j.seen == which]
        for which in (False, True)
    )  # fmt: skip
    confusion: dict[str, Counter[str]] = defaultdict(Counter)
    for _, topic, meaning in meant:
        confusion[topic][said_topic(topic, meaning)] += 1
    bins = reliability(
        [
            (m.confidence, m.topic == t)
            for _, t, m in meant
            if t != EMERGENCY and m.emergency != "yes"
        ]
    )
    spoken = [(j.sample.text, j.heard) for j in judged if j.heard is not None and j.sample.text]
    known = [(said, heard) for said, heard in spoken if heard is not None]
    words = [word_edits(said, heard) for said, heard in known]
    heard_at_all = [j for j in judged if j.recognise_s is not None]
    return Scores(
        condition=condition,
        scored=len(meant),
        rates=understanding_rates(meant),
        seen_rates=understanding_rates(seen) if seen else {},
        topics={t: wilson(row[t], row.total()) for t, row in sorted(confusion.items())},
        confusion={topic: dict(sorted(row.items())) for topic, row in sorted(confusion.items())},
        calibration_error=calibration_error(bins),
        bins=bins,
        words=error_rate(words),
        characters=error_rate([character_edits(said, heard) for said, heard in known]),
        exact=wilson(sum(edits == 0 for edits, _ in words), len(words)),
        failed=wilson(sum(j.failed for j in heard_at_all), len(heard_at_all)),
        latency_ms={
            "classification": _latency([j.classify_s for j in judged if j.meaning]),
            "recognition": _latency([j.recognise_s for j in judged if j.recognise_s is not None]),
        },
        misses=_misses(judged),
    )

"""Cross-validation in groups: sentences nearly the same never stand on both sides."""

import time
from collections.abc import Sequence

from rapidfuzz import fuzz
from sklearn.model_selection import StratifiedGroupKFold

from ivr.understanding.catalogue import Example, Topics
from ivr.understanding.emergency import EmergencyDetector
from ivr.understanding.meaning import Meaning, Understanding
from ivr.understanding.text import fold, normalise
from ivr.understanding.training import train as learn

ALIKE = 75.0
"""Likeness from which two sentences are nearly the same."""
Result = tuple[Example, Meaning]


def likeness(a: Example, b: Example) -> float:
    """How alike two sentences are, 0 to 100."""
    return fuzz.token_sort_ratio(fold(normalise(a.text)), fold(normalise(b.text)))


def groups_of(examples: Sequence[Example]) -> list[int]:
    """Return a number for each example, the same for those nearly the same."""
    group = list(range(len(examples)))
    for i, a in enumerate(examples):
        for j in range(i):
            if group[i] != group[j] and likeness(a, examples[j]) >= ALIKE:
                old, new = group[i], group[j]
                group = [new if g == old else g for g in group]
    return group


def judge(understanding: Understanding, example: Example) -> Meaning:
    """Return what the understanding makes of an example."""
    return understanding.classify(example.text, example.language)


def cross_validate(
    topics: Topics, detector: EmergencyDetector, examples: Sequence[Example], folds: int
) -> tuple[list[Result], float]:
    """Every example judged by an understanding that did not learn it; milliseconds a sentence."""
    labels = [e.topic for e in examples]
    splits = StratifiedGroupKFold(folds, shuffle=True, random_state=19115)
    results: list[Result] = []
    spent = 0.0
    for train, test in splits.split(labels, labels, groups_of(examples)):
        known = [examples[i] for i in train]
        understanding = Understanding(topics, detector, learn(topics, detector, known))
        started = time.perf_counter()
        results += [(examples[i], judge(understanding, examples[i])) for i in test]
        spent += time.perf_counter() - started
    return results, 1000 * spent / len(results)

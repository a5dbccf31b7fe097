"""Cross-validation in groups: sentences nearly the same never stand on both sides."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rapidfuzz import fuzz, process
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]
from sklearn.model_selection import StratifiedGroupKFold

from ivr.understanding.catalogue import Example, Topics
from ivr.understanding.emergency import EmergencyDetector
from ivr.understanding.meaning import Meaning, Understanding
from ivr.understanding.sample_set import Sample
from ivr.understanding.text import fold, normalise
from ivr.understanding.training import train

ALIKE = 75.0
"""Likeness, 0 to 100, from which two sentences are nearly the same."""
_SEED = 19115
Result = tuple[Example, Meaning]


def likeness(a: Example, b: Example) -> float:
    """How alike two sentences are, 0 to 100."""
    return fuzz.token_sort_ratio(_compared(a.text), _compared(b.text))


def groups_of(examples: Sequence[Example]) -> list[int]:
    """Return a number for each example, the same for those nearly the same."""
    alike = _alike([e.text for e in examples], [e.text for e in examples])
    return [int(group) for group in connected_components(alike, directed=False)[1]]


def _alike(rows: Sequence[str], columns: Sequence[str]) -> csr_matrix:
    """Which sentences are nearly the same."""
    left, right = ([_compared(text) for text in texts] for texts in (rows, columns))
    ratios = process.cdist(
        left, right, scorer=fuzz.token_sort_ratio, score_cutoff=ALIKE, dtype=np.uint8, workers=-1
    )
    return csr_matrix(ratios > 0)


def _compared(text: str) -> str:
    return fold(normalise(text))


def judge(understanding: Understanding, example: Example) -> Meaning:
    """Return what the understanding makes of an example."""
    return understanding.classify(example.text, example.language)


def without_what_is_tested(
    topics: Topics,
    detector: EmergencyDetector,
    samples: Sequence[Sample],
    folds: int,
    kept: Path | None = None,
) -> dict[int, Understanding]:
    """Return for each sample's line an understanding that learnt nothing like its sentence.

    It has learnt the other examples, those samples of the other folds that are examples included.
    """
    examples = topics.examples()
    labels = [sample.topic or "" for sample in samples]
    texts = [sample.text for sample in samples]
    groups = connected_components(_alike(texts, texts), directed=False)[1]
    splits = StratifiedGroupKFold(folds, shuffle=True, random_state=_SEED)
    found: dict[int, Understanding] = {}
    for _, tested in splits.split(labels, labels, groups):
        alike = _alike([texts[i] for i in tested], [e.text for e in examples])
        known = np.flatnonzero(np.asarray(alike.sum(axis=0)).ravel() == 0)
        learnt = train(topics, detector, [examples[i] for i in known], kept)
        understanding = Understanding(topics, detector, learnt)
        found |= {samples[i].line: understanding for i in tested}
    return found


def cross_validate(
    topics: Topics, detector: EmergencyDetector, examples: Sequence[Example], folds: int
) -> tuple[list[Result], float]:
    """Every example judged by an understanding that did not learn it; milliseconds a sentence."""
    labels = [e.topic for e in examples]
    splits = StratifiedGroupKFold(folds, shuffle=True, random_state=_SEED)
    results: list[Result] = []
    spent = 0.0
    for learnt, tested in splits.split(labels, labels, groups_of(examples)):
        known = [examples[i] for i in learnt]
        understanding = Understanding(topics, detector, train(topics, detector, known))
        started = time.perf_counter()
        results += [(examples[i], judge(understanding, examples[i])) for i in tested]
        spent += time.perf_counter() - started
    return results, 1000 * spent / len(results)

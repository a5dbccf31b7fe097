"""Trains the models of danger and of the topic from examples: a minute on two cores.

The very first time takes longer: the sense of every example has to be found once.

What is left out of each fold tells how honest the models are, and from where on they are acted on.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ivr.types import LANGUAGES, Language
from ivr.understanding.alarm_model import DangerScale
from ivr.understanding.catalogue import Example, Topics
from ivr.understanding.ears import Ears, Judgement, labels_of
from ivr.understanding.emergency import EmergencyDetector
from ivr.understanding.language_model import LanguageModel
from ivr.understanding.material import FOLDS, Indices, Material, View
from ivr.understanding.topics import Calibration, calibrate


@dataclass(frozen=True)
class Trained:
    """What training gives; stateless, safe to share between threads and to keep in a file."""

    view: View
    ears: Ears
    danger: DangerScale
    calibration: Calibration
    speech: dict[Language, LanguageModel]

    def judge(self, texts: Sequence[str], language: Language) -> Judgement:
        """Judge the ways a sentence may have been heard, the likeliest first; a row each."""
        return self.ears.judge(self.view.rows(texts, language))


def train(
    topics: Topics,
    detector: EmergencyDetector,
    examples: Sequence[Example] | None = None,
    kept: Path | None = None,
) -> Trained:
    """Learn from the topics' own examples, or from those given. Deterministic.

    `kept` is a file of what was found out about sentences before; see `embedding.vectors`.
    """
    material = Material(topics, topics.examples() if examples is None else examples, kept)
    labels, size = labels_of(topics, material.examples), len(material.examples)

    def learn(known: Indices) -> tuple[View, Ears]:
        view, rows = material.learn(known)
        return view, Ears.learn(topics.ids, rows, np.concatenate([labels[known], labels[known]]))

    def unheard(fold: tuple[Indices, Indices]) -> tuple[Indices, Judgement]:
        known, others = fold
        view, ears = learn(known)
        return others, ears.judge(material.see(others, view))

    # The fits let go of the interpreter: two processors learn two folds at once.
    with ThreadPoolExecutor(FOLDS + 1) as threads:
        whole = threads.submit(learn, np.arange(len(labels)))
        folds = list(threads.map(unheard, material.folds()))
        view, ears = whole.result()
    # Each fold judged its examples as they stand, then as called.
    order = np.concatenate([part for others, _ in folds for part in (others, others + size)])
    judged = Judgement(
        np.concatenate([judgement.topics for _, judgement in folds]),
        np.concatenate([judgement.danger for _, judgement in folds]),
    )
    # As called, only every second is looked at: the lists take longer than the models.
    looked_at = np.flatnonzero((order < size) | (order % 2 == 1))
    order, judged = order[looked_at], judged.part(looked_at)
    both = [*material.examples, *material.called]
    left_out = [both[i] for i in order]
    evidence = np.array([detector.find([e.text], e.language).evidence for e in left_out])
    return Trained(
        view,
        ears,
        DangerScale.fit(topics.ids, judged, evidence, [e.kind for e in left_out], order % size),
        calibrate(judged.topics, labels[order % size]),
        {
            language: LanguageModel(e.text for e in material.examples if e.language == language)
            for language in LANGUAGES
        },
    )

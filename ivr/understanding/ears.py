"""Two linear models over what is seen of a sentence: which topic it is, and whether it is danger.

Support vectors: of all that was compared on sentences nobody learnt (docs/understanding.md) they
misjudge the fewest, and they are learnt in seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from sklearn.svm import LinearSVC

from ivr.understanding.catalogue import Example, Topics
from ivr.understanding.sample_set import EMERGENCY

_TOPICS_C, _DANGER_C = 1.0, 0.3
_TOLERANCE = 0.1
"""Learning stops early: twice as fast, and on sentences not learnt no worse."""
_NEVER = -100.0

Decisions = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int_]


@dataclass(frozen=True)
class Judgement:
    """What the models make of sentences; larger is surer, 0 is the border."""

    topics: Decisions
    """A row a sentence, a column a topic."""
    danger: Decisions
    """One number a sentence."""

    def part(self, rows: Labels) -> "Judgement":
        """Return what was made of some of the sentences."""
        return Judgement(self.topics[rows], self.danger[rows])


@dataclass(frozen=True)
class Ears:
    """Stateless once trained."""

    ids: tuple[str, ...]
    _topics: LinearSVC
    _danger: LinearSVC

    @classmethod
    def learn(cls, ids: tuple[str, ...], rows: csr_matrix, labels: Labels) -> "Ears":
        """Learn from rows, each with the number of its topic in `ids`."""
        topics = LinearSVC(
            C=_TOPICS_C, class_weight=_weights(labels), tol=_TOLERANCE, random_state=0
        )
        danger = LinearSVC(C=_DANGER_C, class_weight="balanced", tol=_TOLERANCE, random_state=0)
        emergency = labels == ids.index(EMERGENCY)
        return cls(ids, topics.fit(rows, labels), danger.fit(rows, emergency))

    def judge(self, rows: csr_matrix) -> Judgement:
        """Judge sentences seen as those that were learnt."""
        topics = np.full((rows.shape[0], len(self.ids)), _NEVER)  # one without examples: never
        topics[:, self._topics.classes_] = self._topics.decision_function(rows)
        return Judgement(topics, self._danger.decision_function(rows))


def labels_of(topics: Topics, examples: Sequence[Example]) -> Labels:
    """Return the number of each example's topic."""
    index = {topic_id: i for i, topic_id in enumerate(topics.ids)}
    return np.array([index[e.topic] for e in examples])


def _weights(labels: Labels) -> dict[int, float]:
    """Topics with many examples (emergencies) weigh a little less each, not fully balanced."""
    counts = np.bincount(labels)
    mean = counts[counts > 0].mean()
    return {i: float((mean / n) ** 0.5) for i, n in enumerate(counts) if n}

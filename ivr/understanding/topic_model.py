"""The two models of the topic: over words (letters, lemmas, keywords), and over the sense."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ivr.understanding.catalogue import Example, Topics
from ivr.understanding.material import Seen

_WORDS_C, _SENSE_C = 40.0, 0.01
_NEVER = -1e3

Logits = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int_]


@dataclass(frozen=True)
class TopicEars:
    """Log-probabilities of all topics by each of the two models."""

    size: int
    words: LogisticRegression
    sense: Pipeline | None

    @classmethod
    def learn(cls, size: int, seen: Seen, labels: Labels) -> "TopicEars":
        """Learn the topics (numbers below `size`) of sentences seen."""
        words = LogisticRegression(
            C=_WORDS_C, max_iter=200, tol=1e-3, class_weight=_weights(labels)
        )
        words.fit(seen.rows, np.concatenate([labels, labels]))
        if seen.vectors is None:
            return cls(size, words, None)
        line = LogisticRegression(C=_SENSE_C, max_iter=500, tol=1e-3, class_weight=_weights(labels))
        return cls(size, words, make_pipeline(StandardScaler(), line).fit(seen.vectors, labels))

    def decisions(self, seen: Seen) -> tuple[Logits, Logits]:
        """Return log-probabilities by words and by sense, a row a sentence, a column a topic."""
        words = self._spread(self.words.decision_function(seen.rows), self.words)
        if self.sense is None or seen.vectors is None:
            return words, words
        return words, self._spread(self.sense.decision_function(seen.vectors), self.sense)

    def _spread(self, logits: Logits, model: LogisticRegression | Pipeline) -> Logits:
        """Give every topic its column: one without examples is never guessed."""
        spread = np.full((len(logits), self.size), _NEVER)
        spread[:, model.classes_] = log_softmax(logits, axis=1)
        return spread


def labels_of(topics: Topics, examples: Sequence[Example]) -> Labels:
    """Return the number of each example's topic."""
    index = {topic_id: i for i, topic_id in enumerate(topics.ids)}
    return np.array([index[e.topic] for e in examples])


def _weights(labels: Labels) -> dict[int, float]:
    """Topics with many examples (emergencies) weigh a little less each, not fully balanced."""
    counts = np.bincount(labels)
    mean = counts[counts > 0].mean()
    return {i: float((mean / n) ** 0.5) for i, n in enumerate(counts) if n}

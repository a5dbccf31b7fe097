"""What is the call about? Character and lemma TF-IDF, keywords, logistic regression, calibrated.

Training also measures the classifier against sentences it did not learn (cross-validation): the
temperature that makes its probabilities honest, and the thresholds below which it says "unsure".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from ivr.types import Language
from ivr.understanding.catalogue import EMERGENCY, Example, Topic, Topics
from ivr.understanding.features import Features, Sentence
from ivr.understanding.openings import as_called
from ivr.understanding.patterns import anchored
from ivr.understanding.text import fold, normalise

FOLDS = 3
WRONG_COST = 3.0
"""A caller sent to the wrong consultant costs this many callers asked once more."""
OVERRIDE_CONFIDENCE = 0.99
_SEED = 19115
_C = 20.0
_KEYWORD_WEIGHT = 0.5

Logits = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TopicGuess:
    """The most likely topic and the second, with probabilities that were calibrated."""

    topic: str
    confidence: float
    second: str
    second_confidence: float
    unsure: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """Found in cross-validation: divide log-odds by `temperature`; sure needs both thresholds."""

    temperature: float
    least_confidence: float
    least_margin: float

    def sure(self, first: float, second: float) -> bool:
        """Whether a guess with these two probabilities may be acted on."""
        return first >= self.least_confidence and first - second >= self.least_margin


class TopicClassifier:
    """Topics of sentences; trained once, then stateless and safe to share between threads."""

    def __init__(
        self,
        topics: Topics,
        features: Features,
        weights: npt.NDArray[np.float64],
        bias: npt.NDArray[np.float64],
        calibration: Calibration,
    ) -> None:
        self.topics = topics
        self.calibration = calibration
        self._features = features
        self._weights = weights
        self._bias = bias
        self._overrides = [
            (topic.id, pattern) for topic in topics.all for pattern in _patterns(topic)
        ]

    @classmethod
    def train(cls, topics: Topics, examples: Sequence[Example] | None = None) -> "TopicClassifier":
        """Learn from the topics' own examples, or from those given. Deterministic."""
        examples = topics.examples() if examples is None else examples
        held_out = _cross_validate(topics, examples)
        calibration = calibrate(held_out, _labels(topics, examples))
        features, weights, bias = _fit(topics, examples)
        return cls(topics, features, weights, bias, calibration)

    def probabilities(self, text: str, language: Language) -> dict[str, float]:
        """Return the calibrated probability of every topic; they add up to 1."""
        row = self._features.transform([(text, language)])
        logits = np.asarray(row @ self._weights.T) + self._bias
        shares = softmax(logits / self.calibration.temperature)[0]
        return {topic_id: float(p) for topic_id, p in zip(self.topics.ids, shares, strict=True)}

    def classify(self, text: str, language: Language) -> TopicGuess:
        """Return the guess for a sentence, "emergency" among the topics; empty text is unsure."""
        return self.guess(text, self.probabilities(text, language))

    def guess(
        self, text: str, probabilities: dict[str, float], without: str | None = None
    ) -> TopicGuess:
        """Return the two most likely topics, leaving one out if told to; overrides win."""
        shares = {t: p for t, p in probabilities.items() if t != without}
        total = sum(shares.values()) or 1.0
        order = sorted(shares, key=lambda t: -shares[t])
        folded = fold(normalise(text))
        wanted = next((t for t, p in self._overrides if t != without and p.search(folded)), None)
        if wanted is not None:
            second = next(t for t in order if t != wanted)
            return TopicGuess(wanted, OVERRIDE_CONFIDENCE, second, 1 - OVERRIDE_CONFIDENCE, False)
        first, second = order[:2]
        a, b = shares[first] / total, shares[second] / total
        sure = bool(folded) and self.calibration.sure(a, b)
        return TopicGuess(first, a, second, b, not sure)


def softmax(logits: Logits) -> npt.NDArray[np.float64]:
    """Rows of log-odds to rows of probabilities."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def calibrate(logits: Logits, labels: npt.NDArray[np.int_]) -> Calibration:
    """Return the temperature with the least log loss, then the thresholds with the least cost.

    A wrong guess acted on costs WRONG_COST, asking once more costs 1.
    """
    rows = np.arange(len(labels))
    temperatures = np.geomspace(0.1, 5.0, 80)
    losses = [-np.log(softmax(logits / t)[rows, labels] + 1e-12).mean() for t in temperatures]
    temperature = float(temperatures[int(np.argmin(losses))])
    shares = softmax(logits / temperature)
    top = np.sort(shares, axis=1)[:, ::-1]
    first, margin = top[:, 0], top[:, 0] - top[:, 1]
    right = shares.argmax(axis=1) == labels
    best = (np.inf, 0.0, 0.0)
    for confidence in np.arange(0.0, 0.95, 0.025):
        for least_margin in np.arange(0.0, 0.6, 0.05):
            sure = (first >= confidence) & (margin >= least_margin)
            cost = WRONG_COST * float((sure & ~right).sum()) + float((~sure).sum())
            if cost < best[0]:
                best = (cost, float(confidence), float(least_margin))
    return Calibration(temperature, best[1], best[2])


def _patterns(topic: Topic) -> list[re.Pattern[str]]:
    return [anchored(p) for patterns in topic.overrides.values() for p in patterns]


def _labels(topics: Topics, examples: Sequence[Example]) -> npt.NDArray[np.int_]:
    index = {topic_id: i for i, topic_id in enumerate(topics.ids)}
    return np.array([index[e.topic] for e in examples])


def _sentences(examples: Sequence[Example]) -> list[Sentence]:
    return [(e.text, e.language) for e in examples]


def _fit(
    topics: Topics, examples: Sequence[Example]
) -> tuple[Features, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    called = as_called(examples)
    labels = _labels(topics, called)
    features = Features(topics.all, _KEYWORD_WEIGHT)
    rows: csr_matrix = features.fit(_sentences(called))
    model = LogisticRegression(C=_C, max_iter=200, tol=1e-3, class_weight=_weights(labels))
    model.fit(rows, labels)
    weights = np.zeros((len(topics.ids), rows.shape[1]))
    bias = np.full(len(topics.ids), -1e3)  # a topic without examples is never guessed
    weights[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
    return features, weights, bias


def _weights(labels: npt.NDArray[np.int_]) -> dict[int, float]:
    """Topics with many examples (emergencies) weigh a little less each, not fully balanced."""
    counts = np.bincount(labels)
    mean = counts[counts > 0].mean()
    return {i: float((mean / n) ** 0.5) for i, n in enumerate(counts) if n}


def _cross_validate(topics: Topics, examples: Sequence[Example]) -> Logits:
    labels = _labels(topics, examples)
    logits = np.zeros((len(examples), len(topics.ids)))
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=_SEED)
    for train, test in splits.split(np.zeros(len(labels)), labels):
        features, weights, bias = _fit(topics, [examples[i] for i in train])
        rows = features.transform(_sentences([examples[i] for i in test]))
        logits[test] = np.asarray(rows @ weights.T) + bias
    return logits


__all__ = ["EMERGENCY", "Calibration", "TopicClassifier", "TopicGuess", "calibrate", "softmax"]

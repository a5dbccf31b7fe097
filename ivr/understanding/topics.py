"""What is the call about? The models' judgement made a calibrated guess; overrides win.

Calibration comes from sentences the models did not learn (cross-validation): the temperature that
makes the probabilities honest, and the thresholds below which the guess is "unsure".
"""

import re
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import softmax  # type: ignore[import-untyped]

from ivr.understanding.catalogue import Topic, Topics
from ivr.understanding.ears import Decisions, Labels
from ivr.understanding.patterns import anchored
from ivr.understanding.text import fold, normalise

WRONG_COST = 3.2
"""A caller sent to the wrong consultant costs this many callers asked once more."""
OVERRIDE_CONFIDENCE = 0.99


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
    """Found in cross-validation; being sure needs both thresholds."""

    temperature: float
    """What the models' decisions are divided by."""
    least_confidence: float
    least_margin: float

    def probabilities(self, judged: Decisions) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities, a row a sentence, from the models' decisions."""
        return np.asarray(softmax(judged / self.temperature, axis=1))

    def sure(self, first: float, second: float) -> bool:
        """Whether a guess with these two probabilities may be acted on."""
        return first >= self.least_confidence and first - second >= self.least_margin


class TopicGuesser:
    """Guesses topics from judgements; stateless, safe to share between threads."""

    def __init__(self, topics: Topics, calibration: Calibration) -> None:
        self.topics = topics
        self.calibration = calibration
        self._overrides = [
            (topic.id, pattern) for topic in topics.all for pattern in _patterns(topic)
        ]

    def probabilities(self, judged: Decisions) -> dict[str, float]:
        """Return the calibrated probability of every topic; they add up to 1.

        Of several rows (ways a sentence may have been heard) the mean counts.
        """
        shares = self.calibration.probabilities(judged.mean(axis=0, keepdims=True))[0]
        return {topic_id: float(p) for topic_id, p in zip(self.topics.ids, shares, strict=True)}

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


def calibrate(judged: Decisions, labels: Labels) -> Calibration:
    """Return the temperature with the least log loss, thresholds with the least cost.

    A wrong guess acted on costs WRONG_COST, asking once more costs 1.
    """
    rows = np.arange(len(labels))
    candidates = [Calibration(float(t), 0.0, 0.0) for t in np.geomspace(0.05, 3.0, 60)]

    def loss(candidate: Calibration) -> float:
        shares = candidate.probabilities(judged)
        return float(-np.log(shares[rows, labels] + 1e-12).mean())

    best = min(candidates, key=loss)
    shares = best.probabilities(judged)
    top = np.sort(shares, axis=1)[:, ::-1]
    first, margin = top[:, 0], top[:, 0] - top[:, 1]
    right = shares.argmax(axis=1) == labels
    least = (np.inf, 0.0, 0.0)
    for confidence in np.arange(0.0, 0.95, 0.025):
        for least_margin in np.arange(0.0, 0.6, 0.05):
            sure = (first >= confidence) & (margin >= least_margin)
            cost = WRONG_COST * float((sure & ~right).sum()) + float((~sure).sum())
            if cost < least[0]:
                least = (cost, float(confidence), float(least_margin))
    return replace(best, least_confidence=least[1], least_margin=least[2])


def _patterns(topic: Topic) -> list[re.Pattern[str]]:
    return [anchored(p) for patterns in topic.overrides.values() for p in patterns]

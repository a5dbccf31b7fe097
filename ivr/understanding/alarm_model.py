"""A trained ear for danger: what is said (letters, lemmas) and its sense, weighed together.

It hears what no list foresaw. Training also listens to sentences the model did not learn
(cross-validation) and sets from them how much each half is trusted and how sure the model must be
to act: the thresholds are chosen by how many callers without an emergency may be asked, or sent to
112, in vain.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ivr.types import Language
from ivr.understanding.catalogue import EMERGENCY
from ivr.understanding.embedding import DIMENSIONS
from ivr.understanding.emergency import Thresholds
from ivr.understanding.material import Indices, Material, Seen, Senses

ASKED_IN_VAIN = 0.02
"""Share of ordinary sentences that the model alone may make the hotline ask about."""
SENT_IN_VAIN = 0.005
"""Share of sentences without an emergency that the model alone may send to 112."""
MISHEARD = 0.02
"""Share of emergencies with a strong sign that may be asked first because the model doubts."""
_WORDS_C, _SENSE_C = 10.0, 3.0
_GAMMA = 0.5 / DIMENSIONS

Decisions = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AlarmEars:
    """Two models of danger: a line through the words, a radial kernel around the sense."""

    words: LogisticRegression
    sense: Pipeline | None

    @classmethod
    def learn(cls, seen: Seen, danger: npt.NDArray[np.bool_]) -> "AlarmEars":
        """Learn which sentences tell of danger."""
        words = LogisticRegression(C=_WORDS_C, class_weight="balanced", max_iter=300, tol=1e-3)
        words.fit(seen.rows, np.concatenate([danger, danger]))
        if seen.vectors is None:
            return cls(words, None)
        kernel = SVC(C=_SENSE_C, gamma=_GAMMA, class_weight="balanced")
        return cls(words, make_pipeline(StandardScaler(), kernel).fit(seen.vectors, danger))

    def decisions(self, seen: Seen) -> Decisions:
        """Return a row a sentence, a column a model; without the sense the words speak twice."""
        words = self.words.decision_function(seen.rows)
        if self.sense is None or seen.vectors is None:
            return np.column_stack([words, np.clip(words / 2, -1.5, 1.5)])
        return np.column_stack([words, self.sense.decision_function(seen.vectors)])


class AlarmModel:
    """Tells how likely a sentence is to be an emergency; stateless once trained."""

    def __init__(
        self, senses: Senses, ears: AlarmEars, trust: LogisticRegression, thresholds: Thresholds
    ) -> None:
        self.thresholds = thresholds
        self._senses = senses
        self._ears = ears
        self._trust = trust

    def score(self, text: str, language: Language) -> float:
        """Return the probability, 0 to 1, that the sentence tells of an emergency."""
        decisions = self._ears.decisions(self._senses.see(text, language))
        return float(self._trust.predict_proba(decisions)[0, 1])


def endangered(material: Material, indices: Indices | None = None) -> npt.NDArray[np.bool_]:
    """Return for each example whether it is an emergency."""
    danger = np.array([e.topic == EMERGENCY for e in material.examples])
    return danger if indices is None else danger[indices]


def trust_in(material: Material, unheard: Decisions) -> tuple[LogisticRegression, Thresholds]:
    """Return how the two models are weighed, and the thresholds, from what neither had learnt."""
    trust = LogisticRegression(C=10.0).fit(unheard, endangered(material))
    scores = trust.predict_proba(unheard)[:, 1]
    kinds = np.array([e.kind for e in material.examples])
    asks = float(np.quantile(scores[kinds == "normal"], 1 - ASKED_IN_VAIN))
    certain = float(np.quantile(scores[kinds != EMERGENCY], 1 - SENT_IN_VAIN))
    doubts = float(np.quantile(scores[kinds == EMERGENCY], MISHEARD))
    return trust, Thresholds(min(asks, 0.6), max(certain, 0.5), min(doubts, 0.05))

"""A trained ear for danger: logistic regression over character n-grams and lemmas.

It hears what no list foresaw. Training also listens to sentences the model did not learn
(cross-validation) and sets from them how sure it must be to act: the thresholds are chosen by how
many callers without an emergency may be asked, or sent to 112, in vain.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, hstack  # type: ignore[import-untyped]
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from ivr.types import Language
from ivr.understanding.catalogue import EMERGENCY, Example
from ivr.understanding.emergency import Thresholds
from ivr.understanding.features import Sentence, lemma_words, letters
from ivr.understanding.openings import as_called

ASKED_IN_VAIN = 0.025
"""Share of ordinary sentences that the model alone may make the hotline ask about."""
SENT_IN_VAIN = 0.005
"""Share of sentences without an emergency that the model alone may send to 112."""
MISHEARD = 0.02
"""Share of emergencies with a strong sign that may be asked first because the model doubts."""
_FOLDS = 4
_SEED = 19115
_C = 10.0


class AlarmModel:
    """Tells how likely a sentence is to be an emergency; stateless once trained."""

    def __init__(
        self,
        vectorizers: tuple[TfidfVectorizer, TfidfVectorizer],
        weights: npt.NDArray[np.float64],
        bias: float,
        thresholds: Thresholds,
    ) -> None:
        self.thresholds = thresholds
        self._vectorizers = vectorizers
        self._weights = weights
        self._bias = bias

    @classmethod
    def train(cls, examples: Sequence[Example]) -> "AlarmModel":
        """Learn from examples, those of emergencies against all others. Deterministic."""
        thresholds = _thresholds(examples, _unheard_scores(examples))
        return cls._fit(examples, thresholds)

    @classmethod
    def _fit(cls, examples: Sequence[Example], thresholds: Thresholds) -> "AlarmModel":
        called = as_called(examples)
        vectorizers = (
            TfidfVectorizer(
                preprocessor=letters,
                analyzer="char_wb",
                ngram_range=(2, 5),
                sublinear_tf=True,
                min_df=2,
            ),
            TfidfVectorizer(analyzer=lemma_words, sublinear_tf=True),
        )
        sentences = [(e.text, e.language) for e in called]
        rows = hstack([v.fit_transform(sentences) for v in vectorizers], format="csr")
        labels = np.array([e.topic == EMERGENCY for e in called])
        model = LogisticRegression(C=_C, class_weight="balanced", max_iter=300, tol=1e-3)
        model.fit(rows, labels)
        return cls(vectorizers, model.coef_[0], float(model.intercept_[0]), thresholds)

    def score(self, text: str, language: Language) -> float:
        """Return the probability, 0 to 1, that the sentence tells of an emergency."""
        return float(self._scores([(text, language)])[0])

    def _scores(self, sentences: Sequence[Sentence]) -> npt.NDArray[np.float64]:
        rows: csr_matrix = hstack([v.transform(sentences) for v in self._vectorizers], format="csr")
        logits = np.clip(np.asarray(rows @ self._weights) + self._bias, -50, 50)
        return np.asarray(1.0 / (1.0 + np.exp(-logits)))


def _unheard_scores(examples: Sequence[Example]) -> npt.NDArray[np.float64]:
    """The score of every example by a model that did not learn it."""
    scores = np.zeros(len(examples))
    kinds = [e.kind for e in examples]
    splits = StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED)
    for train, test in splits.split(kinds, kinds):
        model = AlarmModel._fit([examples[i] for i in train], Thresholds())
        scores[test] = model._scores([(examples[i].text, examples[i].language) for i in test])
    return scores


def _thresholds(examples: Sequence[Example], scores: npt.NDArray[np.float64]) -> Thresholds:
    kinds = np.array([e.kind for e in examples])
    asks = float(np.quantile(scores[kinds == "normal"], 1 - ASKED_IN_VAIN))
    certain = float(np.quantile(scores[kinds != EMERGENCY], 1 - SENT_IN_VAIN))
    doubts = float(np.quantile(scores[kinds == EMERGENCY], MISHEARD))
    return Thresholds(min(asks, 0.6), max(certain, 0.8), min(doubts, 0.05))

"""A trained ear for danger: logistic regression over character n-grams.

It hears what no list foresaw, and errs where a list would not: alone it can only ask.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from ivr.types import Language
from ivr.understanding.catalogue import EMERGENCY, Example
from ivr.understanding.features import letters

_C = 10.0


class AlarmModel:
    """Tells how likely a sentence is to be an emergency; stateless once trained."""

    def __init__(
        self, vectorizer: TfidfVectorizer, weights: npt.NDArray[np.float64], bias: float
    ) -> None:
        self._vectorizer = vectorizer
        self._weights = weights
        self._bias = bias

    @classmethod
    def train(cls, examples: Sequence[Example]) -> "AlarmModel":
        """Learn from examples, those of emergencies against all others. Deterministic."""
        vectorizer = TfidfVectorizer(
            preprocessor=letters,
            analyzer="char_wb",
            ngram_range=(2, 5),
            sublinear_tf=True,
            min_df=2,
        )
        rows = vectorizer.fit_transform([(e.text, e.language) for e in examples])
        labels = np.array([e.topic == EMERGENCY for e in examples])
        model = LogisticRegression(C=_C, class_weight="balanced", max_iter=300)
        model.fit(rows, labels)
        return cls(vectorizer, model.coef_[0], float(model.intercept_[0]))

    def score(self, text: str, language: Language) -> float:
        """Return the probability, 0 to 1, that the sentence tells of an emergency."""
        row = self._vectorizer.transform([(text, language)])
        logit = float(np.asarray(row @ self._weights)[0]) + self._bias
        return float(1.0 / (1.0 + np.exp(-np.clip(logit, -50, 50))))

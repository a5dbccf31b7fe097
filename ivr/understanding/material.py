"""What both trained models look at: letters, lemmas and keywords of a sentence, and its sense."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from sklearn.model_selection import StratifiedKFold

from ivr.types import Language
from ivr.understanding import embedding
from ivr.understanding.catalogue import Example, Topics
from ivr.understanding.features import Counts, Features, Sentence
from ivr.understanding.openings import as_called

FOLDS = 3
_SEED = 19115
Indices = npt.NDArray[np.int_]


@dataclass(frozen=True)
class Seen:
    """Sentences as the models see them: `rows` of words, `vectors` of sense (None: no model)."""

    rows: csr_matrix
    vectors: embedding.Vectors | None


class Senses:
    """Turns a sentence into what the models see; the last one is kept, for both models ask."""

    def __init__(self, features: Features) -> None:
        self._features = features
        self._last: tuple[Sentence, Seen] | None = None

    def see(self, text: str, language: Language) -> Seen:
        """Return one sentence as the models see it. Safe between threads."""
        last = self._last
        if last is not None and last[0] == (text, language):
            return last[1]
        seen = Seen(self._features.transform([(text, language)]), embedding.vectors([text]))
        self._last = ((text, language), seen)
        return seen


class Material:
    """All examples made ready to learn from, once for every model and every fold.

    The words of each example are learnt twice, as it stands and as called (`openings`); its sense,
    which takes ten times longer to find, once: of every second example as called.
    """

    def __init__(self, topics: Topics, examples: Sequence[Example]) -> None:
        self.examples = examples
        self._features = Features(topics.all)
        called = as_called(examples)
        self._counts: Counts = self._features.learn([(e.text, e.language) for e in called])
        either = [called[i + len(examples) * (i % 2)] for i in range(len(examples))]
        self._vectors = embedding.vectors([e.text for e in either])

    def folds(self) -> Iterator[tuple[Indices, Indices]]:
        """Give indices of examples to learn and indices of the others, FOLDS times."""
        topics = [e.topic for e in self.examples]
        yield from StratifiedKFold(FOLDS, shuffle=True, random_state=_SEED).split(topics, topics)

    def learn(self, known: Indices | None = None) -> tuple[Features, Seen]:
        """Return features weighed by some examples (None: all), and these examples seen so.

        `rows` are twice as many as `vectors`: first all as they stand, then all as called.
        """
        indices = np.arange(len(self.examples)) if known is None else known
        counts = self._counts.part(np.concatenate([indices, indices + len(self.examples)]))
        features = self._features.weighed_by(counts)
        return features, Seen(features.rows(counts), self._sense(indices))

    def see(self, indices: Indices, features: Features) -> Seen:
        """Return some examples as they stand, seen with features that did not learn them."""
        return Seen(features.rows(self._counts.part(indices)), self._sense(indices))

    def _sense(self, indices: Indices) -> embedding.Vectors | None:
        return None if self._vectors is None else self._vectors[indices]

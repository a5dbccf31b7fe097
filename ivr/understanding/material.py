"""What the trained models look at: letters, lemmas and keywords of a sentence, and its sense."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, hstack, vstack  # type: ignore[import-untyped]
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from ivr.types import Language
from ivr.understanding import embedding
from ivr.understanding.catalogue import Example, Topics
from ivr.understanding.features import Counts, Features
from ivr.understanding.openings import as_called, as_heard, surroundings

FOLDS = 3
_SENSE_WEIGHT = 0.03
_SEED = 19115
Indices = npt.NDArray[np.int_]


@dataclass(frozen=True)
class View:
    """How sentences become rows of numbers: words, and beside them the sense."""

    features: Features
    scaler: StandardScaler | None
    """Of the sense; None where there is no model of it."""

    def rows(self, texts: Sequence[str], language: Language) -> csr_matrix:
        """Return a row for each way a sentence may have been heard. Safe between threads.

        The sense, which takes longest to find, is that of the first: the others differ little.
        """
        words = self.features.transform([(text, language) for text in texts])
        sense = None if self.scaler is None else embedding.vectors(texts[:1])
        return self.joined(words, None if sense is None else np.repeat(sense, len(texts), axis=0))

    def joined(self, words: csr_matrix, vectors: embedding.Vectors | None) -> csr_matrix:
        """Return rows of words with the sense beside them."""
        if self.scaler is None:
            return words
        size = embedding.DIMENSIONS
        if vectors is None:
            return hstack([words, csr_matrix((words.shape[0], size))], format="csr")
        sense = _SENSE_WEIGHT * self.scaler.transform(vectors)
        return hstack([words, csr_matrix(sense.astype(np.float32))], format="csr", dtype=np.float32)


class Material:
    """All examples made ready to learn from, once for every model and every fold.

    The words of each example are learnt twice, as it stands and as called (`openings`); its sense,
    which takes ten times longer to find, once: of half of the examples as called.
    """

    def __init__(
        self, topics: Topics, examples: Sequence[Example], kept: Path | None = None
    ) -> None:
        """`kept`: see `embedding.vectors`."""
        self.examples = examples
        self.called = as_called(examples)
        """The same, each as a caller says it and a recogniser hears it."""
        self._features = Features(topics.all)
        self._counts = self._count()
        either = [
            (called if crc32(example.text.encode()) % 2 else example).text
            for example, called in zip(examples, self.called, strict=True)
        ]
        self._vectors = embedding.vectors(either, kept)

    def _count(self) -> Counts:
        """Count all examples as they stand, then as called: misheard, what is said around added.

        The letters are counted word by word, so that sums are exact; pairs of lemmas across the
        border are left out.
        """
        around = [(*s.before, *s.after) for s in surroundings(self.examples)]
        said = sorted(
            {(w, e.language) for e, words in zip(self.examples, around, strict=True) for w in words}
        )
        size = len(self.examples)
        plain = [(e.text, e.language) for e in self.examples]
        heard = [(e.text, e.language) for e in as_heard(self.examples)]
        whole = self._features.learn([*plain, *heard, *said])
        number = {sentence: i for i, sentence in enumerate(said)}
        rows = [i for i, words in enumerate(around) for _ in words]
        columns = [
            number[word, e.language]
            for e, words in zip(self.examples, around, strict=True)
            for word in words
        ]
        ones = np.ones(len(rows), dtype=np.float32)
        spoken = csr_matrix((ones, (rows, columns)), shape=(size, len(said)))
        order = np.arange(2 * size + len(said))
        own, misheard, added = (whole.part(part) for part in np.split(order, [size, 2 * size]))
        return Counts(
            vstack([own.letters, misheard.letters + spoken @ added.letters], format="csr"),
            vstack([own.lemmas, misheard.lemmas + spoken @ added.lemmas], format="csr"),
            vstack([own.keywords, misheard.keywords], format="csr"),
        )

    def folds(self) -> Iterator[tuple[Indices, Indices]]:
        """Give indices of examples to learn and indices of the others, FOLDS times."""
        topics = [e.topic for e in self.examples]
        yield from StratifiedKFold(FOLDS, shuffle=True, random_state=_SEED).split(topics, topics)

    def learn(self, known: Indices | None = None) -> tuple[View, csr_matrix]:
        """Return how some examples (None: all) are seen, and them seen so.

        The rows are twice as many as the examples: first all as they stand, then all as called.
        """
        indices = np.arange(len(self.examples)) if known is None else known
        counts = self._twice(indices)
        features = self._features.weighed_by(counts)
        vectors = self._sense(indices)
        scaler = None if vectors is None else StandardScaler().fit(vectors)
        view = View(features, scaler)
        return view, view.joined(features.rows(counts), self._sense_twice(indices))

    def see(self, indices: Indices, view: View) -> csr_matrix:
        """Return some examples as others were learnt, and in the same order, see `learn`."""
        return view.joined(view.features.rows(self._twice(indices)), self._sense_twice(indices))

    def _twice(self, indices: Indices) -> Counts:
        return self._counts.part(np.concatenate([indices, indices + len(self.examples)]))

    def _sense_twice(self, indices: Indices) -> embedding.Vectors | None:
        vectors = self._sense(indices)
        return None if vectors is None else np.concatenate([vectors, vectors])

    def _sense(self, indices: Indices) -> embedding.Vectors | None:
        return None if self._vectors is None else self._vectors[indices]

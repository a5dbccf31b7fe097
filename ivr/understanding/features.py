"""What the trained models see of a sentence: letters, words, lemmas and keywords."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, hstack  # type: ignore[import-untyped]
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from ivr.types import Language
from ivr.understanding.catalogue import Topic
from ivr.understanding.text import fold, lemmas, normalise

Sentence = tuple[str, Language]


def letters(sentence: Sentence) -> str:
    """Return the folded sentence, for character n-grams."""
    return fold(normalise(sentence[0]))


def lemma_words(sentence: Sentence) -> list[str]:
    """Lemmas and pairs of neighbouring lemmas."""
    words = lemmas(normalise(sentence[0]), sentence[1])
    return words + [f"{a} {b}" for a, b in pairwise(words)]


class KeywordCounter:
    """Counts a topic's keywords in a sentence: one column a topic, square root of the hits."""

    def __init__(self, topics: Sequence[Topic]) -> None:
        self._stems: list[tuple[frozenset[str], tuple[str, ...]]] = []
        for topic in topics:
            words = [
                fold(normalise(w)) + "*" * w.endswith("*")
                for k in topic.keywords.values()
                for w in k
            ]
            whole = frozenset(w for w in words if not w.endswith("*"))
            self._stems.append((whole, tuple(w[:-1] for w in words if w.endswith("*"))))

    def counts(self, sentences: Sequence[Sentence]) -> npt.NDArray[np.float64]:
        """Return a row a sentence, a column a topic."""
        rows = np.zeros((len(sentences), len(self._stems)))
        for i, sentence in enumerate(sentences):
            words = letters(sentence).split()
            for j, (whole, stems) in enumerate(self._stems):
                hits = sum(1 for w in words if w in whole or (stems and w.startswith(stems)))
                rows[i, j] = hits**0.5
        return rows


@dataclass(frozen=True)
class Counts:
    """How often what occurs: a row a sentence; before it is weighed by how rare it is."""

    letters: csr_matrix
    lemmas: csr_matrix
    keywords: csr_matrix

    def part(self, rows: npt.NDArray[np.int_]) -> "Counts":
        """Return the counts of some of the sentences."""
        return Counts(self.letters[rows], self.lemmas[rows], self.keywords[rows])


class Features:
    """Sentences to rows of numbers. Counting is slow and done once; weighing is fast."""

    def __init__(self, topics: Sequence[Topic], keyword_weight: float = 0.5) -> None:
        self._letters = CountVectorizer(
            preprocessor=letters,
            analyzer="char_wb",
            ngram_range=(2, 5),
            min_df=2,
            dtype=np.float32,
        )
        self._lemmas = CountVectorizer(analyzer=lemma_words, dtype=np.float32)
        self._keywords = KeywordCounter(topics)
        self._keyword_weight = keyword_weight
        self._rarity = (TfidfTransformer(sublinear_tf=True), TfidfTransformer(sublinear_tf=True))

    def learn(self, sentences: Sequence[Sentence]) -> Counts:
        """Learn which letters and lemmas there are; returns the counts of the same sentences."""
        return Counts(
            self._letters.fit_transform(sentences),
            self._lemmas.fit_transform(sentences),
            self._count_keywords(sentences),
        )

    def weighed_by(self, counts: Counts) -> "Features":
        """Return features that take from these sentences how rare everything is."""
        weighed = copy(self)
        weighed._rarity = (
            TfidfTransformer(sublinear_tf=True).fit(counts.letters),
            TfidfTransformer(sublinear_tf=True).fit(counts.lemmas),
        )
        return weighed

    def rows(self, counts: Counts) -> csr_matrix:
        """Return a row a sentence, with the rarity learnt before."""
        by_letters, by_lemmas = self._rarity
        parts = [by_letters.transform(counts.letters), by_lemmas.transform(counts.lemmas)]
        return hstack([*parts, counts.keywords], format="csr", dtype=np.float32)

    def transform(self, sentences: Sequence[Sentence]) -> csr_matrix:
        """Return the rows of sentences, with vocabulary and rarity learnt before."""
        return self.rows(
            Counts(
                self._letters.transform(sentences),
                self._lemmas.transform(sentences),
                self._count_keywords(sentences),
            )
        )

    def _count_keywords(self, sentences: Sequence[Sentence]) -> csr_matrix:
        counts = self._keyword_weight * self._keywords.counts(sentences)
        return csr_matrix(counts.astype(np.float32))

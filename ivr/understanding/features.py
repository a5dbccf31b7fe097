"""What the trained models see of a sentence: letters, words, lemmas and keywords."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, hstack  # type: ignore[import-untyped]
from sklearn.feature_extraction.text import TfidfVectorizer

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


class Features:
    """Sentences to rows of numbers; fitted once, then fixed."""

    def __init__(self, topics: Sequence[Topic], keyword_weight: float = 1.0) -> None:
        self._letters = TfidfVectorizer(
            preprocessor=letters,
            analyzer="char_wb",
            ngram_range=(2, 5),
            sublinear_tf=True,
            min_df=2,
        )
        self._lemmas = TfidfVectorizer(analyzer=lemma_words, sublinear_tf=True)
        self._keywords = KeywordCounter(topics)
        self._keyword_weight = keyword_weight

    def fit(self, sentences: Sequence[Sentence]) -> csr_matrix:
        """Learn the vocabulary; returns the rows of the same sentences."""
        return self._join(
            self._letters.fit_transform(sentences), self._lemmas.fit_transform(sentences), sentences
        )

    def transform(self, sentences: Sequence[Sentence]) -> csr_matrix:
        """Rows of sentences, with the vocabulary learnt before."""
        return self._join(
            self._letters.transform(sentences), self._lemmas.transform(sentences), sentences
        )

    def _join(
        self, by_letters: csr_matrix, by_lemmas: csr_matrix, sentences: Sequence[Sentence]
    ) -> csr_matrix:
        keywords = csr_matrix(self._keyword_weight * self._keywords.counts(sentences))
        return hstack([by_letters, by_lemmas, keywords], format="csr")

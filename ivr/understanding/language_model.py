"""How callers of a city speak: tells which of several hearings is likeliest to have been said.

A recogniser knows the language at large; this knows "gabaryty" and "pod klatką". Pairs of words
counted in the examples, interpolated with single words, and those with letters, so that words never
seen (streets, names, misheard ones) have a likelihood too::

    P(word | previous) = (count(previous word) + A * P(word)) / (count(previous) + A)
    P(word)            = (count(word) + B * P(letters)) / (count of all + B)

Add-one-like smoothing by a prior, after D. MacKay and L. Bauman Peto (Natural Language Engineering
1, 1995); letters likewise, each from up to four before it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from ivr.understanding.text import normalise

_PAIR_PRIOR, _WORD_PRIOR, _LETTER_PRIOR = 4.0, 5.0, 3.0
_LETTERS_BEFORE = 4
_ALPHABET = 60
_BEGIN, _END = "<s>", "</s>"
_MEAN_WORDS = 8.0
WEIGHT = 0.2
"""How much it counts beside the recogniser's own log-probability of a sentence; found on recordings
whose sentences it had not learnt (docs/understanding.md)."""


class LanguageModel:
    """Counts of one language; stateless once made."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._words: Counter[str] = Counter()
        self._letters: Counter[str] = Counter()
        for sentence in sentences:
            words = [_BEGIN, *normalise(sentence).split(), _END]
            self._words.update(words)
            self._pairs.update(pairwise(words))
            for word in words[1:-1]:
                self._letters.update(_letter_ngrams(word))
        self._total = sum(self._words.values())

    def log_probability(self, sentence: str) -> float:
        """Return the natural logarithm of how likely a sentence is; -inf never comes out."""
        words = [_BEGIN, *normalise(sentence).split(), _END]
        return sum(self._pair(before, word) for before, word in pairwise(words))

    def likeliest_first(self, heard: Sequence[tuple[str, float]]) -> list[str]:
        """Order what a recogniser may have heard.

        `heard`: texts with the recogniser's own natural log-probabilities of the whole text.
        """
        order = sorted(heard, key=lambda h: -(h[1] + WEIGHT * self.log_probability(h[0])))
        return [text for text, _ in order]

    def _pair(self, before: str, word: str) -> float:
        prior = _PAIR_PRIOR * math.exp(self._word(word))
        return math.log((self._pairs[before, word] + prior) / (self._words[before] + _PAIR_PRIOR))

    def _word(self, word: str) -> float:
        if word == _END:
            return -math.log(_MEAN_WORDS)
        prior = _WORD_PRIOR * math.exp(self._spelling(word))
        return math.log((self._words[word] + prior) / (self._total + _WORD_PRIOR))

    def _spelling(self, word: str) -> float:
        padded = f"{_PAD}{word[:_LONGEST]}{_STOP}"
        total = 0.0
        for at in range(len(_PAD), len(padded)):
            share = 1 / _ALPHABET
            for size in range(1, _LETTERS_BEFORE + 1):
                context = padded[max(0, at - size) : at]
                seen = self._letters[context]
                if seen:
                    share = (self._letters[context + padded[at]] + _LETTER_PRIOR * share) / (
                        seen + _LETTER_PRIOR
                    )
            total += math.log(share)
        return total


_PAD, _STOP, _LONGEST = "^^", "$", 40


def _letter_ngrams(word: str) -> Iterable[str]:
    padded = f"{_PAD}{word}{_STOP}"
    for size in range(1, _LETTERS_BEFORE + 2):
        for start in range(len(padded) - size + 1):
            yield padded[start : start + size]

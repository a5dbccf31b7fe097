"""Text as recognisers write it, brought to forms that can be compared.

A sentence exists here in five forms: normalised (lower case, no punctuation), folded (no
diacritics), lemmas (dictionary forms), squeezed (no spaces: recognisers put the word boundaries
wrong) and the sound key (letters that sound alike are one letter).
"""

import re
import unicodedata
from functools import lru_cache

import simplemma

from ivr.types import Language

MAX_CHARS = 4000
"""What is read of one utterance, in characters: about four minutes of speech. Of a longer one
the beginning and the end are read, half of it each."""

_APOSTROPHES = re.compile("[’‘ʼ`´′]")
_NOT_WORD = re.compile(r"[\W_]+")
_NO_DECOMPOSITION = str.maketrans({"ł": "l", "ґ": "г", "đ": "d", "ß": "ss", "ø": "o"})
_ENGLISH = (
    (re.compile(r"\bcan'?t\b|\bcannot\b"), "can not"),
    (re.compile(r"\bwon'?t\b"), "will not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"\b(do|does|is|are)nt\b"), r"\1 not"),
    (re.compile(r"\b(i'm|im)\b"), "i am"),
    (re.compile(r"(?<=[a-z])'s\b"), " is"),
    (re.compile(r"(?<=[a-z])'re\b"), " are"),
)


def contractions(text: str) -> str:
    """English short forms written out ("can't" is "can not"); other languages pass unchanged."""
    for pattern, replacement in _ENGLISH:
        text = pattern.sub(replacement, text)
    return text


def normalise(text: str) -> str:
    """Lower case, short forms written out, punctuation to single spaces; diacritics stay."""
    if len(text) > MAX_CHARS:
        text = f"{text[: MAX_CHARS // 2]} {text[-MAX_CHARS // 2 :]}"
    text = unicodedata.normalize("NFKC", text).lower()
    text = contractions(_APOSTROPHES.sub("'", text)).replace("'", "")
    # Lower-casing may decompose (İ): compose again, so that the form is stable.
    return _NOT_WORD.sub(" ", unicodedata.normalize("NFC", text)).strip()


def fold(text: str) -> str:
    """Return the text without diacritics: ł is l, ї is і, ґ is г."""
    decomposed = unicodedata.normalize("NFD", text.translate(_NO_DECOMPOSITION))
    return "".join(c for c in decomposed if not unicodedata.combining(c))


@lru_cache(maxsize=20_000)
def lemma(word: str, language: Language) -> str:
    """Return the dictionary form of a lower-case word; the word itself when unknown."""
    return str(simplemma.lemmatize(word, lang=language)).lower()


def lemmas(normalised: str, language: Language) -> list[str]:
    """Folded dictionary forms of the words of a normalised text."""
    return [fold(lemma(word, language)) for word in normalised.split()]


_POLISH_SOUNDS = (
    ("dzi", "z"), ("dź", "z"), ("dż", "z"), ("dz", "z"), ("rz", "z"), ("sz", "s"), ("cz", "c"),
    ("ch", "h"), ("ci", "c"), ("si", "s"), ("zi", "z"), ("ni", "n"), ("om", "o"), ("on", "o"),
    ("ó", "u"), ("ł", "u"), ("ą", "o"), ("ę", "e"), ("ś", "s"), ("ć", "c"), ("ż", "z"),
    ("ź", "z"), ("ń", "n"), ("y", "i"), ("v", "w"), ("x", "ks"), ("q", "k"),
)  # fmt: skip
_UKRAINIAN_SOUNDS = (
    ("ї", "и"), ("і", "и"), ("ы", "и"), ("й", "и"), ("є", "е"), ("э", "е"), ("ё", "е"),
    ("щ", "ш"), ("ь", ""), ("ъ", ""), ("ґ", "г"),
)  # fmt: skip
_ENGLISH_SOUNDS = (("ph", "f"), ("ck", "k"), ("gh", ""), ("th", "t"), ("y", "i"), ("c", "k"))
_SOUNDS = {"pl": _POLISH_SOUNDS, "uk": _UKRAINIAN_SOUNDS, "en": _ENGLISH_SOUNDS}
_VOICELESS = str.maketrans("bdgzw", "ptksf")
_DOUBLE = re.compile(r"(.)\1+")


def sound_key(normalised: str, language: Language) -> str:
    """How the words sound, coarsely: "zasłabł" and "zasłabu" are one, "gaz" and "gas" too."""
    for letters, sound in _SOUNDS[language]:
        normalised = normalised.replace(letters, sound)
    return _DOUBLE.sub(r"\1", fold(normalised).translate(_VOICELESS))


def squeeze(words: str) -> tuple[str, list[int]]:
    """Return the text without spaces, and where its words began in it."""
    squeezed, starts = "", []
    for word in words.split():
        starts.append(len(squeezed))
        squeezed += word
    return squeezed, starts


def ngrams(text: str, low: int, high: int) -> list[str]:
    """Character n-grams of a text, a space standing at both of its ends."""
    padded = f" {text} "
    return [padded[i : i + n] for n in range(low, high + 1) for i in range(len(padded) - n + 1)]

"""Sentences as a recogniser hears them over the telephone: letters that sound alike, lost borders.

    "ma drgawki, piana mu leci z ust"  ->  "madr gawki piana mu leci zust"

The models learn every example also so, and lose less when a caller is misheard. The changes were
chosen by ear from transcripts of Whisper, not counted.
"""

from random import Random

from ivr.types import Language
from ivr.understanding.text import normalise

MISHEARD = 0.25
"""Share of the words in which something is misheard."""
_MERGED, _SPLIT = 0.25, 0.15
"""Shares of those that lose the border to the next word, or get one within."""
_LONG = 6
"""Letters from which a word may be split."""

_ALIKE: dict[Language, dict[str, str]] = {
    "pl": {
        "rz": "ż sz rs", "sz": "s ż ś", "cz": "c ć dż", "dz": "c d", "ch": "h k", "ci": "ć cy",
        "si": "ś sy", "zi": "ź zy", "ni": "ń ny", "ż": "rz sz z", "ź": "z zi", "ś": "s sz si",
        "ć": "c ci t", "ń": "n ni", "ó": "u o", "ą": "o on om a", "ę": "e en em", "ł": "l u w",
        "w": "f v ł", "f": "w", "b": "p", "p": "b", "d": "t", "t": "d", "g": "k", "k": "g",
        "z": "s", "s": "z", "y": "i e", "i": "y", "e": "y ę", "o": "u ą", "u": "o ó", "a": "o e",
        "m": "n", "n": "m", "j": "i", "l": "r ł", "r": "l", "h": "ch", "c": "ts",
    },
    "uk": {
        "и": "і ы", "і": "и ї", "ї": "і", "є": "е", "е": "є и", "г": "х ґ", "х": "г", "щ": "ш",
        "ш": "ж с", "ж": "ш", "ц": "т с", "ч": "ц", "ь": "", "в": "у ф", "у": "в", "о": "а",
        "а": "о", "б": "п", "п": "б", "д": "т", "т": "д", "з": "с", "с": "з", "к": "г", "й": "и",
        "м": "н", "н": "м", "я": "а", "ю": "у",
    },
    "en": {
        "th": "d f", "ph": "f", "ee": "ea i", "ea": "ee", "oo": "u", "ck": "k", "igh": "ie",
        "b": "p", "p": "b", "d": "t", "t": "d", "g": "k", "k": "c", "v": "f", "f": "v", "s": "z",
        "z": "s", "m": "n", "n": "m", "a": "e o", "e": "a i", "i": "e", "o": "a", "u": "a",
    },
}  # fmt: skip


def misheard(sentence: str, language: Language, random: Random) -> str:
    """Return a sentence as it may be written when heard badly; normalised."""
    words = normalise(sentence).split()
    heard: list[str] = []
    merge = False
    for word in words:
        wrong = word
        joined = merge
        merge = False
        if random.random() < MISHEARD:
            kind = random.random()
            if kind < _MERGED:
                merge = True
            elif kind < _MERGED + _SPLIT and len(word) >= _LONG:
                at = random.randrange(2, len(word) - 1)
                wrong = f"{word[:at]} {word[at:]}"
            else:
                wrong = _with_another_letter(word, language, random)
        if joined and heard:
            heard[-1] += wrong
        else:
            heard.append(wrong)
    return " ".join(heard)


def _with_another_letter(word: str, language: Language, random: Random) -> str:
    alike = _ALIKE[language]
    places = [
        (at, size)
        for at in range(len(word))
        for size in (3, 2, 1)
        if word[at : at + size] in alike and at + size <= len(word)
    ]
    if not places:
        return word
    at, size = random.choice(places)
    return word[:at] + random.choice(alike[word[at : at + size]].split(" ")) + word[at + size :]

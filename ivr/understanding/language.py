"""Which language a text is in, told by its letters and commonest words."""

import re

from ivr.types import Language
from ivr.understanding.text import fold, normalise

_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_LATIN = re.compile(r"[a-z]")
_POLISH_LETTERS = re.compile("[ąćęłńóśźż]")
_POLISH = frozenset(
    """
    nie sie jest na do w z ze co jak to mam ma czy gdzie kiedy prosze dzien dobry tak chce pan
    pani ktos dla przy po od moj moja ulicy numer ile jestem halo pomocy ratunku za u o i a
    ale juz byl bylo tu tam
    """.split()  # noqa: SIM905 - a word list is easier to read and mend as text
)
_ENGLISH = frozenset(
    """
    the a is are i am my you in on of to and for it not please help where how what when do
    does can there have has someone this that with was he she we they hello yes want need me
    at from your our who
    """.split()  # noqa: SIM905 - a word list is easier to read and mend as text
)


def guess_language(text: str) -> Language | None:
    """Return the language of a text, or None when nothing tells.

    Cyrillic is "uk": recognisers write Ukrainian as Russian, and who serves one understands the
    other.
    """
    plain = normalise(text)
    cyrillic, latin = len(_CYRILLIC.findall(plain)), len(_LATIN.findall(plain))
    if cyrillic > latin:
        return "uk"
    words = fold(plain).split()
    polish = sum(word in _POLISH for word in words) + 2 * len(_POLISH_LETTERS.findall(plain))
    english = sum(word in _ENGLISH for word in words)
    if polish == english:
        return None
    return "pl" if polish > english else "en"

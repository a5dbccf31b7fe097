"""The words round a place: prepositions, case endings, Cyrillic letters, spoken numbers."""

import re
from functools import lru_cache

from ivr.understanding.text import fold, normalise

STRONG = frozenset(
    "ulica ulicy ulice ul aleja aleje alei aleji alejach al plac placu pl rondo rondzie ronda "  # noqa: SIM905 - a word list is easier to mend as text
    "wulicia wulici wulicy wulyci wulycia vulitsia vulitsi "
    "vulytsia vulytsi vulicia vulici street avenue".split()
)
WEAK = frozenset(
    """
    na przy przystanek przystanku od do kolo obok z i w ze we rog rogu pod
    on at near in of and ta bilia
    """.split()  # noqa: SIM905 - a word list is easier to mend as text
)
CROSSING = frozenset("przy rog rogu skrzyzowanie z i and at corner crossing kut ta bilia".split())  # noqa: SIM905 - a word list is easier to mend as text
ORDINARY = frozenset(
    "dachu domu drodze mnie nas ulicy ulice dobra dobre dobrej prosta prosto wolny wola zlota "  # noqa: SIM905 - a word list is easier to mend as text
    "dluga krotka mloda nowa stara gorna dolna polna lesna sloneczna zielona prosze miasto "
    "miasta chodnik chodniku podworku parkingu placu balkonie klatce osiedlu "
    "zabaw moja mojej mojego naszej naszym ktorej nie jest sie lezy stoi the my our".split()
)
_CYRILLIC = dict(
    zip(
        "абвгґдеєжзиіїйклмнопрстуфхцчшщьюяыэё",
        "a b w h g d e ie z z y i i j k l l n o p r s t u f ch c cz sz szcz _ iu ia y e o".split(),  # noqa: SIM905 - a word list is easier to mend as text
        strict=True,
    )
)
_CYRILLIC["ь"] = ""
_ENDINGS = tuple(
    "iego iach iemi ego iej imi ymi ach ami iem ich ych iu ie ej em im ym om ia a e i o u y".split()  # noqa: SIM905 - a word list is easier to mend as text
)
_UNITS = (  # noqa: SIM905 - a word list is easier to mend as text
    "zero jeden dwa trzy cztery piec szesc siedem osiem dziewiec dziesiec jedenascie dwanascie "
    "trzynascie czternascie pietnascie szesnascie siedemnascie osiemnascie dziewietnascie"
).split()
_TENS = (  # noqa: SIM905 - a word list is easier to mend as text
    "dwadziescia trzydziesci czterdziesci piecdziesiat szescdziesiat siedemdziesiat "
    "osiemdziesiat dziewiecdziesiat"
).split()
_HUNDREDS = "sto dwiescie trzysta czterysta piecset szescset siedemset osiemset dziewiecset".split()  # noqa: SIM905 - a word list is easier to mend as text
_VALUES = {word: n for n, word in enumerate(_UNITS)}
_VALUES |= {word: 10 * n for n, word in enumerate(_TENS, 2)}
_VALUES |= {word: 100 * n for n, word in enumerate(_HUNDREDS, 1)}
_BEFORE_NUMBER = frozenset("pod numerem numer nr street number".split())  # noqa: SIM905 - a word list is easier to mend as text
_STREET_LIKE = (
    "ska",
    "skiej",
    "ska",
    "cka",
    "ckiej",
    "owa",
    "owej",
    "ego",
    "icza",
    "yka",
    "ina",
    "iny",
)
_NUMBER = re.compile(r"[0-9]{1,4}[a-z]?")


def words_of(text: str) -> list[str]:
    """Folded words in Latin letters; Cyrillic is written the way Polish would write it."""
    plain = fold(normalise(text))
    return "".join(_CYRILLIC.get(c, c) for c in plain).split()


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Return a folded word without its case ending, at least three letters of it."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def house_number(words: list[str], i: int) -> tuple[str, int]:
    """Return the house number said from a word on, and the index after it; "" when none is."""
    while i < len(words) and words[i] in _BEFORE_NUMBER:
        i += 1
    if i < len(words) and _NUMBER.fullmatch(words[i]):
        return words[i], i + 1
    total, room, start = 0, 1000, i
    while i < len(words) and words[i] in _VALUES:
        value = _VALUES[words[i]]
        size = 100 if value >= 100 else 10 if value >= 20 else 1
        if size >= room:
            break
        total, room = total + value, 1 if value < 20 else size
        i += 1
    return (str(total), i) if i > start and total else ("", 0)


def street_like(words: list[str], i: int) -> bool:
    """Tell whether an unknown word after "ulica" is shaped like a name, or a number follows it."""
    if len(words[i]) < 5 or words[i] in ORDINARY:
        return False
    if words[i - 1 : i] and words[i - 1].startswith(("plac", "pl", "rond")):
        return True
    return words[i].endswith(_STREET_LIKE) or house_number(words, i + 1)[0] != ""

"""The words round a place: prepositions, case endings, Cyrillic letters, spoken numbers."""

import re
from functools import lru_cache

from ivr.understanding.text import fold, normalise, sound_key


def _words(text: str) -> tuple[str, ...]:
    """A word list, written as text so that it is easy to read and mend."""
    return tuple(text.split())


STRONG = frozenset(
    _words(
        """
        ulica ulicy ulice ulic ul aleja aleje alei aleji alejach al plac placu pl
        rondo rondzie ronda
        wulicia wulici wulicy wulyci wulycia vulitsia vulitsi vulytsia vulytsi vulicia vulici
        street avenue
        """
    )
)
WEAK = frozenset(
    _words(
        """
        na przy przystanek przystanku od do kolo obok z i w ze we rog rogu rogiem pod wzdluz
        strony wysokosci wylotu zbiegu skrzyzowanie skrzyzowaniu samej adresem naprzeciw
        naprzeciwko po adres to on at near in of and ta bilia
        """
    )
)
CROSSING = frozenset(
    _words(
        """
        przy rog rogu rogiem skrzyzowanie z i wysokosci wylotu krzyzuje
        and at corner crossing kut ta bilia
        """
    )
)
ORDINARY = frozenset(
    _words(
        """
        dachu domu drodze mnie nas wesola wesoly ulicy ulice dobra dobre dobrej prosta prosto wolny
        wola zlota dluga krotka mloda nowa stara gorna dolna polna lesna sloneczna zielona prosze
        miasto miasta chodnik chodniku podworku parkingu placu balkonie klatce osiedlu zabaw moja
        mojej mojego naszej naszym ktorej nie jest sie lezy stoi the my our
        """
    )
)
MONTHS = frozenset(
    _words(
        """
        stycznia lutego marca kwietnia maja czerwca lipca sierpnia wrzesnia pazdziernika listopada
        grudnia
        """
    )
)
NO_GIVEN_NAMES = frozenset(_words("trasa aleja krola ulica droga gora"))
"""First words of streets that end like a man's name in the genitive."""
_CYRILLIC = dict(
    zip(
        "абвгґдеєжзиіїйклмнопрстуфхцчшщьюяыэё",
        _words("a b w h g d e ie z z y i i j k l l n o p r s t u f ch c cz sz szcz _ iu ia y e o"),
        strict=True,
    )
)
_CYRILLIC["ь"] = ""
_ENDINGS = _words(
    "iego iach iemi ego iej imi ymi ach ami iem ich ych iu ie ej em im ym om ia a e i o u y"
)
_UNITS = _words(
    """
    zero jeden dwa trzy cztery piec szesc siedem osiem dziewiec dziesiec jedenascie dwanascie
    trzynascie czternascie pietnascie szesnascie siedemnascie osiemnascie dziewietnascie
    """
)
_TENS = _words(
    """
    dwadziescia trzydziesci czterdziesci piecdziesiat szescdziesiat siedemdziesiat osiemdziesiat
    dziewiecdziesiat
    """
)
_HUNDREDS = _words("sto dwiescie trzysta czterysta piecset szescset siedemset osiemset dziewiecset")
_VALUES = {word: n for n, word in enumerate(_UNITS)}
_VALUES |= {word: 10 * n for n, word in enumerate(_TENS, 2)}
_VALUES |= {word: 100 * n for n, word in enumerate(_HUNDREDS, 1)}
_ORDINALS = _words(
    """
    pierwsz drug trzec czwart piat szost siodm osm dziewiat dziesiat jedenast dwunast trzynast
    czternast pietnast szesnast siedemnast osiemnast dziewietnast dwudziest
    """
)
_ORDINAL_ENDINGS = ("ym", "im", "ego", "iego", "y", "a", "ej", "iej")
_VALUES |= {word + ending: n for n, word in enumerate(_ORDINALS, 1) for ending in _ORDINAL_ENDINGS}
_BEFORE_NUMBER = frozenset(_words("pod numerem numer nr street number"))
_STREET_LIKE = _words("ska skiej cka ckiej owa owej ego icza yka ina iny")
_HOUSE_LETTERS = frozenset("abcdefgh")
_NUMBER = re.compile(r"[0-9]{1,4}[a-z]?")
_SHARED = re.compile(r"[0-9]{1,4}")


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
        if i + 1 < len(words) and _SHARED.fullmatch(words[i + 1]) and words[i].isdigit():
            return f"{words[i]}/{words[i + 1]}", i + 2  # "25/27": one house, two numbers
        return _with_letter(words[i], words, i + 1)
    total, room, start = 0, 1000, i
    while i < len(words) and words[i] in _VALUES:
        value = _VALUES[words[i]]
        size = 100 if value >= 100 else 10 if value >= 20 else 1
        if size >= room:
            break
        total, room = total + value, 1 if value < 20 else size
        i += 1
    return _with_letter(str(total), words, i) if i > start and total else ("", 0)


def _with_letter(number: str, words: list[str], i: int) -> tuple[str, int]:
    """Add the letter of a house number that stands alone: "czterdzieści jeden b"."""
    letter = i < len(words) and words[i] in _HOUSE_LETTERS and number.isdigit()
    return (number + words[i], i + 1) if letter else (number, i)


def number_before(words: list[str], i: int) -> tuple[str, int]:
    """Return the house number said before a street that begins at word i, and where it begins.

    "pod numerem dwadzieścia cztery na Puławskiej"; "" when none is.
    """
    for start in range(max(0, i - 6), i):
        if words[start] in _BEFORE_NUMBER and words[start - 1 : start] != ["nad"]:
            number, end = house_number(words, start)
            if number and i - end <= 2:
                return number, start
    return "", 0


def nominative(word: str) -> str:
    """Return the name of an unknown street from an inflected adjective: "Filtrowej" is Filtrowa."""
    for ending, name in (("iej", "a"), ("ej", "a")):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word[: -len(ending)] + name
    return word


def as_sounded(text: str) -> str:
    """How a name sounds without spaces and its case ending; for names that were misheard."""
    return stem(sound_key(normalise(text), "pl").replace(" ", ""))


def street_like(words: list[str], i: int) -> bool:
    """Tell whether an unknown word after "ulica" is shaped like a name, or a number follows it."""
    if len(words[i]) < 5 or words[i] in ORDINARY:
        return False
    if words[i - 1 : i] and words[i - 1].startswith(("plac", "pl", "rond")):
        return True
    return words[i].endswith(_STREET_LIKE) or house_number(words, i + 1)[0] != ""

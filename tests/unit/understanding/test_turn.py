import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.types import LANGUAGES, Language
from ivr.understanding.turn import Turn, turn_of


@pytest.mark.parametrize(
    ("text", "language", "turn"),
    [
        ("Nie świeci latarnia na Puławskiej.", "pl", "complete"),
        ("od tygodnia nikt nie odebrał śmieci", "pl", "complete"),
        ("nie ma prądu", "pl", "short"),
        ("latarnia", "pl", "short"),
        ("dzień dobry, latarnia", "pl", "short"),
        ("eee", "pl", "unfinished"),
        ("no bo", "pl", "unfinished"),
        ("Dzień dobry.", "pl", "unfinished"),
        ("chciałbym zgłosić że latarnia na", "pl", "unfinished"),
        ("Dzień dobry, ja w sprawie...", "pl", "unfinished"),
        ("nie świeci latarnia na Puławskiej, eee", "pl", "unfinished"),
        ("", "pl", "unfinished"),
        ("У нас немає гарячої води вдома", "uk", "complete"),
        ("добрий день", "uk", "unfinished"),
        ("я дзвоню бо", "uk", "unfinished"),
        ("My bus did not come today", "en", "complete"),
        ("Hello, I am calling because", "en", "unfinished"),
        ("um", "en", "unfinished"),
    ],
)
def test_whether_more_is_to_be_expected(text: str, language: Language, turn: Turn) -> None:
    assert turn_of(text, language) == turn


@given(st.text(), st.sampled_from(LANGUAGES))
def test_any_text(text: str, language: Language) -> None:
    assert turn_of(text, language) in {"complete", "short", "unfinished"}

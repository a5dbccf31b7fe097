import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.types import LANGUAGES, Language
from ivr.understanding.answers import parse_yes_no


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("tak", "pl", True), ("No tak.", "pl", True), ("tag", "pl", True), ("ta", "pl", True),
        ("zgadza się", "pl", True), ("tak, proszę szybko, on umiera", "pl", True),
        ("nie", "pl", False), ("nie nie", "pl", False), ("nje", "pl", False), ("no nie", "pl",
        False),
        ("ależ skąd", "pl", False), ("nie, dziękuję", "pl", False), ("nie trzeba", "pl", False),
        ("nie zgadza się", "pl", False), ("nie oddycha!", "pl", None), ("nie wiem", "pl", None),
        ("nie, ona nie oddycha", "pl", None), ("tak, nie", "pl", None), ("", "pl", None),
        ("nie żyje", "pl", None), ("nie reaguje", "pl", None), ("halo", "pl", None),
        ("так", "uk", True), ("ні", "uk", False), ("ні, дякую", "uk", False), ("не дихає", "uk",
        None),
        ("не треба", "uk", False), ("так, швидко", "uk", True),
        ("yes please", "en", True), ("no thanks", "en", False), ("no, not at all", "en", False),
        ("not breathing", "en", None), ("that's right", "en", True), ("no need", "en", False),
    ],
)  # fmt: skip
def test_answers(text: str, language: Language, expected: bool | None) -> None:
    assert parse_yes_no(text, language) is expected


@given(st.text(), st.sampled_from(LANGUAGES))
def test_any_answer(text: str, language: Language) -> None:
    assert parse_yes_no(text, language) in {True, False, None}

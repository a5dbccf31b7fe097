import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ivr.cases.numbers import LIMIT, mask, normalise


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("601 234 567", "+48601234567"),
        ("+48601234567", "+48601234567"),
        ("0048601234567", "+48601234567"),
        ("48601234567", "+48601234567"),
        ("(22) 443-25-00", "+48224432500"),
        ("+380 44 123 45 67", "+380441234567"),
        ("anonymous", "anonymous"),
        ("112", "112"),
        ("", ""),
        ("12\x0034", "12\ufffd34"),
        ("x" * 500, "x" * LIMIT),
    ],
)
def test_normalise(raw: str, number: str) -> None:
    assert normalise(raw) == number


@given(st.text(st.characters(exclude_categories=())))
@example("0" * 63 + " 0")
def test_normalise_takes_anything_and_is_stable(raw: str) -> None:
    number = normalise(raw)
    assert len(number) <= LIMIT
    assert normalise(number) == number
    number.encode()


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+48601236789", "+48*****6789"),
        ("+380441234567", "+380*****4567"),
        ("anonymous", "anonymous"),
        ("jan.kowalski", "**********ki"),
        ("112", "***"),
        ("", ""),
        (None, ""),
    ],
)
def test_mask(number: str | None, shown: str) -> None:
    assert mask(number) == shown


@given(st.from_regex(r"\+?[0-9]{9,15}", fullmatch=True))
def test_mask_hides_at_least_four_digits(number: str) -> None:
    assert mask(number).count("*") >= 4

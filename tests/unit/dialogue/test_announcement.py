"""What who waits is told: every number has its recording, nothing is promised that nobody knows."""

from pathlib import Path

import pytest
import yaml

from ivr.dialogue.announcement import announcement, number_prompts
from ivr.routing.estimate import Forecast

PROMPTS = yaml.safe_load((Path(__file__).parents[3] / "prompts" / "pl.yaml").read_text())


def told(position: int, expected_s: float | None, *, callback: bool = False) -> tuple[str, ...]:
    return announcement(Forecast(position, expected_s, expected_s, expected_s), callback=callback)


@pytest.mark.parametrize("number", range(-1, 130))
def test_every_number_has_its_recordings(number: int) -> None:
    said = number_prompts(number)
    assert set(said) <= set(PROMPTS)
    assert sum(int(prompt.removeprefix("number-")) for prompt in said) == min(max(number, 0), 100)


def test_the_place_and_the_wait() -> None:
    assert told(3, 100) == ("people-ahead", "number-3", "expected-minutes", "number-2")
    assert told(0, 59.9) == ("people-ahead", "number-0", "less-than-a-minute")
    assert told(0, 60) == ("people-ahead", "number-0", "expected-minutes", "number-1")


@pytest.mark.parametrize(("minutes", "said"), [(10, 10), (11, 10), (13, 15), (28, 30), (600, 100)])
def test_long_waits_are_told_to_five_minutes(minutes: int, said: int) -> None:
    prompts = told(9, minutes * 60.0)[3:]
    assert sum(int(prompt.removeprefix("number-")) for prompt in prompts) == said


def test_nothing_is_promised_where_nothing_is_known() -> None:
    assert announcement(None, callback=False) == ()
    assert announcement(None, callback=True) == ("offer-callback",)
    assert told(7, None) == ("people-ahead", "number-7")
    assert told(7, None, callback=True)[-1] == "offer-callback"

"""How long calls keep a consultant: learned from many, not led astray by few."""

import json

import numpy as np
import pytest

from ivr.routing.handling import HandlingTimes


def learned() -> HandlingTimes:
    random = np.random.default_rng(2)
    times = HandlingTimes(240, {"roads": 200, "taxes": 400})
    for seconds in random.lognormal(5, 1, 300).tolist():
        times.add("roads", seconds)
        times.add("taxes", 2 * seconds)
    return times


def test_without_calls_the_handling_times_are_those_of_the_profile() -> None:
    times = HandlingTimes(234, {"taxes": 409})
    assert times.mean("taxes") == pytest.approx(409)
    assert times.mean("roads") == times.mean() == pytest.approx(234)
    assert times.sigma == pytest.approx(1.0)


def test_few_calls_move_a_topic_a_little_and_many_nearly_all_the_way() -> None:
    few, many = HandlingTimes(200), HandlingTimes(200)
    for _ in range(3):
        few.add("roads", 400)
    for _ in range(2000):
        many.add("roads", 400)
    assert 200 < few.mean("roads") < 260
    assert many.mean("roads") == pytest.approx(400, rel=0.01)


def test_a_topic_without_calls_follows_the_others() -> None:
    times = HandlingTimes(200, {"taxes": 400})
    for _ in range(1000):
        times.add("roads", 300)
    assert times.mean("taxes") == pytest.approx(600, rel=0.05)
    assert times.mean("waste") == times.mean() == pytest.approx(300, rel=0.05)


def test_old_calls_are_forgotten() -> None:
    times = HandlingTimes(200)
    for seconds in [100] * 3000 + [500] * 3000:
        times.add("roads", seconds)
    assert times.mean("roads") == pytest.approx(500, rel=0.03)


def test_the_scatter_is_learned_and_the_doubt_grows_less() -> None:
    random = np.random.default_rng(1)
    times = HandlingTimes(200)
    before = times.doubt
    for seconds in random.lognormal(np.log(200) - 0.125, 0.5, 3000).tolist():
        times.add("roads", seconds)
    assert times.sigma == pytest.approx(0.5, abs=0.08)
    assert times.doubt < before / 3


def test_a_forgotten_handset_does_not_make_talks_long() -> None:
    times = learned()
    before = times.mean("roads")
    times.add("roads", 20 * 3600)
    assert before < times.mean("roads") < 1.1 * before
    times.add("roads", 0.0)
    assert np.isfinite(times.sigma)


def test_what_was_learned_survives_as_plain_data() -> None:
    times = learned()
    kept = json.loads(json.dumps(times.to_plain()))
    again = HandlingTimes.from_plain(kept, 240, {"roads": 200, "taxes": 400})
    for topic in ("roads", "taxes", "waste"):
        assert again.mean(topic) == times.mean(topic)
    assert (again.sigma, again.doubt) == (times.sigma, times.doubt)
    again.add("roads", 10)
    assert again.mean("roads") != times.mean("roads")


@pytest.mark.parametrize(
    "plain", [{}, {"topics": {}, "all": [1], "logs": [0, 0, 0]},
              {"topics": {"roads": [1, "x"]}, "all": [0, 0], "logs": [0, 0, 0]},
              {"topics": {}, "all": [0, 0], "logs": [0, 0, float("nan")]}],
)  # fmt: skip
def test_what_cannot_have_been_learned_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError)):
        HandlingTimes.from_plain(plain, 240, {})

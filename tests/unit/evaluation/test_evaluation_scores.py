import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.evaluation.scores import (
    Judged,
    calibration_error,
    character_edits,
    error_rate,
    percentile,
    reliability,
    score,
    wilson,
    word_edits,
)
from ivr.understanding.meaning import Meaning
from ivr.understanding.sample_set import Sample


def judged(
    topic: str, kind: str, said: str, emergency: str = "no", *, unsure: bool = False
) -> Judged:
    meaning = Meaning(said, 0.9, "other", 0.1, unsure, emergency, "", None)  # type: ignore[arg-type]
    return Judged(Sample("x", "pl", topic, kind, 2), meaning, 0.001)


def test_wilson_is_the_textbooks() -> None:
    rate = wilson(8, 10)
    assert (rate.low, rate.high) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert wilson(0, 0).share is None


@given(st.integers(1, 1000), st.data())
def test_wilson_holds_its_share(whole: int, data: st.DataObject) -> None:
    rate = wilson(data.draw(st.integers(0, whole)), whole)
    assert rate.low is not None
    assert rate.high is not None
    assert rate.share is not None
    assert 0 <= rate.low <= rate.share + 1e-12
    assert rate.share <= rate.high + 1e-12 <= 1 + 1e-9


def test_words_and_characters() -> None:
    assert word_edits("Pali się las!", "pali sie las") == (1, 3)
    assert word_edits("tak", "") == (1, 1)
    assert word_edits("tak", "tak tak tak") == (2, 1)
    assert character_edits("kot", "kat") == (1, 3)
    assert error_rate([(2, 1), (0, 3)]).share == 0.5


def test_percentiles_are_of_the_nearest_rank() -> None:
    values = list(range(1, 101))
    assert [percentile(values, p) for p in (50, 95, 99)] == [50, 95, 99]
    assert percentile([7], 99) == 7


def test_calibration() -> None:
    bins = reliability([(0.9, True), (0.9, False), (1.0, True), (0.0, False)])
    assert [b.count for b in bins] == [1, 3]
    assert calibration_error(bins) == pytest.approx(abs(2.8 / 3 - 2 / 3) * 3 / 4)
    assert calibration_error([]) is None


def test_every_rate_has_its_own_ground() -> None:
    found = score("text", [
        judged("emergency", "emergency", "emergency", "yes"),
        judged("emergency", "emergency", "water", "ask"),
        judged("emergency", "emergency", "water"),
        judged("roads", "tricky", "emergency", "yes"),
        judged("roads", "tricky", "roads", "ask"),
        judged("water", "normal", "water"),
        judged("water", "normal", "roads", unsure=True),
    ])  # fmt: skip
    counts = {name: (r.part, r.whole) for name, r in found.rates.items()}
    assert counts == {
        "emergency_yes_or_ask": (2, 3), "emergency_yes": (1, 3), "tricky_sent_to_112": (1, 2),
        "tricky_asked": (1, 2), "ordinary_sent_to_112": (0, 2), "ordinary_asked": (0, 2),
        "right_topic_when_sure": (2, 2), "right_topic": (2, 3), "unsure": (1, 3),
    }  # fmt: skip
    assert found.confusion["emergency"] == {"emergency": 2, "water": 1}
    assert found.confusion["roads"] == {"emergency": 1, "roads": 1}
    assert [m.what for m in found.misses] == [
        "emergency not seen", "sent to 112", "wrong topic, unsure", "tricky asked",
    ]  # fmt: skip
    assert found.latency_ms["classification"]["p99"] == pytest.approx(1)
    assert found.words.share is None


def test_nothing_measured_is_no_error() -> None:
    assert score("text", []).rates["unsure"].share is None

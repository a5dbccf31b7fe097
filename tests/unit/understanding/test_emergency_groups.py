"""Every group and context of queues/emergencies.yaml, and what may not lose an emergency."""

import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr.understanding.alarms import Alarm, Context, load_alarms
from ivr.understanding.emergency import EmergencyDetector
from ivr.understanding.text import fold, normalise

BOOK = load_alarms(Path(__file__).resolve().parents[3] / "queues" / "emergencies.yaml")
DETECTOR = EmergencyDetector(BOOK)
PHRASES = [(a, p.text) for a in BOOK.alarms for p in a.phrases]
CLAUSES = {
    "pl": ["dzień dobry", "mieszkam na Grochowskiej", "proszę mi powiedzieć"],
    "uk": ["добрий день", "я живу на Празі", "скажіть"],
    "en": ["good morning", "I live in Wola", "excuse me"],
}


def named(alarm: Alarm) -> str:
    return f"{alarm.language}-{alarm.strength}-{alarm.group}"


@pytest.mark.parametrize("alarm", BOOK.alarms, ids=named)
def test_every_group_is_heard(alarm: Alarm) -> None:
    outcome = DETECTOR.detect(alarm.example, alarm.language).outcome
    assert outcome == "yes" if alarm.strength == "strong" else outcome != "no"


@pytest.mark.parametrize(
    ("alarm", "phrase"), PHRASES, ids=lambda x: x if isinstance(x, str) else ""
)
def test_every_phrase_is_heard(alarm: Alarm, phrase: str) -> None:
    said = f"{CLAUSES[alarm.language][0]} {phrase}"
    assert DETECTOR.detect(said, alarm.language).outcome != "no"


@pytest.mark.parametrize("context", BOOK.contexts, ids=lambda c: c.id)
def test_every_context_makes_a_question_of_an_alarm(context: Context) -> None:
    strong = [
        alarm
        for alarm in BOOK.alarms
        if alarm.strength == "strong"
        and alarm.language == context.language
        and context.explains(alarm.group)
    ]
    assert DETECTOR.detect(context.example, context.language).outcome != "yes"
    outcomes = [
        DETECTOR.detect(f"{alarm.example}, {context.example}", alarm.language).outcome
        for alarm in strong
    ]
    assert "no" not in outcomes
    assert "ask" in outcomes or not strong


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(BOOK.alarms), st.randoms(use_true_random=False))
def test_writing_loses_no_emergency(alarm: Alarm, random: object) -> None:
    expected = DETECTOR.detect(alarm.example, alarm.language).outcome
    plain = normalise(alarm.example)
    marks = "".join(f"{word}{random.choice(string.punctuation)} " for word in plain.split())  # type: ignore[attr-defined]
    for written in (alarm.example.upper(), plain, fold(plain), f"  {plain}\n", marks):
        assert DETECTOR.detect(written, alarm.language).outcome == expected, written


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(BOOK.alarms), st.data())
def test_order_of_clauses_loses_no_emergency(alarm: Alarm, data: st.DataObject) -> None:
    clauses = data.draw(st.permutations([alarm.example, *CLAUSES[alarm.language]]))
    outcome = DETECTOR.detect(", ".join(clauses), alarm.language).outcome
    assert outcome == "yes" if alarm.strength == "strong" else outcome != "no"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\x00\x07\x1b[31m",
        "日本語を話せますか",
        "🔥" * 500,
        "a" * 10_000,
        "nie " * 2_500,
        "\ud800",
    ],
    ids=["empty", "space", "control", "japanese", "emoji", "letters", "words", "surrogate"],
)
def test_bad_input_is_an_outcome(text: str) -> None:
    assert DETECTOR.detect(text, "pl").outcome in {"yes", "ask", "no"}

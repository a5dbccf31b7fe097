"""Example sentences: added to the file as text, and dressed as whole calls begin."""

from pathlib import Path

import pytest
import yaml

from ivr.understanding.catalogue import Example, load_topics
from ivr.understanding.example_file import UnknownTopicError, with_examples
from ivr.understanding.openings import as_called

TOPICS = Path(__file__).resolve().parents[3] / "queues" / "topics.yaml"
TEXT = TOPICS.read_text(encoding="utf-8")
AWKWARD = 'dziura: "duża" # na \\ Kruczej'


@pytest.mark.parametrize(
    ("kind", "field"), [("normal", "examples"), ("tricky", "tricky")], ids=["normal", "tricky"]
)
def test_added_at_the_end_of_its_list(kind: str, field: str) -> None:
    text = with_examples(TEXT, [Example(AWKWARD, "pl", "roads", kind)])
    before, after = yaml.safe_load(TEXT)["topics"], yaml.safe_load(text)["topics"]
    roads = next(topic for topic in after if topic["id"] == "roads")
    assert roads[field]["pl"].pop() == AWKWARD
    assert before == after
    assert [line for line in TEXT.split("\n") if "#" in line] == [
        line for line in text.split("\n") if "#" in line and AWKWARD[:6] not in line
    ]


def test_a_list_that_was_not_there() -> None:
    text = "topics:\n  - id: a\n    examples:\n      pl:\n        - x\n"
    text = with_examples(
        text, [Example("y", "uk", "a", "tricky"), Example("z", "en", "a", "tricky")]
    )
    assert yaml.safe_load(text)["topics"][0]["tricky"] == {"uk": ["y"], "en": ["z"]}


def test_unknown_topic_is_refused() -> None:
    with pytest.raises(UnknownTopicError, match="nonsense"):
        with_examples(TEXT, [Example("x", "pl", "nonsense", "normal")])


def test_openings_change_no_label() -> None:
    examples = load_topics(TOPICS).examples()
    called = as_called(examples)
    assert called == as_called(examples)
    assert called[: len(examples)] == examples
    for short, long in zip(examples, called[len(examples) :], strict=True):
        assert short.text in long.text
        assert (short.topic, short.kind, short.language) == (long.topic, long.kind, long.language)


@pytest.mark.parametrize("language", ["pl", "uk", "en"])
def test_every_topic_has_enough_to_learn_from(language: str) -> None:
    least = {"pl": 60, "uk": 20, "en": 20}[language]
    few = {
        topic.id: len(topic.examples[language])
        for topic in load_topics(TOPICS).all
        if len(topic.examples[language]) < least
    }
    assert not few


@pytest.mark.parametrize("name", ["heldout.tsv", "heldout3.tsv"])
def test_held_out_sentences_are_not_learnt(name: str) -> None:
    path = TOPICS.parents[1] / "tests" / "data" / name
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows[0] == ["lang", "topic", "kind", "sentence", "batch"]
    learnt = {example.text.casefold() for example in load_topics(TOPICS).examples()}
    assert not [row[3] for row in rows[1:] if row[3].casefold() in learnt]

"""Example sentences: added to the file as text, and dressed as whole calls begin."""

from collections import Counter
from pathlib import Path

import pytest
import yaml
from rapidfuzz import fuzz

from ivr.understanding.catalogue import Example, load_topics
from ivr.understanding.example_file import UnknownTopicError, with_examples
from ivr.understanding.openings import as_called, surroundings
from ivr.understanding.sample_set import load_set
from ivr.understanding.text import normalise

TOPICS = Path(__file__).resolve().parents[3] / "queues" / "topics.yaml"
HELD_OUT = TOPICS.parents[1] / "tests" / "data"
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
    assert sum(short != long for short, long in zip(examples, called, strict=True)) > 5_000
    around = surroundings(examples)
    for short, long, words in zip(examples, called, around, strict=True):
        assert long.text.startswith(" ".join(words.before))
        assert long.text.endswith(" ".join(words.after))
        assert fuzz.partial_ratio(normalise(short.text), long.text) > 60
        assert (short.topic, short.kind, short.language) == (long.topic, long.kind, long.language)


def test_one_more_example_changes_nothing_for_the_others() -> None:
    """Else the sense of half of all sentences would have to be found again for every new one."""
    examples = load_topics(TOPICS).examples()[:300]
    new = Example("nowe zgłoszenie o czymś zupełnie innym", "pl", "other", "normal")
    assert as_called([new, *examples])[1:] == as_called(examples)


@pytest.mark.parametrize("language", ["pl", "uk", "en"])
def test_every_topic_has_enough_to_learn_from(language: str) -> None:
    least = {"pl": 60, "uk": 20, "en": 20}[language]
    topics = load_topics(TOPICS)
    count = Counter(e.topic for e in topics.examples() if e.language == language)
    assert not {topic: count[topic] for topic in topics.ids if count[topic] < least}


@pytest.mark.parametrize("name", sorted(p.name for p in HELD_OUT.glob("heldout*.tsv")))
def test_held_out_sentences_are_not_learnt(name: str) -> None:
    topics = load_topics(TOPICS)
    held_out = {normalise(s.text) for s in load_set(HELD_OUT / name, topics.ids).samples}
    assert held_out
    assert not held_out & {normalise(example.text) for example in topics.examples()}

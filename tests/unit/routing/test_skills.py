"""What is refused in `consultants.yaml` and `routing.yaml`, with file, line and hint."""

from pathlib import Path

import pytest

from ivr.errors import ConfigError
from ivr.routing.skills import Consultant, load_consultants, load_routing
from ivr.understanding.catalogue import load_topics
from ivr.understanding.sample_set import EMERGENCY

ROOT = Path(__file__).parents[3]
TOPICS = frozenset({"roads", "waste"})
ANNA = '  - {id: "101", name: Anna, languages: {pl: 5}, skills: {roads: 4}}\n'
PRIORITIES = "priorities: {normal: 3}\n"


def consultants(tmp_path: Path, text: str) -> tuple[Consultant, ...]:
    file = tmp_path / "consultants.yaml"
    file.write_text(text)
    return load_consultants(file, TOPICS)


def refused(error: ConfigError, line: int | None, *words: str) -> None:
    assert error.line == line
    assert "\n" not in str(error)
    for word in words:
        assert word in str(error)


def test_the_forty_of_the_project_are_read() -> None:
    topics = frozenset(load_topics(ROOT / "queues" / "topics.yaml").ids) - {EMERGENCY}
    people = load_consultants(ROOT / "queues" / "consultants.yaml", topics)
    assert len(people) == 40
    routing = load_routing(ROOT / "queues" / "routing.yaml", topics, people)
    assert routing.priorities["returned_emergency"] < routing.priorities["normal"]
    for topic in topics:
        assert routing.steps_for(topic, "pl")[-1].for_s is None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("consultants:\n" + ANNA.replace("roads", "rods"), 2, ("unknown skill 'rods'", "waste")),
        ("consultants:\n" + ANNA + ANNA, 3, ("101", "twice")),
        ("consultants:\n" + ANNA.replace("4}", "6}"), 2, ("skills.roads", "found 6")),
        ("consultants:\n" + ANNA.replace("pl", "de"), 2, ("languages", "de")),
        ("consultants:\n" + ANNA.replace('"101"', "anna"), 2, ("id",)),
        ("consultants:\n" + ANNA.replace("Anna", '"A\\nB"'), 2, ("name",)),
        ("consultants:\n" + ANNA.replace("Anna", '"A;B"'), 2, ("name",)),
        ("consultants:\n" + ANNA.replace("skills", "skils"), 2, ("unknown key 'skils'",)),
        ("consultants: []\n", 1, ("consultants",)),
        ("consultants:\n  - {id: ", None, ()),
        ("", None, ()),
    ],
)
def test_consultants_are_refused(
    tmp_path: Path, text: str, line: int | None, words: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        consultants(tmp_path, text)
    assert str(tmp_path / "consultants.yaml") in str(caught.value)
    refused(caught.value, caught.value.line if line is None else line, *words)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (PRIORITIES + "steps:\n  - {for_s: 20, level: 4}\n", 2, ("last step", "wait")),
        (PRIORITIES + "steps:\n  - {level: 4}\n  - {level: 0}\n", 2, ("only the last", "for_s")),
        (PRIORITIES + "steps: []\n", 2, ("steps",)),
        (PRIORITIES + "steps:\n  - {for_s: 0, level: 4}\n  - {level: 0}\n", 3, ("for_s",)),
        (PRIORITIES + "steps:\n  - {level: 0}\ntopics:\n  moon:\n    - {level: 0}\n", 5,
         ("unknown topic 'moon'",)),
        (PRIORITIES + "steps:\n  - {level: 0}\ntopics:\n  roads:\n    - {for_s: 3, level: 0}\n", 5,
         ("topics.roads", "last step")),
        (PRIORITIES + "steps:\n  - {level: 1}\n", 2, ("nobody can ever serve", "'waste'", "lower")),
        (PRIORITIES + "steps:\n  - {level: 0}\ntopics:\n  roads:\n    - {level: 5}\n", 5,
         ("nobody can ever serve", "'roads'")),
        ("priorities: {nice: 3}\nsteps:\n  - {level: 0}\n", 1, ("priorities", "nice")),
        (PRIORITIES + "steps:\n  - {level: 0, skill: moon}\n", 3, ("skill 'moon'", "waste")),
        (PRIORITIES + "steps:\n  - {level: 0, also: {sun: 1}}\n", 3, ("unknown skill 'sun'",)),
        (PRIORITIES + "steps:\n  - {level: 0}\nlanguages:\n  uk:\n    - {for_s: 3, level: 0}\n", 5,
         ("languages.uk", "last step")),
        (PRIORITIES + "steps:\n  - {level: 0}\ntargets: {roads: {share: 1.5}}\n", 4, ("targets",)),
        (PRIORITIES + "steps:\n  - {level: 0}\ntargets: {moon: {share: 0.9}}\n", 4,
         ("unknown queue 'moon'", "default")),
        (PRIORITIES + "step:\n  - {level: 0}\n", 2, ("unknown key 'step'",)),
    ],
)  # fmt: skip
def test_routing_is_refused(tmp_path: Path, text: str, line: int, words: tuple[str, ...]) -> None:
    people = consultants(tmp_path, "consultants:\n" + ANNA)
    file = tmp_path / "routing.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_routing(file, TOPICS, people)
    assert str(file) in str(caught.value)
    refused(caught.value, line, *words)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_consultants(tmp_path / "no.yaml", TOPICS)


def test_who_goes_before_normal_callers(tmp_path: Path) -> None:
    file = tmp_path / "routing.yaml"
    steps = "steps: [{level: 0}]\n"
    people = consultants(tmp_path, "consultants:\n" + ANNA)
    file.write_text(
        "priorities: {normal: 5}\n"
        + steps
        + 'vulnerable: {topics: [waste], numbers: ["+48601234567"]}\n'
    )
    routing = load_routing(file, TOPICS, people)
    assert routing.priority_of("roads", "+48602345678", returned=False) == 5
    assert routing.priority_of("roads", "+48601234567", returned=False) == 2
    assert routing.priority_of("waste", "", returned=False) == 2
    assert routing.priority_of("waste", "", returned=True) == 0
    for wrong, complaint in (
        ("vulnerable: {topics: [fish]}\n", r"routing\.yaml:3: unknown topic 'fish'"),
        ("vulnerable: {numbers: [601234567]}\n", r"routing\.yaml:3"),
    ):
        file.write_text("priorities: {normal: 5}\n" + steps + wrong)
        with pytest.raises(ConfigError, match=complaint):
            load_routing(file, TOPICS, people)

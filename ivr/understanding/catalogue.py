"""The topics a caller can have: read from queues/topics.yaml and queues/examples/, and checked."""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from ivr.errors import ConfigError
from ivr.types import LANGUAGES, Language
from ivr.understanding.patterns import BadPatternError, anchored
from ivr.understanding.sample_set import EMERGENCY, load_set
from ivr.understanding.source import Source, StrictModel
from ivr.understanding.text import fold, normalise

Queue = Literal[
    "waste", "roads", "guard", "transport", "nature", "utilities",
    "office", "taxes", "social", "cases", "general",
]  # fmt: skip
MenuKey = Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*"]
OTHER = "other"
EXAMPLES = "examples"
"""Folder beside a topics file: tables of more sentences to learn from, as many as there are."""


class Topic(StrictModel):
    """One topic: names, who acts on it, where its callers wait, how callers speak of it."""

    id: str = Field(pattern=r"^[a-z][a-z_]*$")
    name: dict[Language, str]
    unit: str = Field(min_length=1)
    queue: Queue | None
    menu_key: MenuKey
    description: str = Field(min_length=1)
    keywords: dict[Language, list[str]] = Field(default_factory=dict)
    overrides: dict[Language, list[str]] = Field(default_factory=dict)
    examples: dict[Language, list[str]]
    tricky: dict[Language, list[str]] = Field(default_factory=dict)


class _File(StrictModel):
    topics: list[Topic]


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence with its topic; `kind` is normal, tricky or emergency."""

    text: str
    language: Language
    topic: str
    kind: str


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics in the order of their file, more examples, and the hash of what they say."""

    all: tuple[Topic, ...]
    digest: str
    further: tuple[Example, ...] = ()
    """The sentences of the folder `examples`."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The identifiers, in order."""
        return tuple(topic.id for topic in self.all)

    def __getitem__(self, topic_id: str) -> Topic:
        """Return the topic with this id; KeyError when there is none."""
        for topic in self.all:
            if topic.id == topic_id:
                return topic
        raise KeyError(topic_id)

    def by_key(self, key: str) -> tuple[Topic, ...]:
        """Return the topics of a key of the keypad menu, the one it stands for first; or none."""
        return tuple(topic for topic in self.all if topic.menu_key == key)

    def examples(self) -> list[Example]:
        """Every example sentence, tricky ones included."""
        found = list(self.further)
        for topic in self.all:
            kind = EMERGENCY if topic.id == EMERGENCY else "normal"
            for sentences, k in ((topic.examples, kind), (topic.tricky, "tricky")):
                for language, texts in sentences.items():
                    found += [Example(text, language, topic.id, k) for text in texts]
        return found


def load_topics(path: Path) -> Topics:
    """Read and check a topics file.

    Raises ConfigError (file, line, hint) for anything a hotline could not work with.
    """
    source = Source(path)
    file = source.validate(_File)
    lines_of: dict[str, int | None] = {}
    for i, topic in enumerate(file.topics):
        place = ("topics", i)
        if topic.id in lines_of:
            raise source.error(
                f"topic {topic.id!r} is here twice", *place, "id", hint=f"see {lines_of[topic.id]}"
            )
        lines_of[topic.id] = source.line(*place, "id")
        _check(source, topic, place)
    for needed in (EMERGENCY, OTHER):
        if needed not in lines_of:
            raise source.error(
                f"topic {needed!r} is missing", "topics", hint="the hotline needs it"
            )
    topic_of = _check_sentences(source, file.topics)
    digest = hashlib.sha256(path.read_bytes())
    further: list[Example] = []
    for table in sorted((path.parent / EXAMPLES).glob("*.tsv")):
        further += _more_examples(table, lines_of, topic_of)
        digest.update(table.read_bytes())
    return Topics(tuple(file.topics), digest.hexdigest(), tuple(further))


def _more_examples(table: Path, topics: Collection[str], topic_of: dict[str, str]) -> list[Example]:
    found = []
    for sample in load_set(table, topics).samples:
        if sample.topic is None or sample.audio is not None:
            raise ConfigError(table, "not a table of examples", hint="lang, topic, kind, sentence")
        key = normalise(sample.text)
        if topic_of.setdefault(key, sample.topic) != sample.topic:
            message = f"{sample.text!r} is an example of {topic_of[key]!r} and {sample.topic!r}"
            raise ConfigError(table, message, line=sample.line, hint="one sentence, one topic")
        found.append(Example(sample.text, sample.language, sample.topic, sample.kind))
    return found


def _check(source: Source, topic: Topic, place: tuple[str | int, ...]) -> None:
    if (topic.queue is None) != (topic.id == EMERGENCY):
        hint = "emergencies go to 112 at once" if topic.id == EMERGENCY else "name a queue"
        raise source.error(
            f"topic {topic.id!r}: wrong queue {topic.queue!r}", *place, "queue", hint=hint
        )
    if topic.id == EMERGENCY and any(topic.tricky.values()):
        raise source.error("an emergency cannot be tricky", *place, "tricky", hint="use examples")
    for language in LANGUAGES:
        if not topic.name.get(language, "").strip():
            raise source.error(
                f"topic {topic.id!r} has no name in {language!r}", *place, "name", hint="add one"
            )
        if not topic.examples.get(language):
            raise source.error(
                f"topic {topic.id!r} has no examples in {language!r}", *place, "examples",
                hint="add some sentences as callers say them",
            )  # fmt: skip
    for language, keywords in topic.keywords.items():
        for j, keyword in enumerate(keywords):
            if not re.fullmatch(r"\w+\*?", fold(normalise(keyword)) + "*" * keyword.endswith("*")):
                raise source.error(
                    f"keyword {keyword!r} is not one word", *place, "keywords", language, j,
                    hint="one word, a * at its end stands for any ending",
                )  # fmt: skip
    for language, patterns in topic.overrides.items():
        for j, pattern in enumerate(patterns):
            try:
                anchored(pattern)
            except BadPatternError as error:
                raise source.error(str(error), *place, "overrides", language, j) from error


def _check_sentences(source: Source, topics: list[Topic]) -> dict[str, str]:
    """Return the topic of each sentence, normalised."""
    seen: dict[str, str] = {}
    for i, topic in enumerate(topics):
        for field, sentences in (("examples", topic.examples), ("tricky", topic.tricky)):
            for language, texts in sentences.items():
                for j, text in enumerate(texts):
                    key = normalise(text)
                    place = ("topics", i, field, language, j)
                    if not key:
                        raise source.error("an empty example", *place, hint="remove it")
                    if key in seen and seen[key] != topic.id:
                        raise source.error(
                            f"{text!r} is an example of {seen[key]!r} and {topic.id!r}", *place,
                            hint="one sentence, one topic",
                        )  # fmt: skip
                    seen[key] = topic.id
    return seen

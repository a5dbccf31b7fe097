"""Alarms and contexts: read from queues/emergencies.yaml, checked and made ready for matching."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from ivr.types import Language
from ivr.understanding.patterns import BadPatternError, anchored
from ivr.understanding.source import Source, StrictModel
from ivr.understanding.text import fold, lemmas, normalise, sound_key, squeeze

Strength = Literal["strong", "weak"]
MIN_FUZZY_CHARS = 8
"""Shorter phrases (spaces left out) are never matched by likeness: too much is like them."""


class _Alarm(StrictModel):
    group: str = Field(pattern=r"^[a-z][a-z_]*$")
    language: Language
    strength: Strength
    example: str = Field(min_length=1)
    patterns: list[str] = Field(min_length=1)
    phrases: list[str] = Field(default_factory=list)


class _Context(StrictModel):
    id: str = Field(pattern=r"^[a-z][a-z_]*$")
    language: Language
    why: str = Field(min_length=1)
    example: str = Field(min_length=1)
    patterns: list[str] = Field(min_length=1)
    about: list[str] = Field(default_factory=list)


class _File(StrictModel):
    alarms: list[_Alarm] = Field(min_length=1)
    contexts: list[_Context] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A key phrase in the forms it is looked for."""

    text: str
    lemmas: tuple[str, ...]
    squeezed: str
    sound: str

    @classmethod
    def of(cls, text: str, language: Language) -> "Phrase":
        """Prepare a phrase as the configuration writes it."""
        plain = normalise(text)
        return cls(
            plain,
            tuple(lemmas(plain, language)),
            squeeze(fold(plain))[0],
            squeeze(sound_key(plain, language))[0],
        )


@dataclass(frozen=True, slots=True)
class Alarm:
    """One entry: what a danger of a group sounds like in a language."""

    group: str
    language: Language
    strength: Strength
    example: str
    patterns: tuple[re.Pattern[str], ...]
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """What explains an alarm away; `about` names the groups it can explain, none meaning all."""

    id: str
    language: Language
    why: str
    example: str
    patterns: tuple[re.Pattern[str], ...]
    about: frozenset[str]

    def explains(self, group: str) -> bool:
        """Whether this context says anything about alarms of the group."""
        return not self.about or group in self.about


@dataclass(frozen=True, slots=True)
class AlarmBook:
    """All alarms and contexts."""

    alarms: tuple[Alarm, ...]
    contexts: tuple[Context, ...]


def load_alarms(path: Path) -> AlarmBook:
    """Read and check an emergencies file; raises ConfigError with file, line and hint."""
    source = Source(path)
    file = source.validate(_File)
    alarms = []
    for i, alarm in enumerate(file.alarms):
        patterns = _compile(source, alarm.patterns, alarm.example, "alarms", i)
        phrases = tuple(Phrase.of(text, alarm.language) for text in alarm.phrases)
        for j, phrase in enumerate(phrases):
            if not phrase.squeezed:
                raise source.error("an empty phrase", "alarms", i, "phrases", j, hint="remove it")
        alarms.append(
            Alarm(alarm.group, alarm.language, alarm.strength, alarm.example, patterns, phrases)
        )
    groups = {alarm.group for alarm in alarms}
    seen: set[str] = set()
    contexts = []
    for i, context in enumerate(file.contexts):
        if context.id in seen:
            raise source.error(
                f"context {context.id!r} is here twice", "contexts", i, "id", hint="rename one"
            )
        seen.add(context.id)
        for j, group in enumerate(context.about):
            if group not in groups:
                raise source.error(
                    f"no alarm has the group {group!r}", "contexts", i, "about", j,
                    hint=f"groups: {', '.join(sorted(groups))}",
                )  # fmt: skip
        patterns = _compile(source, context.patterns, context.example, "contexts", i)
        contexts.append(
            Context(
                context.id, context.language, context.why, context.example, patterns,
                frozenset(context.about),
            )
        )  # fmt: skip
    return AlarmBook(tuple(alarms), tuple(contexts))


def _compile(
    source: Source, patterns: list[str], example: str, kind: str, i: int
) -> tuple[re.Pattern[str], ...]:
    compiled = []
    for j, pattern in enumerate(patterns):
        try:
            compiled.append(anchored(pattern))
        except BadPatternError as error:
            raise source.error(
                str(error), kind, i, "patterns", j, hint="a Python regular expression"
            ) from error
    folded = fold(normalise(example))
    if not any(pattern.search(folded) for pattern in compiled):
        raise source.error(
            f"none of the patterns matches the example {example!r}", kind, i, "example",
            hint="patterns match whole words only",
        )  # fmt: skip
    return tuple(compiled)

"""Consultants with their levels, and what a call asks of them at each step of waiting."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ivr.types import Language
from ivr.understanding.source import Configuration, Source

Level = Annotated[int, Field(ge=1, le=5)]
"""1 = can help out, 5 = knows it best; 0, where allowed, = nothing known."""

DEFAULT = "default"
"""In `targets`: all queues that are not named."""

Priority = Literal["returned_emergency", "callback", "vulnerable", "normal"]
DEFAULT_PRIORITIES: Mapping[Priority, int] = {
    "returned_emergency": 0,
    "callback": 1,
    "vulnerable": 2,
    "normal": 3,
}


class Consultant(Configuration):
    """One consultant; `id` is the extension and the name of the telephone."""

    id: Annotated[str, Field(pattern=r"^[0-9]{2,6}$")]
    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f;,\[\]]+$")]
    languages: dict[Language, Level]
    skills: dict[str, Level]

    def level(self, topic: str) -> int:
        """The consultant's level in a topic, 0 to 5."""
        return self.skills.get(topic, 0)


class Step(Configuration):
    """What is asked of a consultant for `for_s` seconds of waiting; None: from then on."""

    for_s: Annotated[float, Field(gt=0)] | None = None
    level: Annotated[int, Field(ge=0, le=5)]
    language_level: Level = 1
    skill: str | None = None
    """Another topic whose level counts instead: the call overflows to its consultants."""
    also: dict[str, Level] = Field(default_factory=dict)
    """Levels in further topics that are asked for too."""

    def serves(self, consultant: Consultant, topic: str, language: Language) -> bool:
        """Whether the consultant meets all that this step asks for."""
        return (
            consultant.level(self.skill or topic) >= self.level
            and consultant.languages.get(language, 0) >= self.language_level
            and all(consultant.level(other) >= level for other, level in self.also.items())
        )


class Target(Configuration):
    """The service level to reach: this share of the callers answered within these seconds."""

    share: Annotated[float, Field(gt=0, lt=1)] = 0.8
    within_s: Annotated[float, Field(gt=0)] = 20


class Vulnerable(Configuration):
    """Who goes before normal callers."""

    topics: frozenset[str] = frozenset()
    numbers: frozenset[Annotated[str, Field(pattern=r"^\+[0-9]{6,15}$")]] = frozenset()
    """Callers' numbers, E.164."""


class _RoutingFile(Configuration):
    priorities: dict[Priority, Annotated[int, Field(ge=0, le=9)]]
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    topics: dict[str, Annotated[tuple[Step, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    languages: dict[Language, Annotated[tuple[Step, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    targets: dict[str, Target] = Field(default_factory=dict)
    vulnerable: Vulnerable = Vulnerable()


class _ConsultantsFile(Configuration):
    consultants: Annotated[tuple[Consultant, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Routing:
    """Steps, priorities and targets as in `queues/routing.yaml`."""

    priorities: Mapping[Priority, int]
    steps: tuple[Step, ...]
    by_topic: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    by_language: Mapping[Language, tuple[Step, ...]] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    """By queue; "default" is that of all others."""
    vulnerable: Vulnerable = field(default_factory=Vulnerable)

    def steps_for(self, topic: str, language: Language) -> tuple[Step, ...]:
        """The steps of a topic, else of a language, else of all; the last without an end."""
        own = self.by_topic.get(topic)
        return own if own is not None else self.by_language.get(language, self.steps)

    def step_at(self, topic: str, waited_s: float, language: Language) -> int:
        """The index of the step in force after `waited_s` seconds of waiting."""
        steps, until = self.steps_for(topic, language), 0.0
        for index, step in enumerate(steps[:-1]):
            until += step.for_s or 0.0
            if waited_s < until:
                return index
        return len(steps) - 1

    def next_step_in(self, topic: str, waited_s: float, language: Language) -> float | None:
        """Seconds until the next step, None at the last."""
        until = 0.0
        for step in self.steps_for(topic, language)[:-1]:
            until += step.for_s or 0.0
            if waited_s < until:
                return until - waited_s
        return None

    def priority_of(self, topic: str, number: str, *, returned: bool) -> int:
        """The priority of a call, 0 the highest; `returned`: 112 has sent the caller back.

        `number` is the caller's in E.164, where it is known.
        """
        kind: Priority = "normal"
        if returned:
            kind = "returned_emergency"
        elif topic in self.vulnerable.topics or number in self.vulnerable.numbers:
            kind = "vulnerable"
        return self.priorities.get(kind, DEFAULT_PRIORITIES[kind])

    def target(self, queue: str) -> Target:
        """The service level a queue is to reach; 80 % within 20 s where nothing is said."""
        return self.targets.get(queue) or self.targets.get(DEFAULT) or Target()


def load_consultants(path: Path, topics: frozenset[str]) -> tuple[Consultant, ...]:
    """Read `queues/consultants.yaml`; raises ConfigError with file, line and hint."""
    source = Source(path)
    consultants = source.validate(_ConsultantsFile).consultants
    seen: dict[str, int] = {}
    for index, consultant in enumerate(consultants):
        if consultant.id in seen:
            raise source.error(
                f"consultant {consultant.id} is here twice", "consultants", index, "id"
            )
        seen[consultant.id] = index
        for topic in consultant.skills:
            if topic not in topics:
                raise source.error(
                    f"consultant {consultant.id} has the unknown skill {topic!r}",
                    "consultants", index, "skills", topic,
                    hint="topics are: " + ", ".join(sorted(topics)),
                )  # fmt: skip
    return consultants


def load_routing(
    path: Path,
    topics: frozenset[str],
    consultants: tuple[Consultant, ...],
    queues: frozenset[str] = frozenset(),
) -> Routing:
    """Read `queues/routing.yaml`; raises ConfigError, also when a topic could never be served."""
    source = Source(path)
    file = source.validate(_RoutingFile)
    for queue in file.targets.keys() - {DEFAULT, *queues}:
        raise source.error(
            f"unknown queue {queue!r}", "targets", queue,
            hint="queues are: " + ", ".join(sorted({DEFAULT, *queues})),
        )  # fmt: skip
    for topic in file.topics:
        if topic not in topics:
            raise source.error(f"unknown topic {topic!r}", "topics", topic)
    for place, steps in (
        (("steps",), file.steps),
        *((("topics", topic), steps) for topic, steps in file.topics.items()),
        *((("languages", language), steps) for language, steps in file.languages.items()),
    ):
        _check_steps(source, place, steps, topics)
    for topic in file.vulnerable.topics - topics:
        raise source.error(f"unknown topic {topic!r}", "vulnerable", "topics")
    routing = Routing(
        file.priorities, file.steps, file.topics, file.languages, file.targets, file.vulnerable
    )
    for topic in sorted(topics):
        last = routing.steps_for(topic, "pl")[-1]
        if not any(last.serves(consultant, topic, "pl") for consultant in consultants):
            raise source.error(
                f"nobody can ever serve the topic {topic!r} in Polish",
                *(("topics", topic) if topic in file.topics else ("steps",)),
                hint="lower the last step's level, or give a consultant the skill",
            )
    return routing


def _check_steps(
    source: Source, place: tuple[str, ...], steps: tuple[Step, ...], topics: frozenset[str]
) -> None:
    where = ".".join(place)
    if any(step.for_s is None for step in steps[:-1]):
        raise source.error(
            f"{where}: only the last step may have no for_s", *place, hint="add for_s"
        )
    if steps[-1].for_s is not None:
        raise source.error(
            f"{where}: the last step must have no for_s",
            *place,
            hint="else a caller could wait with nobody allowed to answer",
        )
    for index, step in enumerate(steps):
        for skill in (*step.also, *((step.skill,) if step.skill else ())):
            if skill not in topics:
                raise source.error(
                    f"{where}: unknown skill {skill!r}", *place, index,
                    hint="topics are: " + ", ".join(sorted(topics)),
                )  # fmt: skip

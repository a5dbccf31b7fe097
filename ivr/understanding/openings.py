"""Sentences as whole calls begin: with a greeting, hesitation or where the caller lives.

Examples are written short; callers are not short, and are misheard. So the models learn every
example twice: as it stands, and misheard with an opening before it and perhaps words after it,
which mean nothing in any topic.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from ivr.types import Language
from ivr.understanding.catalogue import Example
from ivr.understanding.mishearing import misheard

_SEED = 19115
_OPENINGS: dict[Language, tuple[str, ...]] = {
    "pl": (
        "dzień dobry", "halo dzień dobry", "no dzień dobry ja dzwonię bo", "proszę pana",
        "proszę pani", "eee no bo", "chciałem zgłosić że", "chciałabym się dowiedzieć",
        "ja w takiej sprawie", "mieszkam na grochowskiej i", "u nas na osiedlu", "dobry wieczór",
        "tu kowalska z ursynowa", "bo wie pan", "słuchajcie", "jestem na marszałkowskiej",
        "przy puławskiej", "z mokotowa dzwonię", "przepraszam że zawracam głowę ale",
    ),
    "uk": (
        "добрий день", "алло", "доброго дня я дзвоню бо", "скажіть будь ласка",
        "я хотіла сказати", "у нас на вулиці пулавській", "я живу на празі", "вибачте",
    ),
    "en": (
        "hello", "hi good morning", "excuse me", "I am calling because",
        "I would like to report", "I live in mokotow and", "we are on pulawska street", "um well",
    ),
}  # fmt: skip
_CLOSINGS: dict[Language, tuple[str, ...]] = {
    "pl": (
        "proszę coś z tym zrobić", "co mam robić", "na ulicy puławskiej", "na bielanach",
        "koło metra", "dziękuję", "od tygodnia", "już od rana", "i co teraz",
        "przy ulicy targowej pięć",
    ),
    "uk": ("що робити", "будь ласка", "на празі", "дякую", "вже давно"),
    "en": ("what should I do", "please", "near the metro", "thank you", "for a week now"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is said before and after a sentence."""

    before: tuple[str, ...]
    after: tuple[str, ...]


def surroundings(examples: Sequence[Example]) -> list[Surroundings]:
    """Return for each example words to say around it, which mean nothing. Deterministic."""
    found = []
    for example in examples:
        random = _random("around", example)
        before, after = [], []
        if random.random() < 0.8:
            before.append(random.choice(_OPENINGS[example.language]))
        if random.random() < 0.2:
            before.append(random.choice(_OPENINGS[example.language]))
        if random.random() < 0.5:
            after.append(random.choice(_CLOSINGS[example.language]))
        found.append(Surroundings(tuple(before), tuple(after)))
    return found


def as_called(examples: Sequence[Example]) -> list[Example]:
    """Return each example misheard, within its surroundings."""
    return [
        replace(example, text=" ".join([*around.before, example.text, *around.after]))
        for example, around in zip(as_heard(examples), surroundings(examples), strict=True)
    ]


def as_heard(examples: Sequence[Example]) -> list[Example]:
    """Return each example as it may be misheard. Deterministic."""
    return [replace(e, text=misheard(e.text, e.language, _random("heard", e))) for e in examples]


def _random(purpose: str, example: Example) -> Random:
    """Chance of each example's own: one more example changes nothing for the others."""
    return Random(f"{_SEED} {purpose} {example.language} {example.text}")  # noqa: S311 - variety

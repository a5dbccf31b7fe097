"""Sentences with their meaning, to learn from or to measure with: a table, or recordings."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ivr.errors import ConfigError
from ivr.types import LANGUAGES, Language

EMERGENCY = "emergency"
"""The topic, and the kind, of what goes to 112."""
INDEX = "index.tsv"
TEXT_COLUMNS = ("text", "sentence", "utterance")
KINDS = ("normal", "tricky", EMERGENCY)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Sample:
    """One sentence of a caller: what is said, what it means, and the recording if there is one.

    `text` is "" and `topic` None where the set does not tell. `line` is that of the table.
    """

    text: str
    language: Language
    topic: str | None
    kind: str
    line: int
    audio: Path | None = None


@dataclass(frozen=True, slots=True)
class SampleSet:
    """A set in the order of its file."""

    file: Path
    samples: tuple[Sample, ...]

    @property
    def has_audio(self) -> bool:
        """Whether the sentences are recordings."""
        return any(sample.audio for sample in self.samples)


def load_set(path: Path, topics: Collection[str], language: Language | None = None) -> SampleSet:
    """Read a set; with a `language` only its rows, and rows that name none are of that language.

    Columns, separated by tabs: `text` (or `sentence`, `utterance`), `topic`, and where wanted
    `lang` (else Polish), `kind`, `batch`. With `file` the rows are recordings beside the table, and
    either `text` or `topic` may be missing. Raises ConfigError with file and line.
    """
    file = path / INDEX if path.is_dir() else path
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        hint = f"a folder of recordings needs an {INDEX}" if path.is_dir() else "name a TSV file"
        raise ConfigError(file, f"cannot be read: {error.strerror}", hint=hint) from None
    except UnicodeDecodeError:
        raise ConfigError(file, "is not UTF-8 text", hint="save it as UTF-8") from None
    if not any(line.strip() for line in lines):
        raise ConfigError(file, "is empty", hint="the first line names the columns")
    columns = [name.strip() for name in lines[0].split("\t")]
    _check_columns(file, columns)
    samples = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = line.rstrip("\r").split("\t")
        if len(cells) != len(columns):
            message = f"{len(cells)} columns instead of {len(columns)}"
            raise ConfigError(file, message, line=number, hint="separate them with tabs")
        row = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
        sample = _sample(file, number, row, topics, language or "pl")
        if language in (None, sample.language):
            samples.append(sample)
    if not samples:
        which = f" in {language!r}" if language else ""
        raise ConfigError(file, f"holds no sentence{which}", hint="add a row a sentence")
    return SampleSet(file, tuple(samples))


def _check_columns(file: Path, columns: Sequence[str]) -> None:
    text = any(name in columns for name in TEXT_COLUMNS)
    topic, audio = "topic" in columns, "file" in columns
    if (text and topic) or (audio and (text or topic)):
        return
    lacking = [] if audio or topic else ["topic"]
    lacking += [] if text else [" or ".join(TEXT_COLUMNS)]
    raise ConfigError(
        file, f"no column {' and no column '.join(lacking)}", line=1,
        hint=f"it has {', '.join(columns)}; columns are separated by tabs",
    )  # fmt: skip


def _sample(
    file: Path, line: int, row: dict[str, str], topics: Collection[str], default: Language
) -> Sample:
    def wrong(message: str, hint: str) -> ConfigError:
        return ConfigError(file, message, line=line, hint=hint)

    said = row.get("lang") or default
    language = next((known for known in LANGUAGES if known == said), None)
    if language is None:
        raise wrong(f"unknown language {said!r}", f"one of {', '.join(LANGUAGES)}")
    topic = row.get("topic") or None
    if topic is None and "topic" in row:
        raise wrong("no topic", "name one of topics.yaml")
    if topic is not None and topic not in topics:
        raise wrong(f"unknown topic {topic!r}", f"one of {', '.join(topics)}")
    kind = row.get("kind") or (EMERGENCY if topic == EMERGENCY else "normal")
    if kind not in KINDS:
        raise wrong(f"unknown kind {kind!r}", f"one of {', '.join(KINDS)}")
    if topic is not None and (kind == EMERGENCY) != (topic == EMERGENCY):
        raise wrong(f"topic {topic!r} with kind {kind!r}", "emergencies have both or neither")
    text = next((row[name] for name in TEXT_COLUMNS if row.get(name)), "")
    audio = None
    if "file" in row:
        if not row["file"]:
            raise wrong("no file", "name the recording")
        audio = file.parent / row["file"]
    elif not text:
        raise wrong("no sentence", "write what is said")
    return Sample(text, language, topic, kind, line, audio)


def spread(items: Sequence[_T], limit: int | None) -> tuple[_T, ...]:
    """At most `limit` of the items, evenly spread over all of them: tables are often sorted."""
    if limit is None or limit >= len(items):
        return tuple(items)
    return tuple(items[i * len(items) // limit] for i in range(limit))

"""What the hotline says: texts and recordings, all in memory.

prompts/pl.yaml, uk.yaml, en.yaml    id: text
prompts/<language>/<id>.wav          8 kHz, 16-bit, mono
prompts/manifest.yaml                voices with their licences; per recording its voice, whether
                                     it is `recorded` or `synthesised`, and of which text
"""

import hashlib
import wave
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import yaml

from ivr.errors import ConfigError, HotlineError
from ivr.types import LANGUAGES, Language

State = Literal["recorded", "synthesised"]
MANIFEST = "manifest.yaml"
MAX_NUMBER = 199


class PromptError(HotlineError):
    """A prompt that is missing or not usable."""


@dataclass(frozen=True, slots=True)
class MissingPrompt:
    """A prompt that waits for its recording."""

    id: str
    language: Language
    reason: Literal["no recording", "synthesised", "text changed"]


@dataclass(frozen=True, slots=True)
class Recording:
    """An entry of the manifest; `text` is `text_hash` of what the recording says."""

    voice: str
    state: State
    text: str


def text_hash(text: str) -> str:
    """Give what the manifest keeps of a text: 12 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:12]


def number_prompts(number: int) -> list[str]:
    """Give the prompts that say 0 to 199. Raises ValueError beyond."""
    if not 0 <= number <= MAX_NUMBER:
        raise ValueError(f"{number} is not between 0 and {MAX_NUMBER}")
    parts = [100] if number >= 100 else []
    rest = number % 100
    if rest > 20 and rest % 10:
        parts += [rest - rest % 10, rest % 10]
    elif rest or not parts:
        parts.append(rest)
    return [f"number-{part}" for part in parts]


def case_number_prompts(case_number: str) -> list[str]:
    """Give the prompts that read a case number (`000123/26`) digit by digit.

    Raises ValueError for anything but digits and a slash.
    """
    if not case_number or not set(case_number) <= set("0123456789/"):
        raise ValueError(f"{case_number!r} is not a case number")
    return ["slash" if sign == "/" else f"number-{sign}" for sign in case_number]


class PromptStore:
    """Texts and audio of every prompt in every language. Made with `load`."""

    def __init__(
        self,
        texts: Mapping[Language, Mapping[str, str]],
        audio: Mapping[tuple[Language, str], bytes],
        recordings: Mapping[tuple[Language, str], Recording],
    ):
        self._texts, self._audio, self._recordings = texts, audio, recordings

    @classmethod
    def load(cls, folder: Path, required: Iterable[str] = ()) -> Self:
        """Read the folder. Raises ConfigError for a damaged file, PromptError for a bad recording.

        Of the ids in `required` every language must have text and audio (PromptError names the
        first that is missing); other gaps are told by `missing`.
        """
        texts = {language: read_texts(folder, language) for language in LANGUAGES}
        audio = {
            (language, id_): read_recording(path)
            for language in LANGUAGES
            for id_ in texts[language]
            if (path := folder / language / f"{id_}.wav").is_file()
        }
        for id_ in required:
            for language in LANGUAGES:
                if id_ not in texts[language]:
                    raise PromptError(f"{folder / language}.yaml: the prompt {id_!r} has no text")
                if (language, id_) not in audio:
                    wav = folder / language / f"{id_}.wav"
                    raise PromptError(f"{wav}: is missing: hotline prompts build")
        _, recordings = read_manifest(folder)
        return cls(texts, audio, recordings)

    def audio(self, id_: str, language: Language) -> bytes:
        """Give a prompt as 8 kHz PCM; empty (nothing is said) if it has no recording.

        Raises KeyError for an id that has no text either.
        """
        found = self._audio.get((language, id_))
        if found is None and id_ not in self._texts[language]:
            raise KeyError(id_)
        return found or b""

    def text(self, id_: str, language: Language) -> str:
        """Give what a prompt says. Raises KeyError."""
        return self._texts[language][id_]

    def ids(self, language: Language) -> tuple[str, ...]:
        """Give the prompts that have a text, in the order of the file."""
        return tuple(self._texts[language])

    def seconds(self, id_: str, language: Language) -> float:
        """Give a prompt's length."""
        return len(self.audio(id_, language)) / 16000

    def missing(self) -> list[MissingPrompt]:
        """Give the prompts without a recording, with a synthesised one, or one of another text."""
        found = []
        for language in LANGUAGES:
            for id_, text in self._texts[language].items():
                entry = self._recordings.get((language, id_))
                if entry is None or (language, id_) not in self._audio:
                    found.append(MissingPrompt(id_, language, "no recording"))
                elif entry.text != text_hash(text):
                    found.append(MissingPrompt(id_, language, "text changed"))
                elif entry.state == "synthesised":
                    found.append(MissingPrompt(id_, language, "synthesised"))
        return found


def read_recording(path: Path) -> bytes:
    """Read a WAV of 8 kHz, 16-bit, mono PCM. Raises PromptError for any other."""
    try:
        with wave.open(str(path), "rb") as file:
            kind = (file.getframerate(), 8 * file.getsampwidth(), file.getnchannels())
            if kind != (8000, 16, 1):
                raise PromptError(
                    f"{path}: {kind[0]} Hz, {kind[1]}-bit, {kind[2]} channels;"
                    " a prompt is 8000 Hz, 16-bit, 1 channel"
                )
            pcm = file.readframes(file.getnframes())
            if not pcm or len(pcm) != 2 * file.getnframes():
                raise PromptError(f"{path}: empty or cut short")
            return pcm
    except (wave.Error, EOFError) as error:
        why = f" ({error})" if str(error) else ""
        raise PromptError(f"{path}: not a WAV of 8000 Hz, 16-bit, 1 channel PCM{why}") from None
    except OSError as error:
        raise PromptError(f"{path}: cannot be read: {error.strerror}") from None


def read_texts(folder: Path, language: Language) -> dict[str, str]:
    """Read `<language>.yaml`. Raises ConfigError."""
    file = folder / f"{language}.yaml"
    texts = _read_yaml(file)
    for id_, text in texts.items():
        if not isinstance(id_, str) or not isinstance(text, str) or not text.strip():
            raise ConfigError(file, f"{id_!r} has no text", hint="each line is `id: text`, quoted")
        if not id_.replace("-", "").isalnum() or not id_.isascii():
            raise ConfigError(file, f"{id_!r} is no id", hint="letters, digits and hyphens")
    return texts


def read_manifest(
    folder: Path,
) -> tuple[dict[str, dict[str, str]], dict[tuple[Language, str], Recording]]:
    """Read the voices and the recordings of `manifest.yaml`. Raises ConfigError."""
    file = folder / MANIFEST
    if not file.exists():
        return {}, {}
    content = _read_yaml(file)
    recordings: dict[tuple[Language, str], Recording] = {}
    try:
        for language in LANGUAGES:
            for id_, entry in (content.get("recordings", {}).get(language) or {}).items():
                recording = Recording(**entry)
                if recording.state not in ("recorded", "synthesised"):
                    raise ValueError(f"{id_}: state {recording.state!r}")
                recordings[language, id_] = recording
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(file, str(error), hint="voice, state and text of each") from None
    return content.get("voices", {}), recordings


def write_manifest(
    folder: Path,
    voices: Mapping[str, Mapping[str, str]],
    recordings: Mapping[tuple[Language, str], Recording],
) -> None:
    """Write `manifest.yaml` in one rename, a line a recording."""
    lines = [
        "# Where each recording comes from; kept by `hotline prompts build`.",
        "# text: 12 hex digits of the SHA-256 of what is spoken; a changed text asks for a new one",
        "voices:",
    ]
    lines += [f"  {name}: {_flow(dict(facts))}" for name, facts in voices.items()]
    lines.append("recordings:")
    for language in LANGUAGES:
        lines.append(f"  {language}:")
        for (spoken, id_), entry in recordings.items():
            if spoken == language:
                facts = {"voice": entry.voice, "state": entry.state, "text": entry.text}
                lines.append(f"    {id_}: {_flow(facts)}")
    fresh = folder / (MANIFEST + ".new")
    fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
    fresh.replace(folder / MANIFEST)


def _flow(facts: dict[str, str]) -> str:
    text: str = yaml.safe_dump(
        facts, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10_000
    )
    return text.strip()


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(file, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(file, "is not UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(file, problem, line=mark.line + 1 if mark else None) from None
    if not isinstance(content, dict):
        raise ConfigError(file, "is not a list of `key: value`")
    return content

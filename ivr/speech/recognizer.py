"""Speech to text: what every engine offers, and which engine serves which language.

One `Recognizer` a language lives as long as the service; each sentence of a caller is one
`Utterance`. Audio is 8 kHz, 16-bit little-endian mono PCM.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ivr.errors import HotlineError
from ivr.speech.models import catalogue, is_usable
from ivr.speech.pool import RecognitionError, RecognizerOverloadedError, RecognizerPool
from ivr.speech.settings import SpeechSettings
from ivr.types import Language

__all__ = [
    "Rank",
    "RecognitionError",
    "Recognizer",
    "RecognizerOverloadedError",
    "RecognizerPool",
    "Transcript",
    "Utterance",
    "select_recognizers",
]


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was understood; `text` is empty when nobody spoke."""

    text: str
    language: Language
    """The language it was heard in: another than asked for when that was clearly spoken."""
    engine: str
    seconds: float
    """Time the recognition took, waiting for a worker included."""
    confidence: float | None = None
    """0 to 1, where the engine tells."""
    alternatives: tuple[str, ...] = ()
    """What else may have been said, the likeliest first."""


Rank = Callable[[Sequence[tuple[str, float]], Language], list[str]]
"""Orders what may have been said, each with the engine's natural log-probability of the whole text,
by how callers speak: the likeliest first."""


def as_heard(heard: Sequence[tuple[str, float]], _language: Language) -> list[str]:
    """Keep the engine's own order."""
    return [text for text, _ in heard]


class Utterance(Protocol):
    """One sentence of one caller."""

    async def feed(self, pcm: bytes) -> str | None:
        """Add audio; give the text so far if it changed. Never waits for the recognition."""

    async def draft(self) -> Transcript | None:
        """Give what was said so far, the sentence going on; None when no worker is free for it.

        Raises RecognitionError.
        """

    async def finish(self) -> Transcript:
        """End the sentence and give its text. Raises RecognitionError within the deadline."""

    async def cancel(self) -> None:
        """Throw the sentence away."""


class Recognizer(Protocol):
    """An engine with a model for one language."""

    @property
    def engine(self) -> str:
        """`vosk` or `whisper`."""

    @property
    def language(self) -> Language:
        """The language it hears."""

    @property
    def streaming(self) -> bool:
        """Whether `feed` gives partial text."""

    def start(self) -> Utterance:
        """Begin a sentence."""

    def close(self) -> None:
        """Let the model and its share of the workers go."""


def select_recognizers(
    settings: SpeechSettings,
    models_dir: Path,
    *,
    pool: RecognizerPool | None = None,
    rank: Rank = as_heard,
) -> dict[Language, Recognizer | None]:
    """Load the engine of each language: None where only the keypad serves.

    Loads the models (a second or two each): before the loop serves calls. Languages with one model
    share it. Raises HotlineError for an engine asked for by name without its model.
    """
    from ivr.speech.vosk import VoskModel, VoskRecognizer  # noqa: PLC0415 - heavy, if needed at all
    from ivr.speech.whisper import WhisperRecognizer  # noqa: PLC0415
    from ivr.speech.whisper_engine import WhisperEngine  # noqa: PLC0415

    pool = pool or RecognizerPool(
        settings.workers,
        queue_deadline_s=settings.queue_deadline_s,
        deadline_s=settings.recognition_deadline_s,
    )
    whisper: WhisperEngine | None = None
    vosk: dict[Path, VoskModel] = {}
    chosen: dict[Language, Recognizer | None] = {}
    for language in settings.languages():
        engine, folder = _choose(settings, models_dir, language)
        if engine == "vosk":
            if folder not in vosk:
                vosk[folder] = VoskModel(folder)
            chosen[language] = VoskRecognizer(vosk[folder], language, pool, rank)
        elif engine == "whisper":
            whisper = whisper or WhisperEngine(
                folder,
                threads=settings.threads,
                workers=settings.workers,
                beam=settings.whisper_beam,
            )
            chosen[language] = WhisperRecognizer(whisper, language, pool, rank)
        else:
            chosen[language] = None
    return chosen


def _choose(settings: SpeechSettings, models_dir: Path, language: Language) -> tuple[str, Path]:
    wanted = settings.engine_for(language)
    folders = {
        "vosk": models_dir / settings.vosk_folder(language),
        "whisper": models_dir / settings.whisper_model,
    }
    for engine, folder in folders.items():
        if wanted in ("auto", engine) and is_usable(engine, folder):
            return engine, folder
    if wanted in folders:
        raise _missing(wanted, language, folders[wanted])
    return "none", models_dir


def _missing(engine: str, language: Language, folder: Path) -> HotlineError:
    names = [m.name for m in catalogue().values() if m.kind == engine and language in m.languages]
    mend = (
        f"hotline models fetch {names[0]}"
        if names
        else f"unpack a {engine} model for {language!r} there"
    )
    return HotlineError(f"{folder}: the {engine} model for {language!r} is not there: {mend}")

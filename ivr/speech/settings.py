"""What the operator may set about recognition: the `[speech]` table of `config/hotline.toml`."""

import os
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ivr.types import LANGUAGES, Language

Engine = Literal["auto", "vosk", "whisper", "none"]
"""auto: Vosk if its model is there, else Whisper if its model is there, else the keypad only."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class EndpointSettings(BaseModel):
    """Beginning and end of speech; times in seconds of audio."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    start_threshold: float = Field(0.5, gt=0, lt=1)
    """Probability of speech from which a window (32 ms) counts as speech."""
    end_threshold: float = Field(0.35, gt=0, lt=1)
    """Probability below which a window counts as silence once somebody speaks."""
    min_speech_s: float = Field(0.1, ge=0.03, le=1)
    """Speech needed before it counts: a click is shorter."""
    pause_s: float = Field(0.2, ge=0.06, le=1)
    """Silence that is a pause: worth a look at what was said so far."""
    end_silence_s: float = Field(0.7, ge=0.2, le=3)
    """Silence after which a sentence is over of which nothing is known yet."""
    complete_silence_s: float = Field(0.6, ge=0.2, le=3)
    """The same after a sentence that seems complete."""
    short_silence_s: float = Field(0.8, ge=0.2, le=3)
    """The same after a few words, which may be only the beginning."""
    unfinished_silence_s: float = Field(2.0, ge=0.2, le=5)
    """The same after words that call for more, such as "eee" or "no bo"."""
    max_speech_s: float = Field(12.0, ge=2, le=30)
    """Longest sentence; after it the caller is cut short."""
    pre_roll_s: float = Field(0.3, ge=0, le=1)
    """Audio kept from before the first window of speech, so that no syllable is lost."""
    gate_dbfs: float = Field(-55.0, ge=-90, le=-20)
    """Windows quieter than this (RMS, dB of full scale) are silence without being looked at."""


class SpeechSettings(BaseModel):
    """Engines, limits and deadlines of recognition."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    engine: dict[Language, Engine] = Field(default_factory=dict)
    """Engine by language; a language not named is `auto`."""
    workers: int = Field(default_factory=lambda: max(1, _cores() // 2), ge=1, le=64)
    """Recognitions that run at once."""
    threads: int = Field(2, ge=1, le=64)
    """Processor threads of one Whisper recognition."""
    queue_deadline_s: float = Field(2.0, gt=0, le=30)
    """Longest wait for a free worker; past it the caller gets the keypad menu."""
    recognition_deadline_s: float = Field(6.0, gt=0, le=60)
    """Longest single recognition; past it it counts as failed."""
    whisper_model: str = "whisper-base"
    """Folder of the Whisper model, under the models folder."""
    whisper_beam: int = Field(5, ge=1, le=20)
    vosk_models: dict[Language, str] = Field(default_factory=dict)
    """Folder of the Vosk model by language, under the models folder; else `vosk/<language>`."""
    endpoint: EndpointSettings = Field(default_factory=EndpointSettings)

    def engine_for(self, language: Language) -> Engine:
        """Give the engine asked for in a language."""
        return self.engine.get(language, "auto")

    def vosk_folder(self, language: Language) -> str:
        """Give the Vosk model's folder, relative to the models folder."""
        return self.vosk_models.get(language, f"vosk/{language}")

    @staticmethod
    def languages() -> tuple[Language, ...]:
        """Give the languages recognised."""
        return LANGUAGES

"""Recognition of whole sentences with Whisper (faster-whisper, int8), its inventions kept out.

Whisper writes something plausible for noise and silence and sometimes falls into a loop. So: too
short or too quiet audio is never shown to it, what it doubts itself is dropped, a loop is cut to
one turn, and the number of words it may write grows with the length of the audio.
"""

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
from faster_whisper import WhisperModel

from ivr.errors import HotlineError
from ivr.speech.pool import RecognitionError, RecognizerPool
from ivr.speech.recognizer import Transcript
from ivr.types import Language

RATE = 8000
MAX_BYTES = 600 * RATE * 2
MIN_SECONDS = 0.2
MIN_DBFS = -50.0
"""The loudest 0.1 s must reach this (RMS, dB of full scale)."""
NO_SPEECH = 0.6
LOW_LOGPROB = -1.0
TOKENS_PER_SECOND = 12
INVENTED = re.compile(
    r"(napisy (stworzone )?przez .*|dzi[eę]kuj[eę] za (ogl[aą]danie|uwag[eę]).*|.*amara\.?org.*"
    r"|дякую за перегляд.*|субтитр.*|thanks? (you )?for watching.*|subtitles by .*|\W*)",
    re.IGNORECASE,
)
"""What Whisper writes for noise: the ends of the films it learned from."""
LOOP = re.compile(r"(\b.{1,60}?)(?:[\s,.;!?…-]+\1(?=\W|$)){3,}", re.IGNORECASE)
"""The same words four times or more, one after the other."""


class WhisperEngine:
    """The loaded model, shared by all languages and calls. Raises HotlineError.

    `threads` processor threads a recognition, `workers` recognitions at once.
    """

    def __init__(self, folder: Path, *, threads: int = 2, workers: int = 1, beam: int = 5):
        self.beam = beam
        try:
            self.model: Any = WhisperModel(
                str(folder),
                device="cpu",
                compute_type="int8",
                cpu_threads=threads,
                num_workers=workers,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise HotlineError(f"{folder}: not a usable Whisper model: fetch it again") from error

    def transcribe(self, pcm: bytes, language: Language) -> tuple[str, float | None]:
        """Give text and confidence (0 to 1) of 8 kHz PCM. Blocking: for a worker thread."""
        samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2").astype(np.float32)
        samples /= np.float32(32768)
        if not worth_hearing(samples):
            return "", None
        seconds = len(samples) / RATE
        segments, _ = self.model.transcribe(
            soxr.resample(samples, RATE, 2 * RATE).astype(np.float32),
            language=language,
            beam_size=self.beam,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=seconds < 30,
            max_new_tokens=min(200, 20 + round(TOKENS_PER_SECOND * seconds)),
        )
        kept = [
            s
            for s in segments
            if not (s.no_speech_prob > NO_SPEECH and s.avg_logprob < LOW_LOGPROB)
        ]
        text = without_inventions(" ".join(s.text.strip() for s in kept))
        if not text:
            return "", None
        return text, float(np.exp(np.mean([s.avg_logprob for s in kept])))


def worth_hearing(samples: npt.NDArray[np.float32]) -> bool:
    """Whether audio (8 kHz, -1 to 1) is long and loud enough to hold a word."""
    if len(samples) < MIN_SECONDS * RATE:
        return False
    size = RATE // 10
    power = np.mean(np.square(samples[: len(samples) // size * size].reshape(-1, size)), axis=1)
    return bool(10 * np.log10(float(power.max()) + 1e-12) >= MIN_DBFS)


def without_inventions(text: str) -> str:
    """Cut loops to one turn and drop a text that is only a film's closing words."""
    text = " ".join(LOOP.sub(r"\1", text).split())
    return "" if INVENTED.fullmatch(text) else text


class WhisperRecognizer:
    """Whisper for one language."""

    engine = "whisper"
    streaming = False

    def __init__(self, engine: WhisperEngine, language: Language, pool: RecognizerPool):
        self.language: Language = language
        self._engine: WhisperEngine | None = engine
        self._pool = pool
        pool.retain()

    def start(self) -> "WhisperUtterance":
        """Begin a sentence. Raises RecognitionError once closed."""
        if self._engine is None:
            raise RecognitionError("the recogniser is closed")
        return WhisperUtterance(self._engine, self.language, self._pool)

    def close(self) -> None:
        """Let the model go; sentences under way keep it until they end."""
        if self._engine is not None:
            self._engine = None
            self._pool.close()


class WhisperUtterance:
    """One sentence, kept until its end; see `ivr.speech.recognizer.Utterance`."""

    def __init__(self, engine: WhisperEngine, language: Language, pool: RecognizerPool):
        self._engine, self._language, self._pool = engine, language, pool
        self._pcm = bytearray()
        self._over = False

    async def feed(self, pcm: bytes) -> None:
        """Keep the audio; there is no text before the end."""
        if self._over:
            raise RecognitionError("the sentence has ended")
        if len(self._pcm) + len(pcm) > MAX_BYTES:
            raise RecognitionError("longer than 10 minutes: not one sentence")
        self._pcm += pcm

    async def finish(self) -> Transcript:
        """Recognise all that was fed."""
        began = time.perf_counter()
        self._over = True
        pcm = bytes(self._pcm)
        text, confidence = await self._pool.run(
            lambda: self._engine.transcribe(pcm, self._language)
        )
        seconds = time.perf_counter() - began
        return Transcript(text, self._language, "whisper", seconds, confidence)

    async def cancel(self) -> None:
        """Throw the audio away."""
        self._over = True
        self._pcm.clear()

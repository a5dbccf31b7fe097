"""Streaming recognition with Vosk (Kaldi): text while the caller still speaks.

The model is shared by all calls; a call's sentence is one KaldiRecognizer, fed in a worker thread
with what has come meanwhile, one piece after the other.
"""

import asyncio
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import vosk

from ivr.errors import HotlineError
from ivr.speech.level import gain_to_target, samples_of
from ivr.speech.pool import RecognitionError, RecognizerPool
from ivr.speech.recognizer import Rank, Transcript, as_heard
from ivr.types import Language

RATE = 8000
PIECE = 3200
"""Bytes (0.2 s) that are worth a trip to a worker thread."""
ALTERNATIVES = 5
MAX_BYTES = 600 * RATE * 2

vosk.SetLogLevel(-1)


class VoskModel:
    """A loaded model folder. Raises HotlineError for a folder that Vosk cannot read."""

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            self.model: Any = vosk.Model(model_path=str(folder))
        except Exception as error:  # vosk knows no other type
            raise HotlineError(f"{folder}: not a usable Vosk model: fetch it again") from error

    def recognizer(self) -> Any:
        """Start a sentence at 8 kHz (the model's front end upsamples)."""
        kaldi = vosk.KaldiRecognizer(self.model, RATE)
        kaldi.SetMaxAlternatives(ALTERNATIVES)
        return kaldi


class VoskRecognizer:
    """Vosk for one language."""

    engine = "vosk"
    streaming = True

    def __init__(
        self, model: VoskModel, language: Language, pool: RecognizerPool, rank: Rank = as_heard
    ):
        self.language: Language = language
        self._model: VoskModel | None = model
        self._pool, self._rank = pool, rank
        pool.retain()

    def start(self) -> "VoskUtterance":
        """Begin a sentence. Raises RecognitionError once closed."""
        if self._model is None:
            raise RecognitionError("the recogniser is closed")
        return VoskUtterance(self._model, self.language, self._pool, self._rank)

    def close(self) -> None:
        """Let the model go; sentences under way keep it until they end."""
        if self._model is not None:
            self._model = None
            self._pool.close()


class VoskUtterance:
    """One sentence; see `ivr.speech.recognizer.Utterance`."""

    def __init__(self, model: VoskModel, language: Language, pool: RecognizerPool, rank: Rank):
        self._model, self._language, self._pool, self._rank = model, language, pool, rank
        self._kaldi: Any = None
        self._gain = 1.0
        """Found from the first piece: a level that changed in mid sentence would disturb more."""
        self._waiting = bytearray()
        self._fed = 0
        self._task: asyncio.Task[None] | None = None
        self._failure: RecognitionError | None = None
        self._texts: list[str] = []
        self._others: list[str] = []
        """What else it may have been; told only where it was one stretch of speech."""
        self._confidences: list[float] = []
        self._partial = ""
        self._told = ""
        self._over = False

    async def feed(self, pcm: bytes) -> str | None:
        """Add audio; give the text so far if it changed. Raises RecognitionError once failed."""
        if self._failure is not None:
            raise self._failure
        if self._over:
            raise RecognitionError("the sentence has ended")
        self._fed += len(pcm)
        if self._fed > MAX_BYTES:
            raise RecognitionError("longer than 10 minutes: not one sentence")
        self._waiting += pcm
        if len(self._waiting) >= PIECE and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._catch_up(), name="vosk-utterance")
        text = self._text()
        if text == self._told:
            return None
        self._told = text
        return text

    async def draft(self) -> Transcript | None:
        """Give what was heard so far; audio of the last fifth of a second may be missing."""
        if self._failure is not None:
            raise self._failure
        text = self._text()
        return Transcript(text, self._language, "vosk", 0.0) if text else None

    async def finish(self) -> Transcript:
        """Give the text of all that was fed."""
        began = time.perf_counter()
        self._over = True
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        if self._failure is not None:
            raise self._failure
        rest = self._take()
        await self._pool.run(lambda: self._decode(rest, last=True))
        return Transcript(
            self._text(),
            self._language,
            "vosk",
            time.perf_counter() - began,
            sum(self._confidences) / len(self._confidences) if self._confidences else None,
            tuple(self._others) if len(self._texts) == 1 else (),
        )

    async def cancel(self) -> None:
        """Throw the sentence away."""
        self._over = True
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _catch_up(self) -> None:
        try:
            while len(self._waiting) >= PIECE:
                pcm = self._take()
                await self._pool.run(lambda pcm=pcm: self._decode(pcm, last=False))  # type: ignore[misc]
        except RecognitionError as error:
            self._failure = error

    def _take(self) -> bytes:
        pcm = bytes(self._waiting)
        self._waiting.clear()
        return pcm

    def _decode(self, pcm: bytes, *, last: bool) -> None:
        """In a worker thread, one at a time for a sentence."""
        if self._kaldi is None:
            self._kaldi = self._model.recognizer()
            self._gain = gain_to_target(samples_of(pcm))
        pcm = _louder(pcm, self._gain)
        if pcm and self._kaldi.AcceptWaveform(pcm):
            self._keep(self._kaldi.Result())
        elif not last:
            self._partial = _plain(json.loads(self._kaldi.PartialResult()).get("partial", ""))
        if last:
            self._keep(self._kaldi.FinalResult())

    def _keep(self, result: str) -> None:
        self._partial = ""
        heard = [
            (text, float(found["confidence"]))
            for found in json.loads(result).get("alternatives", ())
            if (text := _plain(found.get("text", "")))
        ]
        if not heard:
            return
        first, *self._others = self._rank(heard, self._language)
        self._texts.append(first)
        # Kaldi's scores are natural logarithms but for a constant: shares among what was heard.
        best = max(score for _, score in heard)
        shares = [math.exp(score - best) for _, score in heard]
        self._confidences.append(max(shares) / sum(shares))

    def _text(self) -> str:
        return " ".join([*self._texts, *([self._partial] if self._partial else [])])


def _louder(pcm: bytes, gain: float) -> bytes:
    louder: bytes = np.clip(samples_of(pcm) * (32768 * gain), -32768, 32767).astype("<i2").tobytes()
    return louder


def _plain(text: str) -> str:
    """Drop the mark for a sound that is no word."""
    return " ".join(word for word in text.split() if word != "[unk]")

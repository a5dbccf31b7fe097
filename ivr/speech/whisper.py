"""Recognition of whole sentences with Whisper; drafts of what was said so far while it goes on."""

import time

from ivr.speech.pool import RecognitionError, RecognizerPool
from ivr.speech.recognizer import Rank, Transcript, as_heard
from ivr.speech.whisper_engine import RATE, Heard, WhisperEngine
from ivr.types import Language

MAX_BYTES = 600 * RATE * 2


class WhisperRecognizer:
    """Whisper for one language."""

    engine = "whisper"
    streaming = False

    def __init__(
        self,
        engine: WhisperEngine,
        language: Language,
        pool: RecognizerPool,
        rank: Rank = as_heard,
    ):
        self.language: Language = language
        self._engine: WhisperEngine | None = engine
        self._pool, self._rank = pool, rank
        pool.retain()

    def start(self) -> "WhisperUtterance":
        """Begin a sentence. Raises RecognitionError once closed."""
        if self._engine is None:
            raise RecognitionError("the recogniser is closed")
        return WhisperUtterance(self._engine, self.language, self._pool, self._rank)

    def close(self) -> None:
        """Let the model go; sentences under way keep it until they end."""
        if self._engine is not None:
            self._engine = None
            self._pool.close()


class WhisperUtterance:
    """One sentence, kept until its end; see `ivr.speech.recognizer.Utterance`."""

    def __init__(self, engine: WhisperEngine, language: Language, pool: RecognizerPool, rank: Rank):
        self._engine, self._language, self._pool, self._rank = engine, language, pool, rank
        self._pcm = bytearray()
        self._over = False

    async def feed(self, pcm: bytes) -> None:
        """Keep the audio; there is no text before a draft or the end."""
        if self._over:
            raise RecognitionError("the sentence has ended")
        if len(self._pcm) + len(pcm) > MAX_BYTES:
            raise RecognitionError("longer than 10 minutes: not one sentence")
        self._pcm += pcm

    async def draft(self) -> Transcript | None:
        """Recognise what was fed so far if a worker is free now, else give None."""
        if self._over or not self._pool.free:
            return None
        return await self._recognise(bytes(self._pcm))

    async def finish(self) -> Transcript:
        """Recognise all that was fed."""
        self._over = True
        return await self._recognise(bytes(self._pcm))

    async def cancel(self) -> None:
        """Throw the audio away."""
        self._over = True
        self._pcm.clear()

    async def _recognise(self, pcm: bytes) -> Transcript:
        began = time.perf_counter()
        heard, texts = await self._pool.run(lambda: self._hear(pcm))
        seconds = time.perf_counter() - began
        first, *others = texts or ("",)
        return Transcript(
            first, heard.language, "whisper", seconds, heard.confidence, tuple(others)
        )

    def _hear(self, pcm: bytes) -> tuple[Heard, list[str]]:
        """In a worker thread."""
        heard = self._engine.transcribe(pcm, self._language)
        return heard, self._rank(heard.texts, heard.language)

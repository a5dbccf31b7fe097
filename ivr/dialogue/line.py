"""The caller's line while the automat speaks: prompts out, keys and sentences in."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ivr.asterisk.audiosocket_connection import Audio, AudioSocketConnection, Digit, Ended
from ivr.speech.endpoint import Endpointer, SpeechAudio, SpeechEnded, SpeechStarted
from ivr.speech.playout import Player
from ivr.speech.pool import RecognitionError
from ivr.speech.prompts import PromptStore
from ivr.speech.recognizer import Recognizer, Transcript, Utterance
from ivr.types import Language

POLL_S = 0.1
THINKING_POLL_S = 0.02
LONGEST_QUESTION_S = 60.0
"""Whatever the caller does, one question ends after this."""


class CallerGoneError(Exception):
    """The audio has ended: the caller hung up, or Asterisk closed the connection."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the caller's telephone."""

    key: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """What the caller said; `early` when it was clear before the sentence ended."""

    transcript: Transcript
    early: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """The caller said nothing for as long as was asked."""


@dataclass(frozen=True, slots=True)
class Unheard:
    """The caller spoke, but recognition failed, for the reason given."""

    why: str


Answer = Key | Sentence | Silence | Unheard


class Line:
    """One caller's line. Only one `ask` or `say` at a time."""

    def __init__(
        self,
        connection: AudioSocketConnection,
        player: Player,
        prompts: PromptStore,
        recognizers: Mapping[Language, Recognizer | None],
        endpointer: Endpointer,
        language: Language,
    ):
        self._connection, self._player, self._prompts = connection, player, prompts
        self._recognizers, self._endpointer = recognizers, endpointer
        self.language = language

    @property
    def hears(self) -> bool:
        """Whether speech of the language in use is recognised; else there is only the keypad."""
        return self._recognizers.get(self.language) is not None

    async def ask(
        self,
        *prompt_ids: str,
        wait_s: float,
        listen: bool = True,
        enough: Callable[[str], bool] | None = None,
    ) -> Answer:
        """Say prompts and return the first answer, given into them or within `wait_s` after.

        `enough(partial)` may end the listening while the caller still speaks. Raises
        CallerGoneError.
        """
        question = _Question(self, listen=listen and self.hears, enough=enough)
        try:
            return await question.answer(prompt_ids, wait_s)
        finally:
            await question.close()

    async def say(self, *prompt_ids: str) -> Key | None:
        """Say prompts to their end, or to a key; raises CallerGoneError."""
        answer = await self.ask(*prompt_ids, wait_s=0, listen=False)
        return answer if isinstance(answer, Key) else None

    def hush(self) -> None:
        """Stop what is being said."""
        self._player.stop()


class _Question:
    def __init__(self, line: Line, *, listen: bool, enough: Callable[[str], bool] | None):
        self._line, self._listen, self._enough = line, listen, enough
        self._utterance: Utterance | None = None
        self._final: asyncio.Task[Transcript] | None = None
        self._partial = ""

    async def answer(self, prompt_ids: tuple[str, ...], wait_s: float) -> Answer:
        line, loop = self._line, asyncio.get_running_loop()
        line._endpointer.reset()
        said = line._player.say(*(line._prompts.audio(p, line.language) for p in prompt_ids))
        latest = loop.time() + LONGEST_QUESTION_S
        deadline: float | None = None
        while True:
            event = await self._receive()
            if isinstance(event, Ended):
                raise CallerGoneError(event.reason)
            if isinstance(event, Digit):
                line.hush()
                return Key(event.key)
            if self._final is not None:
                if self._final.done():
                    return self._understood()
                continue
            if self._listen and (sentence := await self._hear(event)):
                return sentence
            if said.done and deadline is None:
                deadline = loop.time() + wait_s
            quiet = self._utterance is None and deadline is not None and loop.time() >= deadline
            if quiet or loop.time() >= latest:
                return Silence()

    async def _receive(self) -> Audio | Digit | Ended | None:
        try:
            async with asyncio.timeout(THINKING_POLL_S if self._final else POLL_S):
                return await self._line._connection.receive()
        except TimeoutError:
            return None

    async def _hear(self, event: Audio | None) -> Answer | None:
        endpointer = self._line._endpointer
        # A telephone that suppresses silence sends nothing: time goes on all the same.
        heard = endpointer.feed(event.pcm) if event else endpointer.tick(POLL_S)
        try:
            for change in heard:
                match change:
                    case SpeechStarted(audio=audio):
                        self._line.hush()
                        recognizer = self._line._recognizers[self._line.language]
                        if recognizer is None:
                            return Unheard("there is no recogniser")
                        self._utterance = recognizer.start()
                        await self._feed(audio)
                    case SpeechAudio(audio=audio):
                        await self._feed(audio)
                    case SpeechEnded() if self._utterance:
                        self._final = asyncio.create_task(self._utterance.finish())
                        return None
                if self._partial and self._enough and self._enough(self._partial):
                    return self._early()
        except RecognitionError as error:
            return Unheard(str(error))
        return None

    async def _feed(self, audio: bytes) -> None:
        if self._utterance is not None:
            self._partial = await self._utterance.feed(audio) or self._partial

    def _early(self) -> Sentence:
        recognizer = self._line._recognizers[self._line.language]
        engine = recognizer.engine if recognizer else ""
        return Sentence(Transcript(self._partial, self._line.language, engine, 0.0), early=True)

    def _understood(self) -> Answer:
        assert self._final is not None  # noqa: S101 - for the type checker
        final, self._final, self._utterance = self._final, None, None
        error = final.exception()
        if error is None:
            return Sentence(final.result())
        if isinstance(error, RecognitionError):
            return Unheard(str(error))
        raise error

    async def close(self) -> None:
        """Leave no recognition and no task behind."""
        if self._final is not None:
            self._final.cancel()
            await asyncio.gather(self._final, return_exceptions=True)
        if self._utterance is not None:
            await self._utterance.cancel()

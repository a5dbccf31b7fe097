"""The caller's line while the automat speaks: prompts out, keys and sentences in."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ivr.asterisk.audiosocket_connection import Audio, AudioSocketConnection, Digit, Ended
from ivr.dialogue.hearing import Hearing
from ivr.speech.endpoint import Endpointer
from ivr.speech.playout import Player
from ivr.speech.pool import RecognitionError
from ivr.speech.prompts import PromptStore
from ivr.speech.recognizer import Recognizer, Transcript
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
    """What the caller said; `early` when it was clear before the sentence ended.

    `after_s`: seconds from the caller's last sound to this answer; `faint`: hardly to be heard.
    """

    transcript: Transcript
    early: bool = False
    after_s: float = 0.0
    faint: bool = False


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
        enough: Callable[[Transcript], bool] | None = None,
    ) -> Answer:
        """Say prompts and return the first answer, given into them or within `wait_s` after.

        `enough(so_far)` may end the listening while the caller still speaks. Raises
        CallerGoneError.
        """
        recognizer = self._recognizers.get(self.language) if listen else None
        hearing = Hearing(self._endpointer, recognizer, enough, self.hush) if recognizer else None
        try:
            return await self._answer(prompt_ids, wait_s, hearing)
        finally:
            if hearing is not None:
                await hearing.close()

    async def say(self, *prompt_ids: str) -> Key | None:
        """Say prompts to their end, or to a key; raises CallerGoneError."""
        answer = await self.ask(*prompt_ids, wait_s=0, listen=False)
        return answer if isinstance(answer, Key) else None

    def hush(self) -> None:
        """Stop what is being said."""
        self._player.stop()

    async def _answer(
        self, prompt_ids: tuple[str, ...], wait_s: float, hearing: Hearing | None
    ) -> Answer:
        loop = asyncio.get_running_loop()
        said = self._player.say(*(self._prompts.audio(p, self.language) for p in prompt_ids))
        latest = loop.time() + LONGEST_QUESTION_S
        deadline: float | None = None
        while True:
            event = await self._receive(THINKING_POLL_S if hearing and hearing.thinking else POLL_S)
            if isinstance(event, Ended):
                raise CallerGoneError(event.reason)
            if isinstance(event, Digit):
                self.hush()
                return Key(event.key)
            if hearing is not None:
                try:
                    heard = await hearing.hear(event.pcm if event else None)
                except RecognitionError as error:
                    return Unheard(str(error))
                if heard is not None:
                    return Sentence(heard.transcript, heard.early, heard.after_s, heard.faint)
            if said.done and deadline is None:
                deadline = loop.time() + wait_s
            quiet = deadline is not None and loop.time() >= deadline
            if (quiet and not (hearing and hearing.speaking)) or loop.time() >= latest:
                return Silence()

    async def _receive(self, patience_s: float) -> Audio | Digit | Ended | None:
        try:
            async with asyncio.timeout(patience_s):
                return await self._connection.receive()
        except TimeoutError:
            return None

"""One answer of a caller, from the first sound to what was understood.

    caller      "eee ... no bo ..... nie świeci latarnia na Puławskiej"
    pauses           |        |                                       |
    drafts           '-> "eee": go on   '-> "no bo": go on             '-> complete: that was it

Whatever was said up to a pause is recognised at once, while the silence lasts: if nothing follows,
the draft is the answer, and the caller waits for the recogniser no longer than for the end of the
pause. A draft also tells whether the caller has finished, and while the caller goes on, whether
enough is known already.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from ivr.speech.endpoint import (
    Endpointer,
    Paused,
    Resumed,
    SpeechAudio,
    SpeechEnded,
    SpeechStarted,
    TooLong,
)
from ivr.speech.level import level_dbfs
from ivr.speech.pool import RecognitionError
from ivr.speech.recognizer import Recognizer, Transcript, Utterance
from ivr.understanding.turn import turn_of

DRAFT_EVERY_S = 3.0
"""Who speaks so long without a pause is listened to in between, if a recogniser is idle."""
BYTES_PER_S = 16_000
FAINT_DBFS = -42.0
"""Level of speech, dB of full scale, below which who was not understood may be too far away."""
NO_AUDIO_S = 0.1
"""Silence counted where a telephone sent nothing for that long (silence suppression)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the caller said; see `ivr.dialogue.line.Sentence`."""

    transcript: Transcript
    early: bool
    after_s: float
    faint: bool = False


@dataclass(slots=True)
class _Draft:
    task: asyncio.Task[Transcript | None]
    pause: int
    """The pause at whose beginning it was made; 0: while the caller spoke."""


class Hearing:
    """Listens for one answer. Give it the audio with `hear`; close it in any case."""

    def __init__(
        self,
        endpointer: Endpointer,
        recognizer: Recognizer,
        enough: Callable[[Transcript], bool] | None,
        on_speech: Callable[[], None],
    ):
        self._endpointer, self._recognizer = endpointer, recognizer
        self._enough, self._on_speech = enough, on_speech
        self._utterance: Utterance | None = None
        self._final: asyncio.Task[Transcript] | None = None
        self._draft: _Draft | None = None
        self._pause = 0
        """Counts the pauses."""
        self._candidate: Transcript | None = None
        """What was said, if the pause under way is the end."""
        self._partial: str | None = None
        self._since_draft_s = 0.0
        self._last_sound = 0.0
        self._loudest_dbfs = -120.0
        endpointer.reset()

    @property
    def speaking(self) -> bool:
        """Whether an answer has begun."""
        return self._utterance is not None

    @property
    def thinking(self) -> bool:
        """Whether the caller has finished, and only the recogniser is waited for."""
        return self._final is not None

    async def hear(self, pcm: bytes | None) -> Heard | None:
        """Take audio (None: none came for a moment); give the answer once it is known.

        Raises RecognitionError.
        """
        if self._final is not None:
            return self._heard(self._final.result()) if self._final.done() else None
        endpointer = self._endpointer
        for change in endpointer.tick(NO_AUDIO_S) if pcm is None else endpointer.feed(pcm):
            match change:
                case SpeechStarted(audio=audio):
                    self._on_speech()
                    self._utterance = self._recognizer.start()
                    await self._feed(audio)
                case SpeechAudio(audio=audio):
                    await self._feed(audio)
                case Paused() if self._utterance:
                    self._pause += 1
                    self._start_draft(self._pause)
                case Resumed():
                    self._candidate = None
                case SpeechEnded(at_s=at_s, until_s=until_s) if self._utterance:
                    self._last_sound = time.monotonic() - (at_s - until_s)
                    if isinstance(change, TooLong):
                        self._pause += 1  # the caller speaks on: no draft holds all of it
                    elif self._candidate is not None:
                        return self._heard(self._candidate)
                    self._final = asyncio.create_task(self._conclude(self._utterance))
                    return None
        return await self._look_at_draft() or await self._clear_already()

    async def _feed(self, audio: bytes) -> None:
        assert self._utterance is not None  # noqa: S101 - for the type checker
        self._partial = await self._utterance.feed(audio)
        self._loudest_dbfs = max(self._loudest_dbfs, level_dbfs(audio))
        self._since_draft_s += len(audio) / BYTES_PER_S
        if self._since_draft_s >= DRAFT_EVERY_S and not self._endpointer.pausing:
            self._start_draft(0)

    def _start_draft(self, pause: int) -> None:
        if self._draft is not None or self._utterance is None:
            return
        self._since_draft_s = 0.0
        self._draft = _Draft(asyncio.create_task(_drafted(self._utterance)), pause)
        # Until it is there nobody knows whether the caller has finished.
        self._endpointer.be_patient(self._endpointer.settings.unfinished_silence_s)

    async def _look_at_draft(self) -> Heard | None:
        """See what a draft says, once it is there."""
        if self._draft is None or not self._draft.task.done():
            return None
        draft, self._draft = self._draft, None
        transcript, endpointer = draft.task.result(), self._endpointer
        settings = endpointer.settings
        if transcript is not None and await self._is_enough(transcript):
            return Heard(transcript, True, endpointer.quiet_s)
        if draft.pause != self._pause:  # made of less than was said
            if endpointer.pausing:
                self._start_draft(self._pause)
        elif transcript is None:
            endpointer.be_patient(settings.end_silence_s)
        elif endpointer.pausing:
            # A streaming recogniser has the last words only at the end, and is quick then.
            self._candidate = None if self._recognizer.streaming else transcript
            patience = {
                "complete": settings.complete_silence_s,
                "short": settings.short_silence_s,
                "unfinished": settings.unfinished_silence_s,
            }
            endpointer.be_patient(patience[turn_of(transcript.text, transcript.language)])
        return None

    async def _clear_already(self) -> Heard | None:
        """Ask whether the text of a streaming recogniser is enough, each time it has changed."""
        if not self._partial:
            return None
        recognizer = self._recognizer
        so_far = Transcript(self._partial, recognizer.language, recognizer.engine, 0.0)
        self._partial = None
        enough = await self._is_enough(so_far)
        return Heard(so_far, True, self._endpointer.quiet_s) if enough else None

    async def _is_enough(self, so_far: Transcript) -> bool:
        if self._enough is None or not so_far.text:
            return False
        # In a thread: where a list has a sign, the models are asked too.
        return await asyncio.to_thread(self._enough, so_far)

    async def _conclude(self, utterance: Utterance) -> Transcript:
        """Give the draft made in this pause, if there is one, else recognise all."""
        if self._draft is not None and self._draft.pause == self._pause:
            transcript = await self._draft.task
            if transcript is not None and not self._recognizer.streaming:
                return transcript
        return await utterance.finish()

    def _heard(self, transcript: Transcript) -> Heard:
        faint = self._loudest_dbfs < FAINT_DBFS
        return Heard(transcript, False, time.monotonic() - self._last_sound, faint)

    async def close(self) -> None:
        """Leave no recognition and no task behind."""
        tasks = [self._final, self._draft.task if self._draft else None]
        waiting = [task for task in tasks if task is not None]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if self._utterance is not None:
            await self._utterance.cancel()


async def _drafted(utterance: Utterance) -> Transcript | None:
    """Give a draft, or None when there is none; a failure is told at the end, if it lasts."""
    try:
        return await utterance.draft()
    except RecognitionError:
        return None

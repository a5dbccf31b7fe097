"""When an answer ends and what is made of it: a script speaks, a script recognises."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from ivr.dialogue.hearing import Heard, Hearing
from ivr.speech.endpoint import Endpointer
from ivr.speech.pool import RecognitionError
from ivr.speech.recognizer import Transcript
from ivr.speech.vad import WINDOW_BYTES, WINDOW_S

SPEECH, PAUSE = 90, 0


class Voice:
    """A detector that says what the audio says: the first sample of a window is percent."""

    def probability(self, window: bytes) -> float:
        return int.from_bytes(window[:2], "little", signed=True) / 100

    def reset(self) -> None:
        pass


class Scripted:
    """A recogniser that hears one more of its texts at each look; None: no worker is free."""

    language, engine = "pl", "script"

    def __init__(self, *texts: str | None, streaming: bool = False, gate: bool = False) -> None:
        self.texts, self.streaming = list(texts), streaming
        self.gate = asyncio.Event()
        if not gate:
            self.gate.set()
        self.drafts = self.finished = self.cancelled = 0
        self.partial: str | None = None

    def start(self) -> "Scripted":
        return self

    def close(self) -> None:
        pass

    async def feed(self, pcm: bytes) -> str | None:
        partial, self.partial = self.partial, None
        return partial

    async def draft(self) -> Transcript | None:
        self.drafts += 1
        await self.gate.wait()
        return self._next()

    async def finish(self) -> Transcript:
        self.finished += 1
        await self.gate.wait()
        return self._next() or Transcript("the end", "pl", "script", 0.0)

    async def cancel(self) -> None:
        self.cancelled += 1

    def _next(self) -> Transcript | None:
        text = self.texts.pop(0) if self.texts else None
        if text == "broken":
            raise RecognitionError("it broke")
        return None if text is None else Transcript(text, "pl", "script", 0.0)


class Caller:
    """Speaks and is silent into a Hearing, a window of 32 ms at a time."""

    def __init__(self, hearing: Hearing) -> None:
        self.hearing = hearing
        self.spoken_s = 0.0

    async def sound(self, percent: int, seconds: float) -> Heard | None:
        for _ in range(round(seconds / WINDOW_S)):
            self.spoken_s += WINDOW_S
            window = percent.to_bytes(2, "little") * (WINDOW_BYTES // 2)
            for _ in range(3):  # let drafts begin and end between two windows
                await asyncio.sleep(0)
            if (heard := await self.hearing.hear(window)) is not None:
                return heard
        return None

    async def until_heard(self, seconds: float = 5) -> tuple[Heard, float]:
        """Be silent; give the answer and for how long it took."""
        began = self.spoken_s
        heard = await self.sound(PAUSE, seconds)
        for _ in range(20):
            heard = heard or await self.hearing.hear(None)
            await asyncio.sleep(0)
        assert heard is not None
        return heard, self.spoken_s - began


@asynccontextmanager
async def listening(
    recognizer: Scripted, enough: Callable[[Transcript], bool] | None = None
) -> AsyncIterator[Caller]:
    hearing = Hearing(Endpointer(Voice()), recognizer, enough, lambda: None)  # type: ignore[arg-type]
    try:
        yield Caller(hearing)
    finally:
        await hearing.close()


def near(seconds: float, wanted: float) -> bool:
    return abs(seconds - wanted) <= 3 * WINDOW_S


@pytest.mark.parametrize(
    ("text", "silence_s"),
    [
        ("nie świeci latarnia na puławskiej", 0.6),
        ("latarnia", 0.8),
        ("no bo", 2.0),
        ("dzień dobry", 2.0),
        ("", 2.0),
    ],
)
async def test_the_words_tell_how_long_a_pause_may_be(text: str, silence_s: float) -> None:
    recognizer = Scripted(text)
    async with listening(recognizer) as caller:
        assert await caller.sound(SPEECH, 1) is None
        heard, took_s = await caller.until_heard()
    assert heard.transcript.text == text
    assert near(took_s, silence_s), took_s
    assert (recognizer.drafts, recognizer.finished) == (1, 0), "the draft is the answer"
    assert recognizer.cancelled == 1


async def test_who_goes_on_after_a_pause_is_heard_to_the_end() -> None:
    recognizer = Scripted("no bo", "no bo nie świeci latarnia na puławskiej")
    async with listening(recognizer) as caller:
        await caller.sound(SPEECH, 0.5)
        assert await caller.sound(PAUSE, 1.5) is None
        await caller.sound(SPEECH, 1.5)
        heard, took_s = await caller.until_heard()
    assert heard.transcript.text == "no bo nie świeci latarnia na puławskiej"
    assert near(took_s, 0.6)
    assert recognizer.finished == 0


async def test_a_draft_overtaken_by_more_speech_is_made_again() -> None:
    recognizer = Scripted("nie świeci", "nie świeci latarnia na puławskiej", gate=True)
    async with listening(recognizer) as caller:
        await caller.sound(SPEECH, 1)
        await caller.sound(PAUSE, 0.3)  # the draft begins, and does not end
        await caller.sound(SPEECH, 1)
        assert await caller.sound(PAUSE, 0.3) is None
        recognizer.gate.set()
        heard, _ = await caller.until_heard()
    assert heard.transcript.text == "nie świeci latarnia na puławskiej"


async def test_without_a_free_worker_the_whole_sentence_is_recognised_at_its_end() -> None:
    recognizer = Scripted(None, "cała wypowiedź na koniec zdania")
    async with listening(recognizer) as caller:
        await caller.sound(SPEECH, 1)
        heard, took_s = await caller.until_heard()
    assert heard.transcript.text == "cała wypowiedź na koniec zdania"
    assert near(took_s, 0.7)
    assert recognizer.finished == 1


async def test_a_broken_draft_is_tried_again_at_the_end_and_then_told() -> None:
    async with listening(Scripted("broken", "nie świeci latarnia na puławskiej")) as caller:
        await caller.sound(SPEECH, 1)
        heard, _ = await caller.until_heard()
        assert heard.transcript.text == "nie świeci latarnia na puławskiej"
    async with listening(Scripted("broken", "broken")) as caller:
        await caller.sound(SPEECH, 1)
        with pytest.raises(RecognitionError):
            await caller.until_heard()


async def test_a_slow_draft_is_waited_for() -> None:
    recognizer = Scripted("nie świeci latarnia na puławskiej", gate=True)
    async with listening(recognizer) as caller:
        await caller.sound(SPEECH, 1)
        assert await caller.sound(PAUSE, 3) is None
        recognizer.gate.set()
        heard, _ = await caller.until_heard(0.1)
    assert heard.transcript.text == "nie świeci latarnia na puławskiej"
    assert recognizer.finished == 0


async def test_enough_is_known_before_the_end() -> None:
    recognizer = Scripted("mąż nie oddycha i")
    async with listening(recognizer, lambda t: "nie oddycha" in t.text) as caller:
        await caller.sound(SPEECH, 1)
        heard, took_s = await caller.until_heard()
    assert heard.early
    assert took_s < 0.35


async def test_who_speaks_without_a_pause_is_listened_to_in_between() -> None:
    recognizer = Scripted("proszę pani mąż nie oddycha", "dalej")
    async with listening(recognizer, lambda t: "nie oddycha" in t.text) as caller:
        heard = await caller.sound(SPEECH, 5)
    assert heard is not None
    assert heard.early
    assert 3 <= caller.spoken_s < 3.5


async def test_too_long_a_sentence_is_recognised_whole() -> None:
    recognizer = Scripted("pierwszy szkic zdania bez końca", *["szkic"] * 2, "wszystko co było")
    async with listening(recognizer) as caller:
        heard = await caller.sound(SPEECH, 13)
    assert heard is not None
    assert recognizer.finished == 1
    assert heard.transcript.text == "wszystko co było"


async def test_a_streaming_recogniser_ends_what_its_partial_text_tells() -> None:
    recognizer = Scripted("nie świeci latarnia na", "nie świeci latarnia na puławskiej")
    recognizer.streaming = True
    async with listening(recognizer) as caller:
        await caller.sound(SPEECH, 1)
        heard, took_s = await caller.until_heard()
    assert heard.transcript.text == "nie świeci latarnia na puławskiej"
    assert near(took_s, 2.0), "it ended in a word that calls for more"
    assert recognizer.finished == 1


async def test_a_changed_partial_text_is_asked_about_once() -> None:
    asked: list[str] = []

    def enough(so_far: Transcript) -> bool:
        asked.append(so_far.text)
        return "tonie" in so_far.text

    recognizer = Scripted(streaming=True)
    async with listening(recognizer, enough) as caller:
        await caller.sound(SPEECH, 0.5)
        recognizer.partial = "ktoś"
        assert await caller.sound(SPEECH, 0.5) is None
        recognizer.partial = "ktoś tonie"
        heard = await caller.sound(SPEECH, 0.5)
    assert asked == ["ktoś", "ktoś tonie"]
    assert heard is not None
    assert heard.early


async def test_judging_a_beginning_keeps_nobody_else_waiting() -> None:
    """The models take 20 ms and a queue of their own: other callers' audio must go on meanwhile."""

    def enough(_: Transcript) -> bool:
        time.sleep(0.3)
        return True

    async def others() -> float:
        longest, last = 0.0, time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
            if stop.is_set():
                return longest

    stop = asyncio.Event()
    waiting = asyncio.create_task(others())
    async with listening(Scripted("mąż nie oddycha i"), enough) as caller:
        await caller.sound(SPEECH, 1)
        heard, _ = await caller.until_heard()
    stop.set()
    assert heard.early
    assert await waiting < 0.2


async def test_a_closed_hearing_leaves_nothing(recwarn: Sequence[object]) -> None:
    recognizer = Scripted("x", gate=True)
    async with listening(recognizer) as caller:
        await caller.sound(SPEECH, 1)
        await caller.sound(PAUSE, 3)
    assert len(asyncio.all_tasks()) == 1
    assert recognizer.cancelled == 1


@pytest.mark.parametrize(("level", "faint"), [(SPEECH, True), (9000, False)])
async def test_who_is_hardly_to_be_heard_is_told_apart(level: int, faint: bool) -> None:
    async with listening(Scripted("")) as caller:
        await caller.sound(level, 1)
        heard, _ = await caller.until_heard()
    assert heard.faint == faint

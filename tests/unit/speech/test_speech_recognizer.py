import asyncio
import itertools
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein
from speech_audio import ROOT, Said, frames, noise, silence

from ivr.errors import HotlineError
from ivr.speech.audiofile import read_audio
from ivr.speech.endpoint import Endpointer, SpeechAudio, SpeechEnded, SpeechStarted
from ivr.speech.pool import MAX_LOST, RecognitionError, RecognizerOverloadedError, RecognizerPool
from ivr.speech.recognizer import Recognizer, Transcript, select_recognizers
from ivr.speech.settings import SpeechSettings
from ivr.speech.vad import VoiceActivity, VoiceActivityModel
from ivr.speech.vosk import VoskModel, VoskRecognizer
from ivr.speech.whisper_engine import without_inventions


async def hear(recognizer: Recognizer, pcm: bytes) -> Transcript:
    utterance = recognizer.start()
    for frame in frames(pcm):
        await utterance.feed(frame)
    return await utterance.finish()


def likeness(expected: str, heard: str) -> float:
    def plain(text: str) -> str:
        return "".join(c for c in text.lower() if c.isalnum() or c == " ")

    return Levenshtein.normalized_similarity(plain(expected), plain(heard))


@pytest.fixture(scope="module")
def whisper(models_dir: Path) -> Recognizer:
    pool = RecognizerPool(1, queue_deadline_s=30, deadline_s=30)
    settings = SpeechSettings(engine={"uk": "none", "en": "none"})
    found = select_recognizers(settings, models_dir, pool=pool)
    assert found["pl"] is not None
    assert found["en"] is None
    return found["pl"]


@pytest.fixture(scope="module")
def vosk(vosk_folder: Path) -> VoskRecognizer:
    pool = RecognizerPool(1, queue_deadline_s=30, deadline_s=30)
    return VoskRecognizer(VoskModel(vosk_folder), "pl", pool)


async def test_whisper_understands_callers_whose_sentence_is_cut_out_of_the_line(
    whisper: Recognizer, vad: VoiceActivityModel, said: list[Said]
) -> None:
    for one in said:
        utterance = None
        transcript = None
        for event in Endpointer(VoiceActivity(vad)).feed(silence(0.6) + one.pcm + silence(1)):
            match event:
                case SpeechStarted(audio=audio):
                    utterance = whisper.start()
                    assert await utterance.feed(audio) is None
                case SpeechAudio(audio):
                    assert utterance is not None
                    await utterance.feed(audio)
                case SpeechEnded():
                    assert utterance is not None
                    transcript = await utterance.finish()
        assert transcript is not None, one.name
        assert likeness(one.text, transcript.text) > 0.8, (one.text, transcript.text)
        assert (transcript.engine, transcript.language) == ("whisper", "pl")
        assert transcript.confidence is not None
        assert 0.4 < transcript.confidence <= 1
        assert 0 < transcript.seconds < 20


@pytest.mark.parametrize(
    "pcm",
    [b"", silence(3), silence(0.05), noise(3, -60), noise(4, -30), noise(4, -30, pink=True)],
    ids=["nothing", "silence", "a moment", "quiet noise", "white noise", "pink noise"],
)
async def test_whisper_invents_nothing(whisper: Recognizer, pcm: bytes) -> None:
    assert (await hear(whisper, pcm)).text == ""


async def test_the_loop_goes_on_while_whisper_works(whisper: Recognizer, said: list[Said]) -> None:
    worst, last = 0.0, time.perf_counter()
    task = asyncio.create_task(hear(whisper, said[0].pcm))
    while not task.done():
        await asyncio.sleep(0.005)
        now = time.perf_counter()
        worst, last = max(worst, now - last - 0.005), now
    assert (await task).text
    assert worst < 0.25


@pytest.mark.parametrize(
    ("prompt", "language"), [("uk/all-busy", "uk"), ("en/all-busy", "en"), ("pl/all-busy", "pl")]
)
async def test_whisper_notices_the_language_spoken(
    whisper: Recognizer, prompt: str, language: str
) -> None:
    transcript = await hear(whisper, read_audio(ROOT / "prompts" / f"{prompt}.wav"))
    assert transcript.language == language
    assert bool(re.search(r"[\u0400-\u04ff]", transcript.text)) == (language == "uk")


@pytest.mark.parametrize("gain", [0.05, 0.2, 8.0], ids=["faint", "soft", "clipped"])
async def test_whisper_hears_at_any_level(
    whisper: Recognizer, said: list[Said], gain: float
) -> None:
    samples = np.frombuffer(said[1].pcm, "<i2").astype(float) * gain
    pcm = np.clip(samples, -32768, 32767).astype("<i2").tobytes()
    assert likeness(said[1].text, (await hear(whisper, pcm)).text) > 0.8


async def test_whisper_takes_long_audio_in_windows(whisper: Recognizer, said: list[Said]) -> None:
    five_minutes = b"".join((one.pcm + silence(4)) for one in said * 4)[: 300 * 16_000]
    transcript = await hear(whisper, five_minutes)
    assert len(transcript.text.split()) > 50
    assert transcript.alternatives == ()


async def test_drafts_of_a_sentence_going_on(
    models_dir: Path, said: list[Said], pool: RecognizerPool
) -> None:
    settings = SpeechSettings(engine={"uk": "none", "en": "none"})
    whisper = select_recognizers(settings, models_dir, pool=pool)["pl"]
    assert whisper is not None
    utterance = whisper.start()
    half = len(said[1].pcm) // 4 * 2
    await utterance.feed(said[1].pcm[:half])
    first = await utterance.draft()
    await utterance.feed(said[1].pcm[half:])
    last = await utterance.draft()
    assert first is not None
    assert last is not None
    assert len(first.text) < len(last.text)
    assert last.text == (await utterance.finish()).text
    assert await utterance.draft() is None


async def test_no_draft_waits_for_a_worker(models_dir: Path, said: list[Said]) -> None:
    pool = RecognizerPool(1, queue_deadline_s=20, deadline_s=20)
    settings = SpeechSettings(engine={"uk": "none", "en": "none"})
    whisper = select_recognizers(settings, models_dir, pool=pool)["pl"]
    assert whisper is not None
    busy = asyncio.create_task(hear(whisper, said[0].pcm))
    while pool.free:
        await asyncio.sleep(0)
    utterance = whisper.start()
    await utterance.feed(said[1].pcm)
    assert await utterance.draft() is None
    assert (await busy).text
    assert await utterance.draft() is not None


async def test_the_hearings_are_ranked_as_told(models_dir: Path, said: list[Said]) -> None:
    pool = RecognizerPool(1, queue_deadline_s=20, deadline_s=20)
    settings = SpeechSettings(engine={"uk": "none", "en": "none"})
    told: list[list[str]] = []

    def backwards(heard: Sequence[tuple[str, float]], _language: str) -> list[str]:
        told.append([text for text, _ in heard])
        return told[-1][::-1]

    whisper = select_recognizers(settings, models_dir, pool=pool, rank=backwards)["pl"]
    assert whisper is not None
    transcript = await hear(whisper, said[1].pcm)
    assert [transcript.text, *transcript.alternatives] == told[0][::-1]
    assert len(told[0]) > 1


def test_inventions_and_loops_are_dropped() -> None:
    assert without_inventions("Napisy stworzone przez społeczność Amara.org") == ""
    assert without_inventions("Dziękuję za oglądanie!") == ""
    assert without_inventions(" ... ") == ""
    assert without_inventions("Pali się, pali się, pali się, pali się, pali się.") == "Pali się."
    assert without_inventions("nie nie, nie chcę") == "nie nie, nie chcę"
    assert without_inventions("Dziękuję, dobrze.") == "Dziękuję, dobrze."


async def test_vosk_gives_text_while_the_caller_speaks(
    vosk: VoskRecognizer, said: list[Said]
) -> None:
    utterance = vosk.start()
    partials = []
    for frame in frames(said[8].pcm + silence(0.5)):
        if (text := await utterance.feed(frame)) is not None:
            partials.append(text)
        await asyncio.sleep(0.02)  # at the pace of speech
    transcript = await utterance.finish()
    assert len(partials) >= 2
    assert all(a != b for a, b in itertools.pairwise(partials))
    assert transcript.text
    assert transcript.engine == "vosk"
    assert transcript.confidence is not None
    assert transcript.seconds < 5


async def test_vosk_hears_nothing_in_silence(vosk: VoskRecognizer) -> None:
    assert (await hear(vosk, silence(3))).text == ""
    assert (await hear(vosk, b"")).text == ""


async def test_vosk_serves_several_callers_at_once(vosk: VoskRecognizer, said: list[Said]) -> None:
    alone = await hear(vosk, said[1].pcm)
    together = await asyncio.gather(*(hear(vosk, said[1].pcm) for _ in range(3)))
    for one in together:  # where the audio is cut depends on the load and moves a letter or two
        assert Levenshtein.normalized_similarity(one.text, alone.text) > 0.7


async def test_a_sentence_can_be_thrown_away(vosk: VoskRecognizer, said: list[Said]) -> None:
    utterance = vosk.start()
    for frame in frames(said[0].pcm)[:100]:
        await utterance.feed(frame)
    await utterance.cancel()
    with pytest.raises(RecognitionError):
        await utterance.feed(silence(0.02))
    assert (await hear(vosk, silence(1))).text == ""


def test_a_folder_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HotlineError, match="not a usable Vosk model"):
        VoskModel(tmp_path)


def test_engines_are_chosen_by_what_is_there(tmp_path: Path, vosk_folder: Path) -> None:
    assert select_recognizers(SpeechSettings(), tmp_path) == {"pl": None, "uk": None, "en": None}
    for engine, name in (("vosk", "vosk-pl"), ("whisper", "whisper-base")):
        with pytest.raises(HotlineError, match=f"hotline models fetch {name}"):
            select_recognizers(SpeechSettings(engine={"pl": engine}), tmp_path)  # type: ignore[dict-item]
    with pytest.raises(HotlineError, match="unpack a vosk model for 'uk' there"):
        select_recognizers(SpeechSettings(engine={"uk": "vosk"}), tmp_path)
    (tmp_path / "vosk").mkdir()
    (tmp_path / "vosk" / "pl").symlink_to(vosk_folder)
    found = select_recognizers(SpeechSettings(), tmp_path)
    assert found["pl"] is not None
    assert (found["pl"].engine, found["pl"].streaming, found["uk"]) == ("vosk", True, None)
    found["pl"].close()
    with pytest.raises(RecognitionError, match="closed"):
        found["pl"].start()
    assert select_recognizers(SpeechSettings(engine={"pl": "none"}), tmp_path)["pl"] is None


async def test_one_whisper_serves_all_languages(models_dir: Path) -> None:
    found = select_recognizers(SpeechSettings(), models_dir)
    assert found["en"] is not None
    assert found["en"].engine == "whisper"
    assert (await hear(found["en"], silence(1))).language == "en"
    for recognizer in found.values():
        if recognizer is not None:
            recognizer.close()


async def test_the_pool_runs_no_more_than_it_may() -> None:
    pool = RecognizerPool(2, queue_deadline_s=5, deadline_s=5)
    at_work, most, lock = 0, 0, threading.Lock()

    def work() -> int:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.02)
        with lock:
            at_work -= 1
        return 1

    assert sum(await asyncio.gather(*(pool.run(work) for _ in range(10)))) == 10
    assert most == 2
    pool.close()


async def test_nobody_waits_for_a_worker_for_ever() -> None:
    pool = RecognizerPool(1, queue_deadline_s=0.05, deadline_s=5)
    go = threading.Event()
    first = asyncio.create_task(pool.run(go.wait))
    await asyncio.sleep(0)
    with pytest.raises(RecognizerOverloadedError, match=r"in 0\.05 s"):
        await pool.run(lambda: 1)
    go.set()
    assert await first
    assert await pool.run(lambda: 2) == 2
    pool.close()


async def test_a_recognition_that_raises_is_a_recognition_error() -> None:
    pool = RecognizerPool(1, queue_deadline_s=1, deadline_s=1)

    def broken() -> None:
        raise ZeroDivisionError("no")

    with pytest.raises(RecognitionError, match="ZeroDivisionError"):
        await pool.run(broken)
    assert await pool.run(lambda: 3) == 3
    pool.close()


async def test_a_recognition_that_hangs_gives_its_place_to_another() -> None:
    pool = RecognizerPool(1, queue_deadline_s=0.5, deadline_s=0.05)
    go = threading.Event()
    for _ in range(MAX_LOST):
        with pytest.raises(RecognitionError, match=r"longer than 0\.05 s"):
            await pool.run(go.wait)
        if pool.lost < MAX_LOST:
            assert await pool.run(lambda: 4) == 4
    with pytest.raises(RecognizerOverloadedError, match="8 recognitions hang"):
        await pool.run(lambda: 1)
    go.set()
    async with asyncio.timeout(2):
        while pool.lost:
            await asyncio.sleep(0.005)
    assert await pool.run(lambda: 5) == 5
    assert pool.running == 0
    pool.close()


async def test_a_caller_who_hangs_up_frees_the_worker_when_it_is_done() -> None:
    pool = RecognizerPool(1, queue_deadline_s=2, deadline_s=2)
    go = threading.Event()
    task = asyncio.create_task(pool.run(go.wait))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pool.running == 1
    go.set()
    assert await pool.run(lambda: 6) == 6
    pool.close()

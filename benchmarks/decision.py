"""Seconds from a caller's last sound to the decision what the call is about; who is cut off.

    .venv/bin/python benchmarks/decision.py RECORDINGS [--limit 60] [--calls 1] [--engine whisper]

RECORDINGS is a folder with index.tsv (docs/evaluation.md). Each recording is fed at the pace of
speech, 20 ms every 20 ms, to the same ears as a caller's: voice activity, end of speech, drafts,
recogniser, understanding. Half of them are given a pause of 0.5 s where the sentence has its
middle, as callers make it. Prints one JSON object:

- decision_s: from the last sound (20 ms within 30 dB of the loudest) to the meaning
- cut: sentences that were ended before their last word

`--calls` so many callers speak at once, each with a recogniser to wait for. The machine should
have nothing else to do.
"""

import argparse
import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ivr.dialogue.hearing import Heard, Hearing
from ivr.evaluation.scores import percentile
from ivr.speech.audiofile import read_audio
from ivr.speech.endpoint import Endpointer
from ivr.speech.pool import RecognitionError
from ivr.speech.recognizer import Recognizer, select_recognizers
from ivr.speech.settings import SpeechSettings
from ivr.speech.vad import VoiceActivity, VoiceActivityModel
from ivr.types import LANGUAGES, Language
from ivr.understanding.meaning import Understanding
from ivr.understanding.sample_set import Sample, load_set, spread

ROOT = Path(__file__).resolve().parent.parent
FRAME = 320
FRAME_S = 0.02
PAUSE_S = 0.5


Result = tuple[float, bool, bool, Language]
"""Seconds to the decision, whether the caller was cut off, whether there was a pause, language."""


@dataclass
class Spoken:
    """A recording as a line of frames, and where in it the last sound is (seconds)."""

    pcm: bytes
    last_sound_s: float
    paused: bool


def spoken(sample: Sample, *, paused: bool) -> Spoken:
    """Half a second of silence, the recording (with a pause in its middle), three seconds more."""
    assert sample.audio is not None
    pcm = read_audio(sample.audio)
    if paused:
        pcm = with_pause(pcm)
    silence = bytes(8_000)
    samples = np.frombuffer(pcm, "<i2").astype(float)
    power = np.mean(samples[: len(samples) // 160 * 160].reshape(-1, 160) ** 2, axis=1)
    last = int(np.flatnonzero(power >= power.max() / 1000)[-1]) + 1
    return Spoken(silence + pcm + silence * 6, 0.5 + last * FRAME_S, paused)


def with_pause(pcm: bytes) -> bytes:
    """Silence at the quietest place of the middle third."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    power = np.convolve(samples**2, np.ones(800), "same")
    third = len(samples) // 3
    at = 2 * (third + int(power[third : 2 * third].argmin()))
    return pcm[:at] + bytes(2 * round(PAUSE_S * 8000)) + pcm[at:]


async def one_call(
    said: Spoken, vad: VoiceActivityModel, recognizer: Recognizer, understanding: Understanding
) -> tuple[float, bool]:
    """Return seconds from the last sound to the meaning, and whether the caller was cut off."""
    hearing = Hearing(Endpointer(VoiceActivity(vad)), recognizer, None, lambda: None)
    began = time.perf_counter()
    try:
        heard: Heard | None = None
        at = 0
        while heard is None and at + FRAME <= len(said.pcm):
            await asyncio.sleep(max(0.0, began + at / 16_000 - time.perf_counter()))
            heard = await hearing.hear(said.pcm[at : at + FRAME])
            at += FRAME
        if heard is None:
            raise RecognitionError("nothing was heard")
        transcript = heard.transcript
        understanding.classify(transcript.text, transcript.language, transcript.alternatives)
        decided = time.perf_counter() - began
        return decided - said.last_sound_s, at / 16_000 < said.last_sound_s
    finally:
        await hearing.close()


async def measure(options: argparse.Namespace) -> dict[str, object]:
    """Let the callers speak, so many at once, one after the other."""
    understanding = await asyncio.to_thread(
        Understanding.load, ROOT / "queues", ROOT / ".hotline/cache"
    )
    settings = SpeechSettings(engine=dict.fromkeys(LANGUAGES, options.engine))
    recognizers = select_recognizers(
        settings, ROOT / ".hotline/models", rank=understanding.likeliest_first
    )
    whole = load_set(options.recordings, understanding.topics.ids)
    waiting = list(enumerate(spread(whole.samples, options.limit)))
    vad = VoiceActivityModel()
    found: list[Result] = []
    failed = 0

    async def caller() -> None:
        nonlocal failed
        while waiting:
            number, sample = waiting.pop(0)
            said = spoken(sample, paused=number % 2 == 1)
            recognizer = recognizers[sample.language]
            assert recognizer is not None
            try:
                seconds, cut = await one_call(said, vad, recognizer, understanding)
                found.append((seconds, cut, said.paused, sample.language))
            except RecognitionError:
                failed += 1

    async with asyncio.TaskGroup() as callers:
        for _ in range(options.calls):
            callers.create_task(caller())
    times = [seconds for seconds, cut, _, _ in found if not cut]
    return {
        "recordings": len(found),
        "callers at once": options.calls,
        "decision_s": {f"p{p}": round(percentile(times, p), 3) for p in (50, 95, 99)},
        "cut": cuts(found),
        "failed": failed,
    }


def cuts(found: list[Result]) -> dict[str, str]:
    """How many were cut off, of how many, by language and whether they paused."""
    table: dict[str, list[bool]] = {}
    for _, cut, paused, language in sorted(found, key=lambda result: (result[3], result[2])):
        table.setdefault(f"{language}{', with a pause' if paused else ''}", []).append(cut)
    return {row: f"{sum(cut)}/{len(cut)}" for row, cut in table.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--engine", default="whisper", choices=["whisper", "vosk", "auto"])
    print(json.dumps(asyncio.run(measure(parser.parse_args())), ensure_ascii=False))


if __name__ == "__main__":
    main()

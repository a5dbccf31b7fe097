import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from speech_audio import Said, frames, noise, silence

from ivr.speech.audiofile import read_audio
from ivr.speech.endpoint import (
    Endpointer,
    Event,
    Paused,
    Resumed,
    SpeechAudio,
    SpeechEnded,
    SpeechStarted,
    TooLong,
)
from ivr.speech.settings import EndpointSettings
from ivr.speech.vad import WINDOW_BYTES, WINDOW_S, VoiceActivity, VoiceActivityModel

BETWEEN = SpeechAudio | Paused | Resumed
NOISES = Path("/work/shared/audio/noise")


class Script:
    """A detector that says what the audio says: the first sample of a window is percent."""

    def probability(self, window: bytes) -> float:
        return int.from_bytes(window[:2], "little", signed=True) / 100

    def reset(self) -> None:
        pass


def spell(percents: Sequence[int]) -> bytes:
    return b"".join(p.to_bytes(2, "little") * (WINDOW_BYTES // 2) for p in percents)


def kinds(events: Sequence[Event]) -> list[str]:
    """Beginnings and ends."""
    return [type(e).__name__ for e in events if not isinstance(e, BETWEEN)]


def edges(pcm: bytes) -> tuple[float, float]:
    """First and last second of a recording that is within 30 dB of its loudest 10 ms."""
    x = np.frombuffer(pcm, "<i2").astype(float)
    power = np.mean(x[: len(x) // 80 * 80].reshape(-1, 80) ** 2, axis=1)
    loud = np.flatnonzero(power > power.max() / 1000)
    return loud[0] * 0.01, (loud[-1] + 1) * 0.01


def test_sentences_between_silences_begin_and_end_where_they_do(
    vad: VoiceActivityModel, said: list[Said]
) -> None:
    for one in said:
        first, last = edges(one.pcm)
        endpointer = Endpointer(VoiceActivity(vad))
        events = [
            (endpointer.now_s, event)
            for frame in frames(silence(1) + one.pcm + silence(1.5))
            for event in endpointer.feed(frame)
            if not isinstance(event, BETWEEN)
        ]
        assert kinds([e for _, e in events]) == ["SpeechStarted", "SpeechEnded"], one.name
        started = events[0][1]
        assert isinstance(started, SpeechStarted)
        assert abs(started.at_s - (1 + first)) < 0.2, one.name
        assert events[0][0] - (1 + first) < 0.35, one.name
        assert events[1][0] - (1 + last) < 0.7 + 0.3, one.name


def test_no_sample_of_a_sentence_is_lost(vad: VoiceActivityModel, said: list[Said]) -> None:
    for one in said[:4]:
        endpointer = Endpointer(VoiceActivity(vad))
        line = silence(1) + one.pcm + silence(1.5)
        heard, start = b"", 0
        for frame in frames(line):
            for event in endpointer.feed(frame):
                if isinstance(event, SpeechStarted):
                    start = round(event.at_s * 16000) - round(0.3 / WINDOW_S) * WINDOW_BYTES
                if isinstance(event, SpeechStarted | SpeechAudio):
                    heard += event.audio
        assert heard == line[start : start + len(heard)]
        assert len(heard) > len(one.pcm) * 0.9


@pytest.mark.parametrize("pink", [False, True])
@pytest.mark.parametrize("dbfs", [-50, -35, -20])
def test_noise_is_no_speech(vad: VoiceActivityModel, pink: bool, dbfs: int) -> None:
    endpointer = Endpointer(VoiceActivity(vad))
    assert not endpointer.feed(noise(10, dbfs, pink=pink))


def test_clicks_are_no_speech(vad: VoiceActivityModel) -> None:
    click = np.zeros(8000, "<i2")
    click[4000:4008] = [30000, -30000] * 4
    assert not Endpointer(VoiceActivity(vad)).feed(click.tobytes() * 8)


@pytest.mark.parametrize("name", ["wind", "city", "train"])
def test_recorded_noise_starts_nothing(vad: VoiceActivityModel, name: str) -> None:
    file = NOISES / f"{name}.wav"
    if not file.is_file():
        pytest.skip("the recorded noises are not on this machine")
    assert not Endpointer(VoiceActivity(vad)).feed(read_audio(file))


def test_speech_over_pink_noise_still_begins_and_ends(
    vad: VoiceActivityModel, said: list[Said]
) -> None:
    for one in said:
        line = np.frombuffer(silence(1) + one.pcm + silence(2), "<i2").astype(float)
        level = 10 * np.log10(np.mean(np.square(np.frombuffer(one.pcm, "<i2") / 32768)))
        line += np.frombuffer(noise(len(line) / 8000, level - 10, pink=True), "<i2")[: len(line)]
        pcm = np.clip(line, -32768, 32767).astype("<i2").tobytes()
        events = Endpointer(VoiceActivity(vad)).feed(pcm)
        assert kinds(events)[:2] == ["SpeechStarted", "SpeechEnded"], one.name
        assert isinstance(events[0], SpeechStarted)
        assert abs(events[0].at_s - 1 - edges(one.pcm)[0]) < 0.4, one.name


def test_silence_never_reaches_the_network(said: list[Said]) -> None:
    class Counting(VoiceActivityModel):
        runs = 0

        def run(self, *args):  # type: ignore[no-untyped-def]
            self.runs += 1
            return super().run(*args)

    model = Counting()
    endpointer = Endpointer(VoiceActivity(model))
    endpointer.feed(silence(60) + noise(5, -65))
    assert model.runs == 0
    endpointer.feed(said[0].pcm)
    assert model.runs > 20


def test_the_detector_costs_little(vad: VoiceActivityModel, said: list[Said]) -> None:
    endpointer = Endpointer(VoiceActivity(vad))
    pcm = b"".join(one.pcm for one in said)
    began = time.thread_time()
    for frame in frames(pcm):
        endpointer.feed(frame)
    assert (time.thread_time() - began) / (len(pcm) / 16000) < 0.02


def test_calls_do_not_share_state(vad: VoiceActivityModel, said: list[Said]) -> None:
    alone = VoiceActivity(vad)
    expected = [alone.probability(w) for w in frames(said[0].pcm, 512)[:80]]
    one, two = VoiceActivity(vad), VoiceActivity(vad)
    found = []
    for mine, other in zip(frames(said[0].pcm, 512)[:80], frames(said[1].pcm, 512), strict=False):
        found.append(one.probability(mine))
        two.probability(other)
    assert found == expected


def test_a_short_sound_does_not_count() -> None:
    assert not Endpointer(Script()).feed(spell([90, 90, 0, 0, 0, 0, 90, 0] * 20))


def test_the_pre_roll_comes_with_the_start() -> None:
    events = Endpointer(Script()).feed(spell([1] * 50 + [90, 91, 92]))
    assert events == [SpeechStarted(50 * WINDOW_S, spell([1] * 9 + [90, 91, 92]))]


def test_a_pause_belongs_to_the_sentence_and_too_long_ends_it() -> None:
    settings = EndpointSettings(max_speech_s=4)
    endpointer = Endpointer(Script(), settings)
    pause = [0] * 18  # 0.58 s
    events = endpointer.feed(spell(([90] * 10 + pause) * 20))
    assert kinds(events)[:2] == ["SpeechStarted", "TooLong"]
    ended = next(e for e in events if isinstance(e, TooLong))
    assert isinstance(ended, SpeechEnded)
    assert ended.at_s == pytest.approx(4, abs=WINDOW_S)


def test_a_telephone_that_sends_nothing_in_silence_is_told_by_tick() -> None:
    endpointer = Endpointer(Script())
    endpointer.feed(spell([90] * 20))
    assert endpointer.speaking
    assert not kinds(endpointer.tick(0.3))
    assert not kinds(endpointer.tick(0.3))
    assert kinds(endpointer.tick(0.3)) == ["SpeechEnded"]
    assert not endpointer.speaking
    assert endpointer.tick(3600) == []
    assert endpointer.now_s < 70


def test_each_pause_is_told_once() -> None:
    endpointer = Endpointer(Script())
    pauses = [
        event
        for event in endpointer.feed(spell([90] * 20 + [0] * 10 + [90] * 10 + [0] * 15))
        if isinstance(event, Paused)
    ]
    assert [p.until_s for p in pauses] == [20 * WINDOW_S, 40 * WINDOW_S]
    assert endpointer.pausing
    assert endpointer.quiet_s == pytest.approx(15 * WINDOW_S)
    (resumed,) = (e for e in endpointer.feed(spell([90] * 2)) if not isinstance(e, SpeechAudio))
    assert resumed == Resumed()
    assert not endpointer.pausing


@pytest.mark.parametrize(("patience", "ends_after"), [(0.4, 0.4), (2.0, 2.0)])
def test_patience_holds_for_one_pause(patience: float, ends_after: float) -> None:
    endpointer = Endpointer(Script())
    endpointer.feed(spell([90] * 20 + [0] * 8))
    endpointer.be_patient(patience)
    ended = next(e for e in endpointer.feed(spell([0] * 80)) if isinstance(e, SpeechEnded))
    assert ended.at_s - ended.until_s == pytest.approx(ends_after, abs=WINDOW_S)
    endpointer.feed(spell([90] * 20 + [0] * 8))
    endpointer.be_patient(patience)
    endpointer.feed(spell([90] * 5))  # the caller goes on: what was known is out of date
    ended = next(e for e in endpointer.feed(spell([0] * 80)) if isinstance(e, SpeechEnded))
    assert ended.at_s - ended.until_s == pytest.approx(0.7, abs=WINDOW_S)


def test_patience_without_a_pause_changes_nothing() -> None:
    endpointer = Endpointer(Script())
    endpointer.feed(spell([90] * 20))
    endpointer.be_patient(3)
    ended = next(e for e in endpointer.feed(spell([0] * 80)) if isinstance(e, SpeechEnded))
    assert ended.at_s - ended.until_s == pytest.approx(0.7, abs=WINDOW_S)


def test_a_reset_forgets_the_sentence() -> None:
    endpointer = Endpointer(Script())
    endpointer.feed(spell([90] * 20))
    endpointer.reset()
    assert not endpointer.speaking
    assert not endpointer.feed(spell([0] * 60))


@given(st.lists(st.integers(0, 100), max_size=300), st.integers(1, 3000))
def test_events_alternate_and_do_not_depend_on_the_cut(percents: list[int], cut: int) -> None:
    pcm = spell(percents)
    whole = Endpointer(Script()).feed(pcm)
    endpointer = Endpointer(Script())
    pieces = [e for piece in frames(pcm, cut) for e in endpointer.feed(piece)]
    assert kinds(whole) == kinds(pieces)
    assert audio(whole) == audio(pieces)
    for index, kind in enumerate(kinds(whole)):
        assert (kind == "SpeechStarted") == (index % 2 == 0)


def audio(events: Sequence[Event]) -> bytes:
    return b"".join(e.audio for e in events if isinstance(e, SpeechStarted | SpeechAudio))

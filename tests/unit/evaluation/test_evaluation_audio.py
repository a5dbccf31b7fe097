from pathlib import Path

import numpy as np
import pytest

from ivr.errors import HotlineError
from ivr.evaluation.audio import (
    Condition,
    Noise,
    alaw_decode,
    alaw_encode,
    conditions,
    mix,
    speech_rms,
)
from ivr.speech.audiofile import write_wav

TONE = (8000 * np.sin(np.arange(16000) / 4)).astype("<i2")


def test_alaw_is_g711() -> None:
    given = np.array([0, -1, 8, 1000, -1000, 32767, -32768], dtype=np.int16)
    # Octets of the ITU's own codec (as CPython's audioop gives them).
    assert alaw_encode(given).tolist() == [0xD5, 0x55, 0xD5, 0xFA, 0x7A, 0xAA, 0x2A]
    every = np.arange(256).astype(np.uint8)
    assert (alaw_encode(alaw_decode(every)) == every).all()


@pytest.mark.parametrize("snr", [20, 5, 0])
def test_noise_has_the_level_asked_for(snr: float) -> None:
    speech = TONE.astype(np.float64)
    noise = Noise("pink").take(len(speech), np.random.default_rng(1))
    added = mix(speech, noise, snr) - speech
    ratio = 20 * np.log10(speech_rms(speech) / np.sqrt(np.mean(added**2)))
    assert ratio == pytest.approx(snr, abs=0.01)


def test_pauses_do_not_count_as_speech() -> None:
    speech = TONE.astype(np.float64)
    paused = np.concatenate([np.zeros(16000), speech])
    assert speech_rms(paused) == pytest.approx(speech_rms(speech))


def test_lost_packets_are_silence() -> None:
    pcm = TONE.tobytes()
    left = np.frombuffer(Condition(loss=0.2).apply(pcm, "a"), "<i2").reshape(-1, 160)
    lost = int((left == 0).all(axis=1).sum())
    assert 8 <= lost <= 35
    assert not np.frombuffer(Condition(loss=1.0).apply(pcm, "a"), "<i2").any()


def test_the_same_again() -> None:
    condition = Condition(Noise("white"), 10, alaw=True, loss=0.1)
    assert condition.apply(TONE.tobytes(), "a") == condition.apply(TONE.tobytes(), "a")
    assert condition.apply(TONE.tobytes(), "a") != condition.apply(TONE.tobytes(), "b")
    assert Condition().apply(TONE.tobytes(), "a") == TONE.tobytes()
    for pcm in (b"", bytes(2), bytes(32000)):
        assert len(condition.apply(pcm, "a")) == len(pcm)


def test_conditions_have_names(tmp_path: Path) -> None:
    write_wav(tmp_path / "street.wav", TONE.tobytes())
    street = Noise.load(str(tmp_path))
    names = [c.name for c in conditions([20, 5, 20], street, alaw=True, loss=0.02)]
    here = tmp_path.name
    assert names == [
        "clean", "A-law, loss 2 %",
        f"{here} 20 dB, A-law, loss 2 %", f"{here} 5 dB, A-law, loss 2 %",
    ]  # fmt: skip
    assert [c.name for c in conditions([], street, alaw=False, loss=0)] == ["clean"]
    assert len(street.take(50_000, np.random.default_rng(1))) == 50_000


def test_a_folder_without_noise(tmp_path: Path) -> None:
    with pytest.raises(HotlineError, match="WAV"):
        Noise.load(str(tmp_path))

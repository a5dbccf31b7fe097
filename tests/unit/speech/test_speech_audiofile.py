from pathlib import Path

import numpy as np
import pytest
import soundfile
from speech_audio import AUDIO

from ivr.speech.audiofile import AudioFileError, read_audio, write_wav


def tone(rate: int, seconds: float = 1.0) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)


def is_tone(pcm: bytes) -> bool:
    samples = np.frombuffer(pcm, "<i2") / 32768
    spectrum = np.abs(np.fft.rfft(samples[:8000]))
    loud = float(np.sqrt(np.mean(samples**2)))
    return len(samples) == 8000 and int(np.argmax(spectrum)) == 440 and abs(loud - 0.354) < 0.01


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("kind", ["PCM_16", "PCM_U8", "PCM_24", "FLOAT", "ALAW", "ULAW"])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_usual_wav_is_read(tmp_path: Path, rate: int, kind: str, channels: int) -> None:
    file = tmp_path / "a.wav"
    soundfile.write(file, np.stack([tone(rate)] * channels, axis=1), rate, subtype=kind)
    assert is_tone(read_audio(file))


def test_what_is_written_is_read_back_as_plain_pcm(tmp_path: Path) -> None:
    pcm = np.arange(-400, 400, dtype="<i2").tobytes()
    write_wav(tmp_path / "a.wav", pcm)
    raw = (tmp_path / "a.wav").read_bytes()
    assert raw[20:22] == b"\1\0"
    assert raw[44:] == pcm
    assert read_audio(tmp_path / "a.wav") == pcm
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_telephone_recordings_are_read() -> None:
    assert len(read_audio(AUDIO / "roads-lamp.wav")) > 40_000


def refused(path: Path, why: str) -> None:
    with pytest.raises(AudioFileError, match=why) as caught:
        read_audio(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    refused(file, "No such file")
    refused(tmp_path, "directory")
    file.write_bytes(b"")
    refused(file, "empty file")
    file.write_bytes(b"ID3\4" + bytes(100))
    refused(file, "not a WAV")
    file.write_bytes(b"RIFF\xff\0\0\0WAVE" + bytes(100))
    refused(file, "WAV")


def test_an_empty_a_cut_and_a_long_recording_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    write_wav(file, b"")
    refused(file, "no audio|not a usable")
    write_wav(file, bytes(16000))
    file.write_bytes(file.read_bytes()[:-6000])
    refused(file, "cut short, 6000 bytes are missing")
    write_wav(file, bytes(16000 * 601))
    refused(file, "601 s is longer than 600 s")


def test_another_coding_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    soundfile.write(file, tone(8000), 8000, subtype="GSM610")
    refused(file, "is not PCM, A-law or mu-law")

"""Audio files in and out: any WAV of a telephone or a microphone in, plain 8 kHz PCM out."""

import wave
from pathlib import Path

import numpy as np
import soundfile
import soxr

from ivr.errors import HotlineError

RATE = 8000
MAX_SECONDS = 600
RATES = range(4000, 192001)
SUBTYPES = {"PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW"}


class AudioFileError(HotlineError):
    """A file that is no usable recording; the message names the file and what is wrong."""


def read_audio(path: Path) -> bytes:
    """Read a WAV (PCM, A-law, mu-law or float; any rate; mono or more) as 8 kHz 16-bit mono PCM.

    Channels are mixed. Raises AudioFileError: not there, not such a WAV, empty, cut short, longer
    than 10 minutes.
    """
    try:
        with path.open("rb") as file:
            head = file.read(12)
            if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
                raise AudioFileError(f"{path}: not a WAV file" if head else f"{path}: empty file")
            missing = _missing_bytes(path)
            file.seek(0)
            with soundfile.SoundFile(file) as sound:
                return _read(path, sound, missing)
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read: {error.strerror}") from None
    except soundfile.SoundFileError as error:
        raise AudioFileError(f"{path}: not a usable WAV file ({error})") from None


def _read(path: Path, sound: soundfile.SoundFile, missing: int) -> bytes:
    if sound.subtype not in SUBTYPES:
        raise AudioFileError(f"{path}: {sound.subtype} is not PCM, A-law or mu-law")
    if sound.samplerate not in RATES:
        raise AudioFileError(f"{path}: a rate of {sound.samplerate} Hz cannot be used")
    if missing:
        raise AudioFileError(f"{path}: cut short, {missing} bytes are missing")
    if sound.frames == 0:
        raise AudioFileError(f"{path}: holds no audio")
    seconds = sound.frames / sound.samplerate
    if seconds > MAX_SECONDS:
        raise AudioFileError(f"{path}: {seconds:.0f} s is longer than {MAX_SECONDS} s")
    samples = sound.read(dtype="float32", always_2d=True).mean(axis=1)
    if sound.samplerate != RATE:
        samples = soxr.resample(samples, sound.samplerate, RATE)
    pcm: bytes = np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes()
    return pcm


def _missing_bytes(path: Path) -> int:
    """How many bytes of the `data` chunk the file lacks (a reader would silently shorten it)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 12
        while at + 8 <= size:
            file.seek(at)
            head = file.read(8)
            length = int.from_bytes(head[4:], "little")
            if head[:4] == b"data":
                streamed = length in (0xFFFFFFFF, 0x7FFFFFFF)  # written to a pipe: length unknown
                return 0 if streamed else max(0, at + 8 + length - size)
            at += 8 + length + length % 2
    return 0


def write_wav(path: Path, pcm: bytes, *, rate: int = RATE) -> None:
    """Write 16-bit mono PCM as a plain WAV (format tag 1), in one rename."""
    fresh = path.with_name(path.name + ".new")
    with wave.open(str(fresh), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    fresh.replace(path)

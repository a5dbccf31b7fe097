"""What stands between a caller's mouth and the recogniser: noise, A-law, lost packets.

Audio is 8 kHz, 16-bit little-endian mono PCM. The same recording under the same condition gives
the same bytes, always.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ivr.errors import HotlineError
from ivr.speech.audiofile import RATE, read_audio

FRAME = RATE // 50
"""Samples of a packet, 20 ms."""
ACTIVE_DB = 30.0
"""Frames at most this much below the loudest one count as speech, the others as pauses."""
Samples = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Noise:
    """White or pink noise, or recordings, taken in turn."""

    name: str
    recordings: tuple[Samples, ...] = ()

    @classmethod
    def load(cls, named: str) -> "Noise":
        """`white`, `pink`, or a folder of WAV files. Raises HotlineError."""
        if named in ("white", "pink"):
            return cls(named)
        files = sorted(Path(named).glob("*.wav"))
        if not files:
            raise HotlineError(f"--noise {named}: white, pink, or a folder that holds WAV files")
        return cls(Path(named).resolve().name, tuple(_samples(read_audio(file)) for file in files))

    def take(self, length: int, generator: np.random.Generator) -> Samples:
        """Some of the noise, `length` samples."""
        if self.recordings:
            source = self.recordings[generator.integers(len(self.recordings))]
            return np.resize(np.roll(source, -int(generator.integers(len(source)))), length)
        white = generator.standard_normal(length)
        if self.name == "white":
            return white
        spectrum = np.fft.rfft(white)  # pink: power falls with frequency, 3 dB an octave
        spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
        return np.fft.irfft(spectrum, length)


@dataclass(frozen=True, slots=True)
class Condition:
    """Noise at `snr` dB, then A-law, then the share `loss` of packets lost, in this order."""

    noise: Noise | None = None
    snr: float = 0.0
    alaw: bool = False
    loss: float = 0.0

    @property
    def name(self) -> str:
        """What reports call it."""
        parts = [f"{self.noise.name} {self.snr:g} dB"] if self.noise else []
        parts += ["A-law"] if self.alaw else []
        parts += [f"loss {100 * self.loss:g} %"] if self.loss else []
        return ", ".join(parts) or "clean"

    def apply(self, pcm: bytes, seed: str) -> bytes:
        """Return the audio as it arrives; `seed` names the recording."""
        generator = np.random.default_rng(zlib.crc32(f"{self.name}|{seed}".encode()))
        samples = _samples(pcm)
        if self.noise and len(samples):
            samples = mix(samples, self.noise.take(len(samples), generator), self.snr)
        coded = np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
        if self.alaw:
            coded = alaw_decode(alaw_encode(coded))
        if self.loss:
            coded = lose(coded, self.loss, generator)
        return coded.astype("<i2").tobytes()


def conditions(
    snrs: Sequence[float], noise: Noise, *, alaw: bool, loss: float
) -> tuple[Condition, ...]:
    """The clean one first, then the line alone, then each ratio over that line."""
    found = [Condition(), Condition(alaw=alaw, loss=loss)]
    found += [Condition(noise, snr, alaw, loss) for snr in snrs]
    return tuple({condition.name: condition for condition in found}.values())


def mix(speech: Samples, noise: Samples, snr: float) -> Samples:
    """Add noise `snr` dB below the level of the speech, pauses not counted; softer if it clips."""
    loud, quiet = speech_rms(speech), float(np.sqrt(np.mean(noise**2)))
    if not loud or not quiet:
        return speech
    mixed = speech + noise * (loud / quiet / 10 ** (snr / 20))
    return mixed * min(1.0, 32767 / float(np.abs(mixed).max()))


def speech_rms(samples: Samples) -> float:
    """Root mean square over the frames that hold speech (the idea of ITU-T P.56, simplified)."""
    whole = samples[: len(samples) // FRAME * FRAME]
    frames = whole.reshape(-1, FRAME) if len(whole) else samples.reshape(1, -1)
    power = np.mean(frames**2, axis=1)
    active = power[power >= power.max() / 10 ** (ACTIVE_DB / 10)]
    return float(np.sqrt(active.mean()))


def lose(
    samples: npt.NDArray[np.int16], share: float, generator: np.random.Generator
) -> npt.NDArray[np.int16]:
    """Silence in place of that share of the packets, each on its own: nothing conceals them."""
    left = samples.copy()
    for i in np.flatnonzero(generator.random(-(-len(left) // FRAME)) < share):
        left[i * FRAME : (i + 1) * FRAME] = 0
    return left


def alaw_encode(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """One octet a sample, ITU-T G.711 A-law."""
    wide = samples.astype(np.int32) >> 3
    sign = np.where(wide >= 0, 0x80, 0)
    size = np.where(wide >= 0, wide, -wide - 1)
    segment = np.maximum(0, np.floor(np.log2(np.maximum(size, 1))).astype(np.int32) - 4)
    step = np.where(segment < 2, 1, segment)
    code = sign | (segment << 4) | ((size >> step) & 0x0F)
    octets: npt.NDArray[np.uint8] = (code ^ 0x55).astype(np.uint8)
    return octets


def alaw_decode(octets: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """16-bit samples of ITU-T G.711 A-law."""
    code = octets.astype(np.int32) ^ 0x55
    segment, size = (code >> 4) & 7, (code & 0x0F) << 4
    size = np.where(segment == 0, size + 8, (size + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int16)


def _samples(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, dtype="<i2").astype(np.float64)

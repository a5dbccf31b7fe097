"""Sound for the tests: the sentences of tests/audio, silence and noise."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ivr.speech.audiofile import read_audio

ROOT = Path(__file__).resolve().parents[3]
AUDIO = ROOT / "tests" / "audio"


class Said(NamedTuple):
    name: str
    kind: str
    text: str
    pcm: bytes


def sentences() -> list[Said]:
    with (AUDIO / "index.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [Said(r["file"], r["kind"], r["text"], read_audio(AUDIO / r["file"])) for r in rows]


def silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * 8000))


def noise(seconds: float, dbfs: float, *, pink: bool = False) -> bytes:
    rng = np.random.default_rng(19115)
    x = rng.standard_normal(round(seconds * 8000))
    if pink:
        spectrum = np.fft.rfft(x)
        spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
        x = np.fft.irfft(spectrum, len(x))
    x *= 32768 * 10 ** (dbfs / 20) / x.std()
    return np.clip(x, -32768, 32767).astype("<i2").tobytes()


def frames(pcm: bytes, size: int = 320) -> list[bytes]:
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]

"""What callers and consultants do in many tests, and what Asterisk is asked as a witness."""

import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from ivr.routing.board import Board
from ivr.speech.audiofile import read_audio
from ivr.telephone import Telephone
from tests.asterisk.site import HOST, HOTLINE, NET, ROOT, SHORT_S, Site, until

RATE = 8000
ON_TO_ROADS = "12"
"""Any key opens the keypad menu; 2 is roads there, which consultants 101 and 102 both know."""


@asynccontextmanager
async def another_caller(
    site: Site, place: int, audio: Path | None = None
) -> AsyncIterator[Telephone]:
    """A caller beside `site.caller`, at the same address with ports of its own."""
    number = f"+48602{place}{uuid.uuid4().int % 10**5:05d}"
    async with Telephone(
        f"caller-{place}", site.folder / "phones" / number, f"{NET}.2", 5060 + 2 * place,
        user=number, audio=audio, control_port=4444 + place,
    ) as telephone:  # fmt: skip
        yield telephone


@asynccontextmanager
async def board() -> AsyncIterator[Board]:
    """The board as another process sees it: a witness."""
    witness = Board(f"redis://{HOST}:6379/0", "witness", timeout_s=2)
    try:
        yield witness
    finally:
        await witness.close()


async def closes(telephone: Telephone, within: float = 15) -> None:
    """The call is over."""
    await telephone.wait_for("CALL_CLOSED", timeout=within)


async def answered(consultant: Telephone, within: float, hear_s: float = 0.5) -> float:
    """The consultant has a call, and hears the caller; returns the seconds it took."""
    began = time.monotonic()
    await consultant.wait_for("CALL_ESTABLISHED", timeout=within)
    took = time.monotonic() - began
    await consultant.hear(hear_s, timeout=5)
    return took


async def greeted(site: Site, caller: Telephone) -> None:
    """Call, and hear the greeting begin."""
    await caller.dial(HOTLINE)
    await caller.wait_for("CALL_ESTABLISHED", timeout=10)
    await caller.hear(0.4, timeout=10)


async def queued(site: Site, caller: Telephone) -> None:
    """Call, and choose roads by keys: the caller waits, or is served."""
    await greeted(site, caller)
    await caller.press(ON_TO_ROADS)
    await site.step(caller, "queued", within=15)


async def waits(site: Site, caller: Telephone) -> None:
    """Call, and hear music because nobody is free."""
    await queued(site, caller)

    async def music() -> bool:
        return playing(caller)

    await until(music, "music plays", 10)


def note(text: str) -> None:
    """Show a figure of a test run with `pytest -s`."""
    print(text)  # noqa: T201 - figures, for whoever asks with -s


def playing(telephone: Telephone) -> bool:
    """Whether the last half second heard is sound."""
    pcm = telephone.heard_pcm()
    if len(pcm) < RATE:
        return False
    return level_dbfs(pcm[-RATE:]) > -50


def level_dbfs(pcm: bytes) -> float:
    """RMS level, dB of full scale."""
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2").astype(float) / 32768
    return float(10 * np.log10(np.mean(samples**2) + 1e-12))


async def trunk_alive(site: Site, name: str) -> None:
    """Have Asterisk look after a trunk now, and wait until it knows that it lives."""
    await _trunk(site, name, "Avail")


async def trunk_dead(site: Site, name: str) -> None:
    """Wait until Asterisk knows that a trunk does not answer."""
    await _trunk(site, name, "Unavail")


async def _trunk(site: Site, name: str, wanted: str) -> None:
    await site.console(f"pjsip qualify emergency-{name}")

    async def known() -> bool:
        shown = await site.console("pjsip show contacts")
        line = next(line for line in shown.splitlines() if f" emergency-{name}/" in line)
        return wanted in line.split()

    await until(known, f"Asterisk has seen trunk {name}: {wanted}", 12)


async def in_fallback(site: Site) -> int:
    """Callers who wait in Asterisk's own queue."""
    shown = await site.console("queue show fallback")
    found = re.search(r"^fallback has (\d+) calls", shown, re.MULTILINE)
    assert found, shown
    return int(found[1])


async def fallback_has(site: Site, callers: int, within: float) -> float:
    """Wait until so many callers are in Asterisk's own queue; returns the seconds it took."""

    async def there() -> bool:
        return await in_fallback(site) == callers

    return await until(there, f"{callers} callers in the fallback queue", within)


def times_said(heard: bytes, prompt: str, language: str = "pl") -> list[float]:
    """Where (seconds) a prompt is heard, by its beginning."""
    said = read_audio(ROOT / "prompts" / language / f"{prompt}.wav")[: int(SHORT_S * 2 * RATE)]
    b = np.frombuffer(said, dtype="<i2").astype(float)
    a = np.frombuffer(heard[: len(heard) // 2 * 2], dtype="<i2").astype(float)
    if len(a) < len(b):
        return []
    size = 1 << int(np.ceil(np.log2(len(a) + len(b))))
    product = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)), size)
    energy = np.convolve(a**2, np.ones(len(b)), "valid")
    score = product[: len(energy)] / np.sqrt(energy * np.sum(b**2) + 1e6)
    found: list[float] = []
    for place in np.flatnonzero(score > 0.5):
        if not found or place / RATE - found[-1] > 1:
            found.append(float(place) / RATE)
    return found

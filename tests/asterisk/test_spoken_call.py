"""A caller says what is wrong, the right consultant answers, the case is on record."""

import asyncio
import re

import numpy as np

from ivr.speech.audiofile import read_audio
from ivr.telephone import Telephone
from tests.asterisk.people import times_said
from tests.asterisk.site import AUDIO, HOTLINE, ROOT, Site, late, until

STEPS = (
    "opened", "answered", "heard", "understood", "queued", "offered", "talking", "talk_ended",
    "closed",
)  # fmt: skip


def likeness(heard: bytes, said: bytes) -> float:
    """Highest normalised cross-correlation of a second of speech within what was heard, 0 to 1."""
    a = np.frombuffer(heard, dtype="<i2").astype(float)
    b = np.frombuffer(said, dtype="<i2").astype(float)
    loudest = int(np.argmax(np.convolve(np.abs(b), np.ones(8000), "valid")))
    b = b[loudest : loudest + 8000]
    size = 1 << int(np.ceil(np.log2(len(a) + len(b))))
    product = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)), size)
    energy = np.convolve(a**2, np.ones(len(b)), "valid")
    score = product[: len(energy)] / np.sqrt(energy * np.sum(b**2) + 1e6)
    return float(score.max())


def heard_audio(telephone: Telephone) -> bytes:
    path = telephone.heard()
    assert path is not None
    return read_audio(path)


async def test_a_spoken_call_reaches_the_right_consultant(site: Site) -> None:
    words = late(site.folder / "audio", AUDIO / "roads-lamp.wav")
    answer = AUDIO / "water-hot.wav"
    warned = len(site.warnings())
    async with (
        site.consultant("101", late(site.folder / "audio", answer, 0.5)),
        site.consultant("102", late(site.folder / "audio", answer, 0.5)) as consultant,
        site.caller(words) as caller,
    ):
        await caller.dial(HOTLINE)
        await site.step(caller, "talking")
        await consultant.wait_for("CALL_ESTABLISHED", timeout=5)
        spoken_s = await caller.speak(late(site.folder / "audio", AUDIO / "waste-fridge.wav", 0.2))
        await asyncio.sleep(spoken_s + 2)  # the talk itself
        await consultant.hangup()
        case = await site.closed_case(caller)
        await caller.wait_for("CALL_CLOSED", timeout=10)
        assert likeness(heard_audio(caller), read_audio(answer)) > 0.5
        assert likeness(heard_audio(consultant), read_audio(AUDIO / "waste-fridge.wav")) > 0.5
    assert case.topic == "roads"
    assert case.consultant == "102", "the one with the highest level in roads"
    assert case.queue == "roads"
    assert (case.street, case.district) == ("Herbu Janina", "Wilanów")
    assert case.language == "pl"
    assert case.outcome == "answered"
    assert case.emergency == "no"
    assert 5 < (case.talk_s or 0) < 12
    assert (case.wait_s or 9) < 2
    assert "latarnia" in (case.transcript or "").lower()
    assert re.fullmatch(r"\d{6}/\d\d", case.number or "")
    steps = [step for step in await site.steps(case) if step in STEPS]
    assert steps == list(STEPS)
    assert site.warnings()[warned:] == [], "a whole call gives Asterisk nothing to warn of"


async def test_asterisk_starts_without_an_error_or_warning(site: Site) -> None:
    assert site.warnings_at_start == []


async def test_the_language_a_caller_speaks_is_noticed_and_spoken_from_then_on(site: Site) -> None:
    words = late(site.folder / "audio", ROOT / "prompts" / "uk" / "all-busy.wav")
    async with site.caller(words) as caller:
        await caller.dial(HOTLINE)
        case = await site.step(caller, "language_changed")
        changed = [e for e in await site.store.events(case.uuid) if e.kind == "language_changed"]
        assert changed[0].data["language"] == "uk"

        async def told() -> bool:
            return bool(times_said(caller.heard_pcm(), "language-changed", "uk"))

        await until(told, "the caller is told in Ukrainian", 15, every=0.5)
        await caller.hangup()
        case = await site.closed_case(caller)
    assert case.language == "uk"
    heard = [e for e in await site.store.events(case.uuid) if e.kind == "heard"]
    assert re.search(r"[\u0400-\u04ff]", heard[0].data["transcript"])

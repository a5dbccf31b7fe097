"""Speak the prompts that no voice has recorded yet: Piper if it has a voice, else espeak-ng."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ivr.errors import HotlineError
from ivr.speech.audiofile import read_audio, write_wav
from ivr.speech.prompts import (
    PromptStore,
    Recording,
    read_manifest,
    read_texts,
    text_hash,
    write_manifest,
)
from ivr.types import LANGUAGES, Language

LEVEL_DBFS = -16.5
"""Loudness (RMS of what is not silence) that a synthesised prompt is brought to."""
PEAK_DBFS = -1.0
DEADLINE_S = 60.0
ESPEAK_VOICE: dict[Language, str] = {"pl": "pl", "uk": "uk", "en": "en-gb"}
ESPEAK_WORDS_PER_MINUTE = 150


class SynthesisError(HotlineError):
    """No synthesiser, or one that fails."""


def build_missing(
    folder: Path,
    *,
    voices: Mapping[Language, Path] | None = None,
    told: Callable[[Language, str], None] = lambda *_: None,
) -> list[tuple[Language, str]]:
    """Synthesise each prompt that has no recording, or one of another text; give what was made.

    `voices` are Piper voice files by language. What is made is marked `synthesised` in the
    manifest; recordings of the present text are left alone. Blocking. Raises SynthesisError.
    """
    store = PromptStore.load(folder)
    wanted = [(m.language, m.id) for m in store.missing() if m.reason != "synthesised"]
    known, recordings = read_manifest(folder)
    for language, id_ in wanted:
        text = store.text(id_, language)
        name, facts, pcm = synthesise(text, language, (voices or {}).get(language))
        (folder / language).mkdir(exist_ok=True)
        write_wav(folder / language / f"{id_}.wav", pcm)
        known[name] = facts
        recordings[language, id_] = Recording(name, "synthesised", text_hash(text))
        write_manifest(folder, known, in_order(folder, recordings))
        told(language, id_)
    return wanted


def in_order(
    folder: Path, recordings: Mapping[tuple[Language, str], Recording]
) -> dict[tuple[Language, str], Recording]:
    """Order entries like the texts, without those whose text is gone."""
    return {
        (language, id_): recordings[language, id_]
        for language in LANGUAGES
        for id_ in read_texts(folder, language)
        if (language, id_) in recordings
    }


def synthesise(
    text: str, language: Language, voice: Path | None = None
) -> tuple[str, dict[str, str], bytes]:
    """Speak a text: the voice's name, its facts for the manifest, 8 kHz PCM."""
    with tempfile.TemporaryDirectory() as scratch:
        wav = Path(scratch) / "spoken.wav"
        if voice is not None:
            piper = _program("piper", "the Python package piper-tts")
            if not voice.is_file():
                raise SynthesisError(f"{voice}: this Piper voice is not there")
            _run([piper, "--model", str(voice), "--output_file", str(wav)], text)
            name = f"piper-{voice.stem}"
            facts = {"engine": "Piper", "licence": "see the voice's own card"}
        else:
            espeak = _program("espeak-ng", "the system package espeak-ng (or configure Piper)")
            speed = str(ESPEAK_WORDS_PER_MINUTE)
            command = [espeak, "-v", ESPEAK_VOICE[language], "-s", speed, "-w", str(wav), "--stdin"]
            _run(command, text)
            name = "espeak-ng"
            facts = {"engine": "espeak-ng", "licence": "GPL-3.0-or-later (its output is free)"}
        if not wav.is_file():
            raise SynthesisError(f"{name} made no audio of {text!r}")
        return name, facts, level(read_audio(wav))


def level(pcm: bytes) -> bytes:
    """Bring 8 kHz PCM to the loudness of the recordings, its peaks within bounds."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64) / 32768
    loud = samples[np.abs(samples) > 0.01]
    if not len(loud):
        return pcm
    gain = 10 ** (LEVEL_DBFS / 20) / float(np.sqrt(np.mean(loud**2)))
    gain = min(gain, 10 ** (PEAK_DBFS / 20) / float(np.abs(samples).max()))
    levelled: bytes = np.rint(samples * gain * 32767).astype("<i2").tobytes()
    return levelled


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise SynthesisError(f"{name} is not installed: install {package}")
    return found


def _run(command: list[str], text: str) -> None:
    try:
        subprocess.run(
            command, input=text.encode(), capture_output=True, timeout=DEADLINE_S, check=True
        )
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
        why = "".join(last) or f"exit {error.returncode}"
        raise SynthesisError(f"{Path(command[0]).name} failed: {why}") from None
    except subprocess.TimeoutExpired:
        raise SynthesisError(f"{Path(command[0]).name} took over {DEADLINE_S:.0f} s") from None

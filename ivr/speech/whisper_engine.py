"""The Whisper model (CTranslate2, int8): audio to its likeliest texts, and the language spoken.

Whisper was made for windows of 30 s; its encoder works just as long on a sentence of two seconds
padded to that. Here the window is the sentence and MARGIN_S of silence: a quarter of the time, the
same words. Whisper writes something plausible for noise and silence and sometimes falls into a
loop, so its inventions are kept out: too short or too quiet audio is never shown to it, what it
doubts itself is dropped, a loop is cut to one turn, and the number of words it may write grows
with the length of the audio.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from ivr.errors import HotlineError
from ivr.speech.level import levelled, samples_of
from ivr.types import LANGUAGES, Language

RATE = 8000
MARGIN_S = 4.0
"""Silence after the sentence that the model is shown; with less it writes more after the end."""
WINDOW_S = 30.0
"""What the model can look at; longer audio is taken in pieces."""
FRAMES_PER_S = 100
MIN_SECONDS = 0.2
MIN_DBFS = -50.0
"""The loudest 0.1 s must reach this (RMS, dB of full scale)."""
NO_SPEECH = 0.6
LOW_LOGPROB = -1.0
TOKENS_PER_SECOND = 12
ANOTHER_LANGUAGE = 0.6
"""Share among our languages from which another than the one asked for is believed."""
ANOTHER_LANGUAGE_S = 1.0
"""Shorter audio does not tell its language."""
ALIKE: dict[str, Language] = {"pl": "pl", "uk": "uk", "ru": "uk", "be": "uk", "en": "en"}
"""Languages the model tells apart and ours: it takes most Ukrainian on the telephone for Russian,
and who speaks Russian is best served in Ukrainian."""
INVENTED = re.compile(
    r"(napisy (stworzone )?przez .*|dzi[eę]kuj[eę] za (ogl[aą]danie|uwag[eę]).*|.*amara\.?org.*"
    r"|дякую за перегляд.*|субтитр.*|thanks? (you )?for watching.*|subtitles by .*|\W*)",
    re.IGNORECASE,
)
"""What Whisper writes for noise: the ends of the films it learned from."""
LOOP = re.compile(r"(\b.{1,60}?)(?:[\s,.;!?…-]+\1(?=\W|$)){3,}", re.IGNORECASE)
"""The same words four times or more, one after the other."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the model made of audio: nothing when nobody spoke."""

    language: Language
    """The language asked for, or another that was clearly spoken."""
    texts: tuple[tuple[str, float], ...] = ()
    """Different texts, each with the natural logarithm of its probability; the likeliest first."""
    confidence: float | None = None
    """Mean probability of a token of the first text, 0 to 1."""


class WhisperEngine:
    """The loaded model, shared by all languages and calls. Raises HotlineError.

    `threads` processor threads a recognition, `workers` recognitions at once, `beam` hypotheses
    followed, `hypotheses` of them given.
    """

    def __init__(
        self,
        folder: Path,
        *,
        threads: int = 2,
        workers: int = 1,
        beam: int = 5,
        hypotheses: int = 5,
    ):
        self._beam, self._hypotheses = beam, min(beam, hypotheses)
        try:
            self._whisper: Any = WhisperModel(
                str(folder),
                device="cpu",
                compute_type="int8",
                cpu_threads=threads,
                num_workers=workers,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise HotlineError(f"{folder}: not a usable Whisper model: fetch it again") from error
        self._tokenizers = {
            language: Tokenizer(
                self._whisper.hf_tokenizer, True, task="transcribe", language=language
            )
            for language in LANGUAGES
        }

    def transcribe(self, pcm: bytes, language: Language) -> Heard:
        """Give what was said in 8 kHz PCM, in `language` unless another is clearly spoken.

        Blocks; for a worker thread.
        """
        samples = samples_of(pcm)
        if not worth_hearing(samples):
            return Heard(language)
        size = round((WINDOW_S - MARGIN_S) * RATE)
        pieces = [
            self._piece(levelled(piece), language)
            for start in range(0, len(samples), size)
            if worth_hearing(piece := samples[start : start + size])
        ]
        return pieces[0] if len(pieces) == 1 else _joined(language, pieces)

    def _piece(self, samples: npt.NDArray[np.float32], language: Language) -> Heard:
        seconds = len(samples) / RATE
        audio = soxr.resample(samples, RATE, 2 * RATE).astype(np.float32)
        features = self._whisper.feature_extractor(audio)
        frames = min(round((seconds + MARGIN_S) * FRAMES_PER_S), round(WINDOW_S * FRAMES_PER_S))
        encoded = self._whisper.encode(pad_or_trim(features, frames // 2 * 2))
        if seconds >= ANOTHER_LANGUAGE_S:
            language = self._spoken(encoded, language)
        tokenizer = self._tokenizers[language]
        prompt = self._whisper.get_prompt(tokenizer, [], without_timestamps=True)
        (result,) = self._whisper.model.generate(
            encoded,
            [prompt],
            beam_size=self._beam,
            num_hypotheses=self._hypotheses,
            max_length=len(prompt) + min(200, 20 + round(TOKENS_PER_SECOND * seconds)),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
        )
        if result.no_speech_prob > NO_SPEECH and result.scores[0] < LOW_LOGPROB:
            return Heard(language)
        texts: dict[str, float] = {}
        for ids, mean in zip(result.sequences_ids, result.scores, strict=True):
            if text := without_inventions(tokenizer.decode(ids)):
                texts.setdefault(text, mean * len(ids))  # CTranslate2's score is the mean
        if not texts:
            return Heard(language)
        return Heard(language, tuple(texts.items()), float(np.exp(result.scores[0])))

    def _spoken(self, encoded: Any, asked: Language) -> Language:
        shares = dict.fromkeys(LANGUAGES, 0.0)
        for token, probability in self._whisper.model.detect_language(encoded)[0]:
            if (language := ALIKE.get(token.strip("<|>"))) is not None:
                shares[language] += probability
        likeliest = max(LANGUAGES, key=lambda language: shares[language])
        sure = shares[likeliest] >= ANOTHER_LANGUAGE * sum(shares.values())
        return likeliest if sure else asked


def _joined(language: Language, pieces: list[Heard]) -> Heard:
    """Several windows one after the other; alternatives of a part are no alternatives of all."""
    heard = [piece for piece in pieces if piece.texts]
    if not heard:
        return Heard(language)
    confidence = float(np.mean([piece.confidence or 0.0 for piece in heard]))
    firsts = [piece.texts[0] for piece in heard]
    whole = " ".join(text for text, _ in firsts), sum(log for _, log in firsts)
    return Heard(heard[0].language, (whole,), confidence)


def worth_hearing(samples: npt.NDArray[np.float32]) -> bool:
    """Whether audio (8 kHz, -1 to 1) is long and loud enough to hold a word."""
    if len(samples) < MIN_SECONDS * RATE:
        return False
    size = RATE // 10
    power = np.mean(np.square(samples[: len(samples) // size * size].reshape(-1, size)), axis=1)
    return bool(10 * np.log10(float(power.max()) + 1e-12) >= MIN_DBFS)


def without_inventions(text: str) -> str:
    """Cut loops to one turn and drop a text that is only a film's closing words."""
    text = " ".join(LOOP.sub(r"\1", text).split())
    return "" if INVENTED.fullmatch(text) else text

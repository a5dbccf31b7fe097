"""A set put before the understanding, and its recordings before a recogniser."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ivr.errors import ConfigError
from ivr.evaluation.audio import Condition
from ivr.evaluation.scores import Judged, Scores, score
from ivr.speech.audiofile import AudioFileError, read_audio
from ivr.speech.recognizer import RecognitionError, Recognizer
from ivr.types import Language
from ivr.understanding.meaning import Understanding
from ivr.understanding.sample_set import Sample, SampleSet
from ivr.understanding.text import normalise

TEXT = "text"
"""The condition of sentences that are read, not heard."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that one run has measured; `seen` sentences are examples the topics learned from."""

    file: str
    sentences: int
    seen: int
    engines: tuple[str, ...]
    scores: tuple[Scores, ...]


def training_sentences(understanding: Understanding) -> frozenset[str]:
    """The normalised examples of topics.yaml, of all languages."""
    return frozenset(normalise(example.text) for example in understanding.topics.examples())


def evaluate_text(understanding: Understanding, given: SampleSet) -> Evaluation:
    """Judge sentences as they are written."""
    known = training_sentences(understanding)
    new = [sample for sample in given.samples if normalise(sample.text) not in known]
    judged = [_classified(understanding, sample, sample.text) for sample in new]
    seen = len(given.samples) - len(new)
    return Evaluation(str(given.file), len(given.samples), seen, (), (score(TEXT, judged),))


def check_recordings(given: SampleSet) -> None:
    """Read every recording before hours are spent. Raises ConfigError: the index's line, why."""
    for sample in given.samples:
        if sample.audio is not None:
            try:
                read_audio(sample.audio)
            except AudioFileError as error:
                raise ConfigError(given.file, str(error), line=sample.line) from None


async def evaluate_audio(
    understanding: Understanding,
    recognizers: Mapping[Language, Recognizer],
    given: SampleSet,
    conditions: Sequence[Condition],
    told: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Judge recordings as they are heard under each condition, `told` of each one's end.

    What is among the training examples counts for the recogniser, which has not learned it; what
    is made of it is told apart from the score.
    """
    known = training_sentences(understanding)
    seen = {sample.line for sample in given.samples if normalise(sample.text) in known}
    found = []
    for condition in conditions:
        judged = [
            await _heard(understanding, recognizers[sample.language], sample, condition,
                         seen=sample.line in seen)
            for sample in given.samples
        ]  # fmt: skip
        found.append(score(condition.name, judged))
        told(condition.name)
    engines = sorted({f"{r.language}: {r.engine}" for r in recognizers.values()})
    return Evaluation(str(given.file), len(given.samples), len(seen), tuple(engines), tuple(found))


def _classified(understanding: Understanding, sample: Sample, text: str) -> Judged:
    started = time.perf_counter()
    meaning = understanding.classify(text, sample.language)
    return Judged(sample, meaning, time.perf_counter() - started)


async def _heard(
    understanding: Understanding,
    recognizer: Recognizer,
    sample: Sample,
    condition: Condition,
    *,
    seen: bool,
) -> Judged:
    assert sample.audio is not None  # noqa: S101 - a set of recordings has one in every row
    pcm = condition.apply(read_audio(sample.audio), sample.audio.name)
    utterance = recognizer.start()
    failed, text = False, ""
    started = time.perf_counter()
    try:
        await utterance.feed(pcm)
        text = (await utterance.finish()).text
    except RecognitionError:
        failed = True
    seconds = time.perf_counter() - started
    judged = _classified(understanding, sample, text) if sample.topic else Judged(sample, None)
    return Judged(sample, judged.meaning, judged.classify_s, text, seconds, failed, seen)

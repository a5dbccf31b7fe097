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
from ivr.understanding.catalogue import Topics
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


class Judges:
    """Who judges which sentence: one for all, or for some another that did not learn them."""

    def __init__(
        self, understanding: Understanding, others: Mapping[int, Understanding] | None = None
    ) -> None:
        """`others` by the line of the set."""
        self._one, self._others = understanding, others or {}
        self._now = understanding
        self._learnt = training_sentences(understanding.topics)

    def of(self, sample: Sample) -> Understanding:
        """Who judges this sentence, and ranks what is heard of it until the next is asked for."""
        self._now = self._others.get(sample.line, self._one)
        return self._now

    def rank(self, heard: Sequence[tuple[str, float]], language: Language) -> list[str]:
        """Order what was heard of the sentence judged now; see `ivr.speech.recognizer.Rank`."""
        return self._now.likeliest_first(heard, language)

    def has_learnt(self, sample: Sample) -> bool:
        """Whether the one who judges it has learnt this very sentence."""
        return sample.line not in self._others and normalise(sample.text) in self._learnt


def training_sentences(topics: Topics) -> frozenset[str]:
    """The normalised examples of all topics and languages."""
    return frozenset(normalise(example.text) for example in topics.examples())


def evaluate_text(judges: Judges, given: SampleSet) -> Evaluation:
    """Judge sentences as they are written."""
    new = [sample for sample in given.samples if not judges.has_learnt(sample)]
    judged = [_classified(judges.of(sample), sample, sample.text) for sample in new]
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
    judges: Judges,
    recognizers: Mapping[Language, Recognizer],
    given: SampleSet,
    conditions: Sequence[Condition],
    told: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Judge recordings as they are heard under each condition, `told` of each one's end.

    What is among the training examples counts for the recogniser, which has not learned it; what
    is made of it is told apart from the score.
    """
    found = []
    for condition in conditions:
        judged = [
            await _heard(judges, recognizers[sample.language], sample, condition)
            for sample in given.samples
        ]  # fmt: skip
        found.append(score(condition.name, judged))
        told(condition.name)
    seen = [sample for sample in given.samples if judges.has_learnt(sample)]
    engines = sorted({f"{r.language}: {r.engine}" for r in recognizers.values()})
    return Evaluation(str(given.file), len(given.samples), len(seen), tuple(engines), tuple(found))


def _classified(
    understanding: Understanding,
    sample: Sample,
    text: str,
    language: Language | None = None,
    alternatives: Sequence[str] = (),
) -> Judged:
    started = time.perf_counter()
    meaning = understanding.classify(text, language or sample.language, alternatives)
    return Judged(sample, meaning, time.perf_counter() - started)


async def _heard(
    judges: Judges, recognizer: Recognizer, sample: Sample, condition: Condition
) -> Judged:
    assert sample.audio is not None  # noqa: S101 - a set of recordings has one in every row
    understanding = judges.of(sample)
    pcm = condition.apply(read_audio(sample.audio), sample.audio.name)
    utterance = recognizer.start()
    heard = None
    started = time.perf_counter()
    try:
        await utterance.feed(pcm)
        heard = await utterance.finish()
    except RecognitionError:
        failed = True
    else:
        failed = False
    seconds = time.perf_counter() - started
    text = heard.text if heard else ""
    judged = Judged(sample, None)
    if sample.topic:
        language, others = (heard.language, heard.alternatives) if heard else (None, ())
        judged = _classified(understanding, sample, text, language, others)
    return Judged(
        sample, judged.meaning, judged.classify_s, text, seconds, failed, judges.has_learnt(sample)
    )

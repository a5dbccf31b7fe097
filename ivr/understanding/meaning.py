"""From one utterance to its meaning: emergency or not, and the topic."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplemma
import sklearn

from ivr.types import Language
from ivr.understanding import (
    alarm_model,
    alarms,
    catalogue,
    ears,
    embedding,
    emergency,
    features,
    language_model,
    material,
    mishearing,
    openings,
    text,
    topics,
    training,
)
from ivr.understanding.cache import cached
from ivr.understanding.catalogue import Topics, load_topics
from ivr.understanding.ears import Judgement
from ivr.understanding.emergency import (
    EmergencyDetector,
    EmergencyVerdict,
    Findings,
    Outcome,
    decide,
)
from ivr.understanding.sample_set import EMERGENCY
from ivr.understanding.topics import TopicGuesser
from ivr.understanding.training import Trained, train

ALTERNATIVES = 2
"""So many other ways a sentence may have been heard are looked at too."""
_LEARNING = (
    alarm_model,
    alarms,
    catalogue,
    ears,
    embedding,
    emergency,
    features,
    language_model,
    material,
    mishearing,
    openings,
    text,
    topics,
    training,
)
"""The code whose change makes what was learnt void."""
SENSES = "senses.npz"
"""In the cache folder: the sense of every example."""
TOPICS_FILE, EMERGENCIES_FILE = "topics.yaml", "emergencies.yaml"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an utterance means.

    `emergency` "yes": to 112, and the topic is "emergency". "ask": ask the caller; the topic is
    the one to go on with after a "no". `group` is the kind of danger
    ("suicide": offer the crisis line). Otherwise the topic is never "emergency"; `unsure`
    says that it should not be acted on unasked.
    """

    topic: str
    confidence: float
    second: str
    second_confidence: float
    unsure: bool
    emergency: Outcome
    why: str
    group: str | None


class Understanding:
    """Everything that turns text into meaning; safe to share between threads."""

    def __init__(self, topics: Topics, detector: EmergencyDetector, trained: Trained) -> None:
        self._detector = detector
        self._trained = trained
        self._guesser = TopicGuesser(topics, trained.calibration)

    @classmethod
    def load(cls, queues_dir: Path, cache_dir: Path | None) -> "Understanding":
        """Read a folder's topics.yaml and emergencies.yaml, and train or take what was kept.

        `cache_dir` must be inside the hotline's own state folder; None keeps nothing. Training
        takes about a minute, the very first time four. Raises ConfigError for files that
        cannot be used.
        """
        known = load_topics(queues_dir / TOPICS_FILE)
        emergencies = queues_dir / EMERGENCIES_FILE
        detector = EmergencyDetector.load(emergencies)
        if cache_dir is None:
            return cls(known, detector, train(known, detector))
        key = _cache_key(known, emergencies)
        trained = cached(
            cache_dir,
            "understanding",
            key,
            Trained,
            lambda: train(known, detector, kept=cache_dir / SENSES),
        )
        return cls(known, detector, trained)

    @property
    def topics(self) -> Topics:
        """The topics this understanding knows."""
        return self._guesser.topics

    def likeliest_first(self, heard: Sequence[tuple[str, float]], language: Language) -> list[str]:
        """Order what a recogniser may have heard by how callers speak; see `Rank`."""
        return self._trained.speech[language].likeliest_first(heard)

    def certain_danger(self, partial: str, language: Language) -> bool:
        """Whether a beginning is enough for 112 already. Fast where no list has a sign."""
        findings = self._detector.find([partial], language)
        if not findings.signs:
            return False
        judged = self._trained.judge([partial], language)
        return self._verdict(findings, judged).outcome == "yes"

    def classify(
        self, utterance: str, language: Language, alternatives: Sequence[str] = ()
    ) -> Meaning:
        """Return the meaning of one utterance; the same for the same text. Never raises.

        `alternatives` are what else the recogniser may have heard, the likeliest first.
        """
        heard = [utterance, *alternatives[:ALTERNATIVES]]
        findings = self._detector.find(heard, language)
        judged = self._trained.judge(heard, language)
        verdict = self._verdict(findings, judged)
        if verdict.outcome == "yes":
            return Meaning(EMERGENCY, 1.0, EMERGENCY, 0.0, False, "yes", verdict.why, verdict.group)
        probabilities = self._guesser.probabilities(judged.topics)
        guess = self._guesser.guess(utterance, probabilities, without=EMERGENCY)
        return Meaning(
            guess.topic,
            guess.confidence,
            guess.second,
            guess.second_confidence,
            guess.unsure,
            verdict.outcome,
            verdict.why,
            verdict.group,
        )

    def _verdict(self, findings: Findings, judged: Judgement) -> EmergencyVerdict:
        scale = self._trained.danger
        evidence = np.array([findings.evidence] * len(judged.danger))
        return decide(findings, float(scale.scores(judged, evidence).max()), scale.thresholds)


def _cache_key(topics: Topics, emergencies: Path) -> str:
    """Return a key that changes with what is learnt from, the code that learns, its libraries."""
    digest = hashlib.sha256(topics.digest.encode() + emergencies.read_bytes())
    for module in _LEARNING:
        digest.update(Path(str(module.__file__)).read_bytes())
    digest.update(f"{sklearn.__version__} {simplemma.__version__} {embedding.version()}".encode())
    return digest.hexdigest()

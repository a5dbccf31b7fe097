"""From one utterance to its meaning: emergency or not, and the topic."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import simplemma
import sklearn

from ivr.types import Language
from ivr.understanding import (
    alarm_model,
    catalogue,
    embedding,
    emergency,
    features,
    material,
    openings,
    text,
    topic_model,
    topics,
    training,
)
from ivr.understanding.cache import cached
from ivr.understanding.catalogue import EMERGENCY, Topics, load_topics
from ivr.understanding.emergency import NOTHING_HEARD, EmergencyDetector, Outcome
from ivr.understanding.topics import OVERRIDE_CONFIDENCE, TopicClassifier
from ivr.understanding.training import Trained, train

TOPIC_ASKS = 0.35
"""Probability of the topic "emergency" that is worth a question, all detectors being silent."""
TOPIC_OVERRULES = 0.95
"""Probability of an ordinary topic from which a mere suspicion of the model is no question: no
list has found a sign, and the two models contradict each other."""
_LEARNING = (
    alarm_model,
    catalogue,
    embedding,
    emergency,
    features,
    material,
    openings,
    text,
    topic_model,
    topics,
    training,
)
"""The code whose change makes what was learnt void."""
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

    def __init__(self, detector: EmergencyDetector, topic_classifier: TopicClassifier) -> None:
        self._detector = detector
        self._topics = topic_classifier

    @classmethod
    def load(cls, queues_dir: Path, cache_dir: Path | None) -> "Understanding":
        """Read a folder's topics.yaml and emergencies.yaml, and train or take what was kept.

        `cache_dir` must be inside the hotline's own state folder; None keeps nothing. Training
        takes up to a minute. Raises ConfigError for files that cannot be used.
        """
        catalogue_of_topics = load_topics(queues_dir / TOPICS_FILE)
        detector = EmergencyDetector.load(queues_dir / EMERGENCIES_FILE)

        if cache_dir is None:
            trained = train(catalogue_of_topics)
        else:
            key = _cache_key(catalogue_of_topics)
            trained = cached(
                cache_dir, "understanding", key, Trained, lambda: train(catalogue_of_topics)
            )
        return cls(
            detector.with_score(trained.alarms.score, trained.alarms.thresholds), trained.topics
        )

    @property
    def topics(self) -> Topics:
        """The topics this understanding knows."""
        return self._topics.topics

    def certain_danger(self, partial: str, language: Language) -> bool:
        """Whether a beginning is enough for 112 already. Fast where no list has a sign."""
        if not self._detector.has_sign(partial, language):
            return False
        return self._detector.detect(partial, language).outcome == "yes"

    def classify(self, utterance: str, language: Language) -> Meaning:
        """Return the meaning of one utterance; the same for the same text. Never raises."""
        verdict = self._detector.detect(utterance, language)
        if verdict.outcome == "yes":
            return Meaning(EMERGENCY, 1.0, EMERGENCY, 0.0, False, "yes", verdict.why, verdict.group)
        probabilities = self._topics.probabilities(utterance, language)
        guess = self._topics.guess(utterance, probabilities, without=EMERGENCY)
        outcome, why = verdict.outcome, verdict.why
        suspicion = outcome == "ask" and verdict.group is None
        if suspicion and probabilities[guess.topic] >= TOPIC_OVERRULES:
            outcome, why = "no", f"{why}, but topic {probabilities[guess.topic]:.2f}"
        likeliest = max(probabilities, key=lambda topic: probabilities[topic])
        overridden = guess.confidence == OVERRIDE_CONFIDENCE
        feared = likeliest == EMERGENCY and probabilities[EMERGENCY] >= TOPIC_ASKS
        if feared and outcome == "no" and why != NOTHING_HEARD and not overridden:
            outcome, why = "ask", f"topic model {probabilities[EMERGENCY]:.2f}"
        return Meaning(
            guess.topic,
            guess.confidence,
            guess.second,
            guess.second_confidence,
            guess.unsure,
            outcome,
            why,
            verdict.group,
        )


def _cache_key(catalogue_of_topics: Topics) -> str:
    """Return a key that changes with the topics, the code that learns, or its libraries."""
    digest = hashlib.sha256(catalogue_of_topics.digest.encode())
    for module in _LEARNING:
        digest.update(Path(str(module.__file__)).read_bytes())
    digest.update(f"{sklearn.__version__} {simplemma.__version__} {embedding.version()}".encode())
    return digest.hexdigest()

"""Trains the two models, of danger and of the topic, from examples: under a minute on two cores.

Both learn in the same folds: sentences that were left out tell how honest the probabilities are,
how much words and sense are trusted, and from where on a guess is acted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ivr.understanding.alarm_model import AlarmEars, AlarmModel, endangered, trust_in
from ivr.understanding.catalogue import Example, Topics
from ivr.understanding.material import Material, Senses
from ivr.understanding.topic_model import TopicEars, labels_of
from ivr.understanding.topics import TopicClassifier, calibrate


@dataclass(frozen=True)
class Trained:
    """What training gives; stateless, safe to share between threads and to keep in a file."""

    topics: TopicClassifier
    alarms: AlarmModel


def train(topics: Topics, examples: Sequence[Example] | None = None) -> Trained:
    """Learn from the topics' own examples, or from those given. Deterministic."""
    material = Material(topics, topics.examples() if examples is None else examples)
    labels = labels_of(topics, material.examples)
    danger = endangered(material)
    size = len(topics.ids)
    alarms = np.zeros((len(labels), 2))
    by_words, by_sense = np.zeros((len(labels), size)), np.zeros((len(labels), size))
    for known, others in material.folds():
        features, seen = material.learn(known)
        unheard = material.see(others, features)
        alarms[others] = AlarmEars.learn(seen, danger[known]).decisions(unheard)
        ears = TopicEars.learn(size, seen, labels[known])
        by_words[others], by_sense[others] = ears.decisions(unheard)
    calibration = calibrate(by_words, by_sense, labels)
    trust, thresholds = trust_in(material, alarms)
    features, seen = material.learn()
    senses = Senses(features)
    return Trained(
        TopicClassifier(topics, senses, TopicEars.learn(size, seen, labels), calibration),
        AlarmModel(senses, AlarmEars.learn(seen, danger), trust, thresholds),
    )

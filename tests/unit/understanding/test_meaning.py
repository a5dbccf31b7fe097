import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from ivr.types import LANGUAGES, Language
from ivr.understanding import embedding
from ivr.understanding import meaning as module
from ivr.understanding.catalogue import load_topics
from ivr.understanding.meaning import Understanding
from ivr.understanding.topics import LEAST_WORDS, calibrate
from ivr.understanding.training import Trained, train

QUEUES = Path(__file__).resolve().parents[3] / "queues"


@pytest.mark.parametrize(
    ("text", "language", "topic"),
    [
        ("nie odebrali śmieci od dwóch tygodni", "pl", "waste"),
        ("latarnia nie świeci na naszej ulicy", "pl", "roads"),
        ("o której jedzie ostatni autobus", "pl", "transport"),
        ("jak wyrobić dowód osobisty", "pl", "documents"),
        ("коли почистять сніг", "uk", "winter"),
        ("my bus did not come", "en", "transport"),
        ("chcę rozmawiać z konsultantem", "pl", "other"),
        ("konsultant", "pl", "other"),
        ("z'єднайте мене з людиною", "uk", "other"),
        ("I would like to talk to a real person please", "en", "other"),
    ],
)
def test_topics(text: str, language: Language, topic: str, understanding: Understanding) -> None:
    meaning = understanding.classify(text, language)
    assert (meaning.topic, meaning.emergency) == (topic, "no")


def test_emergency_takes_the_topic(understanding: Understanding) -> None:
    meaning = understanding.classify("chcę się zabić", "pl")
    assert (meaning.topic, meaning.emergency, meaning.group) == ("emergency", "yes", "suicide")


def test_question_names_the_topic_to_go_on_with(understanding: Understanding) -> None:
    meaning = understanding.classify("zgłosiłam pożar traw w maju, chcę numer sprawy", "pl")
    assert (meaning.emergency, meaning.topic) == ("ask", "status")


def test_nothing_heard(understanding: Understanding) -> None:
    meaning = understanding.classify("", "pl")
    assert (meaning.emergency, meaning.why, meaning.unsure) == ("no", "nothing heard", True)


@settings(max_examples=60, deadline=None)
@given(st.text(), st.sampled_from(LANGUAGES))
def test_any_text(understanding: Understanding, text: str, language: Language) -> None:
    meaning = understanding.classify(text, language)
    assert meaning == understanding.classify(text, language)
    assert (meaning.topic == "emergency") == (meaning.emergency == "yes")
    assert meaning.topic in understanding.topics.ids
    assert 0 <= meaning.second_confidence <= meaning.confidence <= 1


def test_fast_enough(understanding: Understanding) -> None:
    sentence = "dzień dobry od tygodnia nikt nie odebrał śmieci spod bloku na grochowskiej"
    spent = []
    for i in range(30):
        started = time.perf_counter()
        understanding.classify(f"{sentence} {i}", "pl")
        spent.append(time.perf_counter() - started)
    assert min(spent) < 0.030  # what it takes; the rest is the machine's other work


def test_a_partial_sentence_is_quickly_found_harmless(understanding: Understanding) -> None:
    started = time.perf_counter()
    for i in range(20):
        assert not understanding.certain_danger(f"nie odebrali śmieci od {i} dni i", "pl")
    assert (time.perf_counter() - started) / 20 < 0.010
    assert understanding.certain_danger("proszę szybko mąż nie oddycha i", "pl")


def test_without_the_embedding_the_words_go_on_alone(
    understanding: Understanding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_model", lambda: None)
    assert embedding.version() == "none"
    assert understanding.classify("mąż nie oddycha proszę o pomoc", "pl").emergency == "yes"
    for said, topic in (
        ("od tygodnia nie odebrali śmieci spod trójki", "waste"),
        ("latarnia przy bloku nie świeci ósmy dzień", "roads"),
    ):
        meaning = understanding.classify(said, "pl")
        assert (meaning.topic, meaning.emergency) == (topic, "no")


def test_training_without_the_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_model", lambda: None)
    topics = load_topics(QUEUES / "topics.yaml")
    learnt = train(topics, topics.examples()[::6])
    assert learnt.topics.classify("nie odebrali śmieci spod bloku", "pl").topic == "waste"
    assert learnt.alarms.score("człowiek nie oddycha", "pl") > learnt.alarms.score("bilet", "pl")


def test_a_long_sentence_is_read_at_both_ends() -> None:
    middle = " ".join(["i tak dalej"] * 2000)
    one = embedding.vectors([f"u nas na klatce {middle} leży nieprzytomny człowiek"])
    other = embedding.vectors([f"u nas na klatce {middle} znów nie świeci żarówka"])
    assert one is not None
    assert other is not None
    assert one.shape == (1, embedding.DIMENSIONS)
    assert np.isfinite(one).all()
    assert not np.allclose(one, other)


def test_kept_models_are_taken(
    understanding: Understanding, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cache_dir / "understanding.joblib"
    assert path.stat().st_mode & 0o777 == 0o600

    def refuse(*_args: object) -> Trained:
        raise AssertionError("trained again")

    monkeypatch.setattr(module, "train", refuse)
    again = Understanding.load(QUEUES, cache_dir)
    said = "w parku leży gałąź"
    assert again.classify(said, "pl") == understanding.classify(said, "pl")


def test_key_changes_with_the_topics(understanding: Understanding) -> None:
    topics = understanding.topics
    other = type(topics)(topics.all, "another digest")
    assert module._cache_key(topics) != module._cache_key(other)


def test_calibration_learns_doubt() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 300)
    logits = log_softmax(rng.normal(size=(300, 3)) * 5, axis=1)  # confident, knowing nothing
    calibration = calibrate(logits, logits, labels)
    assert calibration.temperature > 2
    assert not calibration.sure(0.4, 0.3)
    logits = log_softmax(np.eye(3)[labels] * 4, axis=1)
    assert calibrate(logits, logits, labels).sure(0.9, 0.05)


def test_calibration_trusts_the_model_that_knows() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 300)
    knowing = log_softmax(np.eye(3)[labels] * 2, axis=1)
    guessing = log_softmax(rng.normal(size=(300, 3)), axis=1)
    assert calibrate(knowing, guessing, labels).words == 1.0
    assert calibrate(guessing, knowing, labels).words == LEAST_WORDS


def test_heldout_file_is_whole() -> None:
    path = Path(__file__).resolve().parents[2] / "data/heldout.tsv"
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows[0] == ["lang", "topic", "kind", "sentence", "batch"]
    assert {len(row) for row in rows} == {5}
    learnt = json.dumps((QUEUES / "topics.yaml").read_text(encoding="utf-8"), ensure_ascii=False)
    assert not [row[3] for row in rows[1:] if f'\\"{row[3]}\\"' in learnt]

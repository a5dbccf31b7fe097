"""Sentences that were once misunderstood, and must not be again."""

from pathlib import Path

import pytest

from ivr.understanding.catalogue import load_topics
from ivr.understanding.meaning import Understanding
from ivr.understanding.sample_set import Sample, load_set

ROOT = Path(__file__).resolve().parents[3]
MISSES = load_set(
    ROOT / "tests" / "data" / "misses.tsv", load_topics(ROOT / "queues" / "topics.yaml").ids
).samples


@pytest.mark.parametrize("sample", MISSES, ids=lambda sample: f"{sample.kind}-{sample.line}")
def test_a_miss_is_none_any_more(sample: Sample, understanding: Understanding) -> None:
    meaning = understanding.classify(sample.text, sample.language)
    match sample.kind:
        case "emergency":
            assert meaning.emergency != "no", meaning.why
        case _:
            assert meaning.emergency != "yes", meaning.why


def test_of_ordinary_callers_once_misunderstood_at_most_one_is_asked(
    understanding: Understanding,
) -> None:
    ordinary = [sample for sample in MISSES if sample.kind == "normal"]
    asked = [
        s.text for s in ordinary if understanding.classify(s.text, s.language).emergency != "no"
    ]
    assert len(asked) <= 1, asked

"""How well is a caller understood? Cross-validation and held-out sentences, as one table.

    .venv/bin/python benchmarks/understanding.py [--utterances FILE] [--folds 5]

Cross-validation is grouped: sentences that are nearly the same never stand on both sides. The
lists of emergencies.yaml and the keywords were written with knowledge of the training sentences,
so those rows flatter. So does batch 1 of the held-out sentences: written before the lists, but by
the same hand, which then knew them. Batch 2 was written when lists and model stood, and nothing
was changed after it: it is the figure to believe. "unlike" leaves out held-out sentences that
resemble a training sentence.
"""

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rapidfuzz import fuzz
from sklearn.model_selection import StratifiedGroupKFold

from ivr.understanding.alarm_model import AlarmModel
from ivr.understanding.catalogue import EMERGENCY, Example, load_topics
from ivr.understanding.emergency import EmergencyDetector
from ivr.understanding.meaning import Meaning, Understanding
from ivr.understanding.text import fold, normalise
from ivr.understanding.topics import TopicClassifier

ROOT = Path(__file__).resolve().parent.parent
HELD_OUT = ROOT / "tests/data/heldout.tsv"
UTTERANCES = ROOT.parent / "shared/data/utterances.tsv"
ALIKE = 75.0
BINS = 10
Result = tuple[Example, Meaning]


def read_tsv(path: Path, text_column: str, batch: str | None = None) -> list[Example]:
    """Examples out of a file with the columns lang, topic, kind and the one named."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            Example(r[text_column], r["lang"], r["topic"], r["kind"])  # type: ignore[arg-type]
            for r in rows
            if batch is None or r["batch"] == batch
        ]


def likeness(a: Example, b: Example) -> float:
    """How alike two sentences are, 0 to 100."""
    return fuzz.token_sort_ratio(fold(normalise(a.text)), fold(normalise(b.text)))


def groups_of(examples: Sequence[Example]) -> list[int]:
    """Return a number for each example, the same for those nearly the same."""
    group = list(range(len(examples)))
    for i, a in enumerate(examples):
        for j in range(i):
            if group[i] != group[j] and likeness(a, examples[j]) >= ALIKE:
                old, new = group[i], group[j]
                group = [new if g == old else g for g in group]
    return group


def cross_validate(examples: list[Example], folds: int) -> tuple[list[Result], float]:
    """Every example judged by an understanding that did not learn it; milliseconds a sentence."""
    topics = load_topics(ROOT / "queues/topics.yaml")
    detector = EmergencyDetector.load(ROOT / "queues/emergencies.yaml")
    labels = [e.topic for e in examples]
    splits = StratifiedGroupKFold(folds, shuffle=True, random_state=19115)
    results: list[Result] = []
    spent = 0.0
    for train, test in splits.split(labels, labels, groups_of(examples)):
        known = [examples[i] for i in train]
        understanding = Understanding(
            detector.with_score(AlarmModel.train(known).score), TopicClassifier.train(topics, known)
        )
        started = time.perf_counter()
        results += [(examples[i], judge(understanding, examples[i])) for i in test]
        spent += time.perf_counter() - started
    return results, 1000 * spent / len(results)


def judge(understanding: Understanding, example: Example) -> Meaning:
    """Return what the understanding makes of an example."""
    return understanding.classify(example.text, example.language)


def calibration_error(results: Sequence[Result]) -> float:
    """Return expected calibration error: the mean gap of confidence and accuracy over ten bins."""
    pairs = [(m.confidence, float(m.topic == e.topic)) for e, m in results]
    bins: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for confidence, right in pairs:
        bins[min(BINS - 1, int(confidence * BINS))].append((confidence, right))
    gaps = [abs(np.mean([c - r for c, r in b])) * len(b) for b in bins.values()]
    return float(sum(gaps) / len(pairs)) if pairs else 0.0


def report(title: str, results: Sequence[Result], milliseconds: float) -> None:
    """Print one row of the table."""

    def share(part: Sequence[Result], whole: Sequence[Result]) -> str:
        return f"{100 * len(part) / len(whole):5.1f}" if whole else "    -"

    alarms = [r for r in results if r[0].topic == EMERGENCY]
    ordinary = [r for r in results if r[0].topic != EMERGENCY]
    tricky = [r for r in ordinary if r[0].kind == "tricky"]
    normal = [r for r in ordinary if r[0].kind == "normal"]
    routed = [r for r in ordinary if r[1].emergency != "yes"]
    sure = [r for r in routed if not r[1].unsure]
    cells = (
        f"{len(results):5d}",
        share([r for r in routed if r[0].topic == r[1].topic], routed),
        share([r for r in sure if r[0].topic == r[1].topic], sure),
        share([r for r in routed if r[1].unsure], routed),
        share([r for r in alarms if r[1].emergency == "yes"], alarms),
        share([r for r in alarms if r[1].emergency != "no"], alarms),
        share([r for r in tricky if r[1].emergency == "yes"], tricky),
        share([r for r in tricky if r[1].emergency == "ask"], tricky),
        share([r for r in normal if r[1].emergency == "yes"], normal),
        share([r for r in normal if r[1].emergency == "ask"], normal),
        f"{calibration_error(routed):5.3f}",
        f"{milliseconds:5.1f}",
    )
    print(f"{title:24}" + " ".join(f"{cell:>8}" for cell in cells))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--utterances", type=Path, default=UTTERANCES)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--errors", action="store_true", help="list what went wrong")
    options = parser.parse_args()
    examples = load_topics(ROOT / "queues/topics.yaml").examples()
    known = {normalise(e.text) for e in examples}
    if options.utterances.exists():
        extra = read_tsv(options.utterances, "utterance")
        examples += [e for e in extra if normalise(e.text) not in known]
    heads = ("n", "right %", "sure: %", "unsure %", "em. yes", "yes|ask", "tricky y", "tricky ?",
             "ord. yes", "ord. ask", "ECE", "ms")  # fmt: skip
    print(" " * 24 + " ".join(f"{head:>8}" for head in heads))
    results, milliseconds = cross_validate(examples, options.folds)
    report(f"{options.folds}-fold, all", results, milliseconds)
    for language in ("pl", "uk", "en"):
        report(f"  {language}", [r for r in results if r[0].language == language], milliseconds)
    understanding = Understanding.load(ROOT / "queues", None)
    held_out: list[Result] = []
    for batch in ("1", "2"):
        fresh = read_tsv(HELD_OUT, "sentence", batch)
        started = time.perf_counter()
        judged = [(e, judge(understanding, e)) for e in fresh]
        milliseconds = 1000 * (time.perf_counter() - started) / len(fresh)
        held_out += judged
        report(f"held-out, batch {batch}", judged, milliseconds)
        for language in ("pl", "uk", "en"):
            report(f"  {language}", [r for r in judged if r[0].language == language], milliseconds)
        unlike = [r for r in judged if max(likeness(r[0], e) for e in examples) < ALIKE]
        report("  unlike", unlike, milliseconds)
    if options.errors:
        for e, m in [*results, *held_out] if options.folds else held_out:
            right = m.emergency == "yes" if e.topic == EMERGENCY else m.topic == e.topic
            if not right or (e.topic != EMERGENCY and m.emergency != "no"):
                guess = f"{m.topic} {m.confidence:.2f}"
                print(e.topic, e.kind, guess, m.emergency, e.text, m.why, sep="\t")


if __name__ == "__main__":
    main()

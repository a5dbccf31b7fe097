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
from collections.abc import Sequence
from pathlib import Path

from ivr.evaluation.crossvalidation import ALIKE, Result, cross_validate, judge, likeness
from ivr.evaluation.scores import Judged, score
from ivr.understanding.catalogue import Example, load_topics
from ivr.understanding.emergency import EmergencyDetector
from ivr.understanding.meaning import Understanding
from ivr.understanding.sample_set import EMERGENCY, Sample
from ivr.understanding.text import normalise

ROOT = Path(__file__).resolve().parent.parent
HELD_OUT = ROOT / "tests/data/heldout.tsv"
UTTERANCES = ROOT.parent / "shared/data/utterances.tsv"
RATES = (
    "right_topic", "right_topic_when_sure", "unsure", "emergency_yes", "emergency_yes_or_ask",
    "tricky_sent_to_112", "tricky_asked", "ordinary_sent_to_112", "ordinary_asked",
)  # fmt: skip


def read_tsv(path: Path, text_column: str, batch: str | None = None) -> list[Example]:
    """Examples out of a file with the columns lang, topic, kind and the one named."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            Example(r[text_column], r["lang"], r["topic"], r["kind"])  # type: ignore[arg-type]
            for r in rows
            if batch is None or r["batch"] == batch
        ]


def report(title: str, results: Sequence[Result], milliseconds: float) -> None:
    """Print one row of the table."""

    def share(name: str) -> str:
        rate = measured.rates[name].share
        return "    -" if rate is None else f"{100 * rate:5.1f}"

    samples = [(Sample(e.text, e.language, e.topic, e.kind, 0), m) for e, m in results]
    measured = score(title, [Judged(sample, meaning) for sample, meaning in samples])
    gap = measured.calibration_error
    cells = (
        f"{measured.scored:5d}",
        *(share(name) for name in RATES),
        "    -" if gap is None else f"{gap:5.3f}",
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
    detector = EmergencyDetector.load(ROOT / "queues/emergencies.yaml")
    topics = load_topics(ROOT / "queues/topics.yaml")
    results, milliseconds = cross_validate(topics, detector, examples, options.folds)
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

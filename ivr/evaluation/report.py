"""An evaluation as text for a terminal and as JSON for programs."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ivr.cases.text import printable
from ivr.evaluation.judging import Evaluation
from ivr.evaluation.scores import Rate, Scores

TITLES = {
    "emergency_yes_or_ask": "emergencies sent to 112 or asked",
    "emergency_yes": "emergencies sent to 112 at once",
    "tricky_sent_to_112": "tricky sentences sent to 112 unasked",
    "tricky_asked": "tricky sentences asked",
    "ordinary_sent_to_112": "ordinary sentences sent to 112 unasked",
    "ordinary_asked": "ordinary sentences asked",
    "right_topic_when_sure": "right topic, routed by voice",
    "right_topic": "right topic, the unsure ones too",
    "unsure": "unsure",
}
"""What each rate is called in reports, in their order."""
HEARING = {"words": "word errors", "characters": "character errors", "exact": "heard exactly",
           "failed": "recognition failed"}  # fmt: skip


def hearing(scores: Scores) -> dict[str, Rate]:
    """The rates of the recogniser that were measured, by title."""
    rates = {title: getattr(scores, name) for name, title in HEARING.items()}
    return {title: rate for title, rate in rates.items() if rate.whole}


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Everything measured, as plain values; shares are 0 to 1, times milliseconds."""
    return asdict(evaluation)


def figure(rate: Rate) -> str:
    """A share in per cent with its interval and counts."""
    if rate.share is None or rate.low is None or rate.high is None:
        return "      -   nothing to measure"
    interval = f"[{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
    return f"{100 * rate.share:6.1f} %  {interval:15} {rate.part}/{rate.whole}"


def as_text(evaluation: Evaluation, *, misses: bool = True) -> str:
    """The report for a terminal, one line a measure."""
    return "\n".join(_lines(evaluation, misses=misses)) + "\n"


def _lines(evaluation: Evaluation, *, misses: bool) -> Iterator[str]:
    yield f"{evaluation.file}: {evaluation.sentences} sentences"
    yield f"seen in training, left out of the understanding's score: {evaluation.seen}"
    if evaluation.engines:
        yield f"heard by {', '.join(evaluation.engines)}"
    for scores in evaluation.scores:
        yield ""
        yield f"== {scores.condition} ({scores.scored} scored; share, 95 % interval, counts)"
        yield from (f"{title:42}{figure(rate)}" for title, rate in hearing(scores).items())
        if scores.scored:
            yield from (f"{TITLES[name]:42}{figure(r)}" for name, r in scores.rates.items())
        if scores.seen_rates:
            yield "-- the sentences seen in training, as heard (flatters the understanding):"
            yield from (f"{TITLES[name]:42}{figure(r)}" for name, r in scores.seen_rates.items())
        if scores.calibration_error is not None:
            yield f"{'expected calibration error':42}{scores.calibration_error:8.3f}"
        for what, times in scores.latency_ms.items():
            if times:
                quantiles = ", ".join(f"{p} {ms:.1f} ms" for p, ms in times.items())
                yield f"{what + ' takes':42}  {quantiles}"
        yield from (f"  topic {t:34}{figure(rate)}" for t, rate in scores.topics.items())
        yield from _confusion(scores)
        if misses:
            yield from _misses(scores)


def _confusion(scores: Scores) -> Iterator[str]:
    wrong = [
        (count, topic, said)
        for topic, row in scores.confusion.items()
        for said, count in row.items()
        if said != topic
    ]
    for count, topic, said in sorted(wrong, key=lambda w: (-w[0], w[1:])):
        yield f"  confused {topic} -> {said}: {count}"


def _misses(scores: Scores) -> Iterator[str]:
    for miss in scores.misses:
        heard = "" if miss.heard is None else f" heard: {miss.heard!r}"
        guess = f"{miss.said} {miss.confidence:.2f}, emergency {miss.emergency} ({miss.why})"
        yield printable(
            f"  line {miss.line}: {miss.what}: {miss.topic}: {miss.text!r}{heard}: {guess}"
        )

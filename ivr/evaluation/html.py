"""An evaluation as one HTML file that needs nothing beside it; all text is escaped."""

from collections.abc import Iterator
from html import escape

from ivr import page
from ivr.cases.text import printable
from ivr.evaluation import pictures
from ivr.evaluation.judging import Evaluation
from ivr.evaluation.report import TITLES, hearing
from ivr.evaluation.scores import Rate, Scores

_TILES = ("emergency_yes_or_ask", "tricky_sent_to_112", "ordinary_asked", "right_topic_when_sure")


def as_html(evaluation: Evaluation) -> str:
    """The whole page."""
    return "".join(_page(evaluation))


def _e(text: str) -> str:
    return escape(printable(text))


def _page(evaluation: Evaluation) -> Iterator[str]:
    engines = f" Heard by {_e(', '.join(evaluation.engines))}." if evaluation.engines else ""
    yield page.begin("How well callers are understood")
    yield f"<h1>How well callers are understood</h1><p>{_e(evaluation.file)}: "
    yield f"{evaluation.sentences} sentences, {evaluation.seen} seen in training and left out of "
    yield f"the understanding's score.{engines} Lines show 95 % intervals.</p>"
    if len(evaluation.scores) > 1:
        yield from _overview(evaluation)
    for scores in evaluation.scores:
        yield from _condition(scores)
    yield page.END


def _overview(evaluation: Evaluation) -> Iterator[str]:
    heads = ["word errors", "character errors", *(TITLES[name] for name in _TILES)]
    yield "<h2>Noise and line</h2><div class=card><table><tr><th>Condition</th>"
    yield "".join(f"<th class=n>{_e(head)}</th>" for head in heads) + "</tr>"
    for scores in evaluation.scores:
        rates = [scores.words, scores.characters, *(scores.rates[name] for name in _TILES)]
        cells = "".join(f"<td class=n>{_percent(rate)}</td>" for rate in rates)
        yield f"<tr><td>{_e(scores.condition)}</td>{cells}</tr>"
    yield "</table></div><div class=card><h3>Word errors</h3>"
    yield pictures.intervals({s.condition: s.words for s in evaluation.scores}, "Word errors")
    yield "</div>"


def _percent(rate: Rate) -> str:
    return "-" if rate.share is None else f"{100 * rate.share:.1f} %"


def _condition(scores: Scores) -> Iterator[str]:
    yield f"<h2>{_e(scores.condition)}</h2><p>{scores.scored} sentences scored</p>"
    if scores.scored:
        yield "<div class=tiles>" + "".join(_tiles(scores)) + "</div>"
    rates = hearing(scores)
    if scores.scored:
        rates |= {TITLES[name]: rate for name, rate in scores.rates.items()}
    yield f"<div class=card><h3>Measures</h3>{pictures.intervals(rates, 'Measures')}</div>"
    if scores.seen_rates:
        seen = {TITLES[name]: rate for name, rate in scores.seen_rates.items()}
        yield "<div class=card><h3>Sentences seen in training, as heard</h3><p>What hearing costs; "
        yield "not what the understanding is worth.</p>"
        yield f"{pictures.intervals(seen, 'As heard')}</div>"
    if scores.scored:
        yield "<div class=card><h3>Right topic, by topic</h3>"
        yield f"{pictures.intervals(scores.topics, 'Right topic, by topic')}</div>"
        yield f"<div class=card><h3>Confusion matrix</h3>{pictures.confusion(scores)}</div>"
    if scores.calibration_error is not None:
        yield "<div class=card><h3>Does confidence mean what it says? Expected calibration error "
        yield f"{scores.calibration_error:.3f}</h3>{pictures.reliability(scores.bins)}</div>"
    yield from _latency(scores)
    yield from _misses(scores)


def _tiles(scores: Scores) -> Iterator[str]:
    for name in _TILES:
        rate = scores.rates[name]
        bad = " bad" if name == "tricky_sent_to_112" and rate.part else ""
        counts = f"{rate.part} of {rate.whole}"
        yield f'<div class="tile{bad}"><b>{_percent(rate)}</b><span>{_e(TITLES[name])}</span>'
        yield f"<span>{counts}</span></div>"


def _latency(scores: Scores) -> Iterator[str]:
    measured = {what: times for what, times in scores.latency_ms.items() if times}
    if not measured:
        return
    yield "<div class=card><h3>Time a sentence, ms</h3><table><tr><th></th>"
    yield "".join(f"<th class=n>{p}</th>" for p in ("p50", "p95", "p99")) + "</tr>"
    for what, times in measured.items():
        cells = "".join(f"<td class=n>{ms:.1f}</td>" for ms in times.values())
        yield f"<tr><td>{_e(what)}</td>{cells}</tr>"
    yield "</table></div>"


def _misses(scores: Scores) -> Iterator[str]:
    if not scores.misses:
        return
    yield f"<div class=card><h3>Misses: {len(scores.misses)}</h3><table><tr><th class=n>Line</th>"
    yield "<th>What</th><th>Sentence</th><th>Topic</th><th>Understood</th><th>112</th></tr>"
    for miss in scores.misses:
        heard = "" if miss.heard is None else f"<p>heard: {_e(miss.heard)}</p>"
        yield f"<tr><td class=n>{miss.line}</td><td>{_e(miss.what)}</td>"
        yield f"<td lang={_e(miss.language)}>{_e(miss.text)}{heard}</td><td>{_e(miss.topic)}</td>"
        yield f"<td>{_e(miss.said)} {miss.confidence:.2f}</td>"
        yield f"<td>{_e(miss.emergency)} <p>{_e(miss.why)}</p></td></tr>"
    yield "</table></div>"

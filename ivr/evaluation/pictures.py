"""The pictures of a report: SVG, written here, nothing loaded from anywhere."""

from collections.abc import Mapping, Sequence

from ivr.evaluation.scores import Bin, Rate, Scores
from ivr.svg import BLUE, FAINT, GRID, INK, RED, line, svg, text

ROW = 26


def intervals(rates: Mapping[str, Rate], title: str) -> str:
    """A row a rate: the interval as a line, the share as a dot, the counts beside it."""
    shown = [(name, r) for name, r in rates.items() if r.share is not None]
    left, span = 310, 380
    top = max([1.0, *(r.high or 0 for _, r in shown)])
    height = ROW * len(shown) + 28
    body = []
    for mark in range(0, 101, 25):
        x = left + span * mark / 100
        body += [line(x, 4, x, height - 24, GRID)]
        body += [text(x, height - 6, f"{mark * top:.0f} %", anchor="middle", fill=FAINT)]
    for i, (name, rate) in enumerate(shown):
        y = ROW * i + 17
        at, low, high = (left + span * (v or 0) / top for v in (rate.share, rate.low, rate.high))
        counts = f"{100 * (rate.share or 0):.1f} %   {rate.part}/{rate.whole}"
        body += [text(left - 12, y + 4, name, anchor="end"), line(low, y, high, y, BLUE, 3)]
        body += [f'<circle cx="{at:.1f}" cy="{y}" r="5" fill="{BLUE}"/>']
        body += [text(left + span + 16, y + 4, counts, fill=FAINT)]
    return svg(left + span + 150, height, body, title)


def confusion(scores: Scores) -> str:
    """The matrix: a row a true topic, a column a topic said; right is blue, wrong is red."""
    said = {name for row in scores.confusion.values() for name in row}
    names = sorted(said | set(scores.confusion))
    cell, left, top = 30, 110, 96
    body = [text(4, 16, "rows: true topic, columns: as understood", fill=FAINT)]
    for i, name in enumerate(names):
        x, y = left + cell * i + cell / 2, top + cell * i + cell / 2
        body += [text(left - 8, y + 4, name, anchor="end")]
        body += [f'<g transform="rotate(-50 {x:.0f} {top - 6})">{text(x, top - 6, name)}</g>']
    for i, topic in enumerate(names):
        row = scores.confusion.get(topic, {})
        total = sum(row.values())
        for j, other in enumerate(names):
            x, y, count = left + cell * j, top + cell * i, row.get(other, 0)
            colour = BLUE if i == j else RED
            strength = 0.25 + 0.75 * count / total if count else 0.0
            fill = f'fill="{colour}" fill-opacity="{strength:.2f}"' if count else 'fill="#f5f7f9"'
            body += [f'<rect x="{x}" y="{y}" width="{cell - 2}" height="{cell - 2}" {fill}/>']
            if count:
                ink = "#fff" if strength > 0.55 else INK
                body += [text(x + cell / 2 - 1, y + 19, str(count), anchor="middle", fill=ink)]
    size = cell * len(names)
    return svg(left + size + 70, top + size + 4, body, "Confusion matrix")


def reliability(bins: Sequence[Bin]) -> str:
    """Confidence against accuracy: on the diagonal, confidence means what it says."""
    left, top, span = 48, 12, 260
    body = [line(left, top + span, left + span, top, FAINT)]
    most = max((b.count for b in bins), default=1)
    for mark in range(0, 101, 25):
        x, y = left + span * mark / 100, top + span * (1 - mark / 100)
        body += [line(left, y, left + span, y, GRID), text(left - 6, y + 4, f"{mark}", anchor="end", fill=FAINT)]  # fmt: skip # noqa: E501
        body += [text(x, top + span + 16, f"{mark}", anchor="middle", fill=FAINT)]
    for b in bins:
        x, y = left + span * b.confidence, top + span * (1 - b.accuracy)
        size = 3 + 9 * (b.count / most) ** 0.5
        about = f"<title>{b.count} sentences</title>"
        body += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" fill="{BLUE}" fill-opacity="0.75">{about}</circle>']  # fmt: skip # noqa: E501
    body += [text(left + span / 2, top + span + 36, "confidence, %", anchor="middle", fill=FAINT)]
    body += [text(left + 6, top + 12, "right, %", fill=FAINT)]
    return svg(left + span + 24, top + span + 44, body, "Reliability diagram")

"""A simulation as one HTML page with pictures."""

from collections.abc import Iterator, Mapping

from ivr import page
from ivr.routing.summary import Group, Summary, percent
from ivr.svg import BLUE, FAINT, GRID, RED, line, svg, text

_BAR, _TALL, _LEFT, _TOP = 30, 170, 46, 14


def as_html(summary: Summary, title: str) -> str:
    """The whole page."""
    return "".join(_page(summary, title))


def _page(summary: Summary, title: str) -> Iterator[str]:
    total = summary.total
    yield page.begin("How long callers would wait")
    yield f"<h1>How long callers would wait</h1><p>{title}, through the routing as configured.</p>"
    yield '<div class="tiles">'
    for name, value, bad in (
        ("answered within 20 s", percent(total.within_20_s), (total.within_20_s or 0) < 0.8),
        ("answered within 30 s", percent(total.within_30_s), (total.within_30_s or 0) < 0.75),
        ("mean wait", _seconds(total.mean_wait_s), False),
        ("95 of 100 wait less than", _seconds(total.p95_wait_s), False),
        ("gave up", percent(total.abandoned), (total.abandoned or 0) > 0.05),
        ("occupancy", percent(summary.occupancy), summary.occupancy > 0.9),
        ("callers passed over", str(summary.passed_over), summary.passed_over > 0),
    ):
        yield f'<div class="tile{" bad" if bad else ""}"><b>{value}</b><span>{name}</span></div>'
    yield "</div>"
    hours = {f"{hour:02d}": group for hour, group in enumerate(summary.hours)}
    yield '<h2>By hour</h2><div class="card"><h3>Calls</h3>'
    yield _bars({name: float(group.calls) for name, group in hours.items()}, "calls an hour")
    yield '</div><div class="card"><h3>Answered within 20 s</h3>'
    yield _bars(
        {name: 100 * (group.within_20_s or 0) for name, group in hours.items() if group.calls},
        "answered within 20 s, %", goal=80,
    )  # fmt: skip
    yield '</div><h2>By queue and language</h2><div class="card">'
    yield from _table({**summary.queues, **summary.languages})
    yield f"</div>{page.END}"


def _bars(values: Mapping[str, float], title: str, goal: float | None = None) -> str:
    top = max([goal or 0, 1, *values.values()])
    floor, width = _TOP + _TALL, _LEFT + _BAR * len(values) + 10
    body = []
    for mark in (0.0, 0.5, 1.0):
        y = floor - _TALL * mark
        body += [line(_LEFT, y, width, y, GRID)]
        body += [text(_LEFT - 6, y + 4, f"{top * mark:.0f}", anchor="end", fill=FAINT)]
    for i, (name, value) in enumerate(values.items()):
        x, tall = _LEFT + _BAR * i + 4, _TALL * value / top
        colour = RED if goal is not None and value < goal else BLUE
        body += [
            f'<rect x="{x}" y="{floor - tall:.1f}" width="{_BAR - 8}" height="{tall:.1f}" '
            f'rx="2" fill="{colour}"><title>{name}: {value:.1f}</title></rect>',
            text(x + _BAR / 2 - 4, floor + 16, name, anchor="middle", fill=FAINT),
        ]
    return svg(width, floor + 24, body, title)


def _table(groups: Mapping[str, Group]) -> Iterator[str]:
    titles = ("calls", "in 20 s", "in 30 s", "mean wait", "p95 wait", "gave up", "skill level")
    yield "<table><tr><th></th>" + "".join(f'<th class="n">{t}</th>' for t in titles) + "</tr>"
    for name, group in groups.items():
        cells = (
            str(group.calls), percent(group.within_20_s), percent(group.within_30_s),
            _seconds(group.mean_wait_s), _seconds(group.p95_wait_s), percent(group.abandoned),
            "-" if group.skill is None else f"{group.skill:.1f}",
        )  # fmt: skip
        yield f"<tr><td>{name}</td>" + "".join(f'<td class="n">{c}</td>' for c in cells) + "</tr>"
    yield "</table>"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"

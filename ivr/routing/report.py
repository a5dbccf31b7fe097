"""A simulation, and the need of consultants: each one HTML page with pictures."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ivr import page
from ivr.routing.need import HourlyNeed
from ivr.routing.summary import Group, Summary, percent
from ivr.svg import BLUE, FAINT, GRID, INK, RED, line, svg, text

_BAR, _TALL, _LEFT, _TOP = 30, 170, 46, 14
_PALE = "#c9d6e6"


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
        ("offers not answered", str(summary.no_answers), False),
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
    yield '</div><h2>By queue, language and priority</h2><div class="card">'
    yield from _table({**summary.queues, **summary.languages, **summary.priorities})
    yield f"</div>{page.END}"


def _bars(values: Mapping[str, float], title: str, goal: float | None = None) -> str:
    top = max([goal or 0, 1, *values.values()])
    body = _scale(top, len(values))
    for i, (name, value) in enumerate(values.items()):
        colour = RED if goal is not None and value < goal else BLUE
        body += [_bar(i, value, top, colour, f"{name}: {value:.1f}"), _below(i, name)]
    return svg(_width(len(values)), _TOP + _TALL + 24, body, title)


def _width(bars: int) -> int:
    return _LEFT + _BAR * bars + 10


def _scale(top: float, bars: int) -> list[str]:
    body = []
    for mark in (0.0, 0.5, 1.0):
        y = _TOP + _TALL * (1 - mark)
        body += [line(_LEFT, y, _width(bars), y, GRID)]
        body += [text(_LEFT - 6, y + 4, f"{top * mark:.0f}", anchor="end", fill=FAINT)]
    return body


def _bar(place: int, value: float, top: float, colour: str, hint: str) -> str:
    x, tall = _LEFT + _BAR * place + 4, _TALL * value / top
    return (
        f'<rect x="{x}" y="{_TOP + _TALL - tall:.1f}" width="{_BAR - 8}" height="{tall:.1f}" '
        f'rx="2" fill="{colour}"><title>{hint}</title></rect>'
    )


def _below(place: int, name: str) -> str:
    middle = _LEFT + _BAR * (place + 0.5)
    return text(middle, _TOP + _TALL + 16, name, anchor="middle", fill=FAINT)


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


def need_as_html(
    hours: Sequence[HourlyNeed], there: Sequence[int], begin: Sequence[int], title: str
) -> str:
    """The need of each hour, who is there by the rota, and how many could begin when."""
    return "".join(_need_page(hours, there, begin, title))


def _need_page(
    hours: Sequence[HourlyNeed], there: Sequence[int], begin: Sequence[int], title: str
) -> Iterator[str]:
    heading = "How many consultants each hour needs"
    yield page.begin(heading)
    yield f"<h1>{heading}</h1><p>{title}, by the formula Erlang C.</p>"
    short = sum(people < hour.needed for hour, people in zip(hours, there, strict=True))
    yield '<div class="tiles">'
    for name, value, bad in (
        ("calls a day", f"{sum(hour.calls for hour in hours):.0f}", False),
        ("needed in the fullest hour", str(max(hour.needed for hour in hours)), False),
        ("hours with too few in the rota", str(short), short > 0),
        ("shifts that would do", str(sum(begin)), False),
    ):
        yield f'<div class="tile{" bad" if bad else ""}"><b>{value}</b><span>{name}</span></div>'
    yield '</div><h2>By hour</h2><div class="card">'
    yield _need_chart(hours, there)
    yield "<p>Blue: needed if everybody can do everything; pale: if each queue has people of its "
    yield "own; line: there by the rota, red where too few.</p></div>"
    languages = sorted({language for hour in hours for language in hour.languages})
    yield '<div class="card"><h3>All, and by language</h3>'
    yield from _hourly(
        ("calls", "needed", "rota", "shifts begin", *languages),
        [
            (f"{hour.calls:.0f}", hour.needed, people, new, *map(hour.languages.get, languages))
            for hour, people, new in zip(hours, there, begin, strict=True)
        ],
    )
    queues = sorted({queue for hour in hours for queue in hour.queues})
    yield '</div><div class="card"><h3>If each queue has people of its own</h3>'
    yield from _hourly(
        ("together", *queues),
        [(sum(hour.queues.values()), *map(hour.queues.get, queues)) for hour in hours],
    )
    yield f"</div>{page.END}"


def _hourly(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    heads = "".join(f'<th class="n">{title}</th>' for title in titles)
    yield f"<table><tr><th>hour</th>{heads}</tr>"
    for number, cells in enumerate(rows):
        yield f"<tr><td>{number:02d}</td>"
        yield "".join(f'<td class="n">{cell or ""}</td>' for cell in cells) + "</tr>"
    yield "</table>"


def _need_chart(hours: Sequence[HourlyNeed], there: Sequence[int]) -> str:
    silos = [sum(hour.queues.values()) for hour in hours]
    top = max(1, *silos, *there, *(hour.needed for hour in hours))
    body = _scale(top, len(hours))
    for i, (hour, apart, people) in enumerate(zip(hours, silos, there, strict=True)):
        hint = f"{i:02d}: {hour.needed} needed, {apart} if apart, {people} in the rota"
        body += [_bar(i, apart, top, _PALE, hint), _bar(i, hour.needed, top, BLUE, hint)]
        body += [_below(i, f"{i:02d}")]
    for i, people in enumerate(there):
        x, y = _LEFT + _BAR * i, _TOP + _TALL * (1 - people / top)
        if i and people != there[i - 1]:
            body += [line(x, _TOP + _TALL * (1 - there[i - 1] / top), x, y, INK, 2)]
        colour = RED if people < hours[i].needed else INK
        body += [line(x, y, x + _BAR, y, colour, 3 if colour == RED else 2)]
    return svg(_width(len(hours)), _TOP + _TALL + 24, body, "consultants by hour")

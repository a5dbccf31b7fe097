"""`hotline simulate`: how long callers would wait; `hotline plan` is in `cli_plan`."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from ivr import cli_plan
from ivr.cli_files import require_writable, write
from ivr.cli_plan import QUEUES, HtmlFile, JsonFile, Queues, calls_of
from ivr.errors import HotlineError

if TYPE_CHECKING:
    from ivr.routing.summary import Summary

MOST_CALLS = 1e7
"""As many fit into the memory."""


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("simulate")(simulate)
    app.command("plan")(cli_plan.plan)


def simulate(
    calls_a_day: Annotated[
        float | None,
        typer.Option("--calls", min=1, max=1e6, help="Calls a day; else as in profile.yaml."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=400)] = 1,
    burstiness: Annotated[
        float,
        typer.Option(min=0, max=3, help="How much the rate of calls varies: 0 is Poisson."),
    ] = 0.0,
    everybody: Annotated[
        bool, typer.Option("--everybody", help="All are on duty all day: no rota.")
    ] = False,
    ring_s: Annotated[float, typer.Option("--ring", min=0, max=60)] = 4.0,
    no_answer: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the offers that nobody answers.")
    ] = 0.0,
    pause_s: Annotated[
        float, typer.Option("--pause", min=0, max=86_400, help="Seconds of pause after that.")
    ] = 300.0,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    queues: Queues = QUEUES,
    json_file: JsonFile = None,
    html_file: HtmlFile = None,
) -> None:
    """Send made-up calls through the real routing: who waits how long, who gives up."""
    from ivr.loading import load_staff  # noqa: PLC0415 - commands start fast
    from ivr.routing.rota import load_rota  # noqa: PLC0415
    from ivr.routing.simulate import NoAnswer  # noqa: PLC0415
    from ivr.routing.simulate import simulate as run  # noqa: PLC0415
    from ivr.routing.summary import summarise  # noqa: PLC0415
    from ivr.routing.trace import load_profile, make_trace  # noqa: PLC0415

    require_writable(json_file, html_file)
    staff, queue_of = load_staff(queues)
    profile = load_profile(queues / "profile.yaml", frozenset(queue_of))
    wanted = calls_of(profile, calls_a_day)
    if wanted * days > MOST_CALLS:
        raise HotlineError(
            f"{wanted * days:.0f} calls are more than {MOST_CALLS:.0f}: fewer --calls or --days"
        )
    shifts = []
    if not everybody:
        rota = load_rota(queues / "rota.yaml", staff.ids)
        for warning in rota.warnings(staff, staff.routing, queue_of):
            typer.echo(f"warning: {queues / 'rota.yaml'}: {warning}", err=True)
        shifts = rota.days(staff, days)
    trace = make_trace(profile, days, wanted, seed, burstiness=burstiness)
    unanswered = NoAnswer(no_answer, pause_s=pause_s, seed=seed)
    outcome = run(trace, staff, shifts, ring_s=ring_s, no_answer=unanswered)
    summary = summarise(trace, outcome, queue_of)
    title = f"{wanted:g} calls a day, {days} {'day' if days == 1 else 'days'}"
    typer.echo(_as_text(summary, title), nl=False)
    if json_file:
        write(json_file, json.dumps(summary.as_json(), indent=1) + "\n")
    if html_file:
        from ivr.routing.report import as_html  # noqa: PLC0415

        write(html_file, as_html(summary, title))


def _as_text(summary: "Summary", title: str) -> str:
    from ivr.routing.summary import percent  # noqa: PLC0415 - commands start fast

    rows = [
        ("all", summary.total),
        *summary.queues.items(),
        *((f"in {name}", group) for name, group in summary.languages.items()),
        *(summary.priorities.items() if len(summary.priorities) > 1 else ()),
    ]
    lines = [
        f"{title}: occupancy {summary.occupancy:.1%}, callers passed over {summary.passed_over},"
        f" never served {summary.never_served}, offers not answered {summary.no_answers}",
        "              calls  in 20 s  in 30 s  mean s   p95 s  gave up  level",
    ]
    for name, group in rows:
        numbers = (
            percent(group.within_20_s), percent(group.within_30_s),
            _number(group.mean_wait_s), _number(group.p95_wait_s),
            percent(group.abandoned), _number(group.skill),
        )  # fmt: skip
        a, b, c, d, e, f = numbers
        lines.append(f"{name:<12} {group.calls:6d} {a:>8} {b:>8} {c:>7} {d:>7} {e:>8} {f:>6}")
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"

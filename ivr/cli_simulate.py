"""`hotline simulate` and `hotline plan`: how long callers would wait, how many are needed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ivr.cli_files import require_writable, write
from ivr.errors import HotlineError

if TYPE_CHECKING:
    from ivr.routing.summary import Summary
    from ivr.routing.trace import Profile

Queues = Annotated[Path, typer.Option(help="Folder of consultants, routing, rota and profile.")]
QUEUES = Path("queues")
MOST_CALLS = 1e7
"""As many fit into the memory."""
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write JSON there.")]
HtmlFile = Annotated[Path | None, typer.Option("--html", help="Write a page there.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("simulate")(simulate)
    app.command("plan")(plan)


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
    seed: Annotated[int, typer.Option(min=0)] = 1,
    queues: Queues = QUEUES,
    json_file: JsonFile = None,
    html_file: HtmlFile = None,
) -> None:
    """Send made-up calls through the real routing: who waits how long, who gives up."""
    from ivr.loading import load_staff  # noqa: PLC0415 - commands start fast
    from ivr.routing.rota import load_rota  # noqa: PLC0415
    from ivr.routing.simulate import simulate as run  # noqa: PLC0415
    from ivr.routing.summary import summarise  # noqa: PLC0415
    from ivr.routing.trace import load_profile, make_trace  # noqa: PLC0415

    require_writable(json_file, html_file)
    staff, queue_of = load_staff(queues)
    profile = load_profile(queues / "profile.yaml", frozenset(queue_of))
    wanted = _calls(profile, calls_a_day)
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
    summary = summarise(trace, run(trace, staff, shifts, ring_s=ring_s), queue_of)
    title = f"{wanted:g} calls a day, {days} {'day' if days == 1 else 'days'}"
    typer.echo(_as_text(summary, title), nl=False)
    if json_file:
        write(json_file, json.dumps(summary.as_json(), indent=1) + "\n")
    if html_file:
        from ivr.routing.report import as_html  # noqa: PLC0415

        write(html_file, as_html(summary, title))


def plan(
    share: Annotated[
        float | None,
        typer.Option(min=0.01, max=0.999, help="To be answered in time; else as in routing.yaml."),
    ] = None,
    within_s: Annotated[
        float | None,
        typer.Option("--within", min=1, max=600, help="Seconds; else as in routing.yaml."),
    ] = None,
    calls_a_day: Annotated[
        float | None,
        typer.Option("--calls", min=1, max=1e6, help="Calls a day; else as in profile.yaml."),
    ] = None,
    queues: Queues = QUEUES,
    json_file: JsonFile = None,
) -> None:
    """How many consultants are needed each hour, for all calls and for each queue alone.

    By Erlang's formula C: "all" is the need when everybody can do everything; "silos" when each
    queue has people of its own. With skills as in consultants.yaml the truth lies between: try it
    with `hotline simulate`.
    """
    from ivr.loading import load_staff  # noqa: PLC0415 - commands start fast
    from ivr.routing.need import hourly_need  # noqa: PLC0415
    from ivr.routing.rota import load_rota  # noqa: PLC0415
    from ivr.routing.skills import DEFAULT, Target  # noqa: PLC0415
    from ivr.routing.trace import load_profile  # noqa: PLC0415

    require_writable(json_file)
    staff, queue_of = load_staff(queues)
    profile = load_profile(queues / "profile.yaml", frozenset(queue_of))
    rota = load_rota(queues / "rota.yaml", staff.ids)
    wanted = _calls(profile, calls_a_day)

    def target_of(queue: str) -> Target:
        known = staff.routing.target(queue)
        return Target(share=share or known.share, within_s=within_s or known.within_s)

    hours = hourly_need(profile, wanted, queue_of, target_of)
    there = [min(len(rota.on_duty(h * 3600 + m * 60)) for m in range(60)) for h in range(24)]
    names = sorted({queue for hour in hours for queue in hour.queues})
    total = target_of(DEFAULT)
    typer.echo(f"{total.share:.0%} of {wanted:g} calls a day answered within {total.within_s:g} s")
    typer.echo("hour  calls  needed  rota  silos  " + "  ".join(f"{n:>9}" for n in names))
    for number, (hour, people) in enumerate(zip(hours, there, strict=True)):
        short = "!" if people < hour.needed else " "
        typer.echo(
            f"{number:02d}    {hour.calls:5.0f}  {hour.needed:6d}  {people:4d}{short}"
            f"  {sum(hour.queues.values()):5d}  "
            + "  ".join(f"{hour.queues.get(n, 0):9d}" for n in names)
        )
    if json_file:
        rows = [
            {"hour": n, "calls": h.calls, "needed": h.needed, "rota": p, "queues": dict(h.queues)}
            for n, (h, p) in enumerate(zip(hours, there, strict=True))
        ]
        write(json_file, json.dumps(rows, indent=1) + "\n")


def _calls(profile: "Profile", wanted: float | None) -> float:
    return wanted if wanted is not None else sum(profile.calls_by_hour)


def _as_text(summary: "Summary", title: str) -> str:
    from ivr.routing.summary import percent  # noqa: PLC0415 - commands start fast

    rows = [
        ("all", summary.total),
        *summary.queues.items(),
        *((f"in {name}", group) for name, group in summary.languages.items()),
    ]
    lines = [
        f"{title}: occupancy {summary.occupancy:.1%}, callers passed over {summary.passed_over},"
        f" never served {summary.never_served}",
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

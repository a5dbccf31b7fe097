"""`hotline plan`: how many consultants each hour needs, and shifts that would cover it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ivr.cli_files import require_writable, write
from ivr.errors import HotlineError

if TYPE_CHECKING:
    from ivr.cases.model import Case
    from ivr.cases.store import CaseStore
    from ivr.routing.history import PastCall
    from ivr.routing.need import HourlyNeed
    from ivr.routing.trace import Profile

Queues = Annotated[Path, typer.Option(help="Folder of consultants, routing, rota and profile.")]
QUEUES = Path("queues")
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write JSON there.")]
HtmlFile = Annotated[Path | None, typer.Option("--html", help="Write a page there.")]
CASES = "cases"
"""As `--history`: the case database of the settings."""
_PAGE = 5_000
"""Cases read at once."""


def plan(
    context: typer.Context,
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
        typer.Option("--calls", min=1, max=1e6, help="Calls a day; else as in the profile."),
    ] = None,
    history: Annotated[
        str | None,
        typer.Option(
            metavar="cases|FILE.csv|URL",
            help="Past calls instead of profile.yaml: `cases` (the case database), a CSV file "
            "with the columns queued_at, topic, language, talk_s, or a database's URL.",
        ),
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=3_660, help="Days of the past to read from a database.")
    ] = 365,
    wrap_up_s: Annotated[
        float, typer.Option("--wrap-up", min=0, max=3_600, help="Seconds after each past talk.")
    ] = 10.0,
    shift_h: Annotated[
        int, typer.Option("--shift", min=1, max=24, help="Hours of the shifts proposed.")
    ] = 8,
    queues: Queues = QUEUES,
    json_file: JsonFile = None,
    html_file: HtmlFile = None,
) -> None:
    """How many consultants are needed each hour, for all calls, each queue and each language.

    By Erlang's formula C: "needed" is the need when everybody can do everything; "silos" when each
    queue has people of its own. With skills as in consultants.yaml the truth lies between: try it
    with `hotline simulate`. "begin": the fewest shifts that cover what is needed.
    """
    from ivr.loading import load_staff  # noqa: PLC0415 - commands start fast
    from ivr.routing.cover import fewest_shifts  # noqa: PLC0415
    from ivr.routing.need import hourly_need  # noqa: PLC0415
    from ivr.routing.rota import load_rota  # noqa: PLC0415
    from ivr.routing.skills import DEFAULT, Target  # noqa: PLC0415
    from ivr.routing.trace import load_profile  # noqa: PLC0415

    require_writable(json_file, html_file)
    staff, queue_of = load_staff(queues)
    if history is None:
        profile, source = load_profile(queues / "profile.yaml", frozenset(queue_of)), ""
    else:
        from ivr.cases.intake import WARSAW  # noqa: PLC0415
        from ivr.routing.history import profile_of  # noqa: PLC0415

        calls = _past_calls(context, history, days)
        profile, counted = profile_of(calls, queue_of.keys(), wrap_up_s, WARSAW)
        source = f"; as in {counted} days with {len(calls)} calls"
    rota = load_rota(queues / "rota.yaml", staff.ids)
    wanted = calls_of(profile, calls_a_day)

    def target_of(queue: str) -> Target:
        known = staff.routing.target(queue)
        return Target(share=share or known.share, within_s=within_s or known.within_s)

    hours = hourly_need(profile, wanted, queue_of, target_of)
    there = [min(len(rota.on_duty(h * 3600 + m * 60)) for m in range(60)) for h in range(24)]
    begin = fewest_shifts([hour.needed for hour in hours], shift_h)
    total = target_of(DEFAULT)
    goal = f"{total.share:.0%} of {wanted:.4g} calls a day answered within {total.within_s:g} s"
    title = goal + source
    typer.echo("\n".join([title, *_table(hours, there, begin), "", *_chart(hours, there)]))
    typer.echo(f"\n{sum(begin)} shifts of {shift_h} h would do: {_shifts(begin, shift_h)}")
    if json_file:
        rows = [
            {"hour": n, "calls": h.calls, "needed": h.needed, "rota": p, "begin": b,
             "queues": dict(h.queues), "languages": dict(h.languages)}
            for n, (h, p, b) in enumerate(zip(hours, there, begin, strict=True))
        ]  # fmt: skip
        write(json_file, json.dumps(rows, indent=1) + "\n")
    if html_file:
        from ivr.routing.report import need_as_html  # noqa: PLC0415

        write(html_file, need_as_html(hours, there, begin, title))


def calls_of(profile: "Profile", wanted: float | None) -> float:
    """Calls a day: as wanted, else as in the profile."""
    return wanted if wanted is not None else sum(profile.calls_by_hour)


def _past_calls(context: typer.Context, history: str, days: int) -> "list[PastCall]":
    from ivr.routing.history import of_cases, read_history  # noqa: PLC0415

    if history != CASES and "://" not in history:
        return read_history(Path(history))
    if history == CASES:
        from ivr.settings_file import load_settings  # noqa: PLC0415

        config = context.find_root().params.get("config")
        if config is None:
            raise HotlineError("--history cases: name the database's URL instead")
        history = load_settings(config).cases.database
    from ivr.cli_cases import ask_store  # noqa: PLC0415

    since = datetime.now(UTC) - timedelta(days=days)

    async def read(store: "CaseStore") -> "list[PastCall]":
        found: list[PastCall] = []
        page: Sequence[Case] = await store.list(_PAGE, since=since)
        while page:
            found += of_cases(page)
            page = await store.list(_PAGE, since=since, before=page[-1].opened_at)
        return found

    return ask_store(history, read)


def _table(
    hours: "Sequence[HourlyNeed]", there: Sequence[int], begin: Sequence[int]
) -> "list[str]":
    names = [
        *sorted({queue for hour in hours for queue in hour.queues}),
        *sorted({language for hour in hours for language in hour.languages}),
    ]
    wide = {name: max(len(name), 3) for name in names}
    lines = [
        "hour  calls  needed  rota   begin  silos  " + "  ".join(f"{n:>{wide[n]}}" for n in names)
    ]
    for number, (hour, people, new) in enumerate(zip(hours, there, begin, strict=True)):
        each = {**hour.queues, **hour.languages}
        short = "!" if people < hour.needed else " "
        lines.append(
            f"{number:02d}    {hour.calls:5.0f}  {hour.needed:6d}  {people:4d}{short}"
            f"  {new or '':5}  {sum(hour.queues.values()):5d}  "
            + "  ".join(f"{each.get(n, 0):{wide[n]}d}" for n in names)
        )
    return lines


def _chart(hours: "Sequence[HourlyNeed]", there: Sequence[int]) -> "list[str]":
    lines = ["█ needed and there  · there  ▒ missing"]
    for number, (hour, people) in enumerate(zip(hours, there, strict=True)):
        both = min(hour.needed, people)
        lines.append(
            f"{number:02d} {'█' * both}{'·' * (people - both)}{'▒' * (hour.needed - both)}"
        )
    return lines


def _shifts(begin: Sequence[int], hours: int) -> str:
    return ", ".join(
        f"{number} from {at:02d}:00 to {(at + hours) % 24:02d}:00"
        for at, number in enumerate(begin)
        if number
    )

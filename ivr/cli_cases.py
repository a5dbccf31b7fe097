"""The commands `hotline cases list` and `hotline cases show`."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ivr.cases.event import CaseEvent
from ivr.cases.model import Case
from ivr.cases.numbers import mask
from ivr.cases.store import CaseStore
from ivr.cases.text import printable
from ivr.errors import HotlineError

_T = TypeVar("_T")

_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00")
"""Times are UTC; a screen shows whole seconds, JSON all of it."""
_LISTED = ("number", "opened_at", "caller_number", "topic", "outcome", "status", "consultant")

Database = Annotated[
    str | None, typer.Option("--database", help="URL of the case database.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show callers' numbers in full.")]


def register(app: typer.Typer, default_url: Callable[[], str]) -> None:
    """Add the commands to `app`; `default_url` gives the database where none is named."""
    cases = typer.Typer(no_args_is_help=True, help="Look at the cases that calls have left.")

    @cases.command("list")
    def list_cases(
        limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
        as_json: AsJson = False,
        reveal: Reveal = False,
        database: Database = None,
    ) -> None:
        """List the latest cases, the newest first."""
        found = ask_store(database or default_url(), lambda store: store.list(limit))
        if as_json:
            _print_json([_fields(case, reveal=reveal) for case in found])
        else:
            _print_table(_LISTED, (_fields(case, reveal=reveal) for case in found))

    @cases.command()
    def show(
        which: Annotated[str, typer.Argument(metavar="NUMBER|UUID", help="Such as 000123/26.")],
        as_json: AsJson = False,
        reveal: Reveal = False,
        database: Database = None,
    ) -> None:
        """Show one case and its events."""

        async def find(store: CaseStore) -> tuple[Case, Iterable[CaseEvent]]:
            case = await store.get(which)
            if case is None:
                raise HotlineError(f"{printable(which)}: no such case (see `hotline cases list`)")
            return case, await store.events(case.uuid)

        case, events = ask_store(database or default_url(), find)
        fields = _fields(case, reveal=reveal)
        story = [_story(event, reveal=reveal) for event in events]
        if as_json:
            _print_json({**fields, "events": story})
            return
        known = (
            {"field": key, "value": value} for key, value in fields.items() if value is not None
        )
        _print_table(("field", "value"), known)
        _print_table(("at", "kind", "data"), story)

    app.add_typer(cases, name="cases")


def ask_store(url: str, question: Callable[[CaseStore], Awaitable[_T]]) -> _T:
    """Put one question to the database and close it again."""

    async def ask() -> _T:
        store = CaseStore(url)
        try:
            await store.open(migrate=False)
            return await question(store)
        finally:
            await store.close()

    return asyncio.run(ask())


def _fields(case: Case, *, reveal: bool) -> dict[str, Any]:
    return {key: _shown(key, value, reveal=reveal) for key, value in case.as_dict().items()}


def _story(event: CaseEvent, *, reveal: bool) -> dict[str, Any]:
    data = {key: _shown(key, value, reveal=reveal) for key, value in event.data.items()}
    return {"at": event.at.isoformat(), "kind": event.kind, "data": data}


def _shown(key: str, value: Any, *, reveal: bool) -> Any:
    """Make a value presentable: numbers masked (a name may be one too), times and UUIDs as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if not reveal and isinstance(value, str):
        digits = sum(letter.isdigit() for letter in value)
        if key == "caller_number" or (key == "caller_name" and digits >= 6):
            return mask(value)
    return value


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=True, indent=2))


def _print_table(columns: Iterable[str], rows: Iterable[dict[str, Any]]) -> None:
    """Print texts as they are, but for what would steer the terminal."""
    columns = tuple(columns)
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        cells = ("" if row[name] is None else _cell(row[name]) for name in columns)
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    Console().print(table)


def _cell(value: object) -> str:
    if isinstance(value, str) and _ISO_TIME.fullmatch(value):
        value = f"{value[:10]} {value[11:19]}"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    return printable(text)

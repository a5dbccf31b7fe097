"""`hotline why`: how a call was routed, as sentences."""

import json
import shutil
import textwrap
from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from ivr.cases.event import CaseEvent
from ivr.cases.model import Case
from ivr.cases.store import CaseStore
from ivr.cases.text import printable
from ivr.cases.why import Account, explain
from ivr.cases.wording import stamp
from ivr.cli_cases import AsJson, Database, ask_store
from ivr.errors import ConfigError, HotlineError
from ivr.settings import Settings
from ivr.understanding.source import Source

_STAMP_WIDTH = 9


class _Named(BaseModel):
    id: str
    name: str


class _Names(BaseModel):
    consultants: tuple[_Named, ...]


def register(app: typer.Typer, settings: Callable[[], Settings]) -> None:
    """Add the command."""

    @app.command()
    def why(
        which: Annotated[str, typer.Argument(metavar="NUMBER|UUID", help="Such as 000123/26.")],
        as_json: AsJson = False,
        database: Database = None,
    ) -> None:
        """Tell why a caller waited, and why the call went to whom it went."""
        values = settings()

        async def find(store: CaseStore) -> tuple[Case, Sequence[CaseEvent]]:
            case = await store.get(which)
            if case is None:
                raise HotlineError(f"{printable(which)}: no such case (see `hotline cases list`)")
            return case, await store.events(case.uuid)

        case, events = ask_store(database or values.cases.database, find)
        account = explain(events, consultant_names(values.files.queues / "consultants.yaml"))
        if as_json:
            print(json.dumps(_as_json(case, account), indent=2))
        else:
            _tell(case, account)


def consultant_names(file: Path) -> dict[str, str]:
    """Names by extension; none when the file cannot be used, for a case is told without it too."""
    try:
        return {one.id: one.name for one in Source(file).validate(_Names).consultants}
    except ConfigError:
        return {}


def _as_json(case: Case, account: Account) -> dict[str, object]:
    return {
        "case": case.number,
        "uuid": str(case.uuid),
        "begin": case.opened_at.isoformat(),
        "summary": account.summary,
        "sentences": [
            {"at_s": round(one.at_s, 3), "kind": one.kind, "text": one.text}
            for one in account.sentences
        ],
    }


def _tell(case: Case, account: Account) -> None:
    width = max(60, shutil.get_terminal_size((100, 24)).columns)
    began = f"{case.opened_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    print(f"Case {case.number}, begun {began} UTC; times are minutes and seconds from then.\n")
    for one in account.sentences:
        print(
            textwrap.fill(
                one.text, width,
                initial_indent=f"{stamp(one.at_s):>{_STAMP_WIDTH - 2}}  ",
                subsequent_indent=" " * _STAMP_WIDTH,
            )
        )  # fmt: skip
    print(f"\n{textwrap.fill(account.summary, width)}")

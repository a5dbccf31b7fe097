import asyncio
import json
from pathlib import Path
from uuid import UUID

import pytest
import typer
from case_events import event
from typer.testing import CliRunner

from ivr import cli_cases
from ivr.cases.store import CaseStore
from ivr.errors import HotlineError

CALL = UUID(int=19115)
NAME = "Jan \x1b[31m [bold]Kowal[/bold] 🔥"


@pytest.fixture
def app(sqlite_url: str) -> typer.Typer:
    async def prepare() -> None:
        store = CaseStore(sqlite_url)
        await store.open()
        await store.apply(
            [
                event(CALL, "opened", 0, caller_number="601234567", caller_name=NAME),
                event(CALL, "understood", 3, topic="roads", confidence=0.9),
                event(UUID(int=2), "opened", 9, caller_number="anonymous", caller_name="601234567"),
            ]
        )
        await store.close()

    asyncio.run(prepare())
    app = typer.Typer()
    cli_cases.register(app, lambda: sqlite_url)
    return app


def run(app: typer.Typer, *arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_list_is_newest_first_with_numbers_masked(app: typer.Typer) -> None:
    lines = run(app, "cases", "list").splitlines()
    assert lines[1].startswith("000002/26")
    assert lines[2].startswith("000001/26")
    assert "+48*****4567" in lines[2]
    assert "601234567" not in "".join(lines)
    assert "601234567" in run(app, "cases", "list", "--reveal")


def test_list_as_json(app: typer.Typer) -> None:
    found = json.loads(run(app, "cases", "list", "--json", "--limit", "1"))
    assert [case["number"] for case in found] == ["000002/26"]
    assert found[0]["caller_name"] == "*******67"


@pytest.mark.parametrize("which", ["000001/26", str(CALL)])
def test_show_tells_the_story(app: typer.Typer, which: str) -> None:
    shown = run(app, "cases", "show", which)
    assert "understood" in shown
    assert "roads" in shown
    assert "\x1b[31m" not in shown
    assert "[bold]Kowal[/bold]" in shown
    assert "601234567" not in shown


def test_show_as_json(app: typer.Typer) -> None:
    shown = json.loads(run(app, "cases", "show", "000001/26", "--json"))
    assert shown["caller_name"] == NAME
    assert [one["kind"] for one in shown["events"]] == ["opened", "understood"]
    assert shown["events"][0]["data"]["caller_number"] == "*******67"
    revealed = json.loads(run(app, "cases", "show", "000001/26", "--json", "--reveal"))
    assert revealed["events"][0]["data"]["caller_number"] == "601234567"


def test_an_unknown_case_is_one_clear_line(app: typer.Typer) -> None:
    with pytest.raises(HotlineError, match="000009/26: no such case"):
        run(app, "cases", "show", "000009/26")


def test_another_database_can_be_named(app: typer.Typer, tmp_path: Path) -> None:
    with pytest.raises(HotlineError, match="no such database"):
        run(app, "cases", "list", "--database", f"sqlite+aiosqlite:///{tmp_path}/none.db")
    (tmp_path / "empty.db").write_bytes(b"")
    with pytest.raises(HotlineError, match="no cases yet"):
        run(app, "cases", "list", "--database", f"sqlite+aiosqlite:///{tmp_path}/empty.db")

"""Corrected cases, reviewed by hand, become examples."""

import asyncio
import shutil
from pathlib import Path
from uuid import UUID

import pytest
import typer
from case_events import event
from typer.testing import CliRunner

from ivr import cli_topics
from ivr.cases.store import CaseStore
from ivr.settings import Settings
from ivr.understanding.catalogue import load_topics
from ivr.understanding.corrections import Correction, correction_of

QUEUES = Path(__file__).resolve().parents[3] / "queues"
SAID = ("winda w metrze nie jeździ od wtorku", "nazywam się Jan Kowalski mam dziurę", "dzień dobry")


def call(number: int, said: str, understood: str, corrected: str | None) -> list[object]:
    uuid = UUID(int=number)
    events = [
        event(uuid, "opened", 0),
        event(uuid, "heard", 1, transcript=said, language="pl"),
        event(uuid, "understood", 2, topic=understood),
    ]
    if corrected:
        events.append(event(uuid, "consultant_note", 9, topic=corrected))
    return events


@pytest.fixture
def values(tmp_path: Path, sqlite_url: str) -> Settings:
    shutil.copytree(QUEUES, tmp_path / "queues")

    async def prepare() -> None:
        store = CaseStore(sqlite_url)
        await store.open()
        for number, said in enumerate(SAID, start=1):
            await store.apply(call(number, said, "housing", "transport" if number < 3 else None))
        await store.close()

    asyncio.run(prepare())
    return Settings(
        service={"state_dir": tmp_path},
        files={"queues": tmp_path / "queues"},
        cases={"database": sqlite_url},
    )


def run(values: Settings, command: str, said: str = "") -> str:
    app = typer.Typer()
    cli_topics.register(app, lambda: values)
    result = CliRunner().invoke(app, ["topics", command], input=said)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_export_tells_what_is_personal(values: Settings) -> None:
    lines = [line.split("\t") for line in run(values, "export").splitlines()]
    assert sorted(lines[1:]) == [
        ["pl", "housing", "transport", "", SAID[0]],
        ["pl", "housing", "transport", "yes", SAID[1]],
    ]


def test_added_only_by_hand_and_asked_once(values: Settings) -> None:
    path = values.files.queues / "topics.yaml"
    before = path.read_text("utf-8")
    assert "0 added" in run(values, "review", "l\nl\n")
    assert path.read_text("utf-8") == before
    # The newest case comes first: the personal one cannot be added as it is.
    assert "1 added" in run(values, "review", "a\nn\na\n")
    assert SAID[0] in load_topics(path)["transport"].examples["pl"]
    assert SAID[1] not in path.read_text("utf-8")
    assert "0 to review" in run(values, "review")


def test_edited_until_it_tells_nobody(values: Settings) -> None:
    run(values, "review", "e\nto ja 601 234 567\ne\nmam dziurę w podłodze tramwaju\nq\n")
    examples = load_topics(values.files.queues / "topics.yaml")["transport"].examples["pl"]
    assert "mam dziurę w podłodze tramwaju" in examples


def test_nothing_corrected() -> None:
    assert correction_of(call(1, "x", "roads", None)) is None
    assert correction_of(call(1, "x", "roads", "roads")) is None
    assert correction_of(call(1, "", "roads", "water")) is None
    assert correction_of(call(1, "x", "roads", "water")) == Correction("x", "pl", "roads", "water")

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from case_events import START, event
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from ivr.cases.event import CaseEvent
from ivr.cases.model import Base
from ivr.cases.store import CaseStore, DatabaseAway
from ivr.errors import HotlineError

HOSTILE = [
    "O'Brien \"; DROP TABLE cases; --",
    "${SHELL(rm -rf /)}",
    "Żółć 🔥 \u202eabc",
    "nul \0 inside",
    "lone \ud800 surrogate",
    "x" * 4096,
    "line\nbreak\r\n",
]


async def test_migrations_match_the_model(url: str, store: CaseStore) -> None:
    def difference(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    engine = create_async_engine(url)
    async with engine.connect() as connection:
        assert await connection.run_sync(difference) == []
    await engine.dispose()


async def test_opening_again_and_at_the_same_time_is_harmless(url: str) -> None:
    stores = [CaseStore(url) for _ in range(8)]
    await asyncio.gather(*(store.open() for store in stores))
    await stores[0].open()
    await stores[0].apply([event(uuid4(), "opened")])
    for store in stores:
        assert len(await store.list()) == 1
        await store.close()


async def test_a_call_becomes_a_numbered_case(store: CaseStore) -> None:
    call = uuid4()
    story = [
        event(call, "opened", 0, asterisk_id="n-1.1", caller_number="601234567", node="n"),
        event(call, "queued", 5, queue="roads"),
        event(call, "talking", 9, consultant="anna"),
        event(call, "invented_later", 10, colour="green"),
    ]
    assert await store.apply(story[:2]) == 2
    assert await store.apply(story) == 2
    case = await store.get("000001/26")
    assert case is not None
    assert case.as_dict() == (await store.get(call)).as_dict()  # type: ignore[union-attr]
    assert (case.uuid, case.opened_at, case.wait_s) == (call, START, 4)
    assert await store.events(call) == story
    assert await store.get("000002/26") is None
    assert await store.get(uuid4()) is None
    assert await store.known_asterisk_ids(["n-1.1", "n-2.2"]) == {"n-1.1"}
    assert await store.unfinished(START + timedelta(seconds=1)) == {"n-1.1": call}
    assert await store.unfinished(START) == {}
    stranger = event(call, "key", key="1")
    assert await store.unknown([stranger.id, story[0].id]) == {stranger.id}


async def test_applying_twice_and_in_any_order_changes_nothing(store: CaseStore) -> None:
    call = uuid4()
    story = [
        event(call, "closed", 60, outcome="answered", talk_s=20),
        event(call, "talk_ended", 50, talk_s=20),
        event(call, "opened", 0, asterisk_id="n-3.3"),
    ]
    for one in story:
        assert await store.apply([one, one]) == 1
    first = await store.get(call)
    assert await store.apply(reversed(story)) == 0
    again = await store.get(call)
    assert first is not None
    assert again is not None
    assert first.as_dict() == again.as_dict()
    assert (again.talk_s, again.number, again.opened_at) == (20, "000001/26", START)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_texts_are_kept_as_data(store: CaseStore, name: str) -> None:
    call = uuid4()
    hostile = event(call, "opened", caller_name=name, caller_number=name, asterisk_id=name)
    strange = event(call, name, 1, deep=[{name: name}], number=float("nan"))
    await store.apply([hostile, strange])
    case = await store.get(call)
    assert case is not None
    assert case.caller_name == name.replace("\0", "\ufffd").replace("\ud800", "\ufffd")
    assert len(await store.events(call)) == 2
    assert await store.get(name) is None


async def test_long_texts_are_cut_and_odd_values_left_out(store: CaseStore) -> None:
    call = uuid4()
    await store.apply(
        [
            event(call, "opened", caller_name="n" * 9_999, language=["pl"], node="x" * 999),
            event(call, "heard", 1, transcript="t" * 200_000),
            event(call, "survey", 2, score=10**40),
            event(call, "closed", 3, wait_s="long", talk_s=float("inf"), outcome={"a": 1}),
        ]
    )
    case = await store.get(call)
    assert case is not None
    assert len(case.caller_name or "") == 4096
    assert len(case.transcript or "") == 65_536
    assert (case.language, case.survey, case.wait_s, case.outcome) == (None, None, None, None)


async def test_numbers_follow_the_year_of_warsaw(store: CaseStore) -> None:
    eve = datetime(2026, 12, 31, 22, 59, 59, tzinfo=UTC)
    new_year = datetime(2026, 12, 31, 23, 0, tzinfo=UTC)
    calls = [uuid4() for _ in range(3)]
    times = [eve, new_year, new_year + timedelta(seconds=1)]
    for call, at in zip(calls, times, strict=True):
        await store.apply([CaseEvent(uuid4(), call, at, "opened", {})])
    numbers = [case.number for case in await store.list()]
    assert numbers == ["000002/27", "000001/27", "000001/26"]


async def test_list_is_newest_first_and_bounded(store: CaseStore) -> None:
    calls = [uuid4() for _ in range(5)]
    await store.apply(event(call, "opened", after) for after, call in enumerate(calls))
    assert [case.uuid for case in await store.list(2)] == calls[:-3:-1]
    since, before = START + timedelta(seconds=1), START + timedelta(seconds=3)
    assert [c.uuid for c in await store.list(since=since, before=before)] == [calls[2], calls[1]]


async def test_one_channel_is_one_case_whoever_opened_it(store: CaseStore) -> None:
    ours, asterisks = uuid4(), uuid4()
    await store.apply([event(asterisks, "opened", 0, asterisk_id="n-9.9", source="cel")])
    await store.apply([event(ours, "opened", 0.5, asterisk_id="n-9.9", language="uk")])
    await store.apply([event(ours, "talking", 5, consultant="anna")])
    (case,) = await store.list()
    assert (case.consultant, case.language) == ("anna", "uk")
    assert case.as_dict() == (await store.get(ours)).as_dict()  # type: ignore[union-attr]


async def test_two_cases_that_turn_out_to_be_one_call_are_merged(store: CaseStore) -> None:
    first, second = uuid4(), uuid4()
    await store.apply([event(first, "opened", 0, asterisk_id="n-9.9")])
    await store.apply([event(second, "talking", 5, consultant="anna")])
    assert len(await store.list()) == 2
    await store.apply([event(second, "opened", 1, asterisk_id="n-9.9", language="en")])
    (case,) = await store.list()
    assert (case.uuid, case.consultant, case.language) == (first, "anna", "en")
    assert len(await store.events(first)) == 3


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=6))
async def test_any_batches_give_what_one_batch_gives(
    sqlite_store: CaseStore, batches: list[list[int]]
) -> None:
    calls = [uuid4(), uuid4()]
    kinds = ["opened", "answered", "talking", "talk_ended", "closed"]
    story = [event(calls[i % 2], kinds[i // 2], i, talk_s=i, consultant=str(i)) for i in range(10)]
    for batch in batches:
        await sqlite_store.apply(story[i] for i in batch)
    await sqlite_store.apply(story)
    for call in calls:
        case = await sqlite_store.get(call)
        assert case is not None
        assert case.wait_s is not None
        assert (case.consultant, case.talk_s) == (str(8 + calls.index(call)), case.talk_s)
        assert len(await sqlite_store.events(call)) == 5


APPLIER = """
import asyncio, sys
from uuid import uuid4
from case_events import event
from ivr.cases.store import CaseStore

async def main():
    store = CaseStore(sys.argv[1])
    await store.open()
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(60):
        await store.apply([event(uuid4(), "opened"), event(uuid4(), "opened")])
    await store.close()

asyncio.run(main())
"""


async def test_processes_that_number_at_once_leave_no_gap(url: str, store: CaseStore) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", APPLIER, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
    for process in processes:
        await asyncio.to_thread(process.communicate, "go\n", 50)
        assert process.returncode == 0
    numbers = {case.number for case in await store.list(1_000)}
    assert numbers == {f"{number:06d}/26" for number in range(1, 241)}


async def test_a_failed_transaction_uses_no_number(
    store: CaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("ivr.cases.intake._project", None)
        with pytest.raises(TypeError):
            await store.apply([event(uuid4(), "opened")])
    await store.apply([event(uuid4(), "opened")])
    assert [case.number for case in await store.list()] == ["000001/26"]


async def test_offsets_only_go_forward(store: CaseStore) -> None:
    await store.apply([], offsets={"a.jsonl": 10})
    await store.apply([], offsets={"a.jsonl": 5, "b.jsonl": 7})
    assert await store.offsets() == {"a.jsonl": 10, "b.jsonl": 7}
    await store.forget_segment("a.jsonl")
    assert await store.offsets() == {"b.jsonl": 7}


async def test_sqlite_is_set_up_for_several_processes(
    sqlite_url: str, sqlite_store: CaseStore
) -> None:
    async with sqlite_store._engine.connect() as connection:
        for pragma, value in {
            "journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 10_000,
        }.items():  # fmt: skip
            assert (await connection.execute(text(f"PRAGMA {pragma}"))).scalar() == value


async def test_a_database_that_is_away_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for url in (
        f"sqlite+aiosqlite:///{tmp_path}/file/cases.db",
        f"postgresql+asyncpg://hotline:secret@/cases?host={tmp_path}",
    ):
        store = CaseStore(url)
        with pytest.raises(DatabaseAway) as caught:
            await store.open()
        assert "secret" not in str(caught.value)
        await store.close()


@pytest.mark.parametrize("url", ["mysql://x", "nonsense", "sqlite:///x"])
async def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(HotlineError, match="sqlite"):
        CaseStore(url)


async def test_looking_makes_no_database(tmp_path: Path) -> None:
    store = CaseStore(f"sqlite+aiosqlite:///{tmp_path}/cases.db")
    with pytest.raises(HotlineError, match="no such database"):
        await store.open(migrate=False)
    assert not (tmp_path / "cases.db").exists()
    await store.close()


async def test_a_uuid_is_found_as_text(sqlite_store: CaseStore) -> None:
    call = UUID(int=5)
    await sqlite_store.apply([event(call, "opened")])
    assert (await sqlite_store.get(f" {call} ")) is not None

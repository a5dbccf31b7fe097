"""A call's way told from events in a real store."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ivr import cli_why
from ivr.cases.event import JSON, CaseEvent, EventKind
from ivr.cases.store import CaseStore
from ivr.cases.why import explain
from ivr.cases.wording import duration, stamp
from ivr.errors import HotlineError
from ivr.settings_file import load_settings

CALL = UUID(int=19115)
START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
NAMES = {"101": "Anna Nowak", "102": "Piotr Wójcik"}


def event(kind: str, after_s: float, **data: JSON) -> CaseEvent:
    return CaseEvent(uuid4(), CALL, START + timedelta(seconds=after_s), kind, data)


def dialogue() -> list[CaseEvent]:
    return [
        event("opened", 0, caller_number="601234567", language="pl", node="a"),
        event("answered", 0.1),
        event("heard", 8, transcript="Latarnia nie świeci", language="uk"),
        event("understood", 8.1, topic="roads", confidence=0.987, emergency="no"),
    ]


def long_wait() -> list[CaseEvent]:
    """Four minutes: nobody free, one who does not answer, an overflow, and then Anna."""
    asks: dict[str, JSON] = {"level": 4, "language_level": 2, "skill": None, "also": {"water": 2}}
    return [
        *dialogue(),
        event("queued", 10, queue="roads", topic="roads", priority=3),
        event("step", 10.1, step=0, asks=asks, able={"102": "talking", "103": "paused break"}),
        event(
            "step", 30, step=1, asks={**asks, "level": 0, "skill": "transport", "also": {}},
            able={"103": "paused break", "102": "wrap_up", "101": "offline"},
        ),
        event("offered", 40, consultant="102", step=1, level=5, considered=["102"], why="only one"),
        event("ringing", 40.2, consultant="102"),
        event("no_answer", 55, consultant="102", status="NOANSWER"),
        event(
            "offered", 246, consultant="101", step=1, level=3, why="longest idle",
            considered=["101", "103"],
        ),
        event("talking", 250, consultant="101"),
        event("talk_ended", 400, consultant="101", talk_s=150.0),
        event("closed", 401, outcome="answered", wait_s=236.0, talk_s=150.0, consultant="101"),
    ]  # fmt: skip


@pytest.fixture
def why(tmp_path: Path) -> Callable[..., str]:
    """The command on a store with events; a HotlineError is raised as it is."""
    database = f"sqlite+aiosqlite:///{tmp_path}/cases.db"
    queues = tmp_path / "queues"
    queues.mkdir()
    lines = [f'  - {{id: "{key}", name: {name}, skills: {{}}}}' for key, name in NAMES.items()]
    (queues / "consultants.yaml").write_text("\n".join(["consultants:", *lines]))
    config = tmp_path / "hotline.toml"
    config.write_text(f'[cases]\ndatabase = "{database}"\n[files]\nqueues = "{queues}"\n')

    def run(events: Iterable[CaseEvent], *words: str) -> str:
        async def fill() -> None:
            store = CaseStore(database)
            await store.open()
            await store.apply(events)
            await store.close()

        asyncio.run(fill())
        app = typer.Typer()
        app.callback()(lambda: None)
        cli_why.register(app, lambda: load_settings(config))
        result = CliRunner().invoke(app, ["why", *words], env={"COLUMNS": "1000"})
        if result.exception is not None:
            raise result.exception
        return result.stdout

    return run


@pytest.mark.parametrize("which", ["000001/26", str(CALL)])
def test_a_long_wait_is_explained(why: Callable[..., str], which: str) -> None:
    told = why(long_wait(), which)
    lines = [line.strip() for line in told.splitlines()]
    assert lines[0].startswith("Case 000001/26, begun 2026-11-23 10:00:00 UTC")
    assert lines[2:] == [
        "0:00.0  The call began, in Polish.",
        "0:08.1  The topic roads was understood (confidence 0.99).",
        "0:10.0  The caller was queued: topic roads, queue roads, Ukrainian, "
        "priority 3 (0 is served first).",
        "0:10.1  Step 1 began; it asks for level 4 in roads, level 2 in Ukrainian, level 2 in "
        "water. Able were 2: talking: Piotr Wójcik (102); paused break: consultant 103.",
        "0:30.0  Step 2 began, the call may overflow to transport; it asks for no level in "
        "transport, level 2 in Ukrainian. Able were 3: wrap up: Piotr Wójcik (102); "
        "paused break: consultant 103; offline: Anna Nowak (101).",
        "0:40.0  The call was offered to Piotr Wójcik (102): the only one able and free, "
        "level 5 in transport, step 2.",
        "0:55.0  Piotr Wójcik (102) did not answer after 15.0 s.",
        "4:06.0  The call was offered to Anna Nowak (101): of the best the longest idle, "
        "level 3 in transport, step 2. Considered, the best first: Anna Nowak (101), "
        "consultant 103.",
        "4:10.0  Anna Nowak (101) answered after 4.0 s, and they talked.",
        "6:40.0  The talk ended after 2 min 30 s.",
        "6:41.0  The case was closed as answered.",
        "",
        "The caller waited 4 min 0 s: 3 min 41 s without an offer, 19.0 s while telephones rang. "
        "Offered in vain: Piotr Wójcik (102). Anna Nowak (101) got the call: of the best the "
        "longest idle, level 3 in transport, step 2.",
    ]


def test_json_for_machines(why: Callable[..., str]) -> None:
    told = json.loads(why(long_wait(), "000001/26", "--json"))
    assert told["case"] == "000001/26"
    assert told["uuid"] == str(CALL)
    assert told["begin"] == "2026-11-23T10:00:00+00:00"
    offers = [one for one in told["sentences"] if one["kind"] == "offered"]
    assert [one["at_s"] for one in offers] == [40.0, 246.0]
    assert told["summary"].startswith("The caller waited 4 min 0 s")


@pytest.mark.parametrize(
    ("more", "how"),
    [
        ([event("abandoned", 12, where="dialogue", wait_s=0)], "hung up in the dialogue."),
        (
            [
                event("emergency", 9, why="nie oddycha"),
                event("emergency_trunk", 9.1, trunk="a"),
                event("emergency_answered", 11, trunk="a"),
                event("closed", 90, outcome="emergency"),
            ],
            "handed over to 112 (nie oddycha).",
        ),
        ([event("degraded", 9, why="Redis is away")], "Asterisk's own queue (Redis is away)."),
        ([], "It has not ended yet."),
    ],
)
def test_a_call_that_was_never_queued(
    why: Callable[..., str], more: list[CaseEvent], how: str
) -> None:
    last = why([*dialogue(), *more], str(CALL)).splitlines()[-1]
    assert last.startswith("The call was never queued for a consultant.")
    assert last.endswith(how)


@pytest.mark.parametrize(
    ("more", "summary"),
    [
        ([], "The caller waited 0.5 s. Nobody has served the caller yet."),
        (
            [event("abandoned", 52, where="waiting", wait_s=42)],
            "The caller waited 42.0 s. The caller hung up while waiting.",
        ),
        (
            [event("emergency", 40, why="key 0 while waiting"), event("abandoned", 50)],
            "The caller waited 30.0 s. The caller was handed over to 112 (key 0 while waiting).",
        ),
        (
            [
                event("degraded", 30, why="service gone", source="cel"),
                event("talking", 60, consultant="101", source="cel"),
                event("orphaned", 90, source="cel"),
            ],
            "The caller waited 20.0 s. The caller was left to Asterisk's own queue (service gone).",
        ),
    ],
)
def test_how_a_wait_ends(why: Callable[..., str], more: list[CaseEvent], summary: str) -> None:
    queued = event("queued", 10, queue="roads", topic="roads", priority=3)
    waited = event("step", 10.5, step=0, asks={}, able={})
    told = why([*dialogue(), queued, waited, *more], str(CALL))
    assert "Step 1 began. Nobody was able." in told
    assert told.splitlines()[-1] == summary


def test_a_callback_is_part_of_the_wait(why: Callable[..., str]) -> None:
    told = why(
        [
            *dialogue(),
            event("queued", 10, queue="roads", topic="roads", priority=3),
            event("callback_asked", 60, topic="roads", language="uk", priority=3, arrived_at=1.0),
            event("closed", 65, outcome="callback", wait_s=50.0),
            event("callback_dialled", 300, attempt=1, consultant="102"),
            event("callback_failed", 320, attempt=1, status="busy"),
            event("callback_dialled", 600, attempt=2, consultant="101"),
            event("callback_answered", 606, attempt=2),
            event("offered", 610, consultant="101", step=2, level=4, considered=["101"],
                  why="only one"),
            event("talking", 612, consultant="101"),
        ],
        str(CALL),
    )  # fmt: skip
    for sentence in (
        "1:05.0  The caller hung up, to be called back.",
        "5:00.0  The caller was dialled (try 1), Piotr Wójcik (102) being held ready.",
        "5:20.0  The caller was not reached (try 1): busy.",
        "10:06.0  The caller answered the callback (try 2).",
    ):
        assert sentence in told
    assert told.splitlines()[-1] == (
        "The caller waited 10 min 2 s (from 1:00.0 on for a callback). "
        "Anna Nowak (101) got the call: the only one able and free, level 4 in roads, step 3."
    )


def test_kinds_that_are_not_known_are_told_plainly(why: Callable[..., str]) -> None:
    wished = event("survey_wished", 60, number="+48601234567", at="2026-11-23T11:00", tries=[1])
    told = why([*dialogue(), wished], str(CALL))
    assert "1:00.0  Survey wished: number +48*****4567, at 2026-11-23T11:00, tries [1]." in told
    assert "601234567" not in told


def test_an_unknown_case_is_refused(why: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(HotlineError, match="000009/26: no such case"):
        why(dialogue(), "000009/26")
    hotline = Path(sys.executable).parent / "hotline"
    config = tmp_path / "hotline.toml"
    ended = subprocess.run(
        [hotline, "--config", config, "why", "000009/26"], capture_output=True, text=True,
        timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert ended.returncode == 2
    assert not ended.stdout
    assert ended.stderr.splitlines() == [
        "hotline: 000009/26: no such case (see `hotline cases list`)"
    ]


def test_names_are_no_condition(why: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "queues" / "consultants.yaml").write_text("consultants: [")
    assert "consultant 101 got the call" in why(long_wait(), str(CALL))


def test_a_case_steers_no_terminal(why: Callable[..., str]) -> None:
    told = why([*dialogue(), event("queued", 9, topic="\x1b[31m", queue="\n")], str(CALL))
    assert "\x1b" not in told


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
_keys = st.sampled_from(
    ["step", "asks", "able", "level", "considered", "why", "consultant", "talk_s", "topic",
     "language", "status", "where", "skill", "also", "outcome", "priority", "confidence"]
)  # fmt: skip
_data = st.dictionaries(_keys, _json | st.dictionaries(_keys, _json, max_size=4), max_size=6)
_kinds = st.sampled_from([*EventKind, "step", "callback_done", "", "\x1b"])


@given(st.lists(st.tuples(_kinds, st.floats(0, 1e6), _data), min_size=1, max_size=8))
def test_events_of_any_shape_are_told(drawn: list[tuple[str, float, dict[str, JSON]]]) -> None:
    account = explain([event(str(kind), at, **data) for kind, at, data in drawn], NAMES)
    for text in (account.summary, *(one.text for one in account.sentences)):
        assert text
        assert "\n" not in text
        assert "\x1b" not in text


def test_times_for_readers() -> None:
    assert [stamp(s) for s in (0, 59.96, 242.31)] == ["0:00.0", "1:00.0", "4:02.3"]
    assert [duration(s) for s in (3.25, 59.96, 242, 3700)] == [
        "3.2 s", "1 min 0 s", "4 min 2 s", "1 h 1 min",
    ]  # fmt: skip

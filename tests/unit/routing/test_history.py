"""Past calls as a profile, shifts that cover a need, and `hotline plan` with both."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from ivr import cli_simulate
from ivr.cases.event import CaseEvent
from ivr.cases.store import CaseStore
from ivr.errors import ConfigError, HotlineError
from ivr.routing.cover import fewest_shifts
from ivr.routing.history import PastCall, profile_of, read_history

QUEUES = Path(__file__).parents[3] / "queues"
WARSAW = ZoneInfo("Europe/Warsaw")
HEAD = "number,queued_at,topic,language,wait_s,talk_s\n"
app = typer.Typer()
cli_simulate.register(app)


def past(day: int, hour: int, topic: str = "waste", talk_s: float | None = 200.0) -> PastCall:
    return PastCall(datetime(2026, 7, day, hour, 30, tzinfo=UTC), topic, "pl", 10.0, talk_s)


def test_a_mean_day_is_counted_by_the_clock_of_the_city() -> None:
    calls = [*(past(1, 8) for _ in range(6)), past(2, 8), past(2, 22), past(3, 8, "roads", None)]
    profile, days = profile_of(calls, {"waste", "roads"}, 10, WARSAW)
    assert days == 3
    assert profile.calls_by_hour[10] == pytest.approx(8 / 3), "summer: two hours before UTC"
    assert profile.calls_by_hour[0] == pytest.approx(1 / 3)
    assert profile.topics == {"waste": 8, "roads": 1}
    assert profile.handling_s == pytest.approx(210)
    assert profile.patience_s == pytest.approx(90), "9 calls waited 10 s each, one gave up"


def test_a_topic_with_enough_calls_has_a_handling_time_of_its_own() -> None:
    calls = [*(past(1, 8) for _ in range(40)), *(past(1, 9, "roads", 400.0) for _ in range(29))]
    profile, _ = profile_of(calls, {"waste", "roads"}, 0, WARSAW)
    assert profile.handling_by_topic_s == {"waste": pytest.approx(200)}
    profile, _ = profile_of([*calls, past(1, 9, "roads", 400.0)], {"waste", "roads"}, 0, WARSAW)
    assert profile.handling_by_topic_s["roads"] == pytest.approx(400)


def test_calls_without_a_known_topic_count_in_their_hour() -> None:
    calls = [past(1, 8), past(1, 8, "never heard of"), past(1, 8)]
    profile, _ = profile_of(calls, {"waste"}, 0, WARSAW)
    assert sum(profile.calls_by_hour) == 3
    assert profile.topics == {"waste": 2}
    with pytest.raises(HotlineError, match="too few"):
        profile_of([past(1, 8, "x")], {"waste"}, 0, WARSAW)


def test_csv_is_read_and_refused(tmp_path: Path) -> None:
    file = tmp_path / "cases.csv"
    file.write_text(
        HEAD + "1,2026-07-01T08:30:00+00:00,waste,uk,3.5,200\n2,,waste,pl,,\n"
        "3,2026-07-01T09:00:00Z,,,,\n"
    )
    assert read_history(file) == [
        PastCall(datetime(2026, 7, 1, 8, 30, tzinfo=UTC), "waste", "uk", 3.5, 200.0),
        PastCall(datetime(2026, 7, 1, 9, tzinfo=UTC)),
    ]
    for text, words in (
        ("number,topic\n", ":1: no column queued_at"),
        (HEAD + "1,yesterday,waste,pl,1,2\n", ":2: Invalid isoformat"),
        (HEAD + "1,2026-07-01T08:30:00,waste,pl,1,2\n", ":2: 2026-07-01T08:30:00: the difference"),
        (HEAD + "\n1,2026-07-01T08:30:00Z,waste,pl,1,long\n", ":3: could not convert"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=words):
            read_history(file)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=24, max_size=24), st.integers(1, 24))
def test_shifts_cover_every_hour_with_as_few_as_may_be(need: list[int], hours: int) -> None:
    begin = fewest_shifts(need, hours)
    there = sum(np.roll(begin, late) for late in range(hours))
    assert (there >= np.array(need)).all()
    assert sum(begin) >= max(*need, -(-sum(need) // hours))
    assert sum(begin) <= sum(need)
    if hours == 24:
        assert sum(begin) == max(need)


def test_plan_takes_a_csv_file_and_writes_a_page(tmp_path: Path) -> None:
    file, told, page = tmp_path / "c.csv", tmp_path / "p.json", tmp_path / "p.html"
    rows = [
        f"{n},2026-07-{1 + n % 10:02d}T{6 + n % 3:02d}:15:00+00:00,waste,pl,5,230"
        for n in range(900)
    ]
    file.write_text(HEAD + "\n".join(rows) + "\n")
    words = ["plan", "--queues", str(QUEUES), "--history", str(file)]
    result = CliRunner().invoke(app, [*words, "--json", str(told), "--html", str(page)])
    assert result.exit_code == 0, result.output
    assert "80% of 90 calls a day" in result.output
    assert "as in 10 days with 900 calls" in result.output
    by_hour = {row["hour"]: row for row in json.loads(told.read_text())}
    assert [hour for hour, row in by_hour.items() if row["needed"]] == [8, 9, 10]
    assert by_hour[8]["queues"] == {"waste": by_hour[8]["needed"]}, "30 calls of 240 s: Erlang"
    assert by_hour[8]["languages"] == {"pl": by_hour[8]["needed"]}
    assert sum(row["begin"] for row in by_hour.values()) == by_hour[8]["needed"]
    assert "<svg" in page.read_text()
    assert "http:" not in page.read_text()


def test_plan_takes_the_cases_of_a_database(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'cases.db'}"
    now = datetime.now(UTC)

    async def fill() -> None:
        store = CaseStore(url)
        await store.open()
        events = []
        for number in range(60):
            call, at = uuid4(), now - timedelta(hours=number)
            for kind, data in (
                ("opened", {"language": "pl"}), ("understood", {"topic": "roads"}),
                ("queued", {"queue": "roads"}), ("talking", {"consultant": "101"}),
                ("talk_ended", {"talk_s": 240.0}),
            ):  # fmt: skip
                at += timedelta(seconds=30)
                events.append(CaseEvent(uuid4(), call, at, kind, data))
        await store.apply(events)
        await store.close()

    asyncio.run(fill())
    result = CliRunner().invoke(app, ["plan", "--queues", str(QUEUES), "--history", url])
    assert result.exit_code == 0, result.output or result.exception
    assert "with 60 calls" in result.output
    assert "roads" in result.output
    assert "waste" not in result.output


def test_the_case_database_of_the_settings_needs_settings() -> None:
    result = CliRunner().invoke(app, ["plan", "--queues", str(QUEUES), "--history", "cases"])
    assert isinstance(result.exception, HotlineError)
    assert "URL" in str(result.exception)

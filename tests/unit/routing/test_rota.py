"""Shifts, profiles and the two commands that use them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ivr import cli_simulate
from ivr.errors import ConfigError, HotlineError
from ivr.loading import load_staff
from ivr.routing.need import hourly_need
from ivr.routing.rota import load_rota
from ivr.routing.skills import Target
from ivr.routing.trace import load_profile

QUEUES = Path(__file__).parents[3] / "queues"
STAFF, QUEUE_OF = load_staff(QUEUES)
app = typer.Typer()
cli_simulate.register(app)
SHIFT = 'shifts:\n  - {name: day, from: "08:00", to: "16:00", consultants: ["101"]}\n'


def rota_file(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "rota.yaml"
    file.write_text(text)
    return file


def test_the_projects_rota_leaves_no_hour_language_or_topic_alone() -> None:
    rota = load_rota(QUEUES / "rota.yaml", STAFF.ids)
    assert rota.warnings(STAFF, STAFF.routing, QUEUE_OF) == []
    assert {who for shift in rota.shifts for who in shift.consultants} == set(STAFF.ids)


def test_a_shift_may_pass_midnight(tmp_path: Path) -> None:
    text = SHIFT.replace("08:00", "22:00").replace("16:00", "06:00")
    rota = load_rota(rota_file(tmp_path, text), STAFF.ids)
    there = [hour for hour in range(24) if rota.on_duty(hour * 3600)]
    assert there == [0, 1, 2, 3, 4, 5, 22, 23]
    assert [shift.at for shift in rota.days(STAFF, 2)] == [
        0, 6 * 3600, 22 * 3600, 86_400, 30 * 3600, 46 * 3600
    ]  # fmt: skip


def test_hours_with_nobody_are_named(tmp_path: Path) -> None:
    rota = load_rota(rota_file(tmp_path, SHIFT), STAFF.ids)
    warnings = rota.warnings(STAFF, STAFF.routing, QUEUE_OF)
    assert "00:00-08:00: nobody is on duty" in warnings
    assert "16:00-24:00: nobody is on duty" in warnings
    rota = load_rota(rota_file(tmp_path, SHIFT.replace("101", "102")), STAFF.ids)
    assert "08:00-16:00: nobody speaks uk" in rota.warnings(STAFF, STAFF.routing, QUEUE_OF)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SHIFT.replace("101", "999"), ("2", "unknown consultant '999'")),
        (SHIFT.replace("08:00", "25:00"), ("2", "from")),
        ("shifts: []\n", ("1", "shifts")),
        (SHIFT.replace("name", "nme"), ("2", "unknown key 'nme'")),
    ],
)
def test_rotas_are_refused(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_rota(rota_file(tmp_path, text), STAFF.ids)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("waste: 14", "wste: 14", ("unknown topic 'wste'", "topics are")),
        ("waste: 14", "waste: -1", ("topics.waste",)),
        ("[2, 0, 4,", "[2, 0,", ("calls_by_hour",)),
        ("handling_s: 234", "handling_s: 0", ("handling_s",)),
        ("{pl: 88, uk: 8, en: 4}", "{pl: 0}", ("languages", "more than 0")),
    ],
)
def test_profiles_are_refused(tmp_path: Path, old: str, new: str, words: tuple[str, ...]) -> None:
    text = (QUEUES / "profile.yaml").read_text()
    assert old in text
    file = tmp_path / "profile.yaml"
    file.write_text(text.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_profile(file, frozenset(QUEUE_OF))
    assert all(word in str(caught.value) for word in words), caught.value


def test_the_need_of_an_hour() -> None:
    profile = load_profile(QUEUES / "profile.yaml", frozenset(QUEUE_OF))
    hours = hourly_need(profile, 808, QUEUE_OF, STAFF.routing.target)
    assert sum(hour.calls for hour in hours) == pytest.approx(808)
    assert hours[9].needed < sum(hours[9].queues.values()), "silos need more"
    assert (hours[1].needed, dict(hours[1].queues)) == (0, {}), "no calls at one in the night"


def test_each_queue_is_planned_for_its_own_target() -> None:
    profile = load_profile(QUEUES / "profile.yaml", frozenset(QUEUE_OF))
    routing = replace(STAFF.routing, targets={"waste": Target(share=0.99, within_s=1)})
    usual = hourly_need(profile, 808, QUEUE_OF, STAFF.routing.target)[9]
    strict = hourly_need(profile, 808, QUEUE_OF, routing.target)[9]
    assert strict.queues["waste"] > usual.queues["waste"]
    assert {**strict.queues, "waste": 0} == {**usual.queues, "waste": 0}
    assert strict.needed == usual.needed


@pytest.mark.parametrize("words", [("plan",), ("simulate", "--days", "400")])
def test_more_than_can_be_reckoned_is_refused(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "--calls", "1000000", "--queues", str(QUEUES)])
    assert isinstance(result.exception, HotlineError)
    assert "--calls" in str(result.exception)


def test_simulate_prints_and_writes(tmp_path: Path) -> None:
    told, page = tmp_path / "s.json", tmp_path / "s.html"
    result = CliRunner().invoke(
        app,
        ["simulate", "--queues", str(QUEUES), "--json", str(told), "--html", str(page)],
    )
    assert result.exit_code == 0, result.output
    assert "callers passed over 0, never served 0" in result.output
    summary = json.loads(told.read_text())
    assert summary["total"]["calls"] == sum(g["calls"] for g in summary["queues"].values())
    assert "<svg" in page.read_text()
    assert "http:" not in page.read_text()


def test_plan_prints_every_hour(tmp_path: Path) -> None:
    told = tmp_path / "p.json"
    result = CliRunner().invoke(app, ["plan", "--queues", str(QUEUES), "--json", str(told)])
    assert result.exit_code == 0, result.output
    rows = json.loads(told.read_text())
    assert [row["hour"] for row in rows] == list(range(24))
    assert all(row["rota"] >= row["needed"] for row in rows)


def test_a_file_that_cannot_be_written_is_told_first(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["simulate", "--queues", str(QUEUES), "--json", str(tmp_path / "no" / "s.json")]
    )
    assert isinstance(result.exception, HotlineError)
    assert "folder that exists" in str(result.exception)

"""Edits of `queues/` under a running matcher, with a real Redis; rendering into files in use."""

import asyncio
import os
import shutil
import signal
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from ivr import reload
from ivr.asterisk.ami import AmiClient
from ivr.asterisk.install import AsteriskInstall
from ivr.errors import ConfigError
from ivr.loading import contents, load_plan, load_plan_for
from ivr.metrics import METRICS
from ivr.processes import Server
from ivr.provisioning import Telephones
from ivr.reload import Reloader
from ivr.rendering import render, render_telephones
from ivr.routing.board import Board
from ivr.routing.matcher import Matcher
from ivr.routing.plan import WaitingCall
from ivr.routing.skills import Consultant
from ivr.routing.staff import Staff
from ivr.secrets import Secrets
from ivr.settings import Settings
from ivr.web.consultants import ConsultantsApi
from ivr.web.health import make_app
from tests.unit.routing.conftest import redis_server  # noqa: F401 - a fixture

ROOT = Path(__file__).parents[2]
LOOK_S = 0.05


@dataclass
class Edited:
    """A matcher and a reloader at work on a folder of their own."""

    folder: Path
    board: Board
    matcher: Matcher
    reloader: Reloader
    followed: dict[str, Consultant]

    def edit(self, name: str, *changes: tuple[str, str]) -> None:
        """Replace texts of a file, each there once."""
        text = (self.folder / name).read_text(encoding="utf-8")
        for before, after in changes:
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        (self.folder / name).write_text(text, encoding="utf-8")

    async def state(self, who: str) -> tuple[str, str]:
        one = (await self.board.snapshot([who])).consultants[who]
        return one.state, one.reason

    async def becomes(self, who: str, state: str, reason: str = "") -> None:
        async with asyncio.timeout(5):
            while await self.state(who) != (state, reason):
                await asyncio.sleep(LOOK_S / 5)


async def until(what: Callable[[], object], within: float = 5) -> None:
    async with asyncio.timeout(within):
        while not what():
            await asyncio.sleep(LOOK_S / 5)


@pytest.fixture
async def edited(
    tmp_path: Path,
    redis_server: tuple[Server, str],  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Edited]:
    monkeypatch.setattr(reload, "LOOK_EVERY_S", LOOK_S)
    folder = tmp_path / "queues"
    shutil.copytree(ROOT / "queues", folder)
    plan = load_plan(folder)
    board = Board(redis_server[1], "a", timeout_s=1)
    matcher = Matcher(
        board, Staff(plan.consultants, plan.routing), lease_s=5, on_problem=lambda _: None
    )
    # No Asterisk here: the telephones wait for one.
    ami = AmiClient("127.0.0.1", 9, "a", "b", on_event=lambda _: None, on_connected=_nothing)
    telephones = Telephones(Settings(service={"state_dir": tmp_path}), ami)
    followed = {c.id: c for c in plan.consultants}
    reloader = Reloader(folder, plan, contents(folder), matcher, followed, telephones, _nothing)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(work) for work in (matcher.run(), reloader.run())]
        await until(lambda: matcher.healthy)
        yield Edited(folder, board, matcher, reloader, followed)
        for task in running:
            task.cancel()
    await board.close()


async def _nothing(*_: object) -> None: ...


def levels(edited: Edited, who: str) -> dict[str, int]:
    staff = edited.matcher.staff
    return staff.consultants[staff.column[who]].skills


async def test_a_new_skill_is_used_by_the_next_match(edited: Edited) -> None:
    for who in ("101", "103"):
        await edited.board.set_device(who, "idle")
    assert await edited.board.move("101", "talking", lease_s=60)  # able, so no step is left out
    now = await edited.board.now()
    async with edited.matcher.ticket(WaitingCall("c", "roads", "pl", 3, now, now)) as ticket:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await ticket.offer()
        edited.edit(
            "consultants.yaml", ("{parking: 4, order: 5,", "{roads: 5, parking: 4, order: 5,")
        )
        async with asyncio.timeout(5):
            offer = await ticket.offer()
    assert (offer.consultant, offer.level, offer.why) == ("103", 5, "only one")
    assert not edited.reloader.warnings()


BAD = {
    "no YAML": ("consultants.yaml", "languages: {pl: 5}", "languages: {pl: 5",
              "consultants.yaml:12: ", "check indent and quotes"),
    "topic": ("consultants.yaml", "{waste: 5, roads: 4", "{wasted: 5, roads: 4",
              "consultants.yaml:8: consultant 101 has the unknown skill 'wasted'", "topics are"),
    "level": ("consultants.yaml", "{waste: 5, roads: 4", "{waste: 6, roads: 4",
              "consultants.yaml:8:", "found 6"),
    "twice": ("consultants.yaml", 'id: "102"', 'id: "101"',
              "consultants.yaml:9: consultant 101 is here twice", ""),
    "nobody": ("routing.yaml", "    - {level: 0, language_level: 1}",
               "    - {level: 5, also: {taxes: 5}}",
               "routing.yaml:15: nobody can ever serve the topic 'status'", "lower the last"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_edit_changes_nothing_until_a_good_one(edited: Edited, bad: str) -> None:
    name, before, after, told, hint = BAD[bad]
    good = (edited.folder / name).read_text(encoding="utf-8")
    staff = edited.matcher.staff
    (edited.folder / name).write_text(good.replace(before, after, 1), encoding="utf-8")
    await until(edited.reloader.warnings)
    [warning] = edited.reloader.warnings()
    assert warning.startswith(f"an edit is refused: {edited.folder}/{name}:")
    assert told in warning
    assert hint in warning
    assert METRICS.registry.get_sample_value("hotline_reload_refused") == 1
    assert edited.matcher.staff is staff
    (edited.folder / name).write_text(good, encoding="utf-8")
    await until(lambda: not edited.reloader.warnings())
    assert METRICS.registry.get_sample_value("hotline_reload_refused") == 0
    assert edited.matcher.staff is staff, "it is what was in effect all the time"


async def test_both_files_take_effect_together_or_not_at_all(edited: Edited) -> None:
    staff = edited.matcher.staff
    edited.edit("routing.yaml", ("for_s: 10", "for_s: 11"))
    edited.edit("consultants.yaml", ("{waste: 5, roads: 4", "{wasted: 5, roads: 4"))
    await until(edited.reloader.warnings)
    assert edited.matcher.staff is staff
    edited.edit("consultants.yaml", ("{wasted: 5, roads: 4", "{waste: 3, roads: 4"))
    await until(lambda: edited.matcher.staff is not staff)
    assert edited.matcher.staff.routing.steps[0].for_s == 11
    assert levels(edited, "101")["waste"] == 3


async def test_sighup_does_not_wait_for_a_change(edited: Edited) -> None:
    staff = edited.matcher.staff
    os.utime(edited.folder / "consultants.yaml")
    edited.reloader.look_now()
    await asyncio.sleep(4 * LOOK_S)
    assert edited.matcher.staff is staff, "nothing has changed"
    edited.edit("consultants.yaml", ("Anna Nowak", "Anna Nowa"))
    edited.reloader.look_now()
    await until(lambda: edited.matcher.staff is not staff)
    assert edited.matcher.staff.consultants[0].name == "Anna Nowa"


async def test_what_needs_training_needs_a_restart(edited: Edited) -> None:
    staff, topics = edited.matcher.staff, edited.folder / "topics.yaml"
    good = topics.read_text(encoding="utf-8")
    topics.write_text(good + "# edited\n", encoding="utf-8")
    (edited.folder / "profile.yaml").write_text("# only the simulator reads this\n")
    await until(edited.reloader.warnings)
    assert edited.reloader.warnings() == [
        "topics.yaml changed: restart the service to use the edit"
    ]
    assert edited.matcher.staff is staff
    edited.edit("consultants.yaml", ("{waste: 5, roads: 4", "{noise: 5, roads: 4"))
    await until(lambda: len(edited.reloader.warnings()) == 2)
    assert "unknown skill 'noise'" in edited.reloader.warnings()[0]
    assert edited.reloader.warnings()[0].endswith("its edit needs a restart")
    topics.write_text(good, encoding="utf-8")
    edited.edit("consultants.yaml", ("{noise: 5, roads: 4", "{waste: 5, roads: 4"))
    await until(lambda: not edited.reloader.warnings())


async def test_the_rota_only_warns(edited: Edited) -> None:
    rota, staff = edited.folder / "rota.yaml", edited.matcher.staff
    rota.write_text('shifts:\n  - {name: day, from: "06:00", to: "22:00", consultants: ["101"]}\n')
    await until(edited.reloader.warnings)
    assert f"{rota}: 00:00-06:00: nobody is on duty" in edited.reloader.warnings()
    rota.write_text('shifts:\n  - {name: day, from: "06:00", to: "22:00", consultants: ["999"]}\n')
    await until(lambda: "unknown consultant '999'" in str(edited.reloader.warnings()))
    assert METRICS.registry.get_sample_value("hotline_reload_refused") == 0
    edited.edit("consultants.yaml", ("Anna Nowak", "Anna Nowa"))
    await until(lambda: edited.matcher.staff is not staff)


def without(text: str, who: str) -> str:
    """The consultants' file without one of them."""
    begin = text.index(f'  - id: "{who}"')
    return text[:begin] + text[text.index("  - id:", begin + 1) :]


async def test_a_removed_consultant_leaves_the_board_after_the_talk(edited: Edited) -> None:
    file = edited.folder / "consultants.yaml"
    whole = file.read_text(encoding="utf-8")
    for who in ("101", "102"):
        await edited.board.set_device(who, "idle")
    assert await edited.board.move("102", "talking", call="", lease_s=60)
    file.write_text(without(without(whole, "101"), "102"), encoding="utf-8")
    await edited.becomes("101", "offline", "removed")
    assert "101" not in edited.matcher.staff.ids
    await until(lambda: "101" not in edited.followed)
    assert await edited.state("102") == ("talking", ""), "the talk goes on"
    assert "102" in edited.followed, "its telephone is still followed"
    assert await edited.board.move("102", "wrap_up", lease_s=60)
    await edited.becomes("102", "offline", "removed")
    await until(lambda: "102" not in edited.followed)
    # Added again, the one is there at once; another who has logged out stays so.
    assert await edited.board.move("103", "offline")
    file.write_text(whole, encoding="utf-8")
    await edited.becomes("101", "available")
    await edited.becomes("102", "available")
    assert await edited.state("103") == ("offline", "")


async def test_one_removed_and_added_while_talking_stays(edited: Edited) -> None:
    file, staff = edited.folder / "consultants.yaml", edited.matcher.staff
    whole = file.read_text(encoding="utf-8")
    await edited.board.set_device("101", "idle")
    assert await edited.board.move("101", "talking", lease_s=60)
    file.write_text(without(whole, "101"), encoding="utf-8")
    await until(lambda: "101" not in edited.matcher.staff.ids)
    file.write_text(whole, encoding="utf-8")
    await until(lambda: edited.matcher.staff.ids == staff.ids)
    assert await edited.board.move("101", "available")
    await asyncio.sleep(4 * LOOK_S)
    assert await edited.state("101") == ("available", "")
    assert "101" in edited.followed


async def test_redis_away_during_an_edit(
    edited: Edited,
    redis_server: tuple[Server, str],  # noqa: F811 - the fixture
) -> None:
    server, _ = redis_server
    await edited.board.set_device("101", "idle")
    file = edited.folder / "consultants.yaml"
    server.signal(signal.SIGSTOP)
    file.write_text(without(file.read_text(encoding="utf-8"), "101"), encoding="utf-8")
    await until(lambda: "101" not in edited.matcher.staff.ids, within=10)
    server.signal(signal.SIGCONT)
    await until(lambda: edited.matcher.healthy, within=10)
    await edited.becomes("101", "offline", "removed")


async def test_warnings_do_not_make_it_unready() -> None:
    async def rows() -> Mapping[str, list[Mapping[str, Any]]]:
        return {}

    board = Board("redis://127.0.0.1:9/0", "a", timeout_s=1)
    api = ConsultantsApi(board, dict, "token")
    app = make_app(
        CollectorRegistry(), lambda: {"redis": True}, rows, api, lambda: ["<edit> refused"]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{url}/readyz") as answer:
                assert answer.status == 200
                assert (await answer.json())["warnings"] == ["<edit> refused"]
            async with http.get(url) as answer:
                assert "&lt;edit&gt; refused" in await answer.text()
    finally:
        await runner.cleanup()
        await board.close()


TOPICS = load_plan(ROOT / "queues").topics
CONSULTANTS = (ROOT / "queues" / "consultants.yaml").read_bytes()


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0, len(CONSULTANTS)), gone=st.integers(0, 40), put=st.binary(max_size=12))
def test_whatever_is_typed_is_a_plan_or_a_refusal(
    tmp_path: Path, at: int, gone: int, put: bytes
) -> None:
    shutil.copy(ROOT / "queues" / "routing.yaml", tmp_path)
    (tmp_path / "consultants.yaml").write_bytes(CONSULTANTS[:at] + put + CONSULTANTS[at + gone :])
    with suppress(ConfigError):
        assert load_plan_for(TOPICS, tmp_path).consultants


@pytest.fixture
def install(tmp_path: Path) -> AsteriskInstall:
    data = tmp_path / "data"
    for name in ("documentation", "moh"):
        (data / name).mkdir(parents=True)
    return AsteriskInstall(("asterisk",), data / "modules", data, "22.0.0", "a test")


def configuration(tmp_path: Path) -> Settings:
    folders = {name: ROOT / name for name in ("queues", "prompts", "dialplans")}
    return Settings(
        service={"state_dir": tmp_path / "state"},
        files={**folders, "asterisk": ROOT / "config" / "asterisk"},
    )


def test_rendering_replaces_only_what_is_new(tmp_path: Path, install: AsteriskInstall) -> None:
    values, secrets = configuration(tmp_path), Secrets(tmp_path / "state" / "secrets.json")
    people = load_plan(ROOT / "queues").consultants
    etc = render(values, people, install, secrets, demo_caller=True)
    assert stat.S_IMODE((etc / "pjsip.conf").stat().st_mode) == 0o600
    (etc / "pjsip.conf").chmod(0o640)
    (etc / "old.conf").write_text("; of an earlier version\n")
    before = {file.name: file.stat().st_ino for file in etc.iterdir()}
    with (etc / "pjsip.conf").open(encoding="utf-8") as reader:
        half = reader.read(1000)
        assert render_telephones(values, people[1:], secrets) == ["pjsip.conf", "queues.conf"]
        assert "[101]" in half + reader.read(), "who was reading goes on reading the old one"
    after = {file.name: file.stat().st_ino for file in etc.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"pjsip.conf", "queues.conf"}
    telephones = (etc / "pjsip.conf").read_text(encoding="utf-8")
    assert "[101]" not in telephones
    assert "[caller]" in telephones, "the demo's caller stays"
    assert stat.S_IMODE((etc / "pjsip.conf").stat().st_mode) == 0o640
    assert "PJSIP/101" not in (etc / "queues.conf").read_text(encoding="utf-8")
    assert render_telephones(values, people[1:], secrets) == []
    link = (tmp_path / "state" / "asterisk" / "data" / "moh").lstat().st_ino
    render(values, people, install, secrets)
    assert not (etc / "old.conf").exists()
    assert "[caller]" not in (etc / "pjsip.conf").read_text(encoding="utf-8")
    assert (tmp_path / "state" / "asterisk" / "data" / "moh").lstat().st_ino == link


def test_a_template_that_is_wrong_leaves_all_files(
    tmp_path: Path, install: AsteriskInstall
) -> None:
    values, secrets = configuration(tmp_path), Secrets(tmp_path / "state" / "secrets.json")
    people = load_plan(ROOT / "queues").consultants
    etc = render(values, people, install, secrets)
    templates = tmp_path / "templates"
    shutil.copytree(ROOT / "config" / "asterisk", templates)
    (templates / "rtp.conf").write_text("[general]\nrtpstart = @{nonsense}\n")
    before = {file.name: file.stat().st_ino for file in etc.iterdir()}
    wrong = values.model_copy(
        update={"files": values.files.model_copy(update={"asterisk": templates})}
    )
    with pytest.raises(ConfigError, match=r"rtp\.conf: unknown placeholder"):
        render(wrong, people[1:], install, secrets)
    assert {file.name: file.stat().st_ino for file in etc.iterdir()} == before

"""Consultants and routing are edited under callers who wait and talk; Asterisk follows."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest_asyncio

from ivr.routing.board import Board
from ivr.secrets import Secrets
from ivr.telephone import Telephone
from tests.asterisk.people import another_caller, in_fallback, note, queued, waits
from tests.asterisk.site import ROOT, Site, until
from tests.asterisk.test_failures import answered, closes, talk_through

FILES = ("consultants.yaml", "routing.yaml")
NEW = """  - id: "141"
    name: {name}
    languages: {{pl: 5}}
    skills: {{roads: 5}}
"""


class Desk:
    """The folder of queues as somebody edits it."""

    def __init__(self, site: Site, folder: Path):
        self.site, self.folder = site, folder
        self._log = site.folder / "logs" / "service.log"

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        """Save a file, as an editor does: another one in its place."""
        file = self.folder / name
        fresh = file.with_name(f".{name}.swp")
        fresh.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
        fresh.replace(file)

    def replace(self, name: str, before: str, after: str) -> None:
        """Save a file with one text replaced, which is there once."""

        def change(text: str) -> str:
            assert text.count(before) == 1, before
            return text.replace(before, after)

        self.edit(name, change)

    def hire(self, name: str) -> None:
        """Add consultant 141."""
        self.edit("consultants.yaml", lambda text: text + NEW.format(name=name))

    def as_before(self) -> None:
        """Bring the project's own files back."""
        for name in FILES:
            self.edit(name, lambda _, name=name: (ROOT / "queues" / name).read_text("utf-8"))  # type: ignore[misc]

    async def warnings(self) -> list[str]:
        """What /readyz warns of; the service is ready all the time."""
        status, text = await self.site.http("/readyz")
        assert status == 200, text
        found: list[str] = json.loads(text)["warnings"]
        return found

    async def taken_up(self, sign: str, within: float = 6) -> float:
        """Wait until the log tells of an edit with such a sign; returns the seconds it took."""

        async def told() -> bool:
            return any("an edit is in effect" in line and sign in line for line in self._lines())

        return await until(told, f"an edit with {sign!r} is in effect", within)

    def _lines(self) -> list[str]:
        return self._log.read_text(encoding="utf-8").splitlines()[self._begin :]

    def mark(self) -> None:
        """Look only at what is logged from now on."""
        self._begin = 0
        self._begin = len(self._lines())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def edited_site(whole_site: Site) -> AsyncIterator[Site]:
    """The site with a copy of `queues/` in its state folder, for the tests of this module."""
    folder = whole_site.folder / "queues"
    shutil.copytree(ROOT / "queues", folder)
    before = whole_site.config.read_text(encoding="utf-8")
    assert f'"{ROOT}/queues"' in before
    whole_site.config.write_text(before.replace(f"{ROOT}/queues", str(folder)), encoding="utf-8")
    await whole_site.restart_service()
    try:
        yield whole_site
    finally:
        whole_site.config.write_text(before, encoding="utf-8")
        await whole_site.restart_service()


@pytest_asyncio.fixture(loop_scope="session")
async def desk(edited_site: Site, site: Site) -> AsyncIterator[Desk]:
    """The folder, edited; afterwards it is as before, and so is Asterisk."""
    desk = Desk(site, site.folder / "queues")
    desk.mark()
    yield desk
    desk.as_before()

    async def quiet() -> bool:
        return not await desk.warnings() and not await knows(site, "141")

    await until(quiet, "the edits are undone", 6)
    after = [line for line in site.warnings() if line not in site.warnings_at_start]
    assert not [line for line in after if "res_pjsip" in line or "app_queue" in line], after


async def knows(site: Site, extension: str) -> bool:
    """Whether Asterisk has a telephone."""
    shown = await site.console(f"pjsip show endpoint {extension}")
    return "Unable to find" not in shown


async def state(site: Site, who: str) -> str:
    """What the board says of a consultant."""
    board = Board(site.settings.redis.url, "witness", timeout_s=1)
    try:
        one = (await board.snapshot([who])).consultants[who]
    finally:
        await board.close()
    return f"{one.state} {one.reason}".strip()


async def why(site: Site, caller: Telephone) -> str:
    """What `hotline why` says of a call that is over."""
    case = await site.closed_case(caller)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ivr.cli", "--config", str(site.config), "why", str(case.number),
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "COLUMNS": "1000"},
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def consultant_of(site: Site, caller: Telephone) -> str | None:
    return (await site.closed_case(caller)).consultant


async def test_a_skill_given_while_a_caller_waits(site: Site, desk: Desk) -> None:
    async with (
        site.consultant("101") as first,
        site.caller() as talker,
        another_caller(site, 1) as waiter,
    ):
        await queued(site, talker)
        await site.step(talker, "talking")
        async with site.consultant("103") as second:  # knows nothing of roads
            await waits(site, waiter)
            desk.replace(
                "consultants.yaml", "{parking: 4, order: 5,", "{roads: 5, parking: 4, order: 5,"
            )
            began = time.monotonic()
            await answered(second, 8)
            note(f"saved to the telephone answered: {time.monotonic() - began:.2f} s")
            await talk_through(talker, first, site)
            await second.hangup()
            await closes(waiter)
        await first.hangup()
        await closes(talker)
        assert await consultant_of(site, waiter) == "103"
        assert await consultant_of(site, talker) == "101"
        told = await why(site, waiter)
        note(told)
        assert "The topic roads was chosen by key." in told
        assert "talking: Anna Nowak (101)" in told, "what the one who is able does"
        assert "offered to Katarzyna Mazur (103): the only one able and free, level 5 in" in told
        assert told.splitlines()[-1].startswith("The caller waited ")


async def test_a_bad_edit_is_refused_and_the_old_routing_goes_on(site: Site, desk: Desk) -> None:
    bad = "    - {level: 5, also: {water: 5}}\n"
    async with site.consultant("101") as first, site.caller() as talker:
        await queued(site, talker)
        await site.step(talker, "talking")
        async with another_caller(site, 1) as waiter:
            await waits(site, waiter)
            desk.edit("routing.yaml", lambda text: f"{text}  roads:\n{bad}")

            async def refused() -> bool:
                return bool(await desk.warnings())

            took = await until(refused, "the edit is refused", 6)
            note(f"saved to refused: {took:.2f} s")
            [warning] = await desk.warnings()
            place = len((desk.folder / "routing.yaml").read_text("utf-8").splitlines()) - 1
            assert f"routing.yaml:{place}: nobody can ever serve the topic 'roads'" in warning
            assert "lower the last step's level" in warning
            assert await site.metric("hotline_reload_refused") == 1
            assert "nobody can ever serve" in (await site.http("/"))[1]
            async with site.consultant("102") as second:
                await answered(second, 8)
                await second.hangup()
                await closes(waiter)
            desk.edit("routing.yaml", lambda text: text.replace(f"  roads:\n{bad}", ""))

            async def over() -> bool:
                return not await desk.warnings()

            await until(over, "the refusal is over", 6)
            assert await site.metric("hotline_reload_refused") == 0
        await first.hangup()
        await closes(talker)
        assert await consultant_of(site, waiter) == "102"


async def test_a_new_consultant_gets_a_telephone_and_calls(site: Site, desk: Desk) -> None:
    async with site.consultant("101") as first, site.caller() as talker:
        await queued(site, talker)
        await site.step(talker, "talking")
        desk.hire("Nowa Osoba")
        site.service.signal(signal.SIGHUP)
        began = time.monotonic()
        await desk.taken_up('"141"', within=1.5)

        async def there() -> bool:
            return await knows(site, "141")

        await until(there, "Asterisk has telephone 141", 3)
        assert not await desk.warnings()
        note(f"SIGHUP to the telephone in Asterisk: {time.monotonic() - began:.2f} s")
        assert "Nowa Osoba" in await site.console("queue show fallback")
        site.supervisor.secrets = Secrets(site.folder / "secrets.json")
        async with site.consultant("141") as new, another_caller(site, 1) as waiter:
            await queued(site, waiter)
            await answered(new, 8)
            # Renamed while it talks; and nothing breaks off.
            desk.replace("consultants.yaml", "Nowa Osoba", "Inna Osoba")
            await desk.taken_up('"renamed": ["141"]')

            async def renamed() -> bool:
                return "Inna Osoba" in await site.console("queue show fallback")

            await until(renamed, "the queue has the new name", 3)
            await talk_through(waiter, new, site)
            await talk_through(talker, first, site)
            await new.hangup()
            await closes(waiter)
        await first.hangup()
        await closes(talker)
        assert await consultant_of(site, waiter) == "141"


async def test_who_is_removed_while_talking_finishes_the_talk(site: Site, desk: Desk) -> None:
    desk.hire("Nowa Osoba")
    await desk.taken_up('"141"')
    await until(lambda: knows(site, "141"), "Asterisk has telephone 141", 3)
    site.supervisor.secrets = Secrets(site.folder / "secrets.json")
    async with site.consultant("141") as leaver, site.caller() as talker:
        await queued(site, talker)
        await answered(leaver, 8)
        desk.mark()
        desk.edit("consultants.yaml", lambda text: text[: text.index('  - id: "141"')])
        await desk.taken_up('"removed": ["141"]')
        await talk_through(talker, leaver, site)
        assert await state(site, "141") == "talking"
        assert await knows(site, "141"), "the telephone stays while it talks"
        await leaver.hangup()
        await closes(talker)

        async def gone() -> bool:
            return await state(site, "141") == "offline removed" and not await knows(site, "141")

        await until(gone, "141 is off the board and out of Asterisk", 6)
        assert "PJSIP/141" not in await site.console("queue show fallback")
        async with another_caller(site, 1) as waiter:
            await waits(site, waiter)
            await asyncio.sleep(2)  # two looks of the matcher: the telephone is still there
            assert not leaver.ringing
            assert not leaver.in_call
            async with site.consultant("101") as other:
                await answered(other, 8)
                await other.hangup()
                await closes(waiter)
        assert await consultant_of(site, talker) == "141"
        assert await consultant_of(site, waiter) == "101"


async def test_asterisk_configured_by_somebody_else(site: Site, desk: Desk) -> None:
    # Seen from the service, an Asterisk without a console in the state folder is another's.
    console = site.folder / "asterisk" / "asterisk.ctl"
    hidden = console.with_name("hidden.ctl")
    etc = (site.folder / "asterisk" / "etc" / "pjsip.conf").read_text(encoding="utf-8")
    console.rename(hidden)
    try:
        desk.hire("Nowa Osoba")
        await desk.taken_up('"141"')

        async def told() -> bool:
            return bool(await desk.warnings())

        await until(told, "what remains to be done is told", 6)
        [warning] = await desk.warnings()
        assert "Asterisk lacks the telephones 141 (it does not run from" in warning
        assert "`module reload res_pjsip.so`" in warning
        assert (site.folder / "asterisk" / "etc" / "pjsip.conf").read_text("utf-8") == etc
    finally:
        hidden.rename(console)

    async def done() -> bool:
        return not await desk.warnings()

    await until(done, "it is done when it can be", 15)
    assert await knows(site, "141")
    assert await in_fallback(site) == 0

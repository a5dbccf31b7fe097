"""Edits of who answers and of the routing, taken up while the service runs.

`consultants.yaml` and `routing.yaml` take effect together or not at all; an edit that is refused
leaves everything as it was. What needs training (topics, emergencies, examples) is only noticed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path

import structlog

from ivr.asterisk.ami_wire import AmiError
from ivr.errors import ConfigError
from ivr.loading import Plan, contents, load_plan_for, plan_files, rota_warnings
from ivr.metrics import METRICS
from ivr.provisioning import Telephones
from ivr.routing.board import BoardDownError
from ivr.routing.matcher import Matcher
from ivr.routing.skills import Consultant
from ivr.routing.snapshot import State
from ivr.routing.staff import Staff

LOOK_EVERY_S = 1.0
"""An edit is taken up once the files have stayed the same from one look to the next."""
TRY_AGAIN_S = 10.0
ROUTING = frozenset({"consultants.yaml", "routing.yaml"})
ROTA = "rota.yaml"
_UNUSED = frozenset({"profile.yaml"})
"""What the service never reads."""
REMOVED = "removed"
"""Why a consultant on the board is logged out, who is no longer in consultants.yaml."""

Stamp = tuple[int, int, int]


class Reloader:
    """Watches `folder` while `run` runs; `look_now` is for SIGHUP.

    `files` is what was in the folder (`contents`) when `plan` was read. `consultants` are those
    whose telephones the service follows, changed in place: who was removed stays among them until
    the talk is over. `on_telephones` is called when Asterisk has got others.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        files: Mapping[str, str],
        matcher: Matcher,
        consultants: MutableMapping[str, Consultant],
        telephones: Telephones,
        on_telephones: Callable[[], Awaitable[None]],
    ):
        self._folder, self._matcher = folder, matcher
        self._at_start, self._files = files, files
        self._plan = plan
        self._consultants, self._telephones = consultants, telephones
        self._on_telephones = on_telephones
        self._seen: Mapping[str, Stamp] = {}
        self._taken: Mapping[str, Stamp] = {}
        self._asked = asyncio.Event()
        self._leaving: set[str] = set()
        self._coming: set[str] = set()
        self._gone: set[str] = set()
        """Whose telephones Asterisk is to forget."""
        self._telephones_due: float | None = 0.0
        self._refused = self._waits = ""
        self._stale: frozenset[str] = frozenset()
        self._rota: list[str] = []
        self._log = structlog.get_logger()

    def look_now(self) -> None:
        """Read the files again now, changed or not."""
        self._asked.set()

    def warnings(self) -> list[str]:
        """Sentences about edits that are not in effect."""
        found = [f"an edit is refused: {self._refused}"] if self._refused else []
        if self._stale:
            found.append(_restart(self._stale))
        if self._telephones.remains:
            found.append(self._telephones.remains)
        return found + self._rota

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            asked = self._asked.is_set()
            self._asked.clear()
            try:
                await self._look(asked=asked)
            except Exception as error:  # whatever is wrong with an edit, callers go on
                self._refuse(f"{type(error).__name__}: {error}")
            waits = ""
            for step in (self._settle, self._tell_asterisk):
                try:
                    await step()
                except (BoardDownError, AmiError) as error:  # done at a later look
                    waits = str(error)
            if waits and waits != self._waits:
                self._log.warning("an edit is not everywhere yet", error=waits)
            self._waits = waits
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._asked.wait()

    async def _look(self, *, asked: bool) -> None:
        stamps = await asyncio.to_thread(_stamps, self._folder)
        steady, self._seen = stamps == self._seen, stamps
        if not asked and (not steady or stamps == self._taken):
            return
        files = await asyncio.to_thread(contents, self._folder)
        changed = {name for name, _ in files.items() ^ self._files.items()}
        self._taken, self._files = stamps, files
        self._notice(files)
        if asked or changed & ROUTING:
            await self._take_up()
        elif ROTA in changed:
            await self._read_rota()

    def _notice(self, files: Mapping[str, str]) -> None:
        """Notice edits that only a restart takes up."""
        names = {name for name, _ in files.items() ^ self._at_start.items()}
        stale = frozenset(names) - ROUTING - {ROTA} - _UNUSED
        if stale - self._stale:
            self._log.warning(_restart(stale))
        self._stale = stale

    async def _take_up(self) -> None:
        before = self._plan
        try:
            plan = await asyncio.to_thread(load_plan_for, before.topics, self._folder)
        except ConfigError as error:
            later = ", and topics.yaml changed too: its edit needs a restart"
            self._refuse(f"{error}{later if 'topics.yaml' in self._stale else ''}")
            return
        self._refused = ""
        METRICS.reload_refused.set(0)
        if (plan.consultants, plan.routing) == (before.consultants, before.routing):
            self._log.info("the routing is as in the files")
        else:
            staff = await asyncio.to_thread(Staff, plan.consultants, plan.routing)
            self._put_in_effect(plan, staff)
        await self._read_rota()

    def _refuse(self, why: str) -> None:
        self._refused = why
        METRICS.reload_refused.set(1)
        self._log.error(f"an edit is refused, the routing stays as it was: {why}")

    def _put_in_effect(self, plan: Plan, staff: Staff) -> None:
        old = {c.id: c for c in self._plan.consultants}
        new = {c.id: c for c in plan.consultants}
        added, removed = new.keys() - old.keys(), old.keys() - new.keys()
        both = old.keys() & new.keys()
        renamed = {who for who in both if old[who].name != new[who].name}
        self._consultants.update(new)
        self._leaving = (self._leaving | removed) - new.keys()
        self._gone = (self._gone | removed) - new.keys()
        self._coming = (self._coming | added) & new.keys()
        if added or removed or renamed:
            self._telephones_due = 0.0
        self._log.info(
            "an edit is in effect",
            added=sorted(added),
            removed=sorted(removed),
            renamed=sorted(renamed),
            changed=sorted(who for who in both - renamed if old[who] != new[who]),
            routing=self._plan.routing != plan.routing,
        )
        self._plan = plan
        self._matcher.staff = staff
        self._matcher.wake()

    async def _read_rota(self) -> None:
        try:
            self._rota = await asyncio.to_thread(rota_warnings, self._folder, self._plan)
        except ConfigError as error:
            self._rota = [str(error)]
        for warning in self._rota:
            self._log.warning(warning)

    async def _settle(self) -> None:
        """Log out on the board who was removed and does not talk; let in who was added again."""
        board = self._matcher.board
        for who in sorted(self._leaving):
            if await board.move(who, "offline", expected=_AT_REST, reason=REMOVED):
                self._leaving.discard(who)
                self._consultants.pop(who, None)
                self._telephones_due = 0.0
        if not self._coming:
            return
        states = (await board.snapshot(sorted(self._coming))).consultants
        for who, state in states.items():
            if (state.state, state.reason) == ("offline", REMOVED):
                await board.move(who, "available", expected=("offline",))
            self._coming.discard(who)

    async def _tell_asterisk(self) -> None:
        """Bring the telephones in, those too who are removed and still talk."""
        now, due = asyncio.get_running_loop().time(), self._telephones_due
        if due is None or now < due or not self._telephones.reachable:
            return
        self._telephones_due = None  # an edit from here on makes it due again
        told = self._telephones.remains
        try:
            talking = [self._consultants[who] for who in sorted(self._leaving)]
            await self._telephones.bring(
                [*self._plan.consultants, *talking], sorted(self._gone - self._leaving)
            )
            await self._on_telephones()
        except AmiError:
            self._telephones_due = now + TRY_AGAIN_S
            raise
        if remains := self._telephones.remains:
            if self._telephones_due is None:
                self._telephones_due = now + TRY_AGAIN_S
            if remains != told:
                self._log.warning(remains)
            return
        self._gone &= self._leaving
        if told:
            self._log.info("Asterisk has the consultants' telephones")


_AT_REST: tuple[State, ...] = ("available", "paused", "wrap_up", "offline")


def _stamps(folder: Path) -> dict[str, Stamp]:
    """What changes with a file, whoever writes it in whatever way."""
    found = {}
    for file in plan_files(folder):
        try:
            status = file.stat()
        except OSError:  # just removed
            continue
        found[str(file)] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found


def _restart(files: frozenset[str]) -> str:
    return f"{', '.join(sorted(files))} changed: restart the service to use the edit"

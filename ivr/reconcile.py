"""The board and the cases compared with what Asterisk says, so that nothing sticks."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from ivr.asterisk.ami import AmiClient
from ivr.asterisk.ami_wire import AmiError
from ivr.cases import cel
from ivr.cases.drain import Drain
from ivr.cases.journal import Journal
from ivr.cases.reconcile import CelWindow, reconcile
from ivr.cases.store import CaseStore
from ivr.errors import HotlineError
from ivr.manager_events import ManagerEvents, consultant_of, device_of
from ivr.routing.board import Board, BoardDownError
from ivr.routing.snapshot import Device
from ivr.settings import Settings

CEL_FILE = Path("asterisk/log/cel-custom") / cel.FILE
ORPHAN_AFTER_S = 5.0
"""A case this old whose call nobody of ours serves was opened by a service that died."""


class Reconciler:
    """Runs every `[routing] reconcile_s` seconds."""

    def __init__(
        self,
        settings: Settings,
        ami: AmiClient,
        board: Board,
        consultants: Mapping[str, object],
        store: CaseStore,
        journal: Journal,
        drain: Drain,
        events: ManagerEvents,
    ):
        self._every_s = settings.routing.reconcile_s
        self._ami, self._board, self._consultants = ami, board, consultants
        self._records = CelRecords(settings.state_dir / CEL_FILE, store, journal, drain, events)
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Compare for ever."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.read_devices()
            except (AmiError, BoardDownError) as error:
                self._log.info("the board could not be compared with Asterisk", error=str(error))
            try:
                await self._records.complete()
            except HotlineError as error:
                self._log.info("cases could not be compared with CEL", error=str(error))

    async def read_devices(self) -> None:
        """Read every telephone's state and end what nobody renews any more.

        Raises AmiError; a board that is away is left alone.
        """
        if not self._ami.connected:
            return
        devices: dict[str, Device] = dict.fromkeys(self._consultants, "unavailable")
        for event in await self._ami.list_action("DeviceStateList"):
            name = consultant_of(event.get("Device") or "")
            if name in devices and name is not None:
                devices[name] = device_of(event.get("State") or "")
        try:
            for consultant, device in devices.items():
                await self._board.set_device(consultant, device)
                ended = await self._board.expire(consultant)
                if ended:
                    self._log.warning("a state nobody renewed is over", consultant=consultant,
                                      state=ended)  # fmt: skip
        except BoardDownError:
            return


class CelRecords:
    """Asterisk's own record of calls, compared with the cases."""

    def __init__(
        self, path: Path, store: CaseStore, journal: Journal, drain: Drain, events: ManagerEvents
    ):
        self._follower, self._window = cel.CelFollower(path), CelWindow()
        self._store, self._journal, self._drain = store, journal, drain
        self._events = events

    async def complete(self) -> None:
        """Open the cases that are missing and close those whose service died.

        Raises HotlineError while the database is away.
        """
        self._window.add(await asyncio.to_thread(self._follower.read))
        seen = self._window.events()
        if not seen:
            return
        await self._drain.drain_once()
        self._let_go(seen)
        ours = {*self._events.calls, *self._events.handed}
        known = ours | await self._store.known_asterisk_ids({event.linkedid for event in seen})
        unfinished = await self._store.unfinished(
            datetime.now(UTC) - timedelta(seconds=ORPHAN_AFTER_S)
        )
        orphans = {channel: case for channel, case in unfinished.items() if channel not in ours}
        made = reconcile(seen, known, orphans=orphans)
        fresh = await self._store.unknown(event.id for event in made)
        for event in made:
            if event.id in fresh:
                await self._journal.append(event)

    def _let_go(self, seen: list[cel.CelEvent]) -> None:
        """Leave to the record the callers of 112 who hung up while the manager link was down."""
        before = datetime.now(UTC) - timedelta(seconds=ORPHAN_AFTER_S)
        ended = {event.uniqueid for event in seen if event.kind == "CHAN_END" and event.at < before}
        for channel in ended & self._events.handed.keys():
            del self._events.handed[channel]

"""Calling back: the caller is dialled once a consultant is reserved, greeted and connected.

A callback lives on the board, so any process may dial it; the cases bring it back when Redis has
lost it. Each try is noted on the board before it is made: who dies while dialling causes no
second call at once.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from ivr.asterisk.agi_session import AgiSession
from ivr.asterisk.agi_wire import AgiError
from ivr.asterisk.ami import AmiClient
from ivr.asterisk.ami_wire import AmiError, AmiMessage
from ivr.cases.drain import Drain
from ivr.cases.event import CaseEvent, EventKind
from ivr.cases.journal import Journal
from ivr.cases.numbers import mask
from ivr.cases.store import CaseStore
from ivr.errors import HotlineError
from ivr.metrics import METRICS
from ivr.routing.board import BoardDownError
from ivr.routing.callback import Callback, callable_number
from ivr.routing.matcher import Matcher
from ivr.routing.plan import Offer, WaitingCall
from ivr.settings import Settings

MISSING_S = 10.0
"""A callback that its case knows of and the board does not, for so long, is put back."""
GREETING_S = 20.0
_SETUP_S = 5.0
_ANSWERED = "answered"


def callback_over(
    callback: Callback, why: str, outcome: str, by: UUID | None = None
) -> list[CaseEvent]:
    """Give the events that end a callback without a talk."""
    case = UUID(callback.call.id)
    facts = {} if by is None else {"by": str(by)}
    return [
        CaseEvent.now(case, EventKind.CALLBACK_ENDED, why=why, **facts),
        CaseEvent.now(case, EventKind.CLOSED, outcome=outcome),
    ]


class Callbacks:
    """One process's part in calling back."""

    def __init__(
        self,
        settings: Settings,
        matcher: Matcher,
        ami: AmiClient,
        journal: Journal,
        store: CaseStore,
        drain: Drain,
        later: Callable[[Coroutine[Any, Any, None]], None],
    ):
        self._settings, self._matcher, self._board = settings.callback, matcher, matcher.board
        self._lease_s, self._every_s = settings.routing.lease_s, settings.routing.reconcile_s
        self._from = settings.trunks.numbers[0]
        self._ami, self._journal, self._store, self._drain = ami, journal, store, drain
        self._later = later
        self._dialled: dict[str, _Dialled] = {}
        self._missing: dict[UUID, float] = {}
        self._log = structlog.get_logger()

    @property
    def countries(self) -> frozenset[str]:
        """Whose ordinary numbers may be dialled."""
        return frozenset(self._settings.countries)

    def dial(self, offer: Offer, callback: Callback) -> None:
        """Begin to call back; the consultant of the offer is reserved."""
        self._later(self._dial(offer, callback))

    def on_event(self, event: AmiMessage) -> None:
        """Take what Asterisk tells of a call that was not answered or could not be made."""
        match event.get("Event"):
            case "Hangup":
                name = event.get("Uniqueid").removeprefix(_CHANNEL).partition("-")[0]
                status = _CAUSES.get(event.get("Cause"), "no answer")
            case "OriginateResponse" if event.get("Response") == "Failure":
                name, status = event.get("Exten"), "not reached"
            case _:
                return
        if dialled := self._dialled.get(name):
            dialled.settle(status)

    def answered(self, session: AgiSession) -> "tuple[Offer, Callback] | None":
        """Tell for whom a session of `dialplans/callback.conf` is; None: for nobody any more."""
        dialled = self._dialled.get(session.args[0] if session.args else "")
        if dialled is None or not dialled.settle(_ANSWERED):
            return None
        return dialled.offer, dialled.callback

    async def begin(self, offer: Offer, callback: Callback, session: AgiSession) -> bool:
        """Greet who has answered; False when there is nothing to call back about any more.

        The caller must be on the board by now: whom it does not know is held no consultant for.
        """
        await self._record(callback, EventKind.CALLBACK_ANSWERED, attempt=callback.tries + 1)
        if not await self._board.end_callback(callback):
            await self._matcher.release(offer)
            await session.set_variable("HOTLINE_DONE", "1", force=True)
            return False
        METRICS.callbacks.labels(_ANSWERED).inc()
        keeper = asyncio.create_task(self._keep(offer))
        try:
            with suppress(AgiError):
                await session.stream_file("hotline/callback-hello", timeout=GREETING_S)
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        return True

    async def _dial(self, offer: Offer, callback: Callback) -> None:
        keeper = asyncio.create_task(self._keep(offer))
        try:
            status = await self._try(offer, callback)
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        if status == _ANSWERED:
            return  # its session goes on with the offer
        with suppress(BoardDownError):  # the lease ends by itself
            await self._matcher.release(offer)
            await self._board.withdraw_offer(offer.call)
            if status is not None:
                await self._failed(callback, status)

    async def _keep(self, offer: Offer) -> None:
        """Hold the consultant while the caller's telephone rings."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            with suppress(BoardDownError):
                await self._board.move(
                    offer.consultant, "reserved", call=offer.call, expected=("reserved",),
                    lease_s=self._lease_s, keep_call=True, renew=True,
                )  # fmt: skip

    async def _try(self, offer: Offer, callback: Callback) -> str | None:
        """Dial once; "answered", why not, or None when it was not to be dialled now."""
        number = callable_number(callback.number, self.countries)
        if number is None:  # the settings are stricter now
            return "the number may not be dialled"
        rest = self._settings.retry_after_s[callback.tries :]
        again_s = self._settings.ring_s + _SETUP_S + (rest[0] if rest else 0.0)
        try:
            verdict = await self._board.try_callback(
                callback, again_s,
                per_minute=self._settings.per_minute, per_day=self._settings.per_day,
            )  # fmt: skip
        except BoardDownError:
            return None
        if verdict != "dial":
            self._log.info("a callback is not dialled now", why=verdict)
            return None
        await self._record(
            callback, EventKind.CALLBACK_DIALLED,
            attempt=callback.tries + 1, consultant=offer.consultant,
        )  # fmt: skip
        self._log.info("calling back", number=mask(number), attempt=callback.tries + 1)
        METRICS.callbacks.labels("dialled").inc()
        name = UUID(callback.call.id).hex
        dialled = self._dialled[name] = _Dialled(offer, callback)
        try:
            await self._ami.action("Originate", self._call(number, name, callback.tries + 1))
            async with asyncio.timeout(self._settings.ring_s + _SETUP_S):
                return await dialled.status
        except AmiError as error:
            return f"Asterisk does not dial: {error}"
        except TimeoutError:
            return "no answer"
        finally:
            del self._dialled[name]

    def _call(self, number: str, name: str, attempt: int) -> dict[str, str]:
        return {
            "ChannelId": f"{_CHANNEL}{name}-{attempt}",
            "Channel": f"PJSIP/{number}@outgoing",
            "Context": "callback",
            "Exten": name,
            "Priority": "1",
            "CallerID": self._from,
            "Timeout": str(self._settings.ring_s * 1000),
            "Async": "true",
        }

    async def _failed(self, callback: Callback, status: str) -> None:
        attempt = callback.tries + 1
        METRICS.callbacks.labels("failed").inc()
        await self._record(callback, EventKind.CALLBACK_FAILED, attempt=attempt, status=status)
        if attempt > len(self._settings.retry_after_s):
            await self._give_up(callback, f"{attempt} tries: {status}")

    async def _give_up(self, callback: Callback, why: str) -> None:
        """Leave the case to a person."""
        if await self._board.end_callback(callback):
            METRICS.callbacks.labels("given_up").inc()
            for event in callback_over(callback, why, "callback_failed"):
                await self._journal.append(event)

    async def _record(self, callback: Callback, kind: EventKind, **data: Any) -> None:
        await self._journal.append(CaseEvent.now(UUID(callback.call.id), kind, **data))
        METRICS.events.labels(str(kind)).inc()

    # ---- what Redis or a process has lost

    async def run(self) -> None:
        """Put callbacks back onto the board that lost them, and end those that are too old."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self._look_after()
            except (BoardDownError, HotlineError) as error:
                self._log.info("callbacks could not be looked after", error=str(error))

    async def _look_after(self) -> None:
        snapshot = self._matcher.snapshot
        if not self._matcher.healthy or snapshot is None:
            return
        for callback in snapshot.callbacks.values():
            if snapshot.now - callback.call.arrived_at > self._settings.max_age_s:
                await self._give_up(callback, "too old")
        await self._drain.drain_once()
        since = datetime.now(UTC) - timedelta(seconds=self._settings.max_age_s)
        loop = asyncio.get_running_loop()
        missing = {
            case.uuid: self._missing.get(case.uuid, loop.time())
            for case in await self._store.open_callbacks(since)
            if str(case.uuid) not in snapshot.callbacks
        }
        for uuid, first_missed in list(missing.items()):
            if loop.time() - first_missed >= MISSING_S:
                await self._put_back(uuid)
                del missing[uuid]
        self._missing = missing

    async def _put_back(self, uuid: UUID) -> None:
        case = await self._store.get(uuid)
        events = await self._store.events(uuid)
        asked = [event for event in events if event.kind == EventKind.CALLBACK_ASKED]
        number = callable_number(case.caller_number or "", self.countries) if case else None
        if not asked or number is None:
            return
        data: Any = asked[-1].data
        tries = sum(
            event.kind == EventKind.CALLBACK_DIALLED and event.at > asked[-1].at for event in events
        )
        call = WaitingCall(
            str(uuid), str(data["topic"]), data["language"], int(data["priority"]),
            float(data["arrived_at"]), float(data["queued_at"]),
        )  # fmt: skip
        callback = Callback(call, number, tries)
        if tries > len(self._settings.retry_after_s):
            for event in callback_over(callback, f"{tries} tries", "callback_failed"):
                await self._journal.append(event)
            return
        await self._board.ask_callback(callback, self._settings.most_open)
        self._log.warning("a callback that the board had lost is back", case=str(uuid))


_CHANNEL = "callback-"
_CAUSES = {
    "1": "no such number", "17": "busy", "18": "no answer", "19": "no answer", "20": "switched off",
    "21": "refused", "27": "out of order", "28": "no such number", "34": "congestion",
    "38": "congestion", "41": "congestion", "42": "congestion",
}  # fmt: skip
"""Hang-up causes (ITU-T Q.850)."""


class _Dialled:
    """A callback that rings now."""

    def __init__(self, offer: Offer, callback: Callback):
        self.offer, self.callback = offer, callback
        self.status: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def settle(self, status: str) -> bool:
        """Tell how it ended; False when that is known already."""
        if self.status.done():
            return False
        self.status.set_result(status)
        return True

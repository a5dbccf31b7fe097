"""From "connecting you" to the end of the talk: waiting, offers, ringing, talking."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ivr.asterisk.agi_wire import AgiError, AgiGoneError
from ivr.asterisk.dialplan import dial_argument
from ivr.cases.event import EventKind
from ivr.dialogue.line import CallerGoneError, Key, Line
from ivr.metrics import METRICS
from ivr.routing.board import BoardDownError
from ivr.routing.matcher import Ticket
from ivr.routing.plan import Offer, WaitingCall

if TYPE_CHECKING:
    from ivr.dialogue.call import Call

BUSY_AFTER_S = 0.3
"""A caller nobody is free for within this is told so."""
KEY_CHECK_S = 1.0
KEY_POLL_MS = 500
"""How long one command listens for a key while Asterisk's manager link is down."""


class _EmergencyKeyError(Exception):
    """Key 0 while waiting."""


class Waiting:
    """One caller's wait and talk."""

    def __init__(self, call: "Call"):
        self._call = call
        self._session, self._parts = call.session, call.parts
        self._board = call.parts.matcher.board
        self._loop = asyncio.get_running_loop()
        self._since = 0.0

    @property
    def _waited_s(self) -> float:
        return self._loop.time() - self._since

    async def run(self, topic: str, line: Line, leave_line: Callable[[], Awaitable[None]]) -> None:
        """Wait for a consultant and talk; BoardDownError hands the caller to Asterisk's queue.

        The caller is on `line` until `leave_line` is called.
        """
        self._since = self._loop.time()
        now = await self._board.now()
        priority = self._parts.matcher.staff.routing.priorities.get("normal", 3)
        waiting = WaitingCall(str(self._call.id), topic, self._call.language, priority, now, now)
        queue = self._parts.understanding.topics[topic].queue or "general"
        await self._call.record(EventKind.QUEUED, queue=queue, topic=topic, priority=priority)
        try:
            async with self._parts.matcher.ticket(waiting) as ticket:
                offer = await self._first_offer(ticket, line)
                try:
                    await leave_line()
                    await self._session.set_variable("HOTLINE_STAGE", "waiting")
                    await self._call.set_language()
                except BaseException:
                    if offer is not None:
                        await self._parts.matcher.release(offer)
                    raise
                await self._until_served(ticket, offer)
        except (CallerGoneError, AgiGoneError):
            await self._call.gone("waiting", self._waited_s)
        except _EmergencyKeyError:
            await leave_line()
            await self._call.record(EventKind.KEY, key="0")
            await self._call.emergency("key 0 while waiting")

    async def _first_offer(self, ticket: Ticket, line: Line) -> Offer | None:
        """An offer made at once, or while the caller is told that all are busy; else None."""
        offer = asyncio.create_task(ticket.offer())
        busy = asyncio.create_task(self._tell_busy(line))
        try:
            await asyncio.wait((offer, busy), return_when=asyncio.FIRST_COMPLETED)
            if offer.done():
                return offer.result()
            busy.result()
            return None
        finally:
            line.hush()
            for task in (offer, busy):
                task.cancel()
            await asyncio.gather(offer, busy, return_exceptions=True)

    async def _tell_busy(self, line: Line) -> None:
        await asyncio.sleep(BUSY_AFTER_S)
        if await line.say("all-busy") == Key("0"):
            raise _EmergencyKeyError

    async def _until_served(self, ticket: Ticket, offer: Offer | None) -> None:
        while True:
            if offer is None:
                await self._session.set_music(True)
                offer = await self._next_offer(ticket)
            if offer is None:
                await self._call.abandoned("waiting", self._waited_s)
                return
            if await self._talk(offer):
                return
            if self._session.hungup:
                await self._call.abandoned("ringing", self._waited_s)
                return
            await self._board.withdraw_offer(ticket.call.id)
            offer = None

    async def _next_offer(self, ticket: Ticket) -> Offer | None:
        """The next offer, or None when the caller has hung up."""
        offer = asyncio.create_task(ticket.offer())
        key = asyncio.create_task(self._emergency_key())
        gone = asyncio.create_task(self._session.wait_hangup())
        tasks = (offer, key, gone)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            taken = offer.result() if offer.done() else None
            if taken and (gone.done() or key.done()):
                await self._parts.matcher.release(taken)
            if gone.done():
                return None
            if key.done():
                key.result()
                raise _EmergencyKeyError
            return taken
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _emergency_key(self) -> None:
        """Return when the caller presses 0, by way of AMI or, while that is down, of AGI."""
        while True:
            if self._call.manager_connected():
                with suppress(TimeoutError):
                    async with asyncio.timeout(KEY_CHECK_S):
                        if await self._call.keys.get() == "0":
                            return
            elif await self._session.wait_for_digit(KEY_POLL_MS) == "0":
                return

    async def _talk(self, offer: Offer) -> bool:
        """Ring the consultant; True when they talked."""
        call, routing = self._call, self._parts.settings.routing
        rings = await self._board.move(
            offer.consultant, "ringing", call=offer.call, expected=("reserved",),
            lease_s=routing.lease_s, keep_call=True,
        )  # fmt: skip
        if not rings:
            return False
        await call.record(
            EventKind.OFFERED, consultant=offer.consultant, step=offer.step, level=offer.level,
            considered=list(offer.considered), why=offer.why,
        )  # fmt: skip
        METRICS.offers.inc()
        call.consultant = offer.consultant
        call.answered_by_consultant.clear()
        call.talking_since = None
        dialled, wait_s = self._loop.time(), self._waited_s
        keeper = asyncio.create_task(self._keep_lease(offer))
        try:
            await self._dial(offer)
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            call.consultant = None
        status = await self._variable("DIALSTATUS")
        # ANSWEREDTIME counts from the answer to the caller, not from the consultant's.
        began = call.talking_since if call.talking_since is not None else dialled
        talk_s = round(self._loop.time() - began, 3)
        if status == "ANSWER" or call.answered_by_consultant.is_set():
            await self._after_talk(offer, wait_s, talk_s)
            return True
        await self._not_answered(offer, status)
        return False

    async def _dial(self, offer: Offer) -> None:
        ring_s = self._parts.settings.dialogue.connecting_ring_s
        await self._session.exec("Dial", dial_argument(f"PJSIP/{offer.consultant}", ring_s, "g"))

    async def _keep_lease(self, offer: Offer) -> None:
        lease_s = self._parts.settings.routing.lease_s
        answered = self._call.answered_by_consultant
        while True:
            talking = answered.is_set()
            with suppress(BoardDownError):
                await self._board.move(
                    offer.consultant, "talking" if talking else "ringing", call=offer.call,
                    expected=("ringing", "talking"), lease_s=lease_s, keep_call=True,
                    renew=talking,
                )  # fmt: skip
            with suppress(TimeoutError):
                async with asyncio.timeout(lease_s / 3):
                    if talking:
                        await asyncio.Event().wait()
                    await answered.wait()

    async def _after_talk(self, offer: Offer, wait_s: float, talk_s: float) -> None:
        call, routing = self._call, self._parts.settings.routing
        await call.record(EventKind.TALK_ENDED, consultant=offer.consultant, talk_s=talk_s)
        METRICS.wait.observe(wait_s)
        METRICS.talk.observe(talk_s)
        with suppress(BoardDownError):  # the lease ends by itself
            await self._board.move(
                offer.consultant, "wrap_up", call=offer.call, expected=("ringing", "talking"),
                lease_s=max(routing.wrap_up_s, 0.01),
            )  # fmt: skip
        if not self._session.hungup:
            with suppress(AgiError):
                await self._session.stream_file("hotline/thank-you", timeout=15)
        await call.finish(
            "answered", consultant=offer.consultant, wait_s=round(wait_s, 3), talk_s=talk_s
        )

    async def _not_answered(self, offer: Offer, status: str) -> None:
        call = self._call
        gone = self._session.hungup or self._session.closed
        await call.record(
            EventKind.NO_ANSWER, consultant=offer.consultant, status=status or "UNKNOWN"
        )
        if status == "CHANUNAVAIL" and not gone:
            await self._board.set_device(offer.consultant, "unavailable")
        paused = (
            not gone and status != "CHANUNAVAIL"
            and self._parts.settings.routing.pause_after_no_answer
        )  # fmt: skip
        await self._board.move(
            offer.consultant, "paused" if paused else "available", call=offer.call,
            expected=("reserved", "ringing"), reason="no_answer" if paused else "",
        )  # fmt: skip

    async def _variable(self, name: str) -> str:
        try:
            return await self._session.get_variable(name, force=True) or ""
        except AgiError:
            return ""

"""From "connecting you" to the talk: waiting, announcements, keys, offers, the wish for a callback.

While the caller hears music an idle AGI session waits for what comes first: an offer, a key, the
hang-up or the next announcement. Announcements are spoken over an audio connection of their own,
which an offer ends at once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

from ivr.asterisk.agi_wire import AgiGoneError
from ivr.asterisk.audiosocket_wire import AudioSocketError
from ivr.cases.event import EventKind
from ivr.dialogue.announcement import announcement
from ivr.dialogue.callback_wish import CALLBACK_KEY, CallbackWish
from ivr.dialogue.line import CallerGoneError, Line
from ivr.dialogue.talk import Talk
from ivr.routing.callback import Callback
from ivr.routing.matcher import Ticket
from ivr.routing.plan import Offer, WaitingCall

if TYPE_CHECKING:
    from ivr.dialogue.call import Call

BUSY_AFTER_S = 0.3
"""For whom nobody is free within this is told what to expect; others hear the telephone ring."""
KEY_CHECK_S = 1.0
KEY_POLL_MS = 500
"""How long one command listens for a key while Asterisk's manager link is down."""
EMERGENCY_KEY = "0"
"""Any key but this one and that of the callback means: go on waiting."""

LeaveLine = Callable[[], Awaitable[None]]


class _EmergencyKeyError(Exception):
    """Key 0 while waiting."""


class _CallbackKeyError(Exception):
    """Key 1 while waiting, with a callback on offer."""


class Waiting:
    """One caller's wait."""

    def __init__(self, call: "Call"):
        self._call = call
        self._session, self._parts = call.session, call.parts
        self._matcher, self._board = call.parts.matcher, call.parts.matcher.board
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._callback = CallbackWish(call)

    async def run(self, topic: str, line: Line, leave_line: LeaveLine) -> None:
        """Wait for a consultant and talk; BoardDownError hands the caller to Asterisk's queue.

        The caller is on `line` until `leave_line` is called.
        """
        call = self._call
        now = await self._board.now()
        priority = self._matcher.staff.routing.priority_of(
            topic, call.caller, returned=call.returned
        )
        waiting = WaitingCall(str(call.id), topic, call.language, priority, now, now)
        call.topic, call.queue = topic, self._queue_of(topic)
        await call.record(EventKind.QUEUED, queue=call.queue, topic=topic, priority=priority)
        self._parts.outlooks.arrived(waiting)
        waiting = await self._callback.take_over(waiting)

        async def serve(ticket: Ticket) -> None:
            offer = await self._first_offer(ticket, line)
            try:
                await leave_line()
                await self._session.set_variable("HOTLINE_STAGE", "waiting")
                await call.set_language()
            except BaseException:
                if offer is not None:
                    await self._matcher.release(offer)
                raise
            await self._until_served(ticket, offer)

        await self._wait(waiting, serve, leave_line)

    async def resume(
        self, callback: Callback, offer: Offer, begin: Callable[[], Awaitable[bool]]
    ) -> None:
        """Go on with the wait of who was called back, with a consultant reserved already.

        `begin` greets, and tells whether there is still a reason to connect.
        """
        place = callback.call
        self._call.topic, self._call.queue = place.topic, self._queue_of(place.topic)
        self._since -= max(0.0, await self._board.now() - place.queued_at)
        # Who was called back and is on the line must not wait once more behind others.
        called_back = self._matcher.staff.routing.priorities.get("callback", place.priority)

        async def serve(ticket: Ticket) -> None:
            try:
                await self._call.set_language()
                await self._session.set_variable("CALLERID(num)", callback.number)
                if not await begin():
                    return
            except BaseException:
                await self._matcher.release(offer)
                raise
            await self._until_served(ticket, offer)

        async def nothing() -> None: ...

        waiting = replace(place, priority=min(place.priority, called_back))
        await self._wait(waiting, serve, nothing, offer)

    def _queue_of(self, topic: str) -> str:
        return self._parts.understanding.topics[topic].queue or "general"

    @property
    def _waited_s(self) -> float:
        return self._loop.time() - self._since

    async def _wait(
        self,
        waiting: WaitingCall,
        serve: Callable[[Ticket], Awaitable[None]],
        leave_line: LeaveLine,
        offer: Offer | None = None,
    ) -> None:
        try:
            while True:
                try:
                    async with (
                        self._matcher.ticket(waiting, offer) as ticket,
                        self._steps_kept(ticket),
                    ):
                        await serve(ticket)
                        return
                except _CallbackKeyError:
                    await leave_line()
                if await self._callback.order(waiting, self._waited_s):
                    return
                serve, offer = partial(self._until_served, offer=None), None
        except (CallerGoneError, AgiGoneError):
            await self._call.gone("waiting", self._waited_s)
        except _EmergencyKeyError:
            await leave_line()
            await self._call.record(EventKind.KEY, key=EMERGENCY_KEY)
            await self._call.emergency("key 0 while waiting")

    @asynccontextmanager
    async def _steps_kept(self, ticket: Ticket) -> AsyncIterator[None]:
        """Keep in the case what each step of the wait asks for."""

        async def keep() -> None:
            while True:
                await self._call.record(EventKind.STEP, **asdict(await ticket.steps.get()))

        keeper = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    # ---- offers

    async def _first_offer(self, ticket: Ticket, line: Line) -> Offer | None:
        """An offer made at once, or while the caller is told that all are busy; else None."""

        async def tell() -> None:
            await asyncio.sleep(BUSY_AFTER_S)
            await self._announce(
                line, ticket, "connecting-topic", f"topic-{ticket.call.topic}", "all-busy"
            )

        try:
            return await self._offer_or(ticket, tell())
        finally:
            line.hush()

    async def _until_served(self, ticket: Ticket, offer: Offer | None) -> None:
        self._forget_keys()
        while True:
            while offer is None:
                await self._session.set_music(True)
                announce_s = self._parts.settings.routing.announce_s
                offer = await self._offer_or(ticket, self._music(announce_s))
                if offer is None:
                    offer = await self._offer_or(ticket, self._announce_on_new_line(ticket))
            if await Talk(self._call, offer).run(self._waited_s):
                return
            if self._session.hungup:
                await self._call.abandoned("ringing", self._waited_s)
                return
            await self._matcher.withdraw(ticket)
            offer = None

    async def _offer_or(self, ticket: Ticket, other: Awaitable[None]) -> Offer | None:
        """The next offer, or None when `other` is over before; a hang-up is a CallerGoneError."""
        offer = asyncio.create_task(ticket.offer())
        doing = asyncio.ensure_future(other)
        gone = asyncio.create_task(self._session.wait_hangup())
        tasks = (offer, doing, gone)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # An offer that a key or the hang-up overtook goes back to the matcher's hands.
            failed = doing.done() and doing.exception()
            if offer.done() and not offer.exception() and (gone.done() or failed):
                await self._matcher.release(offer.result())
            if gone.done():
                raise CallerGoneError("hung up while waiting")
            if doing.done():
                doing.result()
            return offer.result() if offer.done() else None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # ---- what the caller hears and presses

    async def _announce(self, line: Line, ticket: Ticket, *first: str) -> None:
        forecast = await self._parts.outlooks.of(ticket.call.id)
        said = announcement(forecast, callback=self._callback.number is not None)
        if pressed := await line.say(*first, *said):
            self._pressed(pressed.key)

    async def _announce_on_new_line(self, ticket: Ticket) -> None:
        """Without an audio connection the caller just hears more music."""
        try:
            await self._session.set_music(False)  # it would drown what AudioSocket plays
            async with self._call.line() as line:
                await self._announce(line, ticket, "still-waiting")
        except (AudioSocketError, TimeoutError, CallerGoneError) as error:
            self._call.log.info("an announcement was not heard", error=str(error))
        self._forget_keys()

    async def _music(self, for_s: float) -> None:
        """Return after this long; keys come by AMI or, while that is down, by AGI."""
        until = self._loop.time() + for_s
        while (left := until - self._loop.time()) > 0:
            key = ""
            if self._call.manager_connected():
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(KEY_CHECK_S, left)):
                        key = await self._call.keys.get()
            else:
                key = await self._session.wait_for_digit(KEY_POLL_MS)
            if key:
                self._pressed(key)

    def _pressed(self, key: str) -> None:
        if key == EMERGENCY_KEY:
            raise _EmergencyKeyError
        if key == CALLBACK_KEY and self._callback.number is not None:
            raise _CallbackKeyError

    def _forget_keys(self) -> None:
        """Keys pressed on an audio connection are told by AMI as well."""
        while not self._call.keys.empty():
            self._call.keys.get_nowait()

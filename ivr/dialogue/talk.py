"""A consultant's telephone rings for a caller who waits, and they talk."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from ivr.asterisk.agi_wire import AgiError
from ivr.asterisk.dialplan import dial_argument
from ivr.cases.event import EventKind
from ivr.metrics import METRICS
from ivr.routing.board import BoardDownError
from ivr.routing.plan import Offer

if TYPE_CHECKING:
    from ivr.dialogue.call import Call


class Talk:
    """One offer: from the consultant reserved to the end of the talk, or to no answer."""

    def __init__(self, call: "Call", offer: Offer):
        self._call, self._offer = call, offer
        self._session, self._parts = call.session, call.parts
        self._matcher = call.parts.matcher
        self._board = call.parts.matcher.board
        self._loop = asyncio.get_running_loop()

    async def run(self, waited_s: float) -> bool:
        """Ring the consultant; True when they talked. `waited_s`: what the caller has waited."""
        call, offer, routing = self._call, self._offer, self._parts.settings.routing
        rings = await self._board.move(
            offer.consultant, "ringing", call=offer.call, expected=("reserved",),
            lease_s=routing.lease_s, keep_call=True,
        )  # fmt: skip
        if not rings:
            return False
        try:
            if await self._in_use():
                await self._board.set_device(offer.consultant, "busy")
                await self._matcher.release(offer)
                return False
            talk_s = await self._ring_and_talk()
        except BaseException:  # hung up before it rang, or worse: the consultant is free again
            with suppress(BoardDownError):
                await self._matcher.release(offer)
            raise
        status = await self._variable("DIALSTATUS")
        if status == "ANSWER" or call.answered_by_consultant.is_set():
            await self._after_talk(waited_s, talk_s)
            return True
        await self._not_answered(status)
        return False

    async def _in_use(self) -> bool:
        """Whether the telephone rings or talks already, for Asterisk's own queue for instance.

        The board is told by events, which may be a moment late; nobody is rung twice.
        """
        if self._node != self._board.node:
            return False  # that node refuses by itself
        state = await self._variable(f"DEVICE_STATE(PJSIP/{self._offer.consultant})")
        return state in ("INUSE", "RINGING", "RINGINUSE", "BUSY", "ONHOLD")

    async def _ring_and_talk(self) -> float:
        """Dial until it is over; returns the seconds since the consultant has answered."""
        call, offer = self._call, self._offer
        await call.record(
            EventKind.OFFERED, consultant=offer.consultant, step=offer.step, level=offer.level,
            considered=list(offer.considered), why=offer.why,
        )  # fmt: skip
        METRICS.offers.inc()
        call.consultant = offer.consultant
        call.answered_by_consultant.clear()
        call.talking_since = None
        dialled = self._loop.time()
        keeper = asyncio.create_task(self._keep_lease())
        try:
            await self._dial()
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            call.consultant = None
        # ANSWEREDTIME counts from the answer to the caller, not from the consultant's.
        began = call.talking_since if call.talking_since is not None else dialled
        return round(self._loop.time() - began, 3)

    @property
    def _node(self) -> str:
        """Where the consultant's telephone is registered."""
        snapshot = self._matcher.snapshot
        state = snapshot.consultants.get(self._offer.consultant) if snapshot else None
        return (state.node if state else "") or self._board.node

    async def _dial(self) -> None:
        endpoint = f"PJSIP/{self._offer.consultant}"
        if self._node != self._board.node:
            endpoint += f"@node-{self._node}"
        ring_s = self._parts.settings.dialogue.connecting_ring_s
        await self._session.exec("Dial", dial_argument(endpoint, ring_s, "g"))

    async def _keep_lease(self) -> None:
        lease_s = self._parts.settings.routing.lease_s
        answered = self._call.answered_by_consultant
        while True:
            talking = answered.is_set()
            with suppress(BoardDownError):
                await self._board.move(
                    self._offer.consultant, "talking" if talking else "ringing",
                    call=self._offer.call, expected=("ringing", "talking"), lease_s=lease_s,
                    keep_call=True, renew=talking,
                )  # fmt: skip
            with suppress(TimeoutError):
                async with asyncio.timeout(lease_s / 3):
                    if talking:
                        await asyncio.Event().wait()
                    await answered.wait()

    async def _after_talk(self, wait_s: float, talk_s: float) -> None:
        call, consultant = self._call, self._offer.consultant
        await call.record(EventKind.TALK_ENDED, consultant=consultant, talk_s=talk_s)
        METRICS.wait.observe(wait_s)
        in_time = wait_s <= self._matcher.staff.routing.target(call.queue).within_s
        METRICS.answered.labels(call.queue, "yes" if in_time else "no").inc()
        METRICS.talk.observe(talk_s)
        self._parts.outlooks.learn(call.topic, talk_s)
        with suppress(BoardDownError):  # the lease ends by itself
            await self._board.move(
                consultant, "wrap_up", call=self._offer.call, expected=("ringing", "talking"),
                lease_s=max(self._parts.settings.routing.wrap_up_s, 0.01),
            )  # fmt: skip
        if not self._session.hungup:
            with suppress(AgiError):
                await self._session.stream_file("hotline/thank-you", timeout=15)
        await call.finish("answered", consultant=consultant, wait_s=round(wait_s, 3), talk_s=talk_s)

    async def _not_answered(self, status: str) -> None:
        call, offer = self._call, self._offer
        gone = self._session.hungup or self._session.closed
        await call.record(
            EventKind.NO_ANSWER, consultant=offer.consultant, status=status or "UNKNOWN"
        )
        if status == "CHANUNAVAIL" and not gone:
            await self._board.set_device(offer.consultant, "unavailable", node=self._node)
        paused = (
            not gone and status != "CHANUNAVAIL" and not self._lost()
            and self._parts.settings.routing.pause_after_no_answer
        )  # fmt: skip
        # "talking" is what a lease that lapsed while it rang has made of it.
        await self._board.move(
            offer.consultant, "paused" if paused else "available", call=offer.call,
            expected=("reserved", "ringing", "talking"), reason="no_answer" if paused else "",
        )  # fmt: skip

    def _lost(self) -> bool:
        """Whether the telephone, or the node it was registered at, has gone while it rang."""
        snapshot = self._matcher.snapshot
        state = snapshot.consultants.get(self._offer.consultant) if snapshot else None
        return state is not None and state.device == "unavailable"

    async def _variable(self, name: str) -> str:
        try:
            return await self._session.get_variable(name, force=True) or ""
        except AgiError:
            return ""

"""A caller's wish to be called back: whether it can be had, and how the place is kept."""

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ivr.asterisk.agi_wire import AgiError
from ivr.cases.event import EventKind
from ivr.dialogue.callback import callback_over
from ivr.metrics import METRICS
from ivr.routing.board import BoardDownError
from ivr.routing.callback import Callback, callable_number
from ivr.routing.plan import WaitingCall

if TYPE_CHECKING:
    from ivr.dialogue.call import Call

CALLBACK_KEY = "1"


class CallbackWish:
    """One caller's; asked for while waiting."""

    def __init__(self, call: "Call"):
        self._call, self._parts = call, call.parts
        self._board = call.parts.matcher.board
        self._refused = False
        """Whether a callback was asked for and could not be had."""

    @property
    def number(self) -> str | None:
        """Where this caller can be called back; None where no callback is to be had."""
        callbacks = self._parts.settings.callback
        if self._refused or not callbacks.offer or self._parts.settings.trunks.outgoing is None:
            return None
        return callable_number(self._call.caller, frozenset(callbacks.countries))

    async def take_over(self, waiting: WaitingCall) -> WaitingCall:
        """Give who calls again, instead of waiting for the callback, the place that it had."""
        number = self.number
        earlier = await self._board.callback_of(number) if number else None
        if earlier is None or not await self._board.end_callback(earlier):
            return waiting
        METRICS.callbacks.labels("cancelled").inc()
        for event in callback_over(earlier, "called again", "callback_cancelled", by=self._call.id):
            await self._parts.journal.append(event)
        place = earlier.call
        same = place.topic == waiting.topic
        return replace(
            waiting,
            arrived_at=min(place.arrived_at, waiting.arrived_at),
            queued_at=min(place.queued_at, waiting.queued_at) if same else waiting.queued_at,
        )

    async def order(self, waiting: WaitingCall, waited_s: float) -> bool:
        """Put the caller's place on the board as a callback; False when there are too many."""
        number = self.number
        if number is None:
            return False
        await self._call.record(EventKind.KEY, key=CALLBACK_KEY)
        await self._call.record(
            EventKind.CALLBACK_ASKED, topic=waiting.topic, language=waiting.language,
            priority=waiting.priority, arrived_at=waiting.arrived_at, queued_at=waiting.queued_at,
        )  # fmt: skip
        most = self._parts.settings.callback.most_open
        try:
            holder = await self._board.ask_callback(Callback(waiting, number), most)
        except BoardDownError:
            await self._call.record(EventKind.CALLBACK_ENDED, why="Redis is away")
            raise
        if not holder:
            self._refused = True
            await self._call.record(EventKind.CALLBACK_ENDED, why="too many callbacks are open")
            return False
        METRICS.callbacks.labels("asked").inc()
        facts = {} if holder == waiting.id else {"callback_of": holder}
        if facts:
            await self._call.record(EventKind.CALLBACK_ENDED, why="the number has one", by=holder)
        with suppress(AgiError):
            await self._call.session.stream_file("hotline/callback-confirmed", timeout=20)
        wait_s = round(waited_s, 3)
        await self._call.finish(
            "callback" if not facts else "callback_joined", wait_s=wait_s, **facts
        )
        return True

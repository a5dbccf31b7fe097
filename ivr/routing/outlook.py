"""What who waits may expect now: the forecast, made from the board and from recent talks."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress

import structlog

from ivr.cases.store import CaseStore
from ivr.errors import HotlineError
from ivr.metrics import METRICS
from ivr.routing.estimate import Busy, Forecast, Newcomers, forecast
from ivr.routing.handling import HandlingTimes
from ivr.routing.matcher import Matcher, floor_of, unoffered
from ivr.routing.plan import WaitingCall
from ivr.routing.snapshot import ConsultantState, Snapshot

ARRIVALS_S = 3600.0
REMEMBERED = 1000
"""Cases that tell at the start how long talks take."""


class Outlooks:
    """Forecasts for the callers of one process."""

    def __init__(
        self,
        matcher: Matcher,
        handling: HandlingTimes,
        *,
        wrap_up_s: float,
        patience_s: float | None = None,
    ):
        self._matcher, self._handling = matcher, handling
        self._wrap_up_s, self._patience_s = wrap_up_s, patience_s
        self._arrived: deque[WaitingCall] = deque()
        """Those of the last hour."""

    def arrived(self, call: WaitingCall) -> None:
        """Note who came, to foresee who will come and go before others."""
        self._arrived.append(call)
        while call.queued_at - self._arrived[0].queued_at > ARRIVALS_S:
            self._arrived.popleft()

    def learn(self, topic: str, talk_s: float) -> None:
        """Take a talk that is over into account."""
        self._handling.add(topic, talk_s + self._wrap_up_s)

    async def learn_from(self, store: CaseStore) -> None:
        """Take the latest cases into account; without a database the next talks have to do."""
        with suppress(HotlineError):
            for case in reversed(await store.list(limit=REMEMBERED)):
                if case.topic and case.talk_s:
                    self.learn(case.topic, case.talk_s)

    async def of(self, call: str) -> Forecast | None:
        """The forecast for a waiting call; None for one that the board does not know."""
        snapshot, staff = self._matcher.snapshot, self._matcher.staff
        if snapshot is None:
            return None
        try:
            found = await asyncio.to_thread(
                forecast, [call], unoffered(snapshot), floor_of(staff, snapshot),
                list(_busy(snapshot)), self._handling, snapshot.now,
                patience_s=self._patience_s, newcomers=self._newcomers(snapshot.now),
            )  # fmt: skip
        except Exception as error:  # who waits is told less, and waits on
            METRICS.problems.labels("forecast").inc()
            structlog.get_logger().error("no forecast", call=call, error=repr(error))
            return None
        return found.get(call)

    def _newcomers(self, now: float) -> list[Newcomers]:
        kinds = Counter(
            (call.topic, call.language, call.priority)
            for call in self._arrived
            if now - call.queued_at <= ARRIVALS_S
        )
        return [Newcomers(*kind, callers / ARRIVALS_S) for kind, callers in kinds.items()]


def _busy(snapshot: Snapshot) -> Iterator[Busy]:
    topics = {call.id: call.topic for call in snapshot.waiting}
    topics |= {name: callback.call.topic for name, callback in snapshot.callbacks.items()}
    for state in snapshot.consultants.values():
        if state.on_duty and not state.free:
            yield _what(state, topics.get(state.call, ""))


def _what(state: ConsultantState, topic: str) -> Busy:
    match state.state:
        case "reserved" | "ringing":
            return Busy(state.id, "ringing", state.since, topic)
        case "wrap_up":
            return Busy(state.id, "wrap_up", state.since, topic, state.lease)
        case "paused" | "offline":
            return Busy(state.id, "paused", state.since)
        case _:  # also who telephones although available
            return Busy(state.id, "talking", state.since, topic)

"""A way of routing that watches itself and tells those who wait what to expect, in many ways.

It sees what a hotline sees: who comes, waits, is offered to whom and leaves, and which consultant
is free; never how long a talk will last.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ivr.routing.estimate import Busy, Forecast, Newcomers, forecast
from ivr.routing.handling import HandlingTimes
from ivr.routing.plan import Offer, WaitingCall
from ivr.routing.policy import Planned
from ivr.routing.staff import Floor, Seconds, Staff
from ivr.routing.trace import Profile

RING_S, AGAIN_S = 4.0, 45.0
"""From the offer to the answer, and from one announcement to the next."""
RECENT_S = 3600.0
"""Calls of the last hour tell how many are to come."""
WAYS = (
    "**forecast**", "past waits (app_queue)", "last answered", "longest waiting",
    "ahead x mean / able", "ahead x mean / on duty",
)  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What one caller was told at one moment, by each of `WAYS`."""

    call: int
    at: float
    forecast: Forecast
    seconds: tuple[float, ...]
    """Empty where nothing was promised."""


class Watching(Planned):
    """The service's own way of routing, and somebody who watches and tells."""

    def __init__(
        self, staff: Staff, queue_of: Mapping[str, str], profile: Profile, impatient: bool
    ):
        self.staff, self.queue_of, self.impatient = staff, queue_of, impatient
        self.handling = HandlingTimes(profile.handling_s, profile.handling_by_topic_s)
        self.every = 1
        """One of so many calls is told."""
        self.told: list[Told] = []
        self.would_wait: dict[int, float] = {}
        """By call: the wait of who gave up, had they stayed."""
        self._talks: dict[str, tuple[str, float]] = {}
        self._here: dict[str, WaitingCall] = {}
        self._left: dict[str, WaitingCall] = {}
        self._told_at: dict[str, float] = {}
        self._holdtime: dict[str, float] = {}
        self._last_s = 0.0
        self._waited_s, self._gave_up = 0.0, 0
        self._came: deque[tuple[float, WaitingCall]] = deque()

    def offers(
        self,
        waiting: Mapping[str, WaitingCall],
        floor: Floor,
        now: float,
        news: WaitingCall | None,
    ) -> list[Offer]:
        """Plan; learn from what has happened since; tell who has just come or is due again."""
        self._see(waiting, floor, now, news)
        found = super().offers(waiting, floor, now, news)
        self._see_who_left(floor, now, found)
        idle = floor.idle_since.copy()
        for offer in found:
            call = self._here.pop(offer.call)
            wait_s = now + RING_S - call.arrived_at
            queue = self.queue_of[call.topic]
            self._holdtime[queue] = (3 * self._holdtime.get(queue, 0.0) + wait_s) / 4
            self._last_s = wait_s
            self._waited_s += wait_s
            self._talks[offer.consultant] = (call.topic, now + RING_S)
            idle[self.staff.column[offer.consultant]] = np.inf
        if news is not None and news.id in self._here and self._due(news.id, now):
            self._told_at[news.id] = now
            self.told.append(self._tell(news, Floor(self.staff, idle, floor.on_duty), now))
        return found

    def _due(self, call: str, now: float) -> bool:
        last = self._told_at.get(call, -np.inf)
        return int(call) % self.every == 0 and now >= last + AGAIN_S - 1e-6

    def looks_again_in(self, call: WaitingCall, floor: Floor, now: float) -> float | None:
        """When the next step begins, or something is to be told again."""
        rest = super().looks_again_in(call, floor, now)
        if call.id not in self._told_at:
            return rest
        again = self._told_at[call.id] + AGAIN_S - now
        return again if rest is None else min(rest, again)

    def _see(
        self,
        waiting: Mapping[str, WaitingCall],
        floor: Floor,
        now: float,
        news: WaitingCall | None,
    ) -> None:
        for name, (topic, answered) in list(self._talks.items()):
            column = self.staff.column[name]
            if np.isfinite(floor.idle_since[column]):
                self.handling.add(topic, float(floor.idle_since[column]) - answered)
            if np.isfinite(floor.idle_since[column]) or not floor.on_duty[column]:
                del self._talks[name]
        for name in self._here.keys() - waiting.keys():
            call = self._left[name] = self._here.pop(name)
            self._gave_up += 1
            self._waited_s += now - call.arrived_at
        if news is not None and news.arrived_at == now:
            self._here[news.id] = news
            self._came.append((now, news))
        while self._came and self._came[0][0] < now - RECENT_S:
            self._came.popleft()

    def _see_who_left(self, floor: Floor, now: float, offers: Sequence[Offer]) -> None:
        """Note whose turn it would have been by now: somebody able was free, or had one behind."""
        taken = {self.staff.column[offer.consultant]: int(offer.call) for offer in offers}
        for name, call in list(self._left.items()):
            since = np.maximum(self._may_serve_from(call, floor), floor.idle_since)
            for column in (since == now).nonzero()[0]:
                rival = self._here.get(str(taken.get(int(column), "")))
                if rival and (rival.priority, rival.arrived_at) < (call.priority, call.arrived_at):
                    since[column] = np.inf
            if (first := float(since.min())) <= now:
                del self._left[name]
                self.would_wait[int(name)] = max(first, call.arrived_at) + RING_S - call.arrived_at

    def _may_serve_from(self, call: WaitingCall, floor: Floor) -> Seconds:
        begins, found = 0.0, np.full(len(self.staff.ids), np.inf)
        for step in self.staff.routing.steps_for(call.topic, call.language):
            in_force = floor.step(call.topic, call.language, begins)
            able = self.staff.able(call.topic, call.language, in_force) & floor.on_duty
            found[able] = np.minimum(found[able], call.queued_at + begins)
            begins += step.for_s or 0.0
        return found

    def _tell(self, call: WaitingCall, floor: Floor, now: float) -> Told:
        waiting = list(self._here.values())
        busy = [
            Busy(name, "talking", at, topic)
            if now >= at
            else Busy(name, "ringing", at - RING_S, topic)
            for name, (topic, at) in self._talks.items()
        ]
        kinds = Counter((c.topic, c.language, c.priority) for _, c in self._came)
        newcomers = [Newcomers(*kind, count / RECENT_S) for kind, count in kinds.items()]
        patience_s = None
        if self.impatient and self._gave_up:
            patience_s = self._waited_s / self._gave_up
        mine = forecast(
            [call.id], waiting, floor, busy, self.handling, now,
            ring_s=RING_S, patience_s=patience_s, newcomers=newcomers,
        )[call.id]  # fmt: skip
        if mine.expected_s is None:
            return Told(int(call.id), now, mine, ())
        waited = now - call.arrived_at
        place = (call.priority, call.arrived_at)
        turn = 1 + sum((other.priority, other.arrived_at) < place for other in waiting)
        last = len(self.staff.routing.steps_for(call.topic, call.language)) - 1
        able = self.staff.able(call.topic, call.language, last) & floor.on_duty
        needs_s = turn * self.handling.mean()
        return Told(
            int(call.id), now, mine,
            (
                mine.expected_s,
                max(self._holdtime.get(self.queue_of[call.topic], 0.0) - waited, 0.0),
                max(self._last_s - waited, 0.0),
                max(now - min(other.arrived_at for other in waiting) - waited, 0.0),
                needs_s / max(int(able.sum()), 1),
                needs_s / max(int(floor.on_duty.sum()), 1),
            ),
        )  # fmt: skip

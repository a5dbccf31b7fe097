"""Ways of routing that the simulator can try: the service's own, and whatever else is compared."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from ivr.routing.plan import Offer, WaitingCall, plan
from ivr.routing.staff import Floor


class Policy(Protocol):
    """A way of routing."""

    def offers(
        self,
        waiting: Mapping[str, WaitingCall],
        floor: Floor,
        now: float,
        news: WaitingCall | None,
    ) -> list[Offer]:
        """Pair callers and consultants.

        `news` is the one caller who has just come, come back, or whose time to look has come; None
        when a consultant came free or a shift began.
        """

    def looks_again_in(self, call: WaitingCall, floor: Floor, now: float) -> float | None:
        """Seconds until a caller must be looked at again though nothing else happens."""


class Planned:
    """The service's own way: `plan()` at every change, and whenever a step begins."""

    def offers(
        self,
        waiting: Mapping[str, WaitingCall],
        floor: Floor,
        now: float,
        news: WaitingCall | None,
    ) -> list[Offer]:
        """Plan, unless only one caller's chances have changed and there still is nobody."""
        if news is not None:
            step = floor.step(news.topic, news.language, now - news.queued_at)
            able = floor.staff.able(news.topic, news.language, step)
            if not np.isfinite(floor.idle_since[able]).any():
                return []
        return plan(list(waiting.values()), floor, now)

    def looks_again_in(self, call: WaitingCall, floor: Floor, now: float) -> float | None:
        """When the next step begins."""
        return floor.staff.routing.next_step_in(call.topic, now - call.queued_at, call.language)

"""What the status page shows: who waits, who is there, the last cases."""

import asyncio
from collections.abc import Mapping
from typing import Any

from ivr.cases.store import CaseStore
from ivr.routing.matcher import Matcher, unoffered
from ivr.routing.snapshot import Snapshot

Row = Mapping[str, Any]
DATABASE_WITHIN_S = 2
LAST_CASES = 15


class StatusRows:
    """The tables, read anew at each call."""

    def __init__(self, matcher: Matcher, store: CaseStore):
        self._matcher, self._store = matcher, store

    async def __call__(self) -> Mapping[str, list[Row]]:
        """Give the rows of each table by its title."""
        snapshot = self._matcher.snapshot
        return {
            "Callers waiting": _waiting(snapshot) if snapshot else [],
            "Consultants reachable": _consultants(snapshot) if snapshot else [],
            "Last cases": await self._last_cases(),
        }

    async def _last_cases(self) -> list[Row]:
        try:
            async with asyncio.timeout(DATABASE_WITHIN_S):
                cases = await self._store.list(limit=LAST_CASES)
        except Exception:  # the page is shown without them
            return []
        return [
            {
                "case": case.number, "opened (UTC)": f"{case.opened_at:%Y-%m-%d %H:%M:%S}",
                "topic": case.topic, "emergency": case.emergency, "outcome": case.outcome,
                "consultant": case.consultant,
            }
            for case in cases
        ]  # fmt: skip


def _waiting(snapshot: Snapshot) -> list[Row]:
    on_the_line = snapshot.owners
    return [
        {
            "topic": call.topic, "language": call.language, "priority": call.priority,
            "waits": f"{snapshot.now - call.queued_at:.0f} s",
            "where": "on the line" if call.id in on_the_line else "to be called back",
        }
        for call in unoffered(snapshot)
    ]  # fmt: skip


def _consultants(snapshot: Snapshot) -> list[Row]:
    return [
        {
            "consultant": state.id, "state": state.state, "reason": state.reason,
            "for": f"{max(0, snapshot.now - state.since):.0f} s",
            "telephone": state.device, "node": state.node,
        }
        for state in snapshot.consultants.values()
        if state.device != "unavailable" or state.state not in ("offline", "available")
    ]  # fmt: skip

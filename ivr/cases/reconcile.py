"""Comparing cases with Asterisk's own record: every answered call has exactly one case.

What is made here is the same whoever makes it and however often: the UUIDs come from the channel.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from ivr.cases.cel import CelEvent
from ivr.cases.event import JSON, CaseEvent, EventKind

NAMESPACE = UUID("4f6f3f0c-1911-5b1e-9c8e-19115cc19115")
INCOMING = frozenset({"from-trunk", "from-emergency", "hotline"})
"""Contexts in which a citizen's call begins."""
EMERGENCY, DEGRADED = "emergency", "degraded"
"""Contexts that tell what became of a call."""
_TRUNK = "emergency-"
"""What the names of the 112 trunks' endpoints begin with; the rest is the trunk's name."""
_NODE = "node-"
"""What the names of the other nodes' endpoints begin with."""
_ENDS = frozenset({"HANGUP", "CHAN_END", "LINKEDID_END"})


@dataclass(slots=True)
class _Call:
    """What the record tells of one caller's channel."""

    first: CelEvent
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    emergency_at: datetime | None = None
    degraded_at: datetime | None = None
    trunks: list[tuple[datetime, str]] = field(default_factory=list)
    talks: list[tuple[datetime, datetime | None, bool]] = field(default_factory=list)
    """Begin and end of each talk, and whether it was with 112."""
    bridge: str | None = None
    """The bridge in which the caller talks with a consultant."""
    consultant: str | None = None
    number: str = ""
    name: str = ""

    def dialled(self, other: CelEvent) -> None:
        """Note a channel that was created for the caller: a trunk, once it is an emergency.

        Not told from APP_START: one Dial straight after another gives none.
        """
        if self.emergency_at is not None:
            self.trunks.append((other.at, _party(other.channel).removeprefix(_TRUNK)))


def reconcile(
    cel_events: Iterable[CelEvent],
    known_asterisk_ids: Collection[str],
    *,
    orphans: Mapping[str, UUID] | None = None,
    incoming: Collection[str] = INCOMING,
) -> list[CaseEvent]:
    """Give the events that are missing from the cases.

    For an answered call of a citizen whose channel is not in `known_asterisk_ids`: a case from its
    opening on. For one in `orphans` (asterisk id to the case's UUID; cases without an end whose
    service died) whose channel has ended: what became of it and its closing. `cel_events` should
    hold a call from its beginning (see `CelWindow`).
    """
    orphans = orphans or {}
    made: list[CaseEvent] = []
    for uniqueid, call in _calls(cel_events, incoming).items():
        if uniqueid in orphans:
            if call.ended_at is not None:
                made += _Story(uniqueid, orphans[uniqueid]).closing(call, orphaned=True)
        elif uniqueid not in known_asterisk_ids and call.answered_at is not None:
            story = _Story(uniqueid, uuid5(NAMESPACE, uniqueid))
            made += story.opening(call) + story.closing(call, orphaned=False)
    return made


class CelWindow:
    """The record of the calls that go on, or ended less than `keep_s` ago by its own clock."""

    def __init__(self, keep_s: float = 3_600.0):
        self._keep = timedelta(seconds=keep_s)
        self._events: dict[str, list[CelEvent]] = {}
        self._ended: dict[str, datetime] = {}
        self._latest: datetime | None = None

    def add(self, events: Iterable[CelEvent]) -> None:
        """Take in what a follower has read, and let go of what is over for long."""
        for event in events:
            self._events.setdefault(event.linkedid, []).append(event)
            self._latest = max(self._latest or event.at, event.at)
            if event.kind == "LINKEDID_END":
                self._ended[event.linkedid] = event.at
        if self._latest is not None:
            old = [key for key, at in self._ended.items() if self._latest - at > self._keep]
            for key in old:
                del self._ended[key], self._events[key]

    def events(self) -> list[CelEvent]:
        """Give all events of those calls, a call's in their order."""
        return [event for events in self._events.values() for event in events]


def _calls(events: Iterable[CelEvent], incoming: Collection[str]) -> dict[str, _Call]:
    """Follow the citizens' channels: the first of their call, begun in an incoming context."""
    calls: dict[str, _Call] = {}
    others: dict[str, dict[str, str]] = defaultdict(dict)
    foreign: set[str] = set()
    for event in events:
        if event.uniqueid != event.linkedid:
            if event.kind == "BRIDGE_ENTER":
                others[event.linkedid][event.extra] = _consultant(event)
                if (call := calls.get(event.linkedid)) and call.bridge == event.extra:
                    call.consultant = _consultant(event)
            if event.kind == "CHAN_START" and (call := calls.get(event.linkedid)):
                call.dialled(event)
            if event.kind != "LINKEDID_END":
                continue
        call = calls.get(event.linkedid)
        if call is None:
            if event.linkedid in foreign or event.context not in incoming:
                foreign.add(event.linkedid)
                continue
            call = calls[event.linkedid] = _Call(event)
        if event.uniqueid == event.linkedid:
            _follow(call, event, others[event.linkedid])
        elif call.ended_at is None:
            call.ended_at = event.at
    return calls


def _follow(call: _Call, event: CelEvent, others: Mapping[str, str]) -> None:
    call.number, call.name = call.number or event.number, call.name or event.name
    queue = event.kind == "APP_START" and event.app == "Queue"
    if event.context == EMERGENCY and call.emergency_at is None:
        call.emergency_at = event.at
    served = bool(call.talks)  # then `degraded` only says goodbye
    if (event.context == DEGRADED or queue) and not served and call.degraded_at is None:
        call.degraded_at = event.at
    if event.kind == "ANSWER":
        call.answered_at = call.answered_at or event.at
    elif event.kind == "BRIDGE_ENTER":
        emergency = call.emergency_at is not None  # nobody comes back from there
        call.talks.append((event.at, None, emergency))
        call.bridge = None if emergency else event.extra
        if call.bridge is not None and call.bridge in others:
            call.consultant = others[call.bridge]
    elif call.talks and call.talks[-1][1] is None and event.kind in _ENDS | {"BRIDGE_EXIT"}:
        begin, _, emergency = call.talks[-1]
        call.talks[-1] = (begin, event.at, emergency)
        call.bridge = None
    if event.kind in _ENDS:
        call.ended_at = call.ended_at or event.at


def _consultant(event: CelEvent) -> str:
    """Give who talks on a channel; on one that leads to another node, the number it has told."""
    name = _party(event.channel)
    return event.number if name.startswith(_NODE) and event.number else name


def _party(channel: str) -> str:
    """Give the name in a channel or dial string.

    >>> _party("PJSIP/anna-00000002"), _party("PJSIP/112@trunk-a"), _party("Local/101@x-01;1")
    ('anna', 'trunk-a', '101')
    """
    tech, _, rest = channel.partition("/")
    rest = rest.split(";", 1)[0]
    name, _, tail = rest.rpartition("-")
    if name and len(tail) == 8 and all(c in "0123456789abcdef" for c in tail):
        rest = name
    user, _, host = rest.partition("@")
    return user if tech == "Local" or not host else host


class _Story:
    """Makes the events of one call, each with a UUID that follows from the channel and kind."""

    def __init__(self, asterisk_id: str, call: UUID):
        self._asterisk_id, self._call = asterisk_id, call
        self._count: dict[str, int] = defaultdict(int)

    def _event(self, at: datetime, kind: EventKind, **data: JSON) -> CaseEvent:
        ordinal = self._count[kind]
        self._count[kind] += 1
        name = f"{self._asterisk_id} {kind} {ordinal}" if ordinal else f"{self._asterisk_id} {kind}"
        known = {key: value for key, value in data.items() if value is not None}
        return CaseEvent(
            uuid5(NAMESPACE, name), self._call, at, kind.value, {**known, "source": "cel"}
        )

    def opening(self, call: _Call) -> list[CaseEvent]:
        """Give the events of a call that nobody has opened a case for."""
        opened = self._event(
            call.first.at,
            EventKind.OPENED,
            asterisk_id=self._asterisk_id,
            channel="phone",
            caller_number=call.number or None,
            caller_name=call.name or None,
        )
        return [opened, self._event(call.answered_at or call.first.at, EventKind.ANSWERED)]

    def closing(self, call: _Call, *, orphaned: bool) -> list[CaseEvent]:
        """Give what became of the call, as far as it has gone."""
        events: list[CaseEvent] = []
        if call.emergency_at is not None:
            events += self._emergency(call, call.emergency_at)
        elif call.degraded_at is not None:
            events.append(self._event(call.degraded_at, EventKind.DEGRADED, why="service gone"))
        talks = [(begin, end) for begin, end, emergency in call.talks if not emergency]
        if talks:
            talking = self._event(talks[0][0], EventKind.TALKING, consultant=call.consultant)
            events.append(talking)
        if call.ended_at is None:
            return events
        if orphaned:
            events.append(self._event(call.ended_at, EventKind.ORPHANED))
        since = call.answered_at or call.first.at
        wait_until = call.talks[0][0] if call.talks else call.ended_at
        spoken = sum(((end or call.ended_at) - begin for begin, end in talks), timedelta())
        closed = self._event(
            call.ended_at,
            EventKind.CLOSED,
            outcome=_outcome(call),
            wait_s=max(0.0, (wait_until - since).total_seconds()),
            talk_s=spoken.total_seconds(),
            consultant=call.consultant,
        )
        return [*events, closed]

    def _emergency(self, call: _Call, at: datetime) -> list[CaseEvent]:
        events = [self._event(at, EventKind.EMERGENCY, why="told by Asterisk")]
        events += [
            self._event(when, EventKind.EMERGENCY_TRUNK, trunk=name) for when, name in call.trunks
        ]
        answered = [begin for begin, _, emergency in call.talks if emergency]
        if answered:
            trunk = next(
                (name for when, name in reversed(call.trunks) if when <= answered[0]), None
            )
            events.append(self._event(answered[0], EventKind.EMERGENCY_ANSWERED, trunk=trunk))
        elif call.ended_at is not None:
            events.append(self._event(call.ended_at, EventKind.EMERGENCY_FAILED))
        return events


def _outcome(call: _Call) -> str:
    if call.emergency_at is not None:
        return "emergency"
    if call.degraded_at is not None:
        return "degraded"
    return "answered" if call.talks else "abandoned"

"""A witness of its own at Asterisk's manager: who rang and talked, told by Asterisk alone."""

import asyncio
from dataclasses import dataclass, field

from benchmarks.floor.checks import Span
from ivr.asterisk.ami import AmiClient
from ivr.asterisk.ami_wire import AmiMessage
from ivr.manager_events import consultant_of


@dataclass(slots=True)
class _Leg:
    who: str
    call: str
    rang: float
    answered: float | None = None
    ended: float | None = None


@dataclass(slots=True)
class Witness:
    """Notes every ringing of a consultant's telephone; times are Asterisk's."""

    legs: dict[str, _Leg] = field(default_factory=dict)

    def __call__(self, event: AmiMessage) -> None:
        """Take one event."""
        at = float(event.get("Timestamp") or 0)
        match event.get("Event"):
            case "DialBegin":
                if who := consultant_of(event.get("DestChannel")):
                    self.legs[event.get("DestUniqueid")] = _Leg(who, event.get("Uniqueid"), at)
            case "DialEnd":
                leg = self.legs.get(event.get("DestUniqueid"))
                if leg and event.get("DialStatus") == "ANSWER":
                    leg.answered = at
            case "Hangup":
                if leg := self.legs.get(event.get("Uniqueid")):
                    leg.ended = at

    @property
    def rings(self) -> list[Span]:
        """Every telephone's time from the first ring to the hang-up."""
        return [
            Span(leg.who, leg.call, leg.rang, leg.ended)
            for leg in self.legs.values()
            if leg.ended is not None
        ]

    @property
    def talks(self) -> list[Span]:
        """From the consultant's answer to the hang-up."""
        return [
            Span(leg.who, leg.call, leg.answered, leg.ended)
            for leg in self.legs.values()
            if leg.answered is not None and leg.ended is not None
        ]


async def watching(witness: Witness, host: str, port: int, secret: str) -> "asyncio.Task[None]":
    """Begin to watch; returns once logged in."""
    connected = asyncio.Event()

    async def on_connected(_: AmiClient) -> None:
        connected.set()

    client = AmiClient(host, port, "hotline", secret, on_event=witness, on_connected=on_connected)
    task = asyncio.create_task(client.run())
    await connected.wait()
    return task

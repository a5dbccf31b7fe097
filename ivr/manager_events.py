"""What Asterisk's manager tells, handed to the call or the consultant it is about."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from ivr.asterisk.ami_wire import AmiMessage
from ivr.cases.event import EventKind
from ivr.dialogue.call import Call
from ivr.routing.snapshot import Device

_EMERGENCY_TRUNK = "PJSIP/emergency-"


def device_of(state: str) -> Device:
    """Asterisk's device state as the board knows it."""
    if state == "NOT_INUSE":
        return "idle"
    return "unavailable" if state in ("UNAVAILABLE", "INVALID", "UNKNOWN") else "busy"


def consultant_of(device: str) -> str | None:
    """The consultant whose device or channel (`PJSIP/101`, `PJSIP/101-0000002a`) this is."""
    technology, _, rest = device.partition("/")
    name = rest.split("-", 1)[0]
    return name if technology == "PJSIP" and name.isdigit() else None


@dataclass(slots=True)
class Handed:
    """A caller handed over to 112, whose case is completed from what Asterisk tells."""

    call: Call
    began: float
    trunk: str | None = None
    answered_at: float | None = None


@dataclass(slots=True)
class ManagerEvents:
    """The register of calls by their channel, and what events do to them."""

    set_device: Callable[[str, Device], None]
    consultants: Mapping[str, object]
    later: Callable[..., None]
    """`later(coroutine)`: has the service run it and own the task."""
    calls: dict[str, Call] = field(default_factory=dict)
    handed: dict[str, Handed] = field(default_factory=dict)

    def hand_over(self, call: Call) -> None:
        """Watch a caller who is on the way to 112."""
        self.handed[call.asterisk_id] = Handed(call, asyncio.get_running_loop().time())

    def find(self, case: UUID) -> Call | None:
        """The call with this case, while it lasts."""
        return next((call for call in self.calls.values() if call.id == case), None)

    def __call__(self, event: AmiMessage) -> None:
        """Take one event."""
        match event.get("Event"):
            case "DTMFEnd":
                self._key(event)
            case "DeviceStateChange":
                self._device(event)
            case "DialBegin":
                self._dial_begins(event)
            case "DialEnd":
                self._dial_ends(event)
            case "Hangup":
                self._hangs_up(event)

    def _key(self, event: AmiMessage) -> None:
        call = self.calls.get(event.get("Uniqueid") or "")
        if call and event.get("Direction") == "Received" and not call.keys.full():
            call.keys.put_nowait(event.get("Digit") or "")

    def _device(self, event: AmiMessage) -> None:
        consultant = consultant_of(event.get("Device") or "")
        if consultant in self.consultants and consultant is not None:
            self.set_device(consultant, device_of(event.get("State") or ""))

    def _dial_begins(self, event: AmiMessage) -> None:
        caller, target = event.get("Uniqueid") or "", event.get("DestChannel") or ""
        handed = self.handed.get(caller)
        if handed and target.startswith(_EMERGENCY_TRUNK):
            handed.trunk = target[len(_EMERGENCY_TRUNK) :].split("-", 1)[0]
            self.later(handed.call.record(EventKind.EMERGENCY_TRUNK, trunk=handed.trunk))
        elif (call := self.calls.get(caller)) and call.consultant:
            self.later(call.record(EventKind.RINGING, consultant=call.consultant))

    def _dial_ends(self, event: AmiMessage) -> None:
        if event.get("DialStatus") != "ANSWER":
            return
        caller = event.get("Uniqueid") or ""
        if handed := self.handed.get(caller):
            handed.answered_at = asyncio.get_running_loop().time()
            self.later(handed.call.record(EventKind.EMERGENCY_ANSWERED, trunk=handed.trunk))
        elif (call := self.calls.get(caller)) and call.consultant:
            call.talking()
            self.later(call.record(EventKind.TALKING, consultant=call.consultant))

    def _hangs_up(self, event: AmiMessage) -> None:
        handed = self.handed.pop(event.get("Uniqueid") or "", None)
        if handed is None:
            return
        now = asyncio.get_running_loop().time()
        answered = handed.answered_at
        facts = {} if answered is None else {"talk_s": round(now - answered, 3)}
        waited = (answered if answered is not None else now) - handed.began
        self.later(
            handed.call.record(
                EventKind.CLOSED,
                outcome="emergency" if answered is not None else "emergency_failed",
                wait_s=round(waited, 3),
                **facts,
            )
        )

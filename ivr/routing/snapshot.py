"""What the board tells of one moment: who waits, what each consultant does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from ivr.routing.callback import Callback
from ivr.routing.plan import WaitingCall

State = Literal["offline", "available", "reserved", "ringing", "talking", "wrap_up", "paused"]
Device = Literal["idle", "busy", "unavailable"]


@dataclass(frozen=True, slots=True)
class ConsultantState:
    """One consultant on the board; times are seconds since the epoch by the board's clock."""

    id: str
    state: State
    since: float
    device: Device
    call: str
    reason: str
    lease: float | None
    node: str = ""
    """Where the telephone is registered."""

    @property
    def free(self) -> bool:
        """Whether a call may be offered now."""
        return self.state == "available" and self.device == "idle"

    @property
    def on_duty(self) -> bool:
        """Whether the consultant is logged in at a telephone that is there."""
        return self.state != "offline" and self.device != "unavailable"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The board at one moment."""

    now: float
    waiting: tuple[WaitingCall, ...]
    owners: dict[str, str]
    offered: dict[str, str]
    consultants: dict[str, ConsultantState]
    callbacks: dict[str, Callback]


def pairs(flat: Sequence[str]) -> dict[str, str]:
    """What HGETALL gives to a script."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def consultant_state(
    consultant: str, values: Mapping[str, str], living: set[str]
) -> ConsultantState:
    """Read a consultant's hash; `living` are the nodes (`n:<node>`) whose telephones count."""
    devices = {
        node: device
        for key, device in values.items()
        if (node := key.removeprefix("device:")) != key and f"n:{node}" in living
    }
    device, node = "unavailable", ""
    for wanted in ("idle", "busy"):
        for at, now in sorted(devices.items()):
            if now == wanted:
                device, node = now, at
    lease = values.get("lease")
    return ConsultantState(
        consultant,
        cast(State, values.get("state", "offline")),
        float(values.get("since", 0)),
        cast(Device, device),
        values.get("call", ""),
        values.get("reason", ""),
        float(lease) if lease else None,
        node,
    )

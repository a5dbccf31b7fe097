"""The far end of a trunk (112, the telephone network) for demonstrations and tests.

Accepts calls to any number at its address, refuses them with a status, or says nothing at all, and
keeps every INVITE to look at. baresip 1.0 answers 404 to a number that is not its own, hence this.
Where somebody should speak at the far end, a `Telephone` with `user="112"` does it.

SIP over UDP (RFC 3261, as much as one server transaction needs), G.711 silence as its voice.
"""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

from ivr.telephone_sip import SipMessage, media_target, parse_sip, response
from ivr.telephone_wire import TelephoneError

TrunkMode = Literal["accept", "ring", "deaf", "ignore"] | int
"""Answer, only ring, answer no call but OPTIONS, say nothing at all, or refuse with this status
(486, 503, ...)."""
REASONS = {404: "Not Found", 480: "Temporarily Unavailable", 486: "Busy Here", 487: "Cancelled",
           500: "Server Error", 503: "Service Unavailable", 603: "Decline"}  # fmt: skip
PTIME_S = 0.02
SILENCE = b"\xd5" * 160
"""20 ms of silence in A-law."""


@dataclass(frozen=True, slots=True)
class Invite:
    """A call that came to the trunk."""

    at: float
    """Seconds on the event loop's clock."""
    number: str
    """The user part of the request's address."""
    message: SipMessage

    @property
    def caller(self) -> str:
        """The header From."""
        return self.message.get("from")

    @property
    def asserted(self) -> str:
        """The header P-Asserted-Identity, "" if there is none."""
        return self.message.get("p-asserted-identity")


@dataclass(slots=True)
class _Call:
    invite: SipMessage
    peer: tuple[str, int]
    tag: str
    rtp: socket.socket
    final: bytes = b""
    voice: asyncio.Task[None] | None = None
    up: bool = False
    sequence: Iterator[int] = field(default_factory=lambda: itertools.count(1))


class Trunk(asyncio.DatagramProtocol):
    """One trunk's far end. `mode` can be changed at any time; it counts for the next INVITE."""

    def __init__(
        self, name: str, address: str, port: int = 5060, *, mode: TrunkMode = "accept"
    ) -> None:
        """Nothing happens before `start`."""
        self.name, self.address, self.port, self.mode = name, address, port, mode
        self.invites: list[Invite] = []
        """Every call that came, oldest first."""
        self.rtp_received = 0
        """Voice packets received, over all calls."""
        self._transport: asyncio.DatagramTransport | None = None
        self._calls: dict[str, _Call] = {}
        self._changed = asyncio.Condition()
        self._closed = asyncio.Event()
        self._seen = 0
        self._tags = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises TelephoneError when the address is taken."""
        loop = asyncio.get_running_loop()
        self._closed.clear()
        try:
            self._transport, _ = await loop.create_datagram_endpoint(
                lambda: self, local_addr=(self.address, self.port)
            )
        except OSError as error:
            raise TelephoneError(
                f"trunk {self.name}: {self.address}:{self.port} cannot be used: {error.strerror}"
            ) from None

    async def stop(self) -> None:
        """Hang up every call and close; harmless when it does not run."""
        self.hangup()
        for call_id in list(self._calls):
            self._end(call_id)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()
            await self._closed.wait()
            self._transport = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Let `stop` end (asyncio calls this)."""
        self._closed.set()

    # ---- what there is to know

    @property
    def in_call(self) -> int:
        """How many calls are up."""
        return sum(call.up for call in self._calls.values())

    async def wait_for_invite(self, timeout: float) -> Invite:  # noqa: ASYNC109 - its purpose
        """Give the next call that has not been given yet."""
        invites, seen = self.invites, self._seen
        await self._wait(lambda: len(invites) > seen, timeout, "had no INVITE")
        self._seen += 1
        return invites[seen]

    async def wait_until_calls(self, count: int, timeout: float) -> None:  # noqa: ASYNC109
        """Wait until this many calls are up."""
        await self._wait(lambda: self.in_call == count, timeout, f"had not {count} calls up")

    async def _wait(self, what: Callable[[], bool], seconds: float, message: str) -> None:
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(what)
        except TimeoutError:
            raise TelephoneError(
                f"trunk {self.name} ({self.address}) {message} within {seconds:g} s; "
                f"{len(self.invites)} INVITEs came, {self.in_call} calls are up"
            ) from None

    def hangup(self) -> None:
        """End every call that is up (BYE); the answers are not waited for."""
        for call_id, call in list(self._calls.items()):
            if call.up:
                self._send(self._bye(call), call.peer)
                self._end(call_id)

    # ---- SIP

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take one message (asyncio calls this)."""
        try:
            message = parse_sip(data)
        except ValueError:
            return
        if message.first.startswith("SIP/2.0") or self._ignores(message):
            return
        call = self._calls.get(message.get("call-id"))
        match message.method:
            case "INVITE":
                if call is None:
                    self._invited(message, addr)
                else:
                    self._invited_again(call, message)
            case "ACK":
                if call is not None and not call.up and call.final:
                    self._acknowledged(call)
            case "CANCEL":
                self._send(response(message, "200 OK"), addr)
                if call is not None and not call.up:
                    call.final = response(call.invite, "487 Request Terminated", tag=call.tag)
                    self._send(call.final, addr)
            case "BYE":
                self._send(response(message, "200 OK"), addr)
                self._end(message.get("call-id"))
            case _:  # OPTIONS asks whether the trunk is alive
                self._send(response(message, "200 OK", tag="alive"), addr)

    def _ignores(self, message: SipMessage) -> bool:
        if self.mode != "ignore" and not (self.mode == "deaf" and message.method != "OPTIONS"):
            return False
        if message.method == "INVITE":
            self._record(message)
        return True

    def _record(self, message: SipMessage) -> None:
        """Keep an INVITE; the same one sent again counts once."""
        call_id = message.get("call-id")
        if all(invite.message.get("call-id") != call_id for invite in self.invites):
            number = message.first.split(" ")[1].split(":", 1)[-1].split("@")[0].split(";")[0]
            self.invites.append(Invite(asyncio.get_running_loop().time(), number, message))
            self._notice()

    def _invited(self, message: SipMessage, peer: tuple[str, int]) -> None:
        self._record(message)
        rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        rtp.setblocking(False)
        rtp.bind((self.address, 0))
        call = _Call(message, peer, f"trunk-{next(self._tags)}", rtp)
        self._calls[message.get("call-id")] = call
        self._send(response(message, "100 Trying"), peer)
        if isinstance(self.mode, int):
            status = f"{self.mode} {REASONS.get(self.mode, 'Refused')}"
            call.final = response(message, status, tag=call.tag)
        else:
            self._send(response(message, "180 Ringing", tag=call.tag), peer)
            if self.mode == "accept":
                call.final = self._accept(call, message)
        if call.final:
            self._send(call.final, peer)

    def _invited_again(self, call: _Call, message: SipMessage) -> None:
        if call.final and message.get("cseq") == call.invite.get("cseq"):
            self._send(call.final, call.peer)  # it has not come through yet
        elif call.up:  # new media: still the same
            self._send(self._accept(call, message), call.peer)

    def _accept(self, call: _Call, message: SipMessage) -> bytes:
        port = call.rtp.getsockname()[1]
        sdp = "\r\n".join([
            "v=0", f"o=- 1 1 IN IP4 {self.address}", "s=-", f"c=IN IP4 {self.address}", "t=0 0",
            f"m=audio {port} RTP/AVP 8 101", "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "a=ptime:20", "a=sendrecv", "",
        ])  # fmt: skip
        contact = f"Contact: <sip:trunk@{self.address}:{self.port}>"
        kind = "Content-Type: application/sdp"
        return response(message, "200 OK", tag=call.tag, extra=(contact, kind), body=sdp)

    def _acknowledged(self, call: _Call) -> None:
        if not call.final.startswith(b"SIP/2.0 200"):
            self._end(call.invite.get("call-id"))
            return
        call.up = True
        target = media_target(call.invite.body)
        call.voice = self._spawn(self._voice(call.rtp, target))
        self._notice()

    def _bye(self, call: _Call) -> bytes:
        invite = call.invite
        contact = invite.get("contact").partition("<")[2].partition(">")[0]
        lines = [
            f"BYE {contact or f'sip:{call.peer[0]}:{call.peer[1]}'} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.address}:{self.port};branch=z9hG4bK{call.tag}-{id(call)}",
            *(f"Route: {proxy}" for proxy in invite.all("record-route")),
            "Max-Forwards: 70",
            f"From: {invite.get('to')};tag={call.tag}",
            f"To: {invite.get('from')}",
            f"Call-ID: {invite.get('call-id')}",
            f"CSeq: {next(call.sequence)} BYE",
            "Content-Length: 0",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _end(self, call_id: str) -> None:
        call = self._calls.pop(call_id, None)
        if call is not None:
            if call.voice is not None:
                call.voice.cancel()
            call.rtp.close()
            self._notice()

    def _send(self, data: bytes, peer: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(data, peer)

    def _notice(self) -> None:
        async def notify() -> None:
            async with self._changed:
                self._changed.notify_all()

        self._spawn(notify())

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"trunk-{self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ---- voice

    async def _voice(self, rtp: socket.socket, target: tuple[str, int] | None) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for count in itertools.count():
            header = (0x80, 8, count & 0xFFFF, (count * 160) & 0xFFFFFFFF, 0x112)
            packet = b"".join(
                value.to_bytes(size, "big")
                for value, size in zip(header, (1, 1, 2, 4, 4), strict=True)
            )
            if target is not None:
                with contextlib.suppress(OSError):
                    rtp.sendto(packet + SILENCE, target)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while rtp.recv(2048):
                    self.rtp_received += 1
            await asyncio.sleep(begin + (count + 1) * PTIME_S - loop.time())

"""Hostile callers: whatever a SIP peer writes is data in the case and nowhere else."""

import asyncio
import socket
import uuid
from collections.abc import Callable

import pytest

from ivr.cases.model import Case
from ivr.telephone_sip import parse_sip
from tests.asterisk.site import HOST, NET, NUMBER, Site, until

PEER = f"{NET}.3"
KEPT = 79
"""Characters of a name that Asterisk itself keeps of what SIP says."""
NAMES = {
    "quotes": r"Jan \"Kowal\" 'x'",
    "commas": "a,b;c|d&e,10,g",
    "shell": "${SHELL(touch @)}",
    "backtick": "`touch @`",
    "substitution": "$(touch @)",
    "dialplan": "${HOTLINE_AGI} $[1+1] ${CHANNEL(name)}",
    "emoji": "🔥🚒 Żółć",
    "escapes": r"\r\nHANGUP \\ %0d%0aHANGUP %s%n",
    "long": "x" * 4096,
    "sql": "'); DROP TABLE cases; --",
    "html": "<script>alert(1)</script>",
}


class RawPeer:
    """A SIP peer on a bare socket, which sends what a telephone never would."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((PEER, 0))
        self._socket.settimeout(5)
        self.port = self._socket.getsockname()[1]
        self.call_id = uuid.uuid4().hex

    def request(self, method: str, header_from: bytes, to: str, *, body: str = "") -> bytes:
        """The bytes of a request."""
        cseq = {"INVITE": 1, "ACK": 1, "BYE": 2}[method]
        head = (
            f"{method} sip:{NUMBER}@{HOST} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {PEER}:{self.port};branch=z9hG4bK{self.call_id}{method}\r\n"
            "Max-Forwards: 70\r\nFrom: "
        ).encode()
        tail = (
            f"\r\nTo: {to}\r\nCall-ID: {self.call_id}\r\nCSeq: {cseq} {method}\r\n"
            f"Contact: <sip:x@{PEER}:{self.port}>\r\nContent-Type: application/sdp\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        return head + header_from + tail

    async def call(self, header_from: bytes) -> tuple[str, Callable[[], None]]:
        """INVITE; returns the final response's first line and how to hang up."""
        to = f"<sip:{NUMBER}@{HOST}>"
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 {PEER}\r\ns=-\r\nc=IN IP4 {PEER}\r\nt=0 0\r\n"
            "m=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
        )
        self._send(self.request("INVITE", header_from, to, body=sdp))
        while True:
            answer = parse_sip(await asyncio.to_thread(self._socket.recv, 65535))
            status = answer.first.split(" ", 2)[1]
            if not status.startswith("1"):
                break
        final_to = answer.get("to")
        self._send(self.request("ACK", header_from, final_to))
        return status, lambda: self._send(self.request("BYE", header_from, final_to))

    def _send(self, data: bytes) -> None:
        self._socket.sendto(data, (HOST, 5060))

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()


async def new_case(site: Site, before: set[object]) -> Case:
    """The closed case that was not there before."""
    found: list[Case] = []

    async def there() -> bool:
        found[:] = [c for c in await site.store.list(limit=50) if c.uuid not in before]
        return bool(found) and found[0].ended_at is not None

    await until(there, "the hostile call has a closed case", 20)
    assert len(found) == 1, "a call has exactly one case"
    return found[0]


@pytest.mark.parametrize("kind", NAMES)
async def test_a_hostile_name_is_data_in_the_case(site: Site, kind: str) -> None:
    trap = site.folder / "h"
    name = NAMES[kind].replace("@", str(trap))
    before: set[object] = {case.uuid for case in await site.store.list(limit=200)}
    peer = RawPeer()
    try:
        header = f'"{name}" <sip:+48600700800@{PEER}>;tag={uuid.uuid4().hex[:8]}'
        status, hang_up = await peer.call(header.encode())
        if status != "200":
            assert kind == "long", "only what no telephone sends may be refused"
            assert status.startswith("4"), "a refusal is a clear one"
            return
        await asyncio.sleep(0.3)  # some of the greeting
        hang_up()
        case = await new_case(site, before)
    finally:
        peer.close()
    assert case.caller_number == "+48600700800"
    kept = case.caller_name or ""
    written = {name, name.replace('\\"', '"'), name.replace("\\\\", "\\")}
    assert any(kept == way or (len(kept) >= KEPT and way.startswith(kept)) for way in written)
    assert not trap.exists(), "nothing of it was run"
    assert case.outcome == "abandoned"


@pytest.mark.parametrize(
    "number", ["${SHELL(id)}", "112,10,g", "a'b\"c", "+48" + "9" * 500, "%0d%0aHANGUP", "🔥"]
)
async def test_a_hostile_number_is_served_or_refused(site: Site, number: str) -> None:
    before: set[object] = {case.uuid for case in await site.store.list(limit=200)}
    peer = RawPeer()
    try:
        header = f"<sip:{number}@{PEER}>;tag={uuid.uuid4().hex[:8]}"
        try:
            status, hang_up = await peer.call(header.encode())
        except TimeoutError:
            status = "none"  # a header that is no SIP is not answered
        if status == "200":
            await asyncio.sleep(0.2)
            hang_up()
            case = await new_case(site, before)
            assert case.outcome == "abandoned"
            assert len(case.caller_number or "") <= 512
    finally:
        peer.close()
    # Whatever became of it, the next caller is served.
    async with site.caller() as caller:
        await caller.dial(f"sip:{NUMBER}@{HOST}:5060")
        await caller.wait_for("CALL_ESTABLISHED", timeout=5)
        await caller.hear(0.3, timeout=5)
        await caller.hangup()
        await site.closed_case(caller)


async def test_garbage_on_the_sip_port_harms_nothing(site: Site) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((PEER, 0))
        for junk in (b"\x00" * 1500, b"INVITE", b"INVITE sip: SIP/2.0\r\n\r\n", b"\xff" * 9000):
            peer.sendto(junk, (HOST, 5060))
    async with site.caller() as caller:
        await caller.dial(f"sip:{NUMBER}@{HOST}:5060")
        await caller.wait_for("CALL_ESTABLISHED", timeout=5)
        await caller.hangup()
        await site.closed_case(caller)

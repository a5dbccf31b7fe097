"""How fast the caller is served, measured on the wire: SIP and RTP of a caller of our own.

    .venv/bin/python benchmarks/latency.py [--calls 20]

- answer_to_voice: from Asterisk's 200 OK to the first packet that is not silence.
- key0_to_invite: from the first packet of key 0 to the INVITE at the 112 trunk.

A real site on loopback, one call after the other. Prints one JSON object, seconds.
"""

import argparse
import asyncio
import json
import os
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HOTLINE_TEST_SLOT", "9")
sys.path.insert(0, str(Path(__file__).parents[1]))

from ivr.telephone_sip import media_target, parse_sip
from ivr.telephone_trunk import Trunk
from tests.asterisk.site import HOST, NET, Site

QUIET = {0xD5, 0x55, 0xD4, 0x54}
"""A-law bytes of silence."""


class RawCaller:
    """One call by hand: INVITE, RTP that is timed to the packet, keys as RFC 4733 events."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[float] = self.loop.create_future()
        self.voice: list[float] = []
        self.id = os.urandom(6).hex()
        self.sequence, self.stamp = 1, 160
        self.silence: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "RawCaller":
        make = self.loop.create_datagram_endpoint
        self.sip, _ = await make(lambda: _Receiver(self._on_sip), local_addr=(f"{NET}.2", 5060))
        self.rtp, _ = await make(lambda: _Receiver(self._on_rtp), local_addr=(f"{NET}.2", 7100))
        body = (
            f"v=0\r\no=- 1 1 IN IP4 {NET}.2\r\ns=-\r\nc=IN IP4 {NET}.2\r\nt=0 0\r\n"
            "m=audio 7100 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n"
            "a=rtpmap:101 telephone-event/8000\r\n"
        )
        self._send("INVITE", 1, body)
        return self

    async def _hiss(self) -> None:
        """Send silence, as a telephone does; without it Asterisk waits half a second."""
        while True:
            self._packet(8, b"\xd5" * 160)
            self.stamp += 160
            await asyncio.sleep(0.02)

    async def __aexit__(self, *_: object) -> None:
        if self.silence:
            self.silence.cancel()
        self._send("BYE", 2)
        await asyncio.sleep(0.3)
        self.sip.close()
        self.rtp.close()

    def _send(self, method: str, number: int, body: str = "") -> None:
        to = getattr(self, "to", f"<sip:19115@{HOST}>")
        lines = [
            f"{method} sip:19115@{HOST}:5060 SIP/2.0",
            f"Via: SIP/2.0/UDP {NET}.2:5060;branch=z9hG4bK{self.id}{method}{number}",
            f"From: <sip:+48600000001@{NET}.2>;tag={self.id}",
            f"To: {to}",
            f"Call-ID: {self.id}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:caller@{NET}.2:5060>",
            "Max-Forwards: 70",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self.sip.sendto(("\r\n".join(lines) + "\r\n\r\n" + body).encode(), (HOST, 5060))

    def _on_sip(self, data: bytes) -> None:
        message = parse_sip(data)
        if message.first.startswith("SIP/2.0 200") and "INVITE" in message.get("cseq"):
            self.to = message.get("to")
            self.target = media_target(message.body)
            self._send("ACK", 1)
            if not self.answered.done():
                self.answered.set_result(time.monotonic())
                self.silence = asyncio.create_task(self._hiss())

    def _on_rtp(self, data: bytes) -> None:
        if data[1] & 0x7F == 8 and sum(byte not in QUIET for byte in data[12:]) > 40:
            self.voice.append(time.monotonic())

    def _packet(self, kind: int, payload: bytes, *, marker: bool = False) -> None:
        head = struct.pack("!BBHII", 0x80, kind | marker << 7, self.sequence, self.stamp, 19115)
        self.rtp.sendto(head + payload, self.target)
        self.sequence += 1

    async def press(self, key: int) -> tuple[float, float]:
        """Press a key for 60 ms; the times of its first and last packet."""
        first = time.monotonic()
        for part in range(6):
            ended = part >= 3
            self._packet(
                101, struct.pack("!BBH", key, 0x80 * ended | 10, 160 * min(part + 1, 3)),
                marker=part == 0,
            )  # fmt: skip
            if not ended:
                await asyncio.sleep(0.02)
        self.stamp += 480
        return first, time.monotonic()

    async def heard(self) -> float:
        """The first packet of speech."""
        while not self.voice:
            await asyncio.sleep(0.005)
        return self.voice[0]


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes], None]) -> None:
        self.take = take

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.take(data)


def spread(values: list[float]) -> dict[str, float]:
    values = sorted(values)
    return {
        "p50": round(statistics.median(values), 3),
        "p95": round(values[min(len(values) - 1, int(len(values) * 0.95))], 3),
        "max": round(values[-1], 3),
    }


async def measure(calls: int) -> dict[str, object]:
    voice, invite = [], []
    site = Site(Path(tempfile.mkdtemp(prefix="hotline-bench-")))
    try:
        await site.start()
        async with Trunk("a", f"{NET}.5") as trunk:
            while "Avail" not in await site.console("pjsip show contacts"):
                await asyncio.sleep(0.5)
            for _ in range(calls):
                async with asyncio.timeout(20), RawCaller() as caller:
                    answered = await caller.answered
                    voice.append(await caller.heard() - answered)
                    await asyncio.sleep(0.3)
                    known = len(trunk.invites)
                    first, _ = await caller.press(0)
                    while len(trunk.invites) == known:
                        await asyncio.sleep(0.002)
                    invite.append(trunk.invites[-1].at - first)
                await site.no_channels()
    finally:
        await site.stop()
    return {
        "calls": calls,
        "answer_to_voice": spread(voice),
        "key0_to_invite": spread(invite),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20, choices=range(1, 201))
    print(json.dumps(asyncio.run(measure(parser.parse_args().calls))))

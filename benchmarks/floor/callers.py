"""Callers, played by SIPp: they call, choose by keys, wait, and hang up or are hung up on."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from random import Random

TOPIC_KEYS = ("11", "12", "13", "14", "15", "16", "17", "18", "*")
"""The first key opens the menu, the second chooses; * is a person."""
_KEY = """
<send retrans="500"><![CDATA[
INFO sip:19115@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:[field0]@[local_ip]:[local_port]>;tag=[pid]SIPpTag[call_number]
To: <sip:19115@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: [cseq] INFO
Max-Forwards: 70
Content-Type: application/dtmf-relay
Content-Length: [len]

Signal={key}
Duration=120

]]></send><recv response="200"/><pause milliseconds="{then_ms}"/>"""
_BYE = """<send retrans="500"><![CDATA[
BYE sip:19115@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:[field0]@[local_ip]:[local_port]>;tag=[pid]SIPpTag[call_number]
To: <sip:19115@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: [cseq] BYE
Max-Forwards: 70
Content-Length: 0

]]></send><recv response="200"/>"""
_SCENARIO = """<?xml version="1.0" encoding="UTF-8"?><scenario name="caller">
<send retrans="500"><![CDATA[
INVITE sip:19115@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:[field0]@[local_ip]:[local_port]>;tag=[pid]SIPpTag[call_number]
To: <sip:19115@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:[field0]@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8
a=rtpmap:8 PCMA/8000

]]></send>
<recv response="100" optional="true"/><recv response="180" optional="true"/>
<recv response="183" optional="true"/><recv response="200" rrs="true"/>
<send><![CDATA[
ACK sip:19115@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:[field0]@[local_ip]:[local_port]>;tag=[pid]SIPpTag[call_number]
To: <sip:19115@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send><pause milliseconds="900"/>
{keys}
<recv request="BYE" timeout="{patience_ms}" ontimeout="9"/>
<send next="10"><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
<label id="9"/>{bye}<label id="10"/></scenario>"""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Callers who do the same; `keys` with the milliseconds after each."""

    name: str
    callers: int
    keys: tuple[tuple[str, int], ...]
    patience_s: float

    async def call(
        self, server: str, address: str, port: int, over_s: float, folder: Path, random: Random
    ) -> None:
        """Call evenly over so many seconds; returns when the last call is over."""
        home = folder / f"sipp-{self.name}"
        home.mkdir(parents=True)
        keys = "".join(_KEY.format(key=key, then_ms=ms) for key, ms in self.keys)
        (home / "caller.xml").write_text(
            _SCENARIO.format(keys=keys, patience_ms=int(self.patience_s * 1000), bye=_BYE)
        )
        numbers = random.sample(range(10**6), self.callers)
        choices = [random.choice(TOPIC_KEYS) for _ in numbers]
        rows = [
            f"+48{port // 10 % 10 + 600}{number:06d};{choice[0]};{choice[-1]}"
            for number, choice in zip(numbers, choices, strict=True)
        ]
        (home / "callers.csv").write_text("SEQUENTIAL\n" + "\n".join(rows) + "\n")
        process = await asyncio.create_subprocess_exec(
            "sipp", "-sf", "caller.xml", "-inf", "callers.csv", server, "-i", address,
            "-p", str(port), "-mi", address, "-mp", str(port + 2000), "-rtp_echo",
            "-m", str(self.callers), "-l", str(self.callers), "-r", str(self.callers),
            "-rp", str(int(over_s * 1000)), "-timeout", str(int(over_s + 240)), "-nostdin",
            "-trace_err", cwd=home,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()

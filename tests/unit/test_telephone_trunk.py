import itertools
import os
import shutil

import pytest

from ivr.telephone import Telephone, TelephoneError
from ivr.telephone_sip import media_target, parse_sip, response
from ivr.telephone_trunk import Trunk

needs_baresip = pytest.mark.skipif(
    shutil.which("baresip") is None, reason="no baresip: install the package baresip"
)
hosts = itertools.count(101)


def own_address() -> str:
    """A loopback address nobody else uses: runs side by side do not meet."""
    return f"127.{100 + os.getpid() // 250 % 100}.{os.getpid() % 250 + 1}.{next(hosts)}"


@needs_baresip
async def test_a_trunk_takes_a_call_to_any_number_and_hangs_up(tmp_path):
    there = own_address()
    async with (
        Trunk("a", there) as trunk,
        Telephone("anna", tmp_path, own_address(), user="anna", display_name="Anna Nowak") as anna,
    ):
        for count, ender in enumerate((trunk, anna), 1):
            await anna.dial(f"sip:112@{there}:5060")
            invite = await trunk.wait_for_invite(5)
            assert invite.number == "112"
            assert invite.caller.startswith('"Anna Nowak" <sip:anna@')
            assert invite.asserted == ""
            await anna.wait_for("CALL_ESTABLISHED", timeout=5)
            await trunk.wait_until_calls(1, 5)
            await anna.hear(0.3, timeout=5)
            if ender is trunk:
                trunk.hangup()
            else:
                await anna.hangup()
            await anna.wait_for("CALL_CLOSED", timeout=5)
            await trunk.wait_until_calls(0, 5)
            assert len(trunk.invites) == count
        assert trunk.rtp_received > 10


@needs_baresip
@pytest.mark.parametrize("status", [486, 503])
async def test_a_trunk_refuses(tmp_path, status):
    there = own_address()
    async with (
        Trunk("a", there, mode=status) as trunk,
        Telephone("anna", tmp_path, own_address(), user="anna") as anna,
    ):
        await anna.dial(f"sip:112@{there}:5060")
        with pytest.raises(TelephoneError, match=f"not connected: {status}"):
            await anna.wait_for("CALL_ESTABLISHED", timeout=5)
        assert len(trunk.invites) == 1
        assert trunk.in_call == 0


@needs_baresip
async def test_a_trunk_rings_until_the_caller_gives_up_or_says_nothing(tmp_path):
    there = own_address()
    async with (
        Trunk("a", there, mode="ring") as trunk,
        Telephone("anna", tmp_path, own_address(), user="anna") as anna,
    ):
        await anna.dial(f"sip:112@{there}:5060")
        await anna.wait_for("CALL_RINGING", timeout=5)
        await anna.hangup()
        await anna.wait_for("CALL_CLOSED", timeout=5)
        trunk.mode = "deaf"
        await anna.dial(f"sip:112@{there}:5060")
        with pytest.raises(TelephoneError, match=r"no CALL_RINGING within 0\.7 s"):
            await anna.wait_for("CALL_RINGING", timeout=0.7)
        with pytest.raises(TelephoneError, match=r"had not 1 calls up within 0\.01 s; 2 INVITEs"):
            await trunk.wait_until_calls(1, 0.01)


async def test_a_taken_address_is_a_clear_error():
    there = own_address()
    async with Trunk("a", there):
        with pytest.raises(TelephoneError, match="Address already in use"):
            await Trunk("b", there).start()


REQUEST = (
    b"INVITE sip:112@h;user=phone SIP/2.0\r\nv: SIP/2.0/UDP a;branch=1\r\nVia: SIP/2.0/UDP b\r\n"
    b"From: <sip:a@h>;tag=1\r\nTo: <sip:112@h>\r\nCall-ID: c1\r\nCSeq: 7 INVITE\r\n"
    b"Subject: one\r\n two\r\nContent-Length: 0\r\n\r\n"
    b"v=0\r\nc=IN IP4 127.0.0.9\r\nm=audio 4002 RTP/AVP 8\r\n"
)


def test_messages_are_read_and_answered():
    request = parse_sip(REQUEST)
    assert request.method == "INVITE"
    assert request.all("via") == ["SIP/2.0/UDP a;branch=1", "SIP/2.0/UDP b"]
    assert request.get("subject") == "one two"
    assert media_target(request.body) == ("127.0.0.9", 4002)
    answer = parse_sip(response(request, "486 Busy Here", tag="t"))
    assert answer.first == "SIP/2.0 486 Busy Here"
    assert answer.get("to") == "<sip:112@h>;tag=t"
    assert answer.all("via") == request.all("via")
    assert answer.get("cseq") == "7 INVITE"


@pytest.mark.parametrize("junk", [b"", b"\x00\xff", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_sip_is_refused(junk):
    with pytest.raises(ValueError, match="no SIP"):
        parse_sip(junk)

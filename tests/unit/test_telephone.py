import array
import asyncio
import itertools
import math
import os
import shutil
import socket
import wave
from pathlib import Path

import pytest

from ivr import telephone
from ivr.telephone import Telephone, TelephoneError
from ivr.telephone_wire import (
    account_text,
    netstring,
    read_netstring,
    recorded_pcm,
    registration_state,
    write_microphone,
)

needs_baresip = pytest.mark.skipif(
    shutil.which("baresip") is None, reason="no baresip: install the package baresip"
)
BLOCK = 800  # samples: 0.1 s
hosts = itertools.count(1)


def own_address() -> str:
    """A loopback address nobody else uses: runs side by side do not meet."""
    return f"127.{100 + os.getpid() // 250 % 100}.{os.getpid() % 250 + 1}.{next(hosts)}"


def tone(path: Path, hertz: int, seconds: float, *, rate: int = 8000) -> Path:
    samples = [
        int(9000 * math.sin(2 * math.pi * hertz * i / rate)) for i in range(int(rate * seconds))
    ]
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(array.array("h", samples).tobytes())
    return path


def pitches(pcm: bytes) -> list[int]:
    """The pitch of every 0.1 s in Hz, 0 where it is silent."""
    samples = array.array("h", pcm)
    found = []
    for start in range(0, len(samples) - BLOCK, BLOCK):
        block = samples[start : start + BLOCK]
        loud = max(map(abs, block)) > 1000
        crossings = sum((a < 0) != (b < 0) for a, b in itertools.pairwise(block))
        found.append(round(crossings / 2 * 8000 / BLOCK) if loud else 0)
    return found


def runs(pcm: bytes, hertz: int) -> list[int]:
    """How long each stretch of this pitch is, in tenths of a second."""
    match = [abs(pitch - hertz) < 40 for pitch in pitches(pcm)]
    return [len(list(group)) for same, group in itertools.groupby(match) if same]


@needs_baresip
async def test_two_telephones_talk_press_keys_and_hang_up(tmp_path):
    there = own_address()
    first, second = tone(tmp_path / "a.wav", 400, 1), tone(tmp_path / "b.wav", 700, 1)
    later = tone(tmp_path / "c.wav", 1100, 1)
    async with (
        Telephone("anna", tmp_path / "anna", own_address(), user="anna", audio=first) as anna,
        Telephone("ben", tmp_path / "ben", there, user="ben", audio=second) as ben,
    ):
        await anna.dial(f"sip:ben@{there}:5060")
        ringing = await ben.wait_for("CALL_INCOMING", timeout=5)
        assert ringing.peer.startswith("sip:anna@")
        assert (ben.ringing, ben.in_call) == (True, False)
        await ben.answer()
        await anna.wait_for("CALL_ESTABLISHED", timeout=5)
        await ben.wait_for("CALL_ESTABLISHED", timeout=5)
        assert (anna.in_call, ben.in_call) == (True, True)

        before = len(await ben.hear(1.5, timeout=5))
        assert await anna.speak(later) == 1.0
        await ben.hear(before / 16000 + 1.5, timeout=5)
        await anna.press("0*9#")
        keys = [(await ben.wait_for("CALL_DTMF_START", timeout=2)).param for _ in range(4)]
        assert keys == ["0", "*", "9", "#"]

        await anna.hangup()
        await ben.wait_for("CALL_CLOSED", timeout=3)
        assert not ben.in_call
    with wave.open(str(ben.heard())) as heard:
        assert (heard.getframerate(), heard.getsampwidth(), heard.getnchannels()) == (8000, 2, 1)
    pcm = recorded_pcm(ben.heard())
    assert [max(runs(pcm, 400)) >= 8, len(runs(pcm, 1100))] == [True, 1]
    assert 8 <= runs(pcm, 1100)[0] <= 10  # from its beginning, once, whole
    assert runs(pcm, 700) == []
    assert 8 <= max(runs(recorded_pcm(anna.heard()), 700)) <= 10
    assert 8 <= max(runs(recorded_pcm(anna.said()), 1100)) <= 10


@needs_baresip
async def test_each_call_begins_with_the_same_words_and_answers_by_itself(tmp_path):
    there = own_address()
    words, other = tone(tmp_path / "a.wav", 400, 0.5), tone(tmp_path / "b.wav", 1100, 0.5)
    async with (
        Telephone("anna", tmp_path / "anna", own_address(), user="anna") as anna,
        Telephone("k", tmp_path / "k", there, user="k", answer="auto", audio=words) as consultant,
    ):
        for _ in range(2):
            await anna.dial(f"sip:k@{there}:5060")
            await anna.wait_for("CALL_ESTABLISHED", timeout=5)
            pcm = await anna.hear(0.8, timeout=5)
            assert 3 <= max(runs(pcm, 400)) <= 5
            await consultant.speak(other)
            await consultant.hangup()
            await anna.wait_for("CALL_CLOSED", timeout=3)
        assert len(consultant.recordings("enc")) >= 1


@needs_baresip
async def test_a_call_from_before_the_control_connection_is_noticed(tmp_path):
    class Late(Telephone):
        async def _connect(self) -> None:
            await called.wait()
            await super()._connect()

    called, there = asyncio.Event(), own_address()
    late = Late("late", tmp_path / "late", there, user="late", answer="auto")
    async with Telephone("eva", tmp_path / "eva", own_address(), user="eva") as eva:
        starting = asyncio.create_task(late.start())
        await asyncio.sleep(1)  # baresip is up, and nobody listens to it
        await eva.dial(f"sip:late@{there}:5060")
        await eva.wait_for("CALL_ESTABLISHED", timeout=5)
        called.set()
        await starting
        try:
            established = await late.wait_for("CALL_ESTABLISHED", timeout=2)
            assert established.peer.startswith("sip:eva@")
            assert late.in_call
            await eva.hangup()
            await late.wait_for("CALL_CLOSED", timeout=5)
            assert not late.in_call
        finally:
            await late.stop()


@needs_baresip
async def test_a_refused_call_says_why_at_once(tmp_path):
    there = own_address()
    async with (
        Telephone("anna", tmp_path / "anna", own_address(), user="anna") as anna,
        Telephone("ben", tmp_path / "ben", there, user="ben", answer="reject"),
    ):
        await anna.dial(f"sip:ben@{there}:5060")
        with pytest.raises(TelephoneError, match="was not connected: 486"):
            await anna.wait_for("CALL_ESTABLISHED", timeout=5)
        assert not anna.in_call
        assert not anna.ringing


@needs_baresip
async def test_waiting_has_an_end_and_names_what_happened(tmp_path):
    async with Telephone("anna", tmp_path / "anna", own_address(), user="anna") as anna:
        with pytest.raises(TelephoneError, match=r"(?s)no REGISTER_OK within 0.05 s.*baresip is"):
            await anna.wait_for("REGISTER_OK", timeout=0.05)
        with pytest.raises(TelephoneError, match="keys 0-9"):
            await anna.press("0x")


@needs_baresip
async def test_a_dead_telephone_is_told_from_a_silent_one(tmp_path):
    anna = Telephone("anna", tmp_path / "anna", own_address(), user="anna")
    await anna.start()
    assert anna._process is not None
    waiting = asyncio.ensure_future(anna.wait_for("CALL_INCOMING", timeout=10))
    anna._process.kill()
    with pytest.raises(TelephoneError, match=r"does not run|lost its control"):
        await waiting
    with pytest.raises(TelephoneError):
        await anna.dial("sip:x@127.0.0.1")
    await anna.stop()
    await anna.stop()


@needs_baresip
@pytest.mark.parametrize(("kind", "port"), [(socket.SOCK_DGRAM, 5060), (socket.SOCK_STREAM, 4444)])
async def test_a_taken_address_is_a_clear_error(tmp_path, kind, port):
    address = own_address()
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind((address, port))
        if kind == socket.SOCK_STREAM:
            other.listen()
        with pytest.raises(TelephoneError, match=f"{port} cannot be used: Address already in use"):
            await Telephone("anna", tmp_path / "anna", address, user="anna").start()


@needs_baresip
async def test_a_failed_start_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(telephone, "START_DEADLINE_S", 0.5)
    anna = Telephone("anna", tmp_path, own_address(), user="anna", modules=tmp_path / "none")
    with pytest.raises(TelephoneError, match=r"(?s)telephone anna .*did not start"):
        await anna.start()
    assert anna._process is None
    await anna.stop()


async def test_no_program_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TelephoneError, match="install the package baresip"):
        await Telephone("anna", tmp_path / "anna", own_address(), user="anna").start()


def test_a_microphone_file_of_another_shape_is_refused(tmp_path):
    wide = tone(tmp_path / "w.wav", 400, 0.1, rate=16000)
    with pytest.raises(TelephoneError, match="8000 Hz"):
        write_microphone(wide, tmp_path / "mic.wav")
    with pytest.raises(TelephoneError, match="cannot be read"):
        write_microphone(tmp_path / "none.wav", tmp_path / "mic.wav")


@pytest.mark.parametrize("name", ['A "quoted" one', "two\nlines", "<sip:x@y>", "back\\slash"])
def test_a_name_baresip_cannot_hold_is_refused(name):
    with pytest.raises(TelephoneError, match="display name"):
        account_text(
            user="a", at="h", password=None, register=False, auto_answer=False, display_name=name
        )


def test_an_account_line():
    line = account_text(
        user="k1", at="127.0.0.1:5060", password="s3", register=True, auto_answer=True,
        display_name="Zażółć Gęślą",
    )  # fmt: skip
    assert line.startswith('"Zażółć Gęślą" <sip:k1@127.0.0.1:5060>;regint=60;answermode=auto;')
    assert "auth_pass=s3" in line


@pytest.mark.parametrize(
    ("reginfo", "state"),
    [
        ("\n> sip:k1@h   \x1b[32mOK \x1b[;m Asterisk Expires 59s\n", "REGISTER_OK"),
        ("\n0 - sip:k1@h   FB-\x1b[31mERR\x1b[;m Asterisk\n", "REGISTER_FAIL"),
        ("\n> sip:k1@h   \x1b[33mzzz\x1b[;m  Expires 0s\n", ""),
    ],
)
def test_the_state_of_a_registration_is_read(reginfo, state):
    assert registration_state(reginfo) == state


async def test_netstrings_are_read_as_written():
    reader = asyncio.StreamReader()
    reader.feed_data(netstring({"command": "dial", "params": "sip:ł@h"}) * 2)
    for _ in range(2):
        assert await read_netstring(reader) == {"command": "dial", "params": "sip:ł@h"}


@pytest.mark.parametrize("junk", [b"x:{},", b"99999999:", b"2:{};", b"4:null,", b"3:abc,"])
async def test_what_is_no_netstring_is_refused(junk):
    reader = asyncio.StreamReader()
    reader.feed_data(junk)
    reader.feed_eof()
    with pytest.raises(TelephoneError):
        await read_netstring(reader)

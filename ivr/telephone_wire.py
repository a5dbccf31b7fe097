"""What a baresip softphone is told and says: its configuration, its microphone files, its events.

The control port (module `ctrl_tcp`) speaks netstrings, `<length>:<JSON>,`. Written against
baresip 1.0 (Debian 12) and 1.1 (Debian 13, Ubuntu 24.04).
"""

import asyncio
import itertools
import json
import re
import struct
import wave
from dataclasses import dataclass
from pathlib import Path

from ivr.errors import HotlineError

RATE = 8000
SILENCE_S = 600
"""Seconds of silence behind each microphone file: a phone that has nothing to say is not mute."""
MODULES = ("g711", "aufile", "aubridge", "sndfile")
APPLICATIONS = ("account", "menu", "ctrl_tcp")
MODULE_FOLDERS = ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules")
MAX_NETSTRING = 1 << 20
EARLY_CALL = "early"
"""Stands for the id of a call that came before the control port was connected."""
_SAFE = re.compile(r"[\w.+*#~!$&=/?-]+", re.ASCII)


class TelephoneError(HotlineError):
    """A softphone that did not do what it was told; the message ends with the tail of its log."""


@dataclass(frozen=True, slots=True)
class PhoneEvent:
    """One event of baresip, in its own words (`CALL_ESTABLISHED`, `REGISTER_OK`, ...)."""

    type: str
    param: str = ""
    """The key of CALL_DTMF_START, the reason of CALL_CLOSED ("486 Busy Here"), ..."""
    direction: str = ""
    peer: str = ""
    call_id: str = ""
    at: float = 0.0
    """Seconds on the event loop's clock."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply to one command."""

    ok: bool
    data: str
    token: str


def event_from(message: dict[str, object], at: float) -> PhoneEvent:
    """Read an event; the keys differ a little between versions."""

    def text(*keys: str) -> str:
        return next((str(message[key]) for key in keys if key in message), "")

    return PhoneEvent(
        text("type"), text("param"), text("direction"), text("peeruri", "peer"), text("id"), at
    )


def registration_state(reginfo: str) -> str:
    """Read the answer to `reginfo`: the event that has been, or "" while it is still to come."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", reginfo)
    states = {"OK": "REGISTER_OK", "ERR": "REGISTER_FAIL"}
    found = re.search(r"\b(OK|ERR)\b", plain)
    return states[found[1]] if found else ""


def call_state(listcalls: str, at: float) -> PhoneEvent | None:
    """Read the answer to `listcalls`: the event that the call there has had, if there is one."""
    found = re.search(r"\b(ESTABLISHED|INCOMING)\s+(\S+)", listcalls)
    if found is None:
        return None
    return PhoneEvent(
        f"CALL_{found[1]}", direction="incoming", peer=found[2], call_id=EARLY_CALL, at=at
    )


def netstring(message: dict[str, str]) -> bytes:
    """Encode one command."""
    body = json.dumps(message).encode()
    return b"%d:%s," % (len(body), body)


async def read_netstring(reader: asyncio.StreamReader) -> dict[str, object]:
    """Read one message. Raises TelephoneError on bad framing, IncompleteReadError at the end."""
    head = await reader.readuntil(b":")
    if not head[:-1].isdigit() or int(head[:-1]) > MAX_NETSTRING:
        raise TelephoneError(f"baresip's control port sent {head[:40]!r} instead of a netstring")
    body = await reader.readexactly(int(head[:-1]) + 1)
    try:
        message = json.loads(body[:-1].decode("utf-8", "replace"), strict=False)
    except ValueError:
        raise TelephoneError(f"baresip's control port sent no JSON: {body[:80]!r}") from None
    if body[-1:] != b"," or not isinstance(message, dict):
        raise TelephoneError(f"baresip's control port sent {body[:80]!r}")
    return message


def config_text(*, address: str, sip_port: int, control_port: int, modules: Path) -> str:
    """Write baresip's `config`. Paths in it are relative to the phone's own folder."""
    lines = [
        f"sip_listen {address}:{sip_port}",
        f"net_interface {address}",
        f"ctrl_tcp_listen {address}:{control_port}",
        "call_max_calls 4",
        "audio_source aufile,mic-0.wav",
        "audio_player aubridge,nobody",
        "audio_alert aubridge,nobody",
        "ausrc_srate 8000",
        "auplay_srate 8000",
        "ausrc_channels 1",
        "auplay_channels 1",
        "audio_buffer 20-160",
        "jitter_buffer_delay 1-10",
        "rtp_timeout 0",
        "ringback_disabled yes",
        "menu_bell no",
        "statmode_default off",
        "snd_path rec",
        f"module_path {modules}",
        *(f"module {name}.so" for name in MODULES),
        *(f"module_app {name}.so" for name in APPLICATIONS),
    ]
    return "\n".join(lines) + "\n"


def account_text(
    *,
    user: str,
    at: str,
    password: str | None,
    register: bool,
    auto_answer: bool,
    display_name: str | None,
) -> str:
    """Write the line of baresip's `accounts`. Raises TelephoneError for what it cannot hold."""
    for what, value in (("user", user), ("password", password or "-")):
        if not _SAFE.fullmatch(value):
            raise TelephoneError(f"baresip cannot hold this {what}: {value!r}")
    name = ""
    if display_name is not None:
        if not display_name.isprintable() or set(display_name) & set('"\\<>'):
            raise TelephoneError(f"baresip cannot hold this display name: {display_name[:60]!r}")
        name = f'"{display_name}" '
    parts = [
        f"{name}<sip:{user}@{at}>",
        f"regint={60 if register else 0}",
        f"answermode={'auto' if auto_answer else 'manual'}",
        f"auth_user={user}",
        f"auth_pass={password or '-'}",  # without one baresip asks for it on its terminal
        "ptime=20",
        "audio_codecs=pcma,pcmu",
    ]
    return ";".join(parts) + "\n"


def write_microphone(source: Path | None, target: Path) -> float:
    """Write what a phone shall say, followed by silence; gives the seconds of speech in it.

    The source is a WAV of 8 kHz, 16 bit, mono, PCM. Raises TelephoneError for any other.
    """
    speech = b""
    if source is not None:
        try:
            with wave.open(str(source), "rb") as file:
                shape = (file.getframerate(), file.getsampwidth(), file.getnchannels())
                speech = file.readframes(file.getnframes())
        except (OSError, wave.Error, EOFError) as error:
            raise TelephoneError(f"{source}: cannot be read as WAV: {error}") from None
        if shape != (RATE, 2, 1):
            raise TelephoneError(f"{source}: is {shape}, needs to be 8000 Hz, 16 bit, mono")
    with wave.open(str(target), "wb") as file:
        file.setframerate(RATE)
        file.setsampwidth(2)
        file.setnchannels(1)
        file.writeframes(speech + bytes(2 * RATE * SILENCE_S))
    return len(speech) / 2 / RATE


def recorded_pcm(recording: Path) -> bytes:
    """Read a recording, also one that is still being written (its header lies until the end)."""
    data = recording.read_bytes()
    place = 12
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, place)
        if kind == b"data":
            pcm = data[place + 8 :]
            return pcm[: len(pcm) & ~1]
        place += 8 + size + (size & 1)
    return b""


def find_modules() -> Path:
    """Find the folder of baresip's modules. Raises TelephoneError."""
    known = [Path(folder) for folder in MODULE_FOLDERS]
    found = itertools.chain(known, Path("/usr/lib").glob("*/baresip/modules"))
    for folder in found:
        if (folder / "ctrl_tcp.so").is_file():
            return folder
    raise TelephoneError("baresip's modules are nowhere to be found: install the package baresip")

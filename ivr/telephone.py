"""A real telephone under control: baresip without a screen and without a sound card.

The demonstration and the tests call the hotline with it, and answer as its consultants:

    async with Telephone("caller", folder, "127.0.0.11", user="600100200") as phone:
        await phone.dial("sip:19115@127.0.0.1:5060")
        await phone.wait_for("CALL_ESTABLISHED", 5)
        await phone.speak(Path("hole-in-the-road.wav"))
        await phone.press("1")
        await phone.hangup()
    heard = phone.heard()

Each telephone has an address of its own on the loopback (127.0.0.11, 127.0.0.12, ...), so that an
Asterisk which knows its trunks by address cannot take one for another.
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from ivr.telephone_control import ControlPort
from ivr.telephone_wire import (
    EARLY_CALL,
    RATE,
    PhoneEvent,
    TelephoneError,
    account_text,
    call_state,
    config_text,
    find_modules,
    recorded_pcm,
    registration_state,
    write_microphone,
)

__all__ = ["AnswerMode", "PhoneEvent", "Telephone", "TelephoneError"]

AnswerMode = Literal["auto", "manual", "reject"]
START_DEADLINE_S = 10.0
STOP_DEADLINE_S = 3.0
REFUSE_AGAIN_S = 0.3
KEY_GAP_S = 0.12
"""From one key to the next: a key is held for the first half of it."""


class Telephone:
    """One softphone. All times are in seconds; every wait ends with TelephoneError."""

    def __init__(
        self,
        name: str,
        folder: Path,
        address: str,
        sip_port: int = 5060,
        *,
        user: str,
        server: str | None = None,
        password: str | None = None,
        register: bool = False,
        answer: AnswerMode = "manual",
        display_name: str | None = None,
        audio: Path | None = None,
        control_port: int = 4444,
        program: str | None = None,
        modules: Path | None = None,
    ) -> None:
        """Nothing happens before `start`.

        `server` is the registrar, "host:port"; without it the telephone can be called at
        `sip:user@address:sip_port`. `answer` "reject" refuses every call with 486. `audio` is a
        WAV (8 kHz, 16 bit, mono) spoken from the moment a call's sound starts.
        """
        self.name, self.folder, self.address, self.sip_port = name, folder, address, sip_port
        self.user, self.answer_mode = user, answer
        self.history: list[PhoneEvent] = []
        """Every event since the start, oldest first."""
        self.registered = False
        self._server, self._password, self._register = server, password, register
        self._display_name, self._audio = display_name, audio
        self._control_port, self._program, self._modules = control_port, program, modules
        self._process: asyncio.subprocess.Process | None = None
        self._control = ControlPort(self._happened, self._lost)
        self._changed = asyncio.Condition()
        self._seen = 0
        self._calls: dict[str, bool] = {}
        self._spoken = itertools.count(1)

    # ---- life

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
        """Start baresip and wait until it takes commands; after a failure nothing is left."""
        program = self._program or shutil.which("baresip")
        if program is None:
            raise TelephoneError("there is no baresip: install the package baresip")
        self._check_free()
        await asyncio.to_thread(self._write_folder)
        try:
            async with self._deadline(START_DEADLINE_S, "did not start"):
                await self._start_process(program)
                await self._connect()
                await self._catch_up()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the call and baresip; harmless when it does not run."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_DEADLINE_S):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        await self._control.close()
        self._calls.clear()
        self.registered = False

    def _check_free(self) -> None:
        """Refuse a taken address: baresip would go on half deaf."""
        for kind, port in (
            (socket.SOCK_DGRAM, self.sip_port),
            (socket.SOCK_STREAM, self.sip_port),
            (socket.SOCK_STREAM, self._control_port),
        ):
            with socket.socket(socket.AF_INET, kind) as probe:
                if kind == socket.SOCK_STREAM:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((self.address, port))
                except OSError as error:
                    raise TelephoneError(
                        f"telephone {self.name}: {self.address}:{port} cannot be used: "
                        f"{error.strerror}"
                    ) from None

    def _write_folder(self) -> None:
        modules = self._modules or find_modules()
        (self.folder / "rec").mkdir(parents=True, exist_ok=True)
        config = config_text(
            address=self.address,
            sip_port=self.sip_port,
            control_port=self._control_port,
            modules=modules,
        )
        account = account_text(
            user=self.user,
            at=self._server or f"{self.address}:{self.sip_port}",
            password=self._password,
            register=self._register,
            auto_answer=self.answer_mode == "auto",
            display_name=self._display_name,
        )
        (self.folder / "config").write_text(config, encoding="utf-8")
        accounts = self.folder / "accounts"
        accounts.touch(mode=0o600)
        accounts.write_text(account, encoding="utf-8")
        (self.folder / "contacts").touch()
        write_microphone(self._audio, self.folder / "mic-0.wav")

    async def _start_process(self, program: str) -> None:
        command = [program, "-4", "-f", "."]
        if stdbuf := shutil.which("stdbuf"):  # else its log stays in a buffer when it hangs
            command = [stdbuf, "-oL", *command]
        with (self.folder / "baresip.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in a terminal is for the one who started us
                env={**os.environ, "HOME": str(self.folder)},
            )

    async def _connect(self) -> None:
        while True:  # a listening port cannot be waited for otherwise; `start` has the deadline
            if self._process is None or self._process.returncode is not None:
                raise self._error("ended at once")
            try:
                return await self._control.connect(self.address, self._control_port)
            except OSError:
                await asyncio.sleep(0.02)

    async def _catch_up(self) -> None:
        """Learn what was over before the control port was connected: registration, a call."""
        now = asyncio.get_running_loop().time()
        state = registration_state(await self._command("reginfo"))
        if state and not any(event.type.startswith("REGISTER_") for event in self.history):
            await self._happened(PhoneEvent(state, at=now))
        early = call_state(await self._command("listcalls"), now)
        if early and not any(event.type == early.type for event in self.history):
            await self._happened(early)

    # ---- what a person does with a telephone

    async def dial(self, uri: str) -> None:
        """Call `sip:19115@127.0.0.1:5060`; `wait_for` tells how it went.

        Events from before count as read: what an earlier call left does not confuse this one.
        """
        self._seen = len(self.history)
        await self._command("dial", uri)

    async def answer(self) -> None:
        """Take the call that is ringing."""
        await self._command("accept")

    async def hangup(self) -> None:
        """End the current call, or refuse the one that is ringing (486)."""
        await self._command("hangup")

    async def press(self, keys: str, *, gap: float = KEY_GAP_S) -> None:
        """Press keys one after the other (RFC 4733 telephone-events)."""
        if not keys or set(keys) - set("0123456789*#ABCD"):
            raise TelephoneError(f"{keys!r}: a telephone has the keys 0-9, *, # and A-D")
        for place, key in enumerate(keys):
            if place:
                await asyncio.sleep(gap)
            await self._command("sndcode", key)

    async def speak(self, audio: Path | None) -> float:
        """Say this WAV from its beginning, once, then be silent; gives its length.

        What was being said is broken off. None is silence.
        """
        name = f"mic-{next(self._spoken)}.wav"
        length = await asyncio.to_thread(write_microphone, audio, self.folder / name)
        await self._command("ausrc", f"aufile,{name}")
        return length

    # ---- what there is to know

    @property
    def in_call(self) -> bool:
        """Whether a call is up (answered, not ended)."""
        return any(self._calls.values())

    @property
    def ringing(self) -> bool:
        """Whether a call, of whichever direction, is there but not answered."""
        return any(not up for up in self._calls.values())

    def heard(self) -> Path | None:
        """Give the WAV of what the far end said in the latest call; whole once it has ended."""
        return next(reversed(self.recordings("dec")), None)

    def said(self) -> Path | None:
        """Give the WAV of what this telephone sent in the latest call."""
        return next(reversed(self.recordings("enc")), None)

    def heard_pcm(self) -> bytes:
        """Read what has been heard so far, also in mid call: 8 kHz, 16-bit, mono."""
        recording = self.heard()
        return recorded_pcm(recording) if recording else b""

    def said_pcm(self) -> bytes:
        """Read what has been said so far, also in mid call."""
        recording = self.said()
        return recorded_pcm(recording) if recording else b""

    async def hear(self, seconds: float, *, timeout: float) -> bytes:  # noqa: ASYNC109 - its purpose
        """Wait until this much of the latest call has been heard, and give all of it."""
        async with self._deadline(timeout, f"has not heard {seconds:g} s within {timeout:g} s"):
            while len(pcm := self.heard_pcm()) < seconds * 2 * RATE:
                self._check_alive()
                await asyncio.sleep(0.02)  # a file that grows tells nobody
            return pcm

    def recordings(self, direction: Literal["dec", "enc"]) -> list[Path]:
        """List all recordings, heard ("dec") or said ("enc"), oldest first.

        A call whose media are negotiated again (hold, transfer) goes on in another file.
        """
        files = (self.folder / "rec").glob(f"*-{direction}.wav")
        return sorted(files, key=lambda path: (path.stat().st_ctime_ns, path.name))

    async def wait_for(self, *types: str, timeout: float) -> PhoneEvent:  # noqa: ASYNC109 - its purpose
        """Wait for an event of one of these types.

        Events are read in order: those before the one that is given back count as read. Waiting
        for CALL_ESTABLISHED ends at once, with the reason, when the call is refused.
        """
        what = " or ".join(types)
        async with self._deadline(timeout, f"had no {what} within {timeout:g} s"), self._changed:
            while True:
                while self._seen < len(self.history):
                    event = self.history[self._seen]
                    self._seen += 1
                    if event.type in types:
                        return event
                    if event.type == "CALL_CLOSED" and "CALL_ESTABLISHED" in types:
                        raise self._error(f"was not connected: {event.param or 'call closed'}")
                self._check_alive()
                await self._changed.wait()

    # ---- the control port

    async def _command(self, command: str, params: str = "") -> str:
        self._check_alive()
        try:
            return await self._control.command(command, params)
        except TelephoneError as error:
            raise self._error(str(error)) from None

    async def _lost(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _happened(self, event: PhoneEvent) -> None:
        match event.type:
            case "REGISTER_OK":
                self.registered = True
            case "REGISTER_FAIL" | "UNREGISTERING":
                self.registered = False
            case "CALL_INCOMING" | "CALL_OUTGOING" | "CALL_RINGING" | "CALL_PROGRESS":
                self._calls.setdefault(event.call_id, False)
            case "CALL_ESTABLISHED":
                self._calls[event.call_id] = True
            case "CALL_CLOSED":
                self._calls.pop(event.call_id, None)
                self._calls.pop(EARLY_CALL, None)
                if not self._calls:
                    self._control.tell("ausrc", "aufile,mic-0.wav")
        if event.type == "CALL_INCOMING" and self.answer_mode == "reject":
            self._refuse(event.call_id)
        async with self._changed:
            self.history.append(event)
            self._changed.notify_all()

    def _refuse(self, call_id: str) -> None:
        # baresip may tell of a call a moment before it can be hung up: told again until it is gone.
        if call_id in self._calls and self._process is not None and not self._control.gone:
            self._control.tell("hangup")
            asyncio.get_running_loop().call_later(REFUSE_AGAIN_S, self._refuse, call_id)

    # ---- errors

    @contextlib.asynccontextmanager
    async def _deadline(self, seconds: float, message: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise self._error(message) from None

    def _check_alive(self) -> None:
        if self._process is None or self._process.returncode is not None:
            raise self._error("does not run")
        if self._control.gone:
            raise self._error("lost its control connection")

    def _error(self, message: str) -> TelephoneError:
        try:
            log = (self.folder / "baresip.log").read_text(encoding="utf-8", errors="replace")
        except OSError:
            log = ""
        recent = ", ".join(event.type for event in self.history[-5:]) or "none"
        tail = "\n".join(log.splitlines()[-15:])
        return TelephoneError(
            f"telephone {self.name} ({self.address}) {message}; last events: {recent}\n{tail}"
        )

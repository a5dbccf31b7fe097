"""One call under AGI control: commands, their answers, and the news that the caller is gone.

Asterisk answers commands one after the other. So answers are given to the commands in the order
of sending, and a command whose caller no longer waits (deadline, cancellation) keeps its place
until its answer has come: the next one never gets an answer that is not its own.
"""
# A `timeout` here ends the waiting, not the command, which Asterisk goes on with.
# ruff: noqa: ASYNC109

import asyncio
from collections import deque
from collections.abc import Mapping
from types import EllipsisType, MappingProxyType

from ivr.asterisk.agi_wire import (
    AgiCommandError,
    AgiDisconnectedError,
    AgiHangupError,
    AgiProtocolError,
    AgiReply,
    AgiTimeoutError,
    Hangup,
    LineSplitter,
    ReplyParser,
    build_command,
)

GET_VARIABLE_BYTES = 1023
"""Where GET VARIABLE cuts a value; GET FULL VARIABLE does not, but cannot tell unset from empty."""

Timeout = float | EllipsisType | None
"""Seconds; `...` is the session's default, None is no deadline."""


class AgiSession:
    """A call; made by the server, valid until its handler returns.

    `env` holds the `agi_` headers of the request. `hungup` turns true when the caller hangs up,
    `closed` when Asterisk closes the socket.
    """

    def __init__(
        self, writer: asyncio.StreamWriter, env: Mapping[str, str], *, command_timeout_s: float
    ):
        self._writer = writer
        self._command_timeout_s = command_timeout_s
        self._replies = ReplyParser()
        self._waiting: deque[asyncio.Future[AgiReply]] = deque()
        self._lock = asyncio.Lock()
        self._gone = asyncio.Event()
        self.env: Mapping[str, str] = MappingProxyType(dict(env))
        self.hungup = False
        self.closed = False

    @property
    def path(self) -> str:
        """What follows the port in `agi://host:port/path`."""
        return self.env.get("agi_network_script", "")

    @property
    def uniqueid(self) -> str:
        """Asterisk's `Uniqueid` of the channel."""
        return self.env.get("agi_uniqueid", "")

    @property
    def channel(self) -> str:
        """Name of the channel, as `PJSIP/trunk-00000001`."""
        return self.env.get("agi_channel", "")

    @property
    def args(self) -> tuple[str, ...]:
        """The arguments that the dialplan gave to AGI() after the address."""
        args: list[str] = []
        while (value := self.env.get(f"agi_arg_{len(args) + 1}")) is not None:
            args.append(value)
        return tuple(args)

    async def wait_hangup(self) -> None:
        """Return when the caller has hung up or the socket is closed; also while idle."""
        await self._gone.wait()

    async def command(self, *words: str, timeout: Timeout = ..., force: bool = False) -> AgiReply:
        """Send one command and return its answer; commands of several tasks queue up.

        `timeout` counts from the sending, in seconds; without one, EXEC has none and every other
        command the server's `command_timeout_s`. Commands after the hang-up need `force`.

        Raises AgiArgumentError (not sent), AgiHangupError (not sent), AgiDisconnectedError,
        AgiTimeoutError, AgiCommandError (510 and 520). A 511 is returned as it is.
        """
        line = build_command(*words)
        async with self._lock:
            self._check(force=force)
            if isinstance(timeout, EllipsisType):
                timeout = None if words[0].upper() == "EXEC" else self._command_timeout_s
            reply = await self._exchange(words[0], line, timeout)
        if reply.code in (510, 520):
            raise AgiCommandError(words[0], reply)
        return reply

    def _check(self, *, force: bool) -> None:
        if self.closed:
            raise AgiDisconnectedError("Asterisk has closed the AGI connection")
        if self.hungup and not force:
            raise AgiHangupError("the caller has hung up")

    async def _exchange(self, name: str, line: bytes, timeout: float | None) -> AgiReply:
        answer: asyncio.Future[AgiReply] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        try:
            async with asyncio.timeout(timeout):
                self._writer.write(line)
                await self._writer.drain()
                return await answer
        except TimeoutError as error:
            raise AgiTimeoutError(f"{name}: no answer within {timeout} s") from error
        except OSError as error:
            raise AgiDisconnectedError(f"{name}: the connection broke: {error}") from error
        finally:
            # An unanswered one stays in the queue, cancelled, until its answer comes.
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # seen, so that asyncio does not report it

    async def read(
        self, reader: asyncio.StreamReader, splitter: LineSplitter, first: list[str]
    ) -> None:
        """Read until the socket closes; run by the server, beside the handler."""
        try:
            for line in first:
                self._take(line)
            while data := await reader.read(65_536):
                for line in splitter.feed(data):
                    self._take(line)
        except (OSError, AgiProtocolError) as error:
            self._close(f"the connection broke: {error}")
        else:
            self._close("Asterisk has closed the AGI connection")

    def _take(self, line: str) -> None:
        reply = self._replies.feed(line)
        if isinstance(reply, Hangup):
            self.hungup = True
            self._gone.set()
        elif reply is not None and self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_result(reply)

    def _close(self, reason: str) -> None:
        self.closed = True
        self._gone.set()
        while self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(AgiDisconnectedError(reason))

    async def _do(
        self, name: str, *args: str, timeout: Timeout = ..., force: bool = False
    ) -> AgiReply:
        """`command` for the helpers below: a 511 is an AgiHangupError."""
        reply = await self.command(*name.split(), *args, timeout=timeout, force=force)
        if reply.code == 511:
            raise AgiHangupError(f"{name}: the channel is dead")
        if reply.code != 200:
            raise AgiCommandError(name, reply)
        return reply

    async def _settle(self) -> None:
        """Make sure of `hungup` after a `result=-1`.

        Asterisk writes HANGUP after that answer, and TCP may hold it back for 40 ms; but it comes
        before the answer to the next command.
        """
        if not (self.hungup or self.closed):
            await self.command("NOOP", force=True)

    async def _failed(self, name: str, reply: AgiReply) -> AgiHangupError | AgiCommandError:
        """Tell which error a `result=-1` is."""
        await self._settle()
        if self.hungup:
            return AgiHangupError(f"{name}: the caller has hung up")
        return AgiCommandError(name, reply)

    async def answer(self) -> None:
        """Answer the call; returns at once when it is answered already."""
        reply = await self._do("ANSWER")
        if reply.result != "0":
            raise await self._failed("ANSWER", reply)

    async def hangup(self) -> None:
        """Hang up; does nothing when the caller was quicker. Waits for a command under way."""
        if not (self.hungup or self.closed):
            await self.command("HANGUP")

    async def exec(self, app: str, *args: str, timeout: float | None = None) -> AgiReply:
        """Run a dialplan application until it ends; raises AgiCommandError when there is none.

        `args` are joined by commas: take them from `ivr.asterisk.dialplan`. With `result=-1` the
        caller hung up, and `hungup` is true, or the application failed (AudioSocket with nobody
        listening). After AgiTimeoutError and after a cancellation it still runs.
        """
        reply = await self._do("EXEC", app, ",".join(args), timeout=timeout)
        if reply.result == "-2":
            raise AgiCommandError(f"EXEC {app}", reply)
        if reply.result == "-1":
            await self._settle()
        return reply

    async def get_variable(self, name: str, *, force: bool = False) -> str | None:
        """Return a channel variable or function (`CHANNEL(state)`); None when it is not set."""
        reply = await self._do("GET VARIABLE", name, force=force)
        if reply.result != "1":
            return None
        value = reply.data or ""
        if len(value.encode()) < GET_VARIABLE_BYTES:
            return value
        return await self.evaluate(f"${{{name}}}", force=force)

    async def evaluate(self, expression: str, *, force: bool = False) -> str | None:
        """Return a dialplan expression as Asterisk sees it; never build it from outside input."""
        reply = await self._do("GET FULL VARIABLE", expression, force=force)
        return reply.data or "" if reply.result == "1" else None

    async def set_variable(self, name: str, value: str, *, force: bool = False) -> None:
        """Set a channel variable; with `force` also after the hang-up, for the `h` extension."""
        await self._do("SET VARIABLE", name, value, force=force)

    async def set_music(self, on: bool, klass: str = "default") -> None:
        """Begin or end music on hold; it plays while no command runs."""
        await self._do("SET MUSIC", "ON" if on else "OFF", klass)

    async def goto(self, context: str, extension: str, priority: int = 1) -> None:
        """Let the dialplan go on there, once the handler returns."""
        await self._do("SET CONTEXT", context)
        await self._do("SET EXTENSION", extension)
        await self._do("SET PRIORITY", str(priority))

    async def wait_for_digit(self, timeout_ms: int) -> str:
        """Return the key pressed within `timeout_ms` (>= 0) milliseconds, or an empty string."""
        limit = max(0, timeout_ms)
        reply = await self._do(
            "WAIT FOR DIGIT", str(limit), timeout=limit / 1000 + self._command_timeout_s
        )
        return await self._key("WAIT FOR DIGIT", reply)

    async def stream_file(
        self, name: str, escape_digits: str = "", *, timeout: float | None = None
    ) -> str:
        """Play a sound file (no suffix) to its end or a key; return the key or an empty string.

        Raises AgiCommandError when there is no such file.
        """
        reply = await self._do("STREAM FILE", name, escape_digits, timeout=timeout)
        return await self._key("STREAM FILE", reply)

    async def _key(self, name: str, reply: AgiReply) -> str:
        if not reply.result.isdecimal():
            raise await self._failed(name, reply)
        return chr(int(reply.result)) if reply.result != "0" else ""

"""FastAGI server: each call is one TCP connection, one `AgiSession` and one owned task."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ivr.asterisk.agi_session import AgiSession
from ivr.asterisk.agi_wire import AgiHangupError, AgiProtocolError, LineSplitter
from ivr.asterisk.listener import Listener, report

Handler = Callable[[AgiSession], Awaitable[None]]


@dataclass(slots=True)
class AgiCounters:
    """What came to the port, since the server was made."""

    sessions: int = 0
    """Sessions handed to the handler."""
    no_request: int = 0
    """Connections that ended before their headers were whole."""
    silent: int = 0
    """Connections whose headers were not whole in time."""
    malformed: int = 0
    """Connections whose headers were too long, or no AGI request."""
    failed: int = 0
    """Sessions whose handler raised something else than AgiHangupError."""


class AgiServer:
    """Listens for Asterisk and runs `handler(session)` for every call.

    When the handler returns, the socket is closed and the dialplan goes on. An exception of the
    handler goes to `on_problem`, but for AgiHangupError: a caller who hung up is an ordinary end.
    A connection has `first_line_timeout_s` seconds for its whole block of headers, which may have
    `header_limit_bytes`; beyond `max_sessions` connections a new one is closed at once, so its
    call takes the dialplan's way for a failed service. `command_timeout_s` is the deadline of an
    ordinary command.
    """

    def __init__(
        self,
        handler: Handler,
        host: str,
        port: int,
        *,
        max_sessions: int = 1000,
        first_line_timeout_s: float = 5.0,
        header_limit_bytes: int = 65_536,
        command_timeout_s: float = 5.0,
        on_problem: Callable[[Exception], None] | None = None,
    ):
        self._handler = handler
        self._first_line_timeout_s = first_line_timeout_s
        self._header_limit_bytes = header_limit_bytes
        self._command_timeout_s = command_timeout_s
        self._on_problem = on_problem
        self._listener = Listener(
            self._serve, host, port, max_connections=max_sessions, on_problem=on_problem
        )
        self.counters = AgiCounters()

    @property
    def port(self) -> int:
        """The port listened on (the one the system chose, when 0 was asked for)."""
        return self._listener.port

    @property
    def open_sessions(self) -> int:
        """Connections being served now."""
        return self._listener.open_connections

    @property
    def refused(self) -> int:
        """Connections closed because there were `max_sessions` already."""
        return self._listener.refused

    async def start(self) -> None:
        """Listen; raises OSError when the address is taken."""
        await self._listener.start()

    def stop_accepting(self) -> None:
        """Close the listening socket only: running calls go on, new ones take the dialplan's way.

        A later `close` ends the sessions.
        """
        self._listener.stop_accepting()

    async def close(self) -> None:
        """Stop listening, cancel all sessions and wait for their end."""
        await self._listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = LineSplitter()
        try:
            async with asyncio.timeout(self._first_line_timeout_s):
                request = await self._read_headers(reader, lines)
        except TimeoutError:
            self.counters.silent += 1
            return
        except AgiProtocolError:
            self.counters.malformed += 1
            return
        except OSError:
            request = None
        if request is None:
            self.counters.no_request += 1
            return
        env, rest = request
        self.counters.sessions += 1
        session = AgiSession(writer, env, command_timeout_s=self._command_timeout_s)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(session.read(reader, lines, rest))
            try:
                await self._handler(session)
            except AgiHangupError:
                pass
            except Exception as problem:
                self.counters.failed += 1
                report(self._on_problem, problem)
            finally:
                reading.cancel()

    async def _read_headers(
        self, reader: asyncio.StreamReader, splitter: LineSplitter
    ) -> tuple[dict[str, str], list[str]] | None:
        """Return the headers and the lines that came with them; None when the peer went away."""
        env: dict[str, str] = {}
        taken = 0
        while data := await reader.read(65_536):
            taken += len(data)
            lines = splitter.feed(data)
            for number, line in enumerate(lines):
                if not line:
                    if not env:
                        raise AgiProtocolError("no agi_ header")
                    return env, lines[number + 1 :]
                key, colon, value = line.partition(": ")
                if key.startswith("agi_"):
                    env.setdefault(key.removesuffix(":"), value if colon else "")
                elif not env:
                    raise AgiProtocolError(f"not an AGI request: {line[:80]!r}")
            if taken > self._header_limit_bytes:
                raise AgiProtocolError(f"more than {self._header_limit_bytes} bytes of headers")
        return None

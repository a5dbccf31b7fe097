"""A TCP listener that owns its connections: none outlives it, none is left half open."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OnProblem = Callable[[Exception], None]


def report(on_problem: OnProblem | None, problem: Exception) -> None:
    """Hand `problem` to the owner's callback; without one, or when that fails too, log it."""
    try:
        if on_problem is None:
            log.warning("%s: %s", type(problem).__name__, problem)
        else:
            on_problem(problem)
    except Exception:
        log.exception("the on_problem callback failed on %r", problem)


async def close_stream(writer: asyncio.StreamWriter, *, timeout_s: float = 1.0) -> None:
    """Send what is buffered and close; abort when the peer takes longer than `timeout_s`."""
    writer.close()
    try:
        async with asyncio.timeout(timeout_s):
            await writer.wait_closed()
    except OSError:
        log.debug("a connection ended before its last bytes were sent")
    finally:
        writer.transport.abort()


class Listener:
    """Runs `serve(reader, writer)` in one owned task a connection and closes the socket after it.

    More than `max_connections` at a time are closed at once and counted in `refused`. An exception
    of `serve` goes to `on_problem`; it never reaches the loop or another connection.
    """

    def __init__(
        self,
        serve: Serve,
        host: str,
        port: int,
        *,
        max_connections: int,
        on_problem: OnProblem | None = None,
    ):
        self._serve, self._host, self._port = serve, host, port
        self._max_connections = max_connections
        self._on_problem = on_problem
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = 0
        self.refused = 0

    @property
    def port(self) -> int:
        """The port listened on (the one the system chose, when 0 was asked for)."""
        return self._port

    @property
    def open_connections(self) -> int:
        """How many connections are being served now."""
        return len(self._tasks)

    async def start(self) -> None:
        """Listen; raises OSError when the address is taken."""
        self._server = await asyncio.start_server(self._accept, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def stop_accepting(self) -> None:
        """Close the listening socket only; the connections go on."""
        if self._server is not None:
            self._server.close()

    async def close(self) -> None:
        """Stop listening, cancel every connection and wait until all of them have ended."""
        self.stop_accepting()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= self._max_connections:
            self.refused += 1
            writer.transport.abort()
            return
        self.accepted += 1
        task = asyncio.get_running_loop().create_task(self._run(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except Exception as problem:
            report(self._on_problem, problem)
        finally:
            await close_stream(writer)

"""AudioSocket server: gives each announced call its voice connection, and nobody else."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from uuid import UUID

from ivr.asterisk.audiosocket_connection import AudioSocketConnection
from ivr.asterisk.audiosocket_wire import (
    AudioSocketArgumentError,
    AudioSocketClosedError,
    AudioSocketTimeoutError,
    Frame,
    FrameParser,
    Kind,
)
from ivr.asterisk.listener import Listener


@dataclass(slots=True)
class AudioSocketCounters:
    """What came to the port, since the server was made."""

    connections: int = 0
    """Connections with an announced UUID."""
    ended_early: int = 0
    """Connections that ended before their first frame was whole."""
    silent: int = 0
    """Connections whose first frame was not whole in time."""
    no_uuid: int = 0
    """Connections whose first frame was not a UUID."""
    unknown_uuid: int = 0
    """Connections with a UUID that was not announced, or used already."""


class Expected:
    """A connection that is to come; an async context that forgets, or closes, it at its end."""

    def __init__(self, server: "AudioSocketServer", uuid: UUID):
        self.uuid = uuid
        self._server = server
        self._arrival: asyncio.Future[AudioSocketConnection] = (
            asyncio.get_running_loop().create_future()
        )

    async def wait(self, timeout: float) -> AudioSocketConnection:  # noqa: ASYNC109 - its own error
        """Return the connection once Asterisk has made it; the same one when asked again.

        Raises AudioSocketTimeoutError after `timeout` seconds (the UUID stays announced), and
        AudioSocketClosedError when it was cancelled or the server closed.
        """
        try:
            async with asyncio.timeout(timeout):
                await asyncio.wait([self._arrival])
        except TimeoutError as error:
            raise AudioSocketTimeoutError(
                f"no AudioSocket connection for {self.uuid} within {timeout} s"
            ) from error
        if self._arrival.cancelled():
            raise AudioSocketClosedError(f"{self.uuid} is no longer expected")
        return self._arrival.result()

    def cancel(self) -> None:
        """Expect it no longer; close the connection when it has come. Harmless when repeated."""
        self._server.forget(self)
        if not self._arrival.cancel() and not self._arrival.cancelled():
            self._arrival.result().close()

    def arrive(self, connection: AudioSocketConnection) -> None:
        """Complete `wait`; called by the server."""
        self._arrival.set_result(connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()


class AudioSocketServer:
    """Listens for Asterisk's AudioSocket application.

    A connection has `uuid_timeout_s` seconds to say a UUID that was announced, and each UUID is
    good for one connection; every other connection is closed and counted, as are those beyond
    `max_connections`. `write_timeout_s` and `receive_limit_s` (seconds) are explained with
    AudioSocketConnection.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        uuid_timeout_s: float = 2.0,
        max_connections: int = 1000,
        write_timeout_s: float = 2.0,
        receive_limit_s: float = 2.0,
        on_problem: Callable[[Exception], None] | None = None,
    ):
        self._uuid_timeout_s = uuid_timeout_s
        self._write_timeout_s = write_timeout_s
        self._receive_limit_s = receive_limit_s
        self._expected: dict[UUID, Expected] = {}
        self._listener = Listener(
            self._serve, host, port, max_connections=max_connections, on_problem=on_problem
        )
        self.counters = AudioSocketCounters()

    @property
    def port(self) -> int:
        """The port listened on (the one the system chose, when 0 was asked for)."""
        return self._listener.port

    @property
    def open_connections(self) -> int:
        """Connections being served now."""
        return self._listener.open_connections

    @property
    def refused(self) -> int:
        """Connections closed because there were `max_connections` already."""
        return self._listener.refused

    async def start(self) -> None:
        """Listen; raises OSError when the address is taken."""
        await self._listener.start()

    async def close(self) -> None:
        """Stop listening, end every connection and every expectation, and wait for their end."""
        for expected in list(self._expected.values()):
            expected.cancel()
        await self._listener.close()

    def announce(self, uuid: UUID) -> Expected:
        """Expect one connection with `uuid`; raises AudioSocketArgumentError when it is already.

        To be cancelled, or used with `async with`, when the call is over.
        """
        if uuid in self._expected:
            raise AudioSocketArgumentError(f"{uuid} is announced already")
        expected = self._expected[uuid] = Expected(self, uuid)
        return expected

    def forget(self, expected: Expected) -> None:
        """Expect this one no longer."""
        if self._expected.get(expected.uuid) is expected:
            del self._expected[expected.uuid]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = FrameParser()
        try:
            async with asyncio.timeout(self._uuid_timeout_s):
                frames = await _first_frames(reader, parser)
        except TimeoutError:
            self.counters.silent += 1
            return
        except OSError:
            frames = []
        if not frames:
            self.counters.ended_early += 1
            return
        if frames[0].kind != Kind.UUID or len(frames[0].payload) != 16:
            self.counters.no_uuid += 1
            return
        expected = self._expected.pop(UUID(bytes=frames[0].payload), None)
        if expected is None:
            self.counters.unknown_uuid += 1
            return
        self.counters.connections += 1
        connection = AudioSocketConnection(
            expected.uuid,
            writer,
            write_timeout_s=self._write_timeout_s,
            receive_limit_s=self._receive_limit_s,
        )
        expected.arrive(connection)
        await connection.read(reader, parser, frames[1:])


async def _first_frames(reader: asyncio.StreamReader, parser: FrameParser) -> list[Frame]:
    """Return the frames of the first read that completes any; none when the peer goes away."""
    while data := await reader.read(4096):
        if frames := parser.feed(data):
            return frames
    return []

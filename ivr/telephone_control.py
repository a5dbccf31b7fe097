"""A baresip softphone's control port (module `ctrl_tcp`): commands out, answers and events in."""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable

from ivr.telephone_wire import (
    Answer,
    PhoneEvent,
    TelephoneError,
    event_from,
    netstring,
    read_netstring,
)

COMMAND_DEADLINE_S = 5.0
MAX_LINE = 1 << 20


class ControlPort:
    """One connection. `happened` is awaited for each event, `lost` once when it has ended."""

    def __init__(
        self,
        happened: Callable[[PhoneEvent], Awaitable[None]],
        lost: Callable[[], Awaitable[None]],
    ) -> None:
        self._happened, self._lost = happened, lost
        self._writer: asyncio.StreamWriter | None = None
        self._listener: asyncio.Task[None] | None = None
        self._tokens = itertools.count(1)
        self._replies: dict[str, asyncio.Future[Answer]] = {}

    @property
    def gone(self) -> bool:
        """Whether a connection that was there has ended."""
        return self._listener is not None and self._listener.done()

    async def connect(self, address: str, port: int) -> None:
        """Connect; raises OSError while nobody listens."""
        reader, self._writer = await asyncio.open_connection(address, port, limit=MAX_LINE)
        self._listener = asyncio.create_task(self._listen(reader), name=f"telephone-{address}")

    async def close(self) -> None:
        """Disconnect; harmless when not connected."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
            self._listener = None
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
            self._writer = None

    async def command(self, command: str, params: str = "") -> str:
        """Give a command and return what it answers; raises TelephoneError."""
        if self._writer is None:
            raise TelephoneError("is not started")
        token = str(next(self._tokens))
        reply = asyncio.get_running_loop().create_future()
        self._replies[token] = reply
        try:
            async with asyncio.timeout(COMMAND_DEADLINE_S):
                message = {"command": command, "params": params, "token": token}
                self._writer.write(netstring(message))
                await self._writer.drain()
                answer: Answer = await reply
        except TimeoutError:
            raise TelephoneError(f"did not answer to {command!r}") from None
        except OSError:
            raise TelephoneError(f"went away at {command!r}") from None
        finally:
            self._replies.pop(token, None)
        if not answer.ok:
            raise TelephoneError(f"refused {command} {params}: {answer.data.strip()}")
        return answer.data

    def tell(self, command: str, params: str = "") -> None:
        """Give a command nobody waits for."""
        if self._writer is not None:
            self._writer.write(netstring({"command": command, "params": params}))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                message = await read_netstring(reader)
                if "response" in message:
                    reply = self._replies.get(str(message.get("token")))
                    if reply is not None and not reply.done():
                        ok, data = bool(message.get("ok")), str(message.get("data", ""))
                        reply.set_result(Answer(ok, data, str(message["token"])))
                elif "event" in message:
                    await self._happened(event_from(message, loop.time()))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            for reply in self._replies.values():
                if not reply.done():
                    reply.set_exception(ConnectionResetError())
            with contextlib.suppress(asyncio.CancelledError):
                await self._lost()

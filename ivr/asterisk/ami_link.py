"""One AMI connection: login, actions matched with their answers, events handed on."""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ivr.asterisk.ami_wire import (
    AmiActionError,
    AmiAuthError,
    AmiConnectError,
    AmiDisconnectedError,
    AmiMessage,
    AmiParser,
    AmiProtocolError,
    AmiTimeoutError,
    Headers,
    build_action,
)
from ivr.asterisk.listener import close_stream

MAX_LIST_EVENTS = 100_000
"""Events that the answer to one list action may have."""


@dataclass(slots=True)
class _Pending:
    """An action sent; `answer` completes with the response, or with the end of its list."""

    answer: asyncio.Future[AmiMessage]
    listing: bool
    events: list[AmiMessage] = field(default_factory=list)


class AmiLink:
    """One connection to Asterisk's manager port; used once, from `open` to `close`.

    `read` must run beside everything else. Times are in seconds.
    """

    def __init__(self, host: str, port: int, on_event: Callable[[AmiMessage], None]):
        self._host, self._port = host, port
        self._on_event = on_event
        self._parser = AmiParser()
        self._pending: dict[str, _Pending] = {}
        self._prefix, self._numbers = secrets.token_hex(4), itertools.count(1)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._ended: str | None = None

    async def open(self, timeout_s: float) -> None:
        """Connect; raises AmiConnectError."""
        try:
            async with asyncio.timeout(timeout_s):
                self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        except OSError as error:
            raise AmiConnectError(
                f"no AMI answers at {self._host}:{self._port} ({error or 'too late'}):"
                " is Asterisk running, and manager.conf enabled on this address?"
            ) from error

    async def login(self, username: str, secret: str, timeout_s: float) -> None:
        """Log in; raises AmiAuthError when refused, AmiConnectError when nothing AMI answers."""
        try:
            await self.action(
                "Login", {"Username": username, "Secret": secret}, timeout_s=timeout_s
            )
        except AmiActionError as error:
            raise AmiAuthError(
                f"Asterisk at {self._host}:{self._port} refuses the AMI user {username!r}"
                f" ({error.response.get('Message')}): compare its secret, permit and deny lines in"
                " manager.conf with the settings of this service, then reload the manager"
            ) from error
        except AmiTimeoutError as error:
            raise AmiConnectError(
                f"{self._host}:{self._port} takes connections but does not answer an AMI login:"
                " does Asterisk hang, or is this not the port of manager.conf?"
            ) from error

    async def read(self) -> None:
        """Hand out messages until the connection ends, which is an AmiDisconnectedError.

        Raises AmiConnectError when the peer is no AMI. All actions under way fail with the same.
        """
        assert self._reader is not None, "open() comes first"  # noqa: S101 - a programming error
        problem: AmiDisconnectedError
        try:
            while data := await self._reader.read(65_536):
                for message in self._parser.feed(data):
                    self._take(message)
            problem = AmiDisconnectedError("Asterisk has closed the AMI connection")
        except OSError as error:
            problem = AmiDisconnectedError(f"the AMI connection broke: {error}")
        except AmiProtocolError as error:
            known = self._parser.greeting is not None
            kind = AmiDisconnectedError if known else AmiConnectError
            problem = kind(f"AMI at {self._host}:{self._port} dropped: {error}")
        self._fail(problem)
        raise problem

    def _take(self, message: AmiMessage) -> None:
        pending = self._pending.get(message.action_id)
        if pending is None:
            if message.event:
                self._on_event(message)
            return
        if not message.event:
            if message.response == "Error" or not pending.listing:
                self._finish(message)
        elif not pending.listing:
            self._on_event(message)
        elif message.get("EventList").lower() == "complete":
            self._finish(message)
        elif len(pending.events) >= MAX_LIST_EVENTS:
            raise AmiProtocolError(f"a list of more than {MAX_LIST_EVENTS} events")
        else:
            pending.events.append(message)

    def _finish(self, message: AmiMessage) -> None:
        answer = self._pending.pop(message.action_id).answer
        if not answer.done():
            answer.set_result(message)

    async def action(self, name: str, headers: Headers, *, timeout_s: float) -> AmiMessage:
        """Send an action and return its response; AmiActionError when that is an error."""
        return (await self._exchange(name, headers, timeout_s, listing=False))[0]

    async def list_action(
        self, name: str, headers: Headers, *, timeout_s: float
    ) -> list[AmiMessage]:
        """Send an action and return the events of its list, without the one that ends it."""
        return (await self._exchange(name, headers, timeout_s, listing=True))[1]

    async def _exchange(
        self, name: str, headers: Headers, timeout_s: float, *, listing: bool
    ) -> tuple[AmiMessage, list[AmiMessage]]:
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        action_id = f"{self._prefix}-{next(self._numbers)}"
        data = build_action(name, [("ActionID", action_id), *pairs])
        if self._writer is None or self._ended is not None:
            raise AmiDisconnectedError(self._ended or "there is no connection to Asterisk's AMI")
        pending = _Pending(asyncio.get_running_loop().create_future(), listing)
        self._pending[action_id] = pending
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(data)
                await self._writer.drain()
                response = await pending.answer
        except TimeoutError as error:
            raise AmiTimeoutError(
                f"{name}: Asterisk did not answer within {timeout_s} s"
            ) from error
        except OSError as error:
            raise AmiDisconnectedError(f"{name}: the AMI connection broke: {error}") from error
        finally:
            self._pending.pop(action_id, None)
            if not pending.answer.cancel() and not pending.answer.cancelled():
                pending.answer.exception()  # seen, so that asyncio does not report it
        if response.response == "Error":
            raise AmiActionError(name, response)
        return response, pending.events

    def _fail(self, problem: AmiDisconnectedError) -> None:
        self._ended = str(problem)
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_exception(type(problem)(str(problem)))
        self._pending.clear()

    async def close(self) -> None:
        """Close the connection; actions under way fail with AmiDisconnectedError."""
        self._fail(AmiDisconnectedError("the AMI connection was closed"))
        if self._writer is not None:
            await close_stream(self._writer)

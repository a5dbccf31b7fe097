"""AMI client: keeps one logged-in connection to Asterisk alive, for actions and events."""
# A `timeout` here is how long Asterisk may take; what is late is no cancellation but an error.
# ruff: noqa: ASYNC109

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from ivr.asterisk.ami_link import AmiLink
from ivr.asterisk.ami_wire import (
    AmiActionError,
    AmiDisconnectedError,
    AmiMessage,
    AmiTimeoutError,
    Headers,
)
from ivr.asterisk.listener import report


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds to wait before the nth attempt: doubling, capped, of which half is chance."""

    first_s: float = 0.25
    cap_s: float = 10.0

    def delay(self, failures: int) -> float:
        """Return the pause after `failures` (>= 1) failures in a row."""
        full = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, 32))
        return full * (0.5 + random.random() / 2)  # noqa: S311 - spreads clients, hides nothing


class AmiClient:
    """A link to Asterisk that is made again whenever it breaks; `run` is its life.

    - `on_event(message)`: every event that is no part of a list asked for, in order; must be
      quick. Events begin to come before `on_connected`. An exception of it is reported only.
    - `on_connected(client)`: after every login. Asterisk repeats no event, so this is where the
      state is read again. When it fails, the link is dropped and made anew.
    - `on_problem(exception)`: every failed attempt, broken link and failing callback.

    A ping goes out every `ping_interval_s`; one not answered in `action_timeout_s` drops the link.
    """

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        secret: str,
        *,
        on_event: Callable[[AmiMessage], None],
        on_connected: Callable[["AmiClient"], Awaitable[None]],
        on_problem: Callable[[Exception], None] | None = None,
        ping_interval_s: float = 5.0,
        action_timeout_s: float = 5.0,
        backoff: Backoff | None = None,
    ):
        self._host, self._port = host, port
        self._username, self._secret = username, secret
        self._on_event, self._on_connected, self._on_problem = on_event, on_connected, on_problem
        self._ping_interval_s = ping_interval_s
        self._action_timeout_s = action_timeout_s
        self._backoff = backoff or Backoff()
        self._link: AmiLink | None = None
        self._logged_in = asyncio.Event()
        self._failures = 0

    @property
    def connected(self) -> bool:
        """Whether there is a link that is logged in."""
        return self._logged_in.is_set()

    async def wait_connected(self) -> None:
        """Return once there is a link that is logged in (`on_connected` may still be running)."""
        await self._logged_in.wait()

    async def run(self) -> None:
        """Connect, log in, read, ping, and begin again, until cancelled."""
        while True:
            try:
                await self._live()
            except Exception as problem:
                report(self._on_problem, problem)
            self._failures += 1
            await asyncio.sleep(self._backoff.delay(self._failures))

    async def check_login(self) -> None:
        """Connect, log in and close, once; raises AmiConnectError or AmiAuthError."""
        link = AmiLink(self._host, self._port, lambda _: None)
        try:
            await link.open(self._action_timeout_s)
            await _together(self._log_in(link), link.read(), until=asyncio.FIRST_COMPLETED)
        finally:
            await link.close()

    async def action(
        self, name: str, headers: Headers = (), *, timeout: float | None = None
    ) -> AmiMessage:
        """Send an action, return its response; `timeout` in seconds, else `action_timeout_s`.

        Raises AmiArgumentError (not sent), AmiActionError (`Response: Error`), AmiTimeoutError,
        AmiDisconnectedError (no link, or it broke before the answer).
        """
        return await self._require().action(name, headers, timeout_s=self._seconds(timeout))

    async def list_action(
        self, name: str, headers: Headers = (), *, timeout: float | None = None
    ) -> list[AmiMessage]:
        """Send an action that answers with a list, return its events; errors as `action`.

        `timeout` is for the whole list. The event that ends the list is not among them, and none
        of them goes to `on_event`.
        """
        return await self._require().list_action(name, headers, timeout_s=self._seconds(timeout))

    def _require(self) -> AmiLink:
        if self._link is None:
            raise AmiDisconnectedError("there is no connection to Asterisk's AMI")
        return self._link

    def _seconds(self, timeout: float | None) -> float:
        return self._action_timeout_s if timeout is None else timeout

    async def _live(self) -> None:
        """One link from connect to its end; always ends with an exception."""
        link = AmiLink(self._host, self._port, self._hand_on)
        try:
            await link.open(self._action_timeout_s)
            await _together(
                self._enter(link), self._ping(link), link.read(), until=asyncio.FIRST_EXCEPTION
            )
        finally:
            self._link = None
            self._logged_in.clear()
            await link.close()

    async def _log_in(self, link: AmiLink) -> None:
        await link.login(self._username, self._secret, self._action_timeout_s)

    async def _enter(self, link: AmiLink) -> None:
        await self._log_in(link)
        self._link = link
        self._logged_in.set()
        await self._on_connected(self)
        self._failures = 0

    async def _ping(self, link: AmiLink) -> None:
        await self._logged_in.wait()
        while True:
            await asyncio.sleep(self._ping_interval_s)
            try:
                await link.action("Ping", (), timeout_s=self._action_timeout_s)
            except (AmiTimeoutError, AmiActionError) as error:
                raise AmiDisconnectedError(f"Asterisk no longer answers: {error}") from error

    def _hand_on(self, message: AmiMessage) -> None:
        try:
            self._on_event(message)
        except Exception as problem:
            report(self._on_problem, problem)


async def _together(*works: Coroutine[Any, Any, None], until: str) -> None:
    """Run all of them until one ends or fails, end the others, raise the first one's error."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=until)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled():
            task.result()

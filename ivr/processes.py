"""Servers started beside the service: each has one owner, who ends it by its process id."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from ivr.errors import HotlineError


class Server:
    """One child process with a log file; `start` returns once it is ready."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        ready: Callable[[], Awaitable[bool]],
        ready_within_s: float = 20.0,
        environment: Mapping[str, str] | None = None,
    ):
        self.name = name
        self._command = list(command)
        self._log = log
        self._ready, self._ready_within_s = ready, ready_within_s
        self._environment = dict(environment or {})
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id; HotlineError when it does not run."""
        if self._process is None:
            raise HotlineError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it and wait until it is ready; HotlineError with the end of its log if not."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment},
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(self._ready_within_s):
                while not await self._ready():
                    if self._process.returncode is not None:
                        raise HotlineError(self._complaint("ended at once"))
                    await asyncio.sleep(0.05)
        except TimeoutError:
            await self.stop(patience_s=1)
            raise HotlineError(
                self._complaint(f"was not ready within {self._ready_within_s:.0f} s")
            ) from None
        except BaseException:
            await self.stop(patience_s=1)
            raise

    async def wait(self) -> int:
        """Wait for its end and return the exit status."""
        if self._process is None:
            raise HotlineError(f"{self.name} is not running")
        return await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        if self.running and self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once; harmless when it is gone."""
        self.signal(signal.SIGKILL)

    async def stop(self, patience_s: float = 10.0) -> None:
        """End it: SIGTERM, and SIGKILL after `patience_s`. Harmless when it is gone."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                async with asyncio.timeout(patience_s):
                    await process.wait()
            except TimeoutError:
                process.kill()
        await process.wait()
        self._process = None

    def _complaint(self, what: str) -> str:
        try:
            lines = self._log.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        tail = " / ".join(line.strip() for line in lines[-3:]) or "nothing logged"
        return f"{self.name} {what}; its log {self._log} ends with: {tail}"


async def port_answers(host: str, port: int) -> bool:
    """Whether somebody accepts TCP connections there."""
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def require_free(what: str, host: str, port: int, *, udp: bool = False) -> None:
    """Raise HotlineError when a port is in use, naming the setting to change."""
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if not udp:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise HotlineError(
                f"{what} cannot use {host}:{port} ({error.strerror}): "
                "stop what is there, or choose another port in config/hotline.toml"
            ) from None

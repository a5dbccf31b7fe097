"""Everything on one machine under one supervisor: Redis, Asterisk and the service.

What dies is started again; a service that does not answer its health check is killed, so that its
callers reach Asterisk's own queue instead of waiting for nobody.
"""

import asyncio
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import structlog

from ivr.asterisk.install import AsteriskInstall, find_asterisk
from ivr.asterisk.runtime import console, daemon_command, fully_booted
from ivr.errors import HotlineError
from ivr.processes import Server, port_answers, require_free
from ivr.rendering import render
from ivr.routing.skills import Consultant
from ivr.secrets import Secrets
from ivr.settings import Settings

HEALTH_EVERY_S = 0.5
HEALTH_PATIENCE_S = 2.5
"""A service silent for this long is taken for frozen."""
RESTART_PAUSE_S = 0.5
SERVICE_READY_S = 120.0
"""The first start may train the classifiers."""


class Supervisor:
    """Owner of the three servers; `async with` starts and stops them."""

    def __init__(
        self,
        settings: Settings,
        consultants: Sequence[Consultant],
        *,
        config: Path,
        environment: dict[str, str] | None = None,
        demo_caller: bool = False,
    ):
        self.settings, self._config = settings, config
        self._environment = dict(environment or {})
        self._log = structlog.get_logger()
        self._logs = settings.state_dir / "logs"
        self.install = self._find_asterisk()
        self.secrets = Secrets(settings.state_dir / "secrets.json")
        self.etc_dir = render(
            settings, consultants, self.install, self.secrets, demo_caller=demo_caller
        )
        self.redis = self._redis()
        self.asterisk = self._asterisk()
        self.service = self._service()
        self._watchers: list[asyncio.Task[None]] = []

    def _find_asterisk(self) -> AsteriskInstall:
        install = find_asterisk(self.settings.state_dir) or find_asterisk(Path(".hotline"))
        if install is None:
            raise HotlineError("there is no Asterisk 20 or newer: run `make run`, it unpacks one")
        return install

    async def __aenter__(self) -> "Supervisor":
        asterisk = self.settings.asterisk
        require_free("Asterisk's SIP", asterisk.sip_host, asterisk.sip_port, udp=True)
        require_free("Asterisk's manager", asterisk.service_host, asterisk.ami_port)
        try:
            for server in (self.redis, self.asterisk, self.service):
                await server.start()
                self._log.info("started", what=server.name)
        except BaseException:
            await self._stop()
            raise
        self._watchers = [
            asyncio.create_task(self._keep(server))
            for server in (self.redis, self.asterisk, self.service)
        ] + [asyncio.create_task(self._watch_health())]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await self.service.stop(patience_s=self.settings.service.drain_s + 5)
        await self.asterisk.stop()
        await self.redis.stop()

    def pass_on(self, number: signal.Signals) -> None:
        """Send a signal on to the service, if it runs."""
        if self.service.running:
            self.service.signal(number)

    async def asterisk_console(self, words: str) -> str:
        """Ask Asterisk by its console."""
        return await console(self.install.command, self.etc_dir, words)

    async def _keep(self, server: Server) -> None:
        while True:
            status = await server.wait()
            self._log.error("ended: started again", what=server.name, status=status)
            await asyncio.sleep(RESTART_PAUSE_S)
            try:
                await server.start()
            except HotlineError as error:
                self._log.error("cannot be started", what=server.name, error=str(error))
                await asyncio.sleep(RESTART_PAUSE_S * 4)

    async def _watch_health(self) -> None:
        service = self.settings.service
        url = f"http://{service.http_host}:{service.http_port}/healthz"
        timeout = aiohttp.ClientTimeout(total=HEALTH_PATIENCE_S)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            seen_pid = 0
            while True:
                await asyncio.sleep(HEALTH_EVERY_S)
                pid = self.service.pid if self.service.running else 0
                try:
                    async with http.get(url) as answer:
                        if answer.status == 200:
                            seen_pid = pid
                except aiohttp.ClientConnectionError:
                    continue  # not there: `_keep` sees to it
                except TimeoutError:
                    if pid and pid == seen_pid and self.service.pid == pid:
                        self._log.error("the service is frozen: killed", pid=pid)
                        self.service.kill()
                        seen_pid = 0

    def _redis(self) -> Server:
        program = shutil.which("redis-server")
        if program is None:
            raise HotlineError("redis-server is missing: apt-get install redis-server")
        host, port = _redis_address(self.settings.redis.url)
        folder = self.settings.state_dir / "redis"
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            program, "--bind", host, "--port", str(port), "--dir", str(folder),
            "--save", "", "--appendonly", "no", "--daemonize", "no",
        ]  # fmt: skip

        async def ready() -> bool:
            return await port_answers(host, port)

        return Server("Redis", command, log=self._logs / "redis.log", ready=ready)

    def _asterisk(self) -> Server:
        async def ready() -> bool:
            return await fully_booted(self.install.command, self.etc_dir)

        return Server(
            "Asterisk",
            daemon_command(self.install.command, self.etc_dir),
            log=self._logs / "asterisk.log",
            ready=ready,
        )

    def _service(self) -> Server:
        service = self.settings.service

        async def ready() -> bool:
            return await port_answers(service.http_host, service.http_port) and await port_answers(
                self.settings.asterisk.service_host, self.settings.asterisk.agi_port
            )

        return Server(
            "the service",
            [sys.executable, "-m", "ivr.cli", "--config", str(self._config), "run", "--log-json"],
            log=self._logs / "service.log",
            ready=ready,
            ready_within_s=SERVICE_READY_S,
            environment=self._environment,
        )


def _redis_address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.scheme != "redis":
        raise HotlineError(
            f"`hotline up` starts a Redis of its own and needs redis://host:port, not {url}: "
            "with another Redis, run the parts one by one (docs/operations.md)"
        )
    return parts.hostname or "127.0.0.1", parts.port or 6379

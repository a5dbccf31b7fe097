"""The long-running commands: the service alone, and everything on one machine."""

import asyncio
import signal
from pathlib import Path

import structlog

from ivr.errors import HotlineError
from ivr.loading import load_all, load_plan, require_folders
from ivr.secrets import Secrets
from ivr.service import Service
from ivr.settings import Settings
from ivr.supervisor import Supervisor


async def run_service(settings: Settings) -> None:
    """Load everything, then serve calls until SIGTERM. Raises HotlineError."""
    require_folders(settings)
    loaded = await asyncio.to_thread(load_all, settings)
    secrets = Secrets(settings.state_dir / "secrets.json")
    secrets.ensure(["ami", "api"])
    try:
        await Service(settings, loaded, secrets).run()
    except BaseExceptionGroup as group:
        known = group.subgroup(HotlineError)
        if known is not None and not group.split(HotlineError)[1]:
            raise first_error(known) from None
        raise


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first single error in nested groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def run_all(settings: Settings, config: Path) -> None:
    """Run Redis, Asterisk and the service until SIGTERM or Ctrl-C. Raises HotlineError."""
    require_folders(settings)
    plan = load_plan(settings.files.queues)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Supervisor(settings, plan.consultants, config=config) as supervisor:
        # Edits of queues/ are the service's matter; without a handler SIGHUP would end us untidily.
        loop.add_signal_handler(signal.SIGHUP, supervisor.pass_on, signal.SIGHUP)
        service = settings.service
        structlog.get_logger().info(
            "the hotline is up",
            sip=f"{settings.asterisk.sip_host}:{settings.asterisk.sip_port}",
            status=f"http://{service.http_host}:{service.http_port}/",
            secrets=str(settings.state_dir / "secrets.json"),
        )
        await stop.wait()

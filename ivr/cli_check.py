"""`hotline check-config` and `hotline doctor`."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import typer

from ivr.asterisk.ami import AmiClient
from ivr.asterisk.install import find_asterisk
from ivr.cases.store import CaseStore
from ivr.errors import HotlineError
from ivr.routing.board import Board, BoardDownError
from ivr.secrets import Secrets
from ivr.settings import Settings
from ivr.speech.recognizer import select_recognizers
from ivr.types import LANGUAGES


def register(app: typer.Typer, settings: Callable[[], Settings]) -> None:
    """Add the commands."""

    @app.command("check-config")
    def check_config() -> None:
        """Check the settings and every file they name; start nothing."""
        from ivr.loading import (  # noqa: PLC0415 - scipy
            load_plan,
            load_prompts,
            require_folders,
            rota_warnings,
        )
        from ivr.understanding.place import Gazetteer  # noqa: PLC0415 - simplemma

        values = settings()
        require_folders(values)
        plan = load_plan(values.files.queues)
        load_prompts(values, plan.topics)
        Gazetteer.of_city(values.files.queues)
        for warning in rota_warnings(values.files.queues, plan):
            typer.echo(f"warning: {warning}", err=True)
        recognizers = select_recognizers(values.speech, values.files.models)
        print(
            f"in order: {len(plan.topics.all)} topics, {len(plan.consultants)} consultants, "
            + ", ".join(
                f"{language} by {engine.engine if (engine := recognizers[language]) else 'keypad'}"
                for language in LANGUAGES
            )
        )

    @app.command()
    def doctor() -> None:
        """Look at every part of a running hotline and say what is wrong."""
        if not asyncio.run(_examine(settings())):
            raise typer.Exit(1)


async def _examine(settings: Settings) -> bool:
    checks: list[tuple[str, Callable[[], Awaitable[str]]]] = [
        ("configuration", lambda: _configuration(settings)),
        ("Asterisk", lambda: _asterisk(settings)),
        ("manager link", lambda: _manager(settings)),
        ("Redis", lambda: _redis(settings)),
        ("case database", lambda: _database(settings)),
        ("speech", lambda: _speech(settings)),
        ("disk", lambda: _disk(settings.state_dir)),
    ]
    well = True
    for name, check in checks:
        try:
            print(f"  ok   {name}: {await check()}")
        except (HotlineError, BoardDownError, OSError) as error:
            well = False
            print(f"  BAD  {name}: {error}")
    return well


async def _configuration(settings: Settings) -> str:
    from ivr.loading import load_plan, load_prompts, require_folders  # noqa: PLC0415 - scipy

    require_folders(settings)
    plan = load_plan(settings.files.queues)
    load_prompts(settings, plan.topics)
    return f"{len(plan.topics.all)} topics, {len(plan.consultants)} consultants"


async def _asterisk(settings: Settings) -> str:
    install = find_asterisk(settings.state_dir)
    if install is None:
        raise HotlineError("no Asterisk 20 or newer is found: run `make run`, it unpacks one")
    return f"{install.version}, {install.origin}"


async def _manager(settings: Settings) -> str:
    secrets = Secrets(settings.state_dir / "secrets.json")
    secrets.ensure(["ami"])

    async def nothing(_: AmiClient) -> None: ...

    client = AmiClient(
        settings.asterisk.service_host, settings.asterisk.ami_port, "hotline", secrets["ami"],
        on_event=lambda _: None, on_connected=nothing,
    )  # fmt: skip
    await client.check_login()
    return "logged in"


async def _redis(settings: Settings) -> str:
    board = Board(settings.redis.url, "doctor", timeout_s=settings.redis.timeout_s)
    try:
        await board.now()
    except BoardDownError as error:
        raise HotlineError(
            f"{settings.redis.url} does not answer ({error}): start Redis, or set [redis] url"
        ) from None
    finally:
        await board.close()
    return "answers"


async def _database(settings: Settings) -> str:
    store = CaseStore(settings.cases.database)
    try:
        await store.open()
        return f"{store.where}, readable"
    finally:
        await store.close()


async def _speech(settings: Settings) -> str:
    recognizers = select_recognizers(settings.speech, settings.files.models)
    return ", ".join(
        f"{language}: {engine.engine if engine else 'keypad only'}"
        for language, engine in recognizers.items()
    )


async def _disk(state_dir: Path) -> str:
    free = shutil.disk_usage(state_dir.anchor).free
    if free < 1_000_000_000:
        raise HotlineError(f"only {free / 1e6:.0f} MB are free: make room, cases need it")
    return f"{free / 1e9:.0f} GB free"

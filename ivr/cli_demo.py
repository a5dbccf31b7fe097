"""`hotline demo`: one real call from beginning to end."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ivr import log
from ivr.settings import Settings

DEFAULT_AUDIO = Path("tests/audio/roads-lamp.wav")


def register(
    app: typer.Typer, settings: Callable[[], Settings], config_path: Callable[[], Path]
) -> None:
    """Add the command."""

    @app.command()
    def demo(
        audio: Annotated[
            Path, typer.Option(help="What the caller says: a WAV of 8 or 16 kHz.")
        ] = DEFAULT_AUDIO,
        stay: Annotated[bool, typer.Option(help="Stay up afterwards, until Ctrl-C.")] = False,
    ) -> None:
        """Start everything, let one caller speak a recording, and show what happens."""
        from ivr.demo import demonstrate, print_result  # noqa: PLC0415 - loads half the project

        log.configure(json=False, level=40)

        def say(line: str) -> None:
            print(line, file=sys.stdout if stay else sys.stderr, flush=True)

        result = asyncio.run(demonstrate(settings(), config_path(), audio, stay=stay, say=say))
        if result is not None and not stay:
            print_result(result)

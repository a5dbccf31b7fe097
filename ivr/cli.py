"""`hotline`: the command line. Every error is one line that says what to do."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from ivr import (
    cli_cases,
    cli_check,
    cli_classify,
    cli_demo,
    cli_evaluate,
    cli_places,
    cli_simulate,
    cli_speech,
    cli_topics,
    cli_why,
    log,
)
from ivr.errors import HotlineError
from ivr.settings import Settings
from ivr.settings_file import load_settings

app = typer.Typer(
    name="hotline",
    help=__doc__,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DEFAULT_CONFIG = Path("config/hotline.toml")


class _State:
    config = DEFAULT_CONFIG


def settings() -> Settings:
    """The settings of the file named by --config."""
    return load_settings(_State.config)


def config_path() -> Path:
    """The file named by --config."""
    return _State.config


@app.callback()
def common(
    config: Annotated[
        Path, typer.Option(help="The settings file.", envvar="HOTLINE_CONFIG")
    ] = DEFAULT_CONFIG,
) -> None:
    """The telephone hotline of a city."""
    _State.config = config


@app.command()
def run(
    log_json: Annotated[bool, typer.Option(help="Log JSON lines instead of text.")] = False,
) -> None:
    """Run the telephony process; Asterisk and Redis run elsewhere.

    Edits of consultants and routing take effect within seconds, on SIGHUP at once.
    """
    from ivr.running import run_service  # noqa: PLC0415 - loads the recognisers

    log.configure(json=log_json)
    # Until the service runs, which then sees for itself what has been edited since.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    asyncio.run(run_service(settings()))


@app.command()
def up() -> None:
    """Run Redis, Asterisk and the service on this machine, until Ctrl-C."""
    from ivr.running import run_all  # noqa: PLC0415

    log.configure(json=False)
    asyncio.run(run_all(settings(), config_path()))


cli_check.register(app, settings)
cli_demo.register(app, settings, config_path)
cli_speech.register(app)
cli_classify.register(app)
cli_evaluate.register(app)
cli_places.register(app)
cli_simulate.register(app)
cli_cases.register(app, lambda: settings().cases.database)
cli_topics.register(app, settings)
cli_why.register(app, settings)


def main() -> None:
    """Run a command; a HotlineError is one line on standard error and status 2."""
    try:
        app(standalone_mode=True)
    except HotlineError as error:
        print(f"hotline: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(141)


if __name__ == "__main__":
    main()

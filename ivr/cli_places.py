"""`hotline places`: the city's own register of streets."""

from pathlib import Path
from typing import Annotated

import typer

from ivr.errors import HotlineError
from ivr.understanding.register import WARSAW, as_csv, read_register


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    places = typer.Typer(no_args_is_help=True, help="Places that callers name.")
    app.add_typer(places, name="places")

    @places.command("register")
    def convert(
        file: Annotated[Path, typer.Argument(help="The file ULIC of GUS TERYT, CSV.")],
        county: Annotated[str, typer.Option(help="WOJ and POW, four digits.")] = "".join(WARSAW),
    ) -> None:
        """Print a register as a list of places; keep it as queues/streets.csv."""
        if len(county) != 4 or not county.isdigit():
            raise HotlineError(f"--county {county}: four digits, 1465 is Warsaw")
        print(as_csv(read_register(file, (county[:2], county[2:]))), end="")

    @places.callback()
    def group() -> None:
        """Places that callers name."""

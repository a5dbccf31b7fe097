"""`hotline classify`: what the hotline makes of sentences, one JSON line each."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from ivr.errors import HotlineError
from ivr.types import Language

if TYPE_CHECKING:
    from ivr.understanding.meaning import Understanding
    from ivr.understanding.place import Gazetteer

MAX_LINE = 16_384
"""Bytes read of one line; the rest of a longer one is dropped, and said so in the answer."""


class _Lang(StrEnum):
    PL = "pl"
    UK = "uk"
    EN = "en"


_LANGUAGES: dict[_Lang, Language] = {_Lang.PL: "pl", _Lang.UK: "uk", _Lang.EN: "en"}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command()
    def classify(
        lang: Annotated[_Lang, typer.Option(help="Language of the sentences.")] = _Lang.PL,
        queues: Annotated[
            Path, typer.Option(help="Folder of topics.yaml and emergencies.yaml.")
        ] = Path("queues"),
        cache: Annotated[
            Path, typer.Option(help="Where trained models are kept (state folder).")
        ] = Path(".hotline/cache"),
    ) -> None:
        """Read sentences on standard input, a line each; print their meaning as JSON lines."""
        from ivr.understanding.meaning import Understanding  # noqa: PLC0415 - loads scipy
        from ivr.understanding.place import Gazetteer  # noqa: PLC0415 - loads simplemma

        try:
            understanding = Understanding.load(queues, cache)
            places = Gazetteer.of_city(queues)
        except HotlineError as error:
            print(f"hotline: {error}", file=sys.stderr)
            raise typer.Exit(2) from error
        language = _LANGUAGES[lang]
        try:
            for sentence, cut in read_lines(sys.stdin.buffer):
                print(answer(understanding, sentence, language, places, cut=cut), flush=True)
        except BrokenPipeError:
            # The reader has gone: nothing more to say. stdout is closed so that Python's own flush
            # at exit does not complain.
            sys.stderr.close()
            raise typer.Exit(0) from None


def read_lines(stream: BinaryIO) -> Iterator[tuple[str, bool]]:
    """Lines as text, bad UTF-8 replaced, each with whether its end was cut off."""
    while line := stream.readline(MAX_LINE):
        cut = len(line) == MAX_LINE and not line.endswith(b"\n")
        rest = line if cut else b""
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE)
        yield line.decode("utf-8", errors="replace").strip(), cut


def answer(
    understanding: "Understanding",
    sentence: str,
    language: Language,
    places: "Gazetteer | None" = None,
    *,
    cut: bool = False,
) -> str:
    """One JSON line about a sentence."""
    meaning = understanding.classify(sentence, language)
    place = places.find(sentence, language) if places else None
    return json.dumps(
        {
            "topic": meaning.topic,
            "confidence": round(meaning.confidence, 3),
            "second": meaning.second,
            "unsure": meaning.unsure,
            "emergency": meaning.emergency,
            "why": meaning.why + (" (line cut)" if cut else ""),
            "place": {k: v for k, v in asdict(place).items() if v} if place else None,
        },
        ensure_ascii=False,
    )

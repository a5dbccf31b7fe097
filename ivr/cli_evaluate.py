"""`hotline evaluate`: how well the hotline understands a set of sentences or recordings."""

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ivr.cli_files import require_writable, write
from ivr.cli_speech import MODELS_DIR, ModelsDir
from ivr.errors import HotlineError
from ivr.types import LANGUAGES, Language

if TYPE_CHECKING:
    from ivr.evaluation.audio import Condition
    from ivr.evaluation.judging import Evaluation, Judges
    from ivr.speech.recognizer import Rank, Recognizer
    from ivr.understanding.sample_set import SampleSet

DEADLINE_S = 900.0
"""Longest recognition: a measurement waits, so that every sentence is measured."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("evaluate")(evaluate)


def evaluate(
    given: Annotated[
        Path, typer.Argument(metavar="SET", help="A TSV file, or a folder with index.tsv.")
    ],
    lang: Annotated[str | None, typer.Option(help="Only this language: pl, uk or en.")] = None,
    engine: Annotated[str, typer.Option(help="auto, vosk or whisper.")] = "auto",
    snr: Annotated[str, typer.Option(help="Speech over noise in dB, such as 20,10,5.")] = "",
    alaw: Annotated[bool, typer.Option("--alaw", help="Pass the audio through A-law.")] = False,
    loss: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the 20 ms packets lost.")
    ] = 0.0,
    noise: Annotated[str, typer.Option(help="white, pink, or a folder of WAV files.")] = "white",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write JSON there.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page there.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many, spread over the set.")
    ] = None,
    folds: Annotated[
        int,
        typer.Option(
            min=0,
            max=20,
            help="Judge every sentence by one of so many understandings trained without it and"
            " its like: for a set that stands among the examples.",
        ),
    ] = 0,
    queues: Annotated[
        Path, typer.Option(help="Folder of topics.yaml and emergencies.yaml.")
    ] = Path("queues"),
    cache: Annotated[
        Path, typer.Option(help="Where trained models are kept (state folder).")
    ] = Path(".hotline/cache"),
    models_dir: ModelsDir = MODELS_DIR,
) -> None:
    """Measure how well sentences or recordings are understood: text, JSON, a page."""
    from ivr.evaluation import html, report  # noqa: PLC0415 - commands start fast
    from ivr.evaluation.judging import Judges  # noqa: PLC0415
    from ivr.understanding.catalogue import load_topics  # noqa: PLC0415
    from ivr.understanding.emergency import EmergencyDetector  # noqa: PLC0415
    from ivr.understanding.meaning import (  # noqa: PLC0415
        EMERGENCIES_FILE,
        SENSES,
        TOPICS_FILE,
        Understanding,
    )
    from ivr.understanding.sample_set import SampleSet, load_set, spread  # noqa: PLC0415

    language = _language(lang)
    require_writable(json_file, html_file)
    topics = load_topics(queues / TOPICS_FILE)
    whole = load_set(given, topics.ids, language)
    chosen = SampleSet(whole.file, spread(whole.samples, limit))
    found = _conditions(chosen, snr, noise, alaw=alaw, loss=loss)

    def judges() -> Judges:
        understanding = Understanding.load(queues, cache)
        if folds < 2:
            return Judges(understanding)
        from ivr.evaluation.crossvalidation import without_what_is_tested  # noqa: PLC0415

        detector = EmergencyDetector.load(queues / EMERGENCIES_FILE)
        kept = cache / f"folds-{SENSES}"
        others = without_what_is_tested(topics, detector, chosen.samples, folds, kept)
        return Judges(understanding, others)

    measured = _measure(chosen, found, judges, engine, models_dir)
    typer.echo(report.as_text(measured), nl=False)
    if json_file:
        write(json_file, json.dumps(report.as_json(measured), ensure_ascii=False, indent=1) + "\n")
    if html_file:
        write(html_file, html.as_html(measured))


def _language(lang: str | None) -> Language | None:
    known = next((known for known in LANGUAGES if known == lang), None)
    if lang is not None and known is None:
        raise HotlineError(f"--lang {lang}: one of {', '.join(LANGUAGES)}")
    return known


def _conditions(
    chosen: "SampleSet", snr: str, noise: str, *, alaw: bool, loss: float
) -> "Sequence[Condition]":
    from ivr.evaluation.audio import Noise, conditions  # noqa: PLC0415

    if not chosen.has_audio:
        if snr or alaw or loss or noise != "white":
            raise HotlineError(
                f"{chosen.file}: noise and line are for recordings, and its rows name none: "
                "give a folder of recordings with index.tsv"
            )
        return ()
    ratios = []
    for part in snr.split(",") if snr else ():
        try:
            ratio = float(part)
        except ValueError:
            ratio = math.nan
        if not -60 <= ratio <= 120:
            raise HotlineError(f"--snr {snr}: decibels from -60 to 120, such as 20,10,5")
        ratios.append(ratio)
    return conditions(ratios, Noise.load(noise), alaw=alaw, loss=loss)


def _measure(
    chosen: "SampleSet",
    found: "Sequence[Condition]",
    load: "Callable[[], Judges]",
    engine: str,
    models_dir: Path,
) -> "Evaluation":
    from ivr.evaluation.judging import (  # noqa: PLC0415
        check_recordings,
        evaluate_audio,
        evaluate_text,
    )

    if not chosen.has_audio:
        return evaluate_text(load(), chosen)
    check_recordings(chosen)
    spoken = {sample.language for sample in chosen.samples}
    judges = load()
    recognizers = _recognizers(spoken, engine, models_dir, judges.rank)

    def told(name: str) -> None:
        typer.echo(f"measured: {name}", err=True)

    # Not closed: the process ends now, and a worker that lets a Whisper model go meanwhile
    # aborts it.
    return asyncio.run(evaluate_audio(judges, recognizers, chosen, found, told))


def _recognizers(
    spoken: set[Language], engine: str, models_dir: Path, rank: "Rank"
) -> "dict[Language, Recognizer]":
    from pydantic import ValidationError  # noqa: PLC0415

    from ivr.speech.recognizer import RecognizerPool, select_recognizers  # noqa: PLC0415
    from ivr.speech.settings import SpeechSettings  # noqa: PLC0415

    engines = {known: engine if known in spoken else "none" for known in LANGUAGES}
    try:
        settings = SpeechSettings.model_validate({"engine": engines})
    except ValidationError:
        raise HotlineError(f"--engine {engine}: one of auto, vosk, whisper") from None
    pool = RecognizerPool(1, queue_deadline_s=DEADLINE_S, deadline_s=DEADLINE_S)
    chosen = select_recognizers(settings, models_dir, pool=pool, rank=rank)
    found = {known: r for known in LANGUAGES if known in spoken and (r := chosen[known])}
    for known in sorted(spoken - set(found)):
        raise HotlineError(f"{models_dir}: no model for {known!r}: hotline models fetch")
    return found

"""`hotline models`, `hotline prompts` and `hotline transcribe`."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ivr.errors import HotlineError
from ivr.types import LANGUAGES, Language

if TYPE_CHECKING:
    from ivr.speech.recognizer import Recognizer

ROOT = Path(__file__).resolve().parents[1]
ModelsDir = Annotated[Path, typer.Option("--models-dir", help="Where the models are.")]
PromptsDir = Annotated[Path, typer.Option("--dir", help="The prompts' folder.")]
MODELS_DIR = Path(".hotline/models")
PROMPTS_DIR = ROOT / "prompts"
FILE_DEADLINE_S = 900.0

models_app = typer.Typer(no_args_is_help=True, help="Speech models: fetch, list, verify.")
prompts_app = typer.Typer(no_args_is_help=True, help="What the hotline says.")


def register(app: typer.Typer) -> None:
    """Add the commands about speech to the `hotline` command."""
    app.add_typer(models_app, name="models")
    app.add_typer(prompts_app, name="prompts")
    app.command("transcribe")(transcribe)


@models_app.command("fetch")
def models_fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Which; all if none is named.")] = None,
    models_dir: ModelsDir = MODELS_DIR,
    again: Annotated[bool, typer.Option(help="Fetch even what is whole already.")] = False,
) -> None:
    """Download models and check them; one that is there and whole is kept."""
    from ivr.speech.models import catalogue, fetch  # noqa: PLC0415 - commands start fast

    known = catalogue()
    for name in names or list(known):
        try:
            print(f"{name}: {fetch(name, models_dir, again=again)}")
        except HotlineError as error:
            if names or not known[name].optional:
                raise
            typer.echo(f"{name} (optional): {error}", err=True)


@models_app.command("list")
def models_list(models_dir: ModelsDir = MODELS_DIR) -> None:
    """Show the models known: name, engine, languages, licence, whether it is there."""
    from ivr.speech.models import catalogue, installed  # noqa: PLC0415

    there = installed(models_dir)
    for model in catalogue().values():
        state = str(there.get(model.name, "not there"))
        languages = ",".join(model.languages)
        print(f"{model.name}\t{model.kind}\t{languages}\t{model.licence}\t{state}\t{model.about}")


@models_app.command("verify")
def models_verify(models_dir: ModelsDir = MODELS_DIR) -> None:
    """Read every model on disk through and compare it; exit 1 if one is damaged."""
    from ivr.speech.models import BY_HAND, verify  # noqa: PLC0415

    found = verify(models_dir)
    for name, damage in found.items():
        print(f"{name}: {damage or 'whole'}")
    if not found:
        raise HotlineError(f"{models_dir}: no model is there: hotline models fetch")
    if any(damage not in ("", BY_HAND) for damage in found.values()):
        raise typer.Exit(1)


@prompts_app.command("build")
def prompts_build(
    folder: PromptsDir = PROMPTS_DIR,
    voice: Annotated[
        list[str] | None, typer.Option(help="A Piper voice: pl=/path/to/voice.onnx")
    ] = None,
) -> None:
    """Synthesise the prompts that have no recording of their present text."""
    from ivr.speech.synthesis import build_missing  # noqa: PLC0415

    voices = dict(_voice(given) for given in voice or ())
    made = build_missing(folder, voices=voices, told=lambda lang, id_: print(f"{lang}\t{id_}"))
    typer.echo(f"{len(made)} prompts synthesised", err=True)


def _voice(given: str) -> tuple[Language, Path]:
    language, _, path = given.partition("=")
    for known in LANGUAGES:
        if language == known and path:
            return known, Path(path)
    raise HotlineError(f"--voice {given}: give language=file, the language one of {LANGUAGES}")


@prompts_app.command("missing")
def prompts_missing(folder: PromptsDir = PROMPTS_DIR) -> None:
    """List the prompts that wait for a recording: language, id, why, text."""
    from ivr.speech.prompts import PromptStore  # noqa: PLC0415

    store = PromptStore.load(folder)
    for gap in store.missing():
        print(f"{gap.language}\t{gap.id}\t{gap.reason}\t{store.text(gap.id, gap.language)}")


@prompts_app.command("check")
def prompts_check(folder: PromptsDir = PROMPTS_DIR) -> None:
    """Read every text and recording; exit 1 if one has no audio or speaks an old text."""
    from ivr.speech.prompts import PromptStore  # noqa: PLC0415

    store = PromptStore.load(folder)
    gaps = store.missing()
    bad = [gap for gap in gaps if gap.reason != "synthesised"]
    for gap in bad:
        typer.echo(f"{gap.language}/{gap.id}: {gap.reason}", err=True)
    for language in LANGUAGES:
        ids = store.ids(language)
        total = sum(store.seconds(id_, language) for id_ in ids)
        waiting = sum(gap.language == language for gap in gaps)
        print(f"{language}: {len(ids)} prompts, {total:.0f} s, {waiting} not recorded by a voice")
    if bad:
        raise typer.Exit(1)


def transcribe(
    files: Annotated[list[Path], typer.Argument(help="WAV files, 8 or 16 kHz, up to 10 minutes.")],
    lang: Annotated[str, typer.Option(help="Language spoken: pl, uk or en.")] = "pl",
    engine: Annotated[str, typer.Option(help="auto, vosk or whisper.")] = "auto",
    models_dir: ModelsDir = MODELS_DIR,
) -> None:
    """Print what is said in files, one JSON line each."""
    from pydantic import ValidationError  # noqa: PLC0415

    from ivr.speech.recognizer import RecognizerPool, select_recognizers  # noqa: PLC0415
    from ivr.speech.settings import SpeechSettings  # noqa: PLC0415

    spoken = next((known for known in LANGUAGES if known == lang), None)
    if spoken is None:
        raise HotlineError(f"--lang {lang}: one of {', '.join(LANGUAGES)}")
    others = {known: "none" for known in LANGUAGES if known != spoken}
    try:
        settings = SpeechSettings.model_validate({"engine": {**others, spoken: engine}})
    except ValidationError:
        raise HotlineError(f"--engine {engine}: one of auto, vosk, whisper") from None
    pool = RecognizerPool(1, queue_deadline_s=FILE_DEADLINE_S, deadline_s=FILE_DEADLINE_S)
    recognizer = select_recognizers(settings, models_dir, pool=pool)[spoken]
    if recognizer is None:
        raise HotlineError(f"{models_dir}: no model for {spoken!r}: hotline models fetch")
    failed = asyncio.run(_transcribe(files, recognizer))
    if failed:
        raise typer.Exit(1)


async def _transcribe(files: list[Path], recognizer: "Recognizer") -> int:
    """Print a line a file; give how many failed."""
    from ivr.speech.audiofile import read_audio  # noqa: PLC0415

    failed = 0
    for file in files:
        try:
            utterance = recognizer.start()
            await utterance.feed(read_audio(file))
            found = await utterance.finish()
        except HotlineError as error:
            typer.echo(str(error), err=True)
            failed += 1
            continue
        line = {
            "file": str(file),
            "text": found.text,
            "engine": found.engine,
            "seconds": round(found.seconds, 3),
        }
        print(json.dumps(line, ensure_ascii=False), flush=True)
    return failed

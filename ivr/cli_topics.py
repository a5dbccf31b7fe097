"""`hotline topics review`: corrected cases become examples to learn from, one by one, by hand."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from ivr.cases.store import CaseStore
from ivr.cases.text import printable
from ivr.cli_cases import Database, ask_store
from ivr.errors import HotlineError
from ivr.settings import Settings
from ivr.understanding.corrections import Correction, correction_of

Found = list[tuple[UUID, Correction]]
_CHOICES = "[a]dd, [e]dit, [n]ever, [l]ater, [q]uit"


def register(app: typer.Typer, settings: Callable[[], Settings]) -> None:
    """Add the commands to `app`."""
    topics = typer.Typer(no_args_is_help=True, help="What the topics are learnt from.")

    @topics.command()
    def export(
        limit: Annotated[int, typer.Option(min=1, max=100_000, help="Latest cases read.")] = 10_000,
        database: Database = None,
    ) -> None:
        """Print the sentences whose topic a consultant corrected: language, topics, sentence."""
        values = settings()
        print("lang\tunderstood\ttopic\tpersonal\ttext")
        for _, c in _corrections(values, database, limit):
            text = printable(c.sentence).replace("\t", " ")
            print(c.language, c.understood, c.corrected, "yes" * c.personal, text, sep="\t")

    @topics.command()
    def review(
        limit: Annotated[int, typer.Option(min=1, max=100_000, help="Latest cases read.")] = 10_000,
        database: Database = None,
    ) -> None:
        """Go through the corrected sentences; those you take are added to topics.yaml."""
        values = settings()
        memory = _Memory(values.state_dir / "reviewed.json")
        waiting = [f for f in _corrections(values, database, limit) if f[0] not in memory.seen]
        added = 0
        for uuid, correction in waiting:
            print(
                f"\n{printable(correction.sentence)!r} ({correction.language})\n"
                f"  taken for {correction.understood}, corrected to {correction.corrected}"
            )
            answer = _ask(correction)
            if answer == "q":
                break
            if answer == "l":
                continue
            if answer != "n":
                _add(values.files.queues / "topics.yaml", correction, answer)
                added += 1
            memory.add(uuid)
        print(f"{len(waiting)} to review, {added} added; the service learns at its next start")

    @topics.command()
    def train() -> None:
        """Learn the topics and the emergencies, so that the service starts at once."""
        from ivr.understanding.meaning import Understanding  # noqa: PLC0415 - loads scipy

        values = settings()
        began = time.perf_counter()
        understanding = Understanding.load(values.files.queues, values.state_dir / "cache")
        examples, took_s = len(understanding.topics.examples()), time.perf_counter() - began
        print(f"{examples} examples of {len(understanding.topics.all)} topics, {took_s:.0f} s")

    app.add_typer(topics, name="topics")


def _corrections(settings: Settings, database: str | None, limit: int) -> Found:
    async def read(store: CaseStore) -> Found:
        return [
            (case.uuid, correction)
            for case in await store.list(limit)
            if (correction := correction_of(await store.events(case.uuid)))
        ]

    return ask_store(database or settings.cases.database, read)


def _ask(correction: Correction) -> str:
    """Return the sentence to add, or one of n, l, q."""
    if correction.personal:
        print("  it seems to tell who the caller is: edit it, or leave it")
    while True:
        choice = str(typer.prompt(f"  {_CHOICES}", default="l")).strip().lower()[:1]
        if choice == "a" and not correction.personal:
            return correction.sentence
        if choice == "e":
            edited = str(typer.prompt("  sentence")).strip()
            if not Correction(edited, correction.language, "", "").personal:
                return edited
            print("  that still tells who the caller is")
        elif choice in ("n", "l", "q"):
            return choice


def _add(path: Path, correction: Correction, sentence: str) -> None:
    """Write the sentence into the file, if the file can be used with it. Raises HotlineError."""
    from ivr.understanding.catalogue import Example, load_topics  # noqa: PLC0415 - loads simplemma
    from ivr.understanding.example_file import UnknownTopicError, with_examples  # noqa: PLC0415

    example = Example(sentence, correction.language, correction.corrected, "normal")
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_text(with_examples(path.read_text("utf-8"), [example]), "utf-8")
        load_topics(fresh)
        os.replace(fresh, path)  # noqa: PTH105 - one word for one step
    except UnknownTopicError as error:
        raise HotlineError(f"{path}: {error}") from error
    finally:
        fresh.unlink(missing_ok=True)


class _Memory:
    """The cases decided upon, so that nobody is asked twice."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.seen = {UUID(text) for text in json.loads(path.read_text("utf-8"))}
        except FileNotFoundError:
            self.seen = set()
        except (ValueError, TypeError, AttributeError) as error:
            raise HotlineError(f"{path}: not what a review left, remove it: {error}") from error

    def add(self, uuid: UUID) -> None:
        """Remember at once: a review may be broken off."""
        self.seen.add(uuid)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(sorted(map(str, self.seen))), "utf-8")
        fresh.replace(self._path)

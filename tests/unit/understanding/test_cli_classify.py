import io
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ivr import cli_classify
from ivr.cli_classify import MAX_LINE, read_lines, register
from ivr.understanding.meaning import Understanding

QUEUES = Path(__file__).resolve().parents[3] / "queues"


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)  # so that the command keeps its name
    return app


def test_a_line_each(understanding: Understanding, cache_dir: Path, app: typer.Typer) -> None:
    said = (
        "mąż nie oddycha\n\nnie odebrali śmieci\n".encode()
        + b"\xff\xfe\n"
        + b"a" * 40_000
        + b"\nkosz"
    )
    options = ["classify", "--queues", str(QUEUES), "--cache", str(cache_dir)]
    result = CliRunner().invoke(app, options, input=said)
    assert result.exit_code == 0, result.output
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(answers) == 6
    assert set(answers[0]) == {
        "topic",
        "confidence",
        "second",
        "unsure",
        "emergency",
        "why",
        "place",
    }
    assert answers[0]["emergency"] == "yes"
    assert answers[1]["why"] == "nothing heard"
    assert answers[2]["topic"] == "waste"
    assert "line cut" in answers[4]["why"]


def test_streams(
    understanding: Understanding, app: typer.Typer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer leaves before the next line is read."""
    log: list[str] = []

    class Input(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            log.append("read")
            return super().readline(-1 if size is None else size)

    class Stdin:
        buffer = Input(b"kosz\nautobus\n")

    monkeypatch.setattr(cli_classify.sys, "stdin", Stdin())
    monkeypatch.setattr(
        "builtins.print", lambda *_a, flush=False, **_k: log.append(f"print {flush}")
    )
    monkeypatch.setattr(Understanding, "load", lambda *_a: understanding)
    app.registered_commands[0].callback(cli_classify._Lang.PL, QUEUES, QUEUES)  # type: ignore[misc]
    assert log == ["read", "print True", "read", "print True", "read"]


def test_complains_in_one_line(tmp_path: Path, app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["classify", "--queues", str(tmp_path)], input="")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "topics.yaml" in result.stderr


def test_long_lines_are_cut_whole() -> None:
    stream = io.BytesIO(b"x" * (3 * MAX_LINE) + b"\nnext\n")
    assert [(len(t), cut) for t, cut in read_lines(stream)] == [(MAX_LINE, True), (4, False)]

import json
from pathlib import Path

import pytest
import typer
from speech_audio import AUDIO, ROOT
from typer.testing import CliRunner

from ivr import cli_speech
from ivr.errors import HotlineError

app = typer.Typer()
cli_speech.register(app)


def run(*words: object, code: int = 0):  # type: ignore[no-untyped-def]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result


def error(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(result.exception, HotlineError)
    return str(result.exception)


def test_models(models_dir: Path, tmp_path: Path) -> None:
    assert "whisper-base: whole" in run("models", "verify", "--models-dir", models_dir).stdout
    listing = run("models", "list", "--models-dir", models_dir).stdout
    assert "whisper-base\twhisper\tpl,uk,en\tMIT\t" in listing
    assert "not there" in run("models", "list", "--models-dir", tmp_path).stdout
    assert (
        str(models_dir) in run("models", "fetch", "whisper-base", "--models-dir", models_dir).stdout
    )
    assert "hotline models fetch" in error("models", "verify", "--models-dir", tmp_path)
    assert "no model is called" in error("models", "fetch", "x", "--models-dir", tmp_path)


def test_prompts() -> None:
    assert "pl: 91 prompts" in run("prompts", "check").stdout
    waiting = run("prompts", "missing").stdout
    assert "pl\tchoice-one\tsynthesised\tJeśli chodzi o:" in waiting
    assert "0 prompts synthesised" in run("prompts", "build", "--dir", ROOT / "prompts").output
    assert "language=file" in error("prompts", "build", "--voice", "xx=1")


def test_transcribe_goes_on_after_a_bad_file(models_dir: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"nothing at all")
    good = [AUDIO / "water-hot.wav", AUDIO / "emergency-unconscious.wav"]
    result = run("transcribe", bad, *good, "--models-dir", models_dir, code=1)
    assert result.stderr.strip() == f"{bad}: not a WAV file"
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["file"] for line in lines] == [str(g) for g in good]
    assert "wodę" in lines[0]["text"]
    assert "nieprzytomny" in lines[1]["text"]
    assert {line["engine"] for line in lines} == {"whisper"}
    assert all(line["seconds"] > 0 for line in lines)


def test_transcribe_needs_a_model_and_a_language(tmp_path: Path) -> None:
    file = AUDIO / "water-hot.wav"
    assert "hotline models fetch" in error("transcribe", file, "--models-dir", tmp_path)
    assert "pl, uk, en" in error("transcribe", file, "--lang", "de")
    assert "whisper" in error("transcribe", file, "--engine", "other")


@pytest.mark.parametrize("words", [[], ["models"], ["prompts"]])
def test_help_is_there(words: list[str]) -> None:
    assert "Usage" in CliRunner().invoke(app, [*words, "--help"]).output

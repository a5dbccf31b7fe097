"""The `hotline` command as an operator meets it: one clear line, a status, nothing left running."""

import os
import shutil
import socket
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from tests.trained import give_trained_models

ROOT = Path(__file__).parents[2]
HOTLINE = Path(sys.executable).parent / "hotline"
COMMANDS = (
    (), ("run",), ("up",), ("check-config",), ("doctor",), ("demo",), ("classify",),
    ("evaluate",), ("simulate",), ("plan",), ("why",),
    ("transcribe",), ("models",), ("models", "fetch"), ("models", "list"), ("models", "verify"),
    ("prompts",), ("prompts", "build"), ("prompts", "missing"), ("prompts", "check"),
    ("cases",), ("cases", "list"), ("cases", "show"),
)  # fmt: skip


def hotline(*words: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [HOTLINE, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=False, env={**os.environ, "NO_COLOR": "1", **environment}, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def refused(result: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings of a hotline of its own: nothing of it may be there after a refusal."""
    file = tmp_path / "hotline.toml"
    state = tmp_path / "state"
    file.write_text(
        f'[service]\nstate_dir = "{state}"\nhttp_host = "127.0.3.40"\n'
        f'[files]\nmodels = "{tmp_path}/models"\n'
        '[asterisk]\nsip_host = "127.0.3.40"\nservice_host = "127.0.3.40"\n'
        '[redis]\nurl = "redis://127.0.3.40:6379/0"\ntimeout_s = 0.5\n'
        f'[cases]\ndatabase = "sqlite+aiosqlite:///{state}/cases.db"\n'
    )
    return file


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help(words: tuple[str, ...]) -> None:
    result = hotline(*words, "--help")
    assert result.returncode == 0
    assert "Usage" in result.stdout
    assert not result.stderr


@pytest.mark.parametrize("command", ["run", "up", "check-config", "doctor", "demo"])
def test_a_missing_or_malformed_configuration(tmp_path: Path, command: str) -> None:
    refused(hotline("--config", tmp_path / "no.toml", command), "no.toml", "--config")
    bad = tmp_path / "bad.toml"
    bad.write_text("[redis]\nurll = 1\n")
    refused(hotline("--config", bad, command), f"{bad}:2", "redis.urll")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.toml"]


@pytest.mark.parametrize("command", ["check-config", "run"])
def test_a_consultant_with_an_unknown_skill(config: Path, tmp_path: Path, command: str) -> None:
    queues = tmp_path / "queues"
    queues.mkdir()
    for source in (ROOT / "queues").glob("*.yaml"):
        text = source.read_text(encoding="utf-8")
        if source.name == "consultants.yaml":
            text = text.replace("{waste: 5", "{wasted: 5", 1)
        (queues / source.name).write_text(text, encoding="utf-8")
    result = hotline("--config", config, command, HOTLINE_FILES__QUEUES=str(queues))
    refused(result, "consultants.yaml:", "unknown skill 'wasted'")


@pytest.mark.parametrize("command", ["check-config", "run"])
def test_a_model_asked_for_by_name_is_missing(config: Path, command: str) -> None:
    with config.open("a") as file:
        file.write('[speech.engine]\npl = "vosk"\n')
    refused(hotline("--config", config, command), "vosk", "not there")


def test_check_config_says_what_is_in_order(config: Path, tmp_path: Path) -> None:
    result = hotline("--config", config, "check-config")
    assert result.returncode == 0, result.stderr
    assert "40 consultants" in result.stdout
    assert "keypad" in result.stdout, "no model is in this folder"
    assert not (tmp_path / "state").exists(), "nothing is started or made"
    assert not result.stderr, "the rota leaves no hour alone"


def test_check_config_warns_of_hours_with_nobody(config: Path, tmp_path: Path) -> None:
    queues = tmp_path / "queues"
    shutil.copytree(ROOT / "queues", queues)
    (queues / "rota.yaml").write_text(
        'shifts:\n  - {name: day, from: "06:00", to: "22:00", consultants: ["101", "106"]}\n'
    )
    result = hotline("--config", config, "check-config", HOTLINE_FILES__QUEUES=str(queues))
    assert result.returncode == 0, result.stderr
    assert "rota.yaml: 00:00-06:00: nobody is on duty" in result.stderr


def test_a_port_in_use(config: Path, tmp_path: Path) -> None:
    give_trained_models(tmp_path / "state" / "cache")
    with socket.socket() as taken:
        taken.bind(("127.0.3.40", 4573))
        taken.listen()
        refused(hotline("--config", config, "run"), "127.0.3.40:4573", "AGI")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.3.40", 9092))  # nothing was half started


def test_the_doctor_says_what_is_wrong(config: Path) -> None:
    result = hotline("--config", config, "doctor")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "ok   configuration" in result.stdout
    for part in ("manager link", "Redis"):
        assert f"BAD  {part}" in result.stdout


@pytest.fixture
def wrong_wav(tmp_path: Path) -> Path:
    file = tmp_path / "wrong.wav"
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(1000)
        out.writeframes(bytes(2000))
    return file


def test_a_recording_of_the_wrong_kind(config: Path, wrong_wav: Path, tmp_path: Path) -> None:
    refused(hotline("--config", config, "demo", "--audio", wrong_wav), "wrong.wav")
    text = tmp_path / "text.wav"
    text.write_text("not a WAV")
    refused(hotline("--config", config, "demo", "--audio", text), "text.wav")
    refused(hotline("--config", config, "demo", "--audio", tmp_path / "no.wav"), "no.wav")


def test_cases_of_a_database_that_is_not_there(config: Path) -> None:
    refused(hotline("--config", config, "cases", "list"), "cases.db")

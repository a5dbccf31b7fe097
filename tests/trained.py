"""What the models have learnt, for all tests of a run: trained once, given to each as a copy."""

import shutil
from pathlib import Path

from ivr.understanding.meaning import Understanding

ROOT = Path(__file__).parents[1]
KEPT = ROOT / ".hotline" / "cache"


def give_trained_models(cache: Path) -> None:
    """Put the trained models of `queues/` into a new cache folder of a test's own."""
    Understanding.load(ROOT / "queues", KEPT)
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copy(KEPT / "understanding.joblib", cache)

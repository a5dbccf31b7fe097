"""Speech brought to one level: callers far from the telephone and callers who shout sound alike."""

import numpy as np
import numpy.typing as npt

TARGET_DBFS = -20.0
"""Level of speech (RMS of its louder frames, dB of full scale) that recognisers are given."""
MAX_GAIN_DB = 30.0
"""More would only make noise of the line loud."""
FRAME = 160
"""Samples of a frame, 20 ms at 8 kHz."""
LOUDER = 0.5
"""Share of the power of the loudest frames above which a frame counts as speech."""

Samples = npt.NDArray[np.float32]


def samples_of(pcm: bytes) -> Samples:
    """Return 16-bit little-endian PCM as numbers from -1 to 1; half a sample at the end is lost."""
    return np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.float32) / np.float32(32768)


def level_dbfs(pcm: bytes) -> float:
    """Return the RMS level of PCM, dB of full scale; -120 of nothing."""
    samples = samples_of(pcm)
    if not len(samples):
        return -120.0
    return float(10 * np.log10(float(np.mean(np.square(samples))) + 1e-12))


def speech_dbfs(samples: Samples) -> float:
    """Return the level of the louder frames of audio (8 kHz, -1 to 1), dB of full scale."""
    whole = samples[: len(samples) // FRAME * FRAME]
    frames = whole.reshape(-1, FRAME) if len(whole) else samples.reshape(1, -1)
    if not frames.size:
        return -120.0
    power = np.mean(np.square(frames), axis=1)
    loud = float(np.quantile(power, 0.9))  # not the loudest: a click is no speech
    active = power[power >= LOUDER * loud]
    return float(10 * np.log10(active.mean() + 1e-12))


def gain_to_target(samples: Samples) -> float:
    """Return the factor that brings the speech in `samples` to TARGET_DBFS, within bounds."""
    wanted = float(np.clip(TARGET_DBFS - speech_dbfs(samples), -MAX_GAIN_DB, MAX_GAIN_DB))
    return float(10 ** (wanted / 20))


def levelled(samples: Samples) -> Samples:
    """Return audio with its speech at TARGET_DBFS; what would exceed full scale is clipped."""
    louder: Samples = np.clip(samples * np.float32(gain_to_target(samples)), -1.0, 1.0)
    return louder

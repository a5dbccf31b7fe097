"""Where a caller's sentence begins and ends.

    audio   ....click....|  Dzień dobry,  nie świeci   latarnia |.................
    speech       _        ______________  __________   _________
                         ^                                      ^
            SpeechStarted|                                      |     Paused     SpeechEnded
                     |<-->|<->|                                 |<------>|           |
                 pre_roll  min_speech_s                          pause_s             |
                                                                |<------------------>|
                                                            end_silence_s, or as patience says

SpeechStarted comes `min_speech_s` after the first sound and carries the audio from `pre_roll_s`
before it, so that no syllable is lost. Each silence of `pause_s` is told once: whoever finds out
meanwhile what was said sets `patience` for this pause. A shorter pause than that belongs to the
sentence. A sentence longer than `max_speech_s` ends with TooLong. Time is counted in samples fed,
never read from a clock; where a telephone sends nothing in silence, `tick` says for how long.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from ivr.speech.settings import EndpointSettings
from ivr.speech.vad import WINDOW_BYTES, WINDOW_S

BYTES_PER_S = 16000
MAX_TICK_S = 60.0
FAINT = 0.1
"""Probability from which a window just before the first clear one is the sentence's soft onset."""
MAX_ONSET = 25
"""Windows (0.8 s) that an onset may have."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody speaks; `audio` begins `pre_roll_s` before and goes up to now.

    `at_s` is where the first sound is, in seconds of audio since the beginning.
    """

    at_s: float
    audio: bytes


@dataclass(frozen=True, slots=True)
class SpeechAudio:
    """What came next of the sentence, pauses included."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class Paused:
    """The speaker is silent, perhaps only for a moment; the last sound was at `until_s`."""

    until_s: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """The speaker goes on after a pause: what was said so far was not all."""


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The sentence is over: found at `at_s`, its last sound was at `until_s` (seconds of audio)."""

    at_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class TooLong(SpeechEnded):
    """The sentence was cut at its greatest length."""


Event = SpeechStarted | SpeechAudio | Paused | Resumed | SpeechEnded


class Detector(Protocol):
    """What tells speech from the rest: `ivr.speech.vad.VoiceActivity`."""

    def probability(self, window: bytes) -> float:
        """Give the probability of speech in a window of 32 ms."""

    def reset(self) -> None:
        """Forget what was heard."""


class Endpointer:
    """A state machine for one call; pure apart from its detector."""

    def __init__(self, detector: Detector, settings: EndpointSettings | None = None):
        self.settings = settings or EndpointSettings()
        self._detector = detector
        self._need = max(1, round(self.settings.min_speech_s / WINDOW_S))
        self._pre_roll = round(self.settings.pre_roll_s / WINDOW_S)
        self._pending = bytearray()
        self._windows = 0
        self.reset()

    @property
    def now_s(self) -> float:
        """Seconds of audio heard."""
        return self._windows * WINDOW_S

    @property
    def speaking(self) -> bool:
        """Whether a sentence is under way."""
        return self._speaking

    @property
    def pausing(self) -> bool:
        """Whether the speaker has been silent since the last Paused."""
        return self._paused

    def be_patient(self, silence_s: float) -> None:
        """Set how long the pause under way may last before it is the sentence's end."""
        if self._paused:
            self._patience_s = silence_s

    def reset(self) -> None:
        """Begin anew, as after a prompt that must not be heard: nothing before now counts."""
        self._detector.reset()
        self._kept: deque[tuple[bytes, float]] = deque(
            maxlen=self._pre_roll + MAX_ONSET + 8 * self._need
        )
        self._speaking = False
        self._score = self._run = 0
        self._since = self._windows
        self._sound()

    def _sound(self) -> None:
        """Something is heard: the pause, if there was one, is over."""
        self._last_sound = self._windows
        self._paused = False
        self._patience_s = self.settings.end_silence_s

    def feed(self, pcm: bytes) -> list[Event]:
        """Add audio of any length; give what happened, in order."""
        self._pending += pcm
        events: list[Event] = []
        while len(self._pending) >= WINDOW_BYTES:
            window = bytes(self._pending[:WINDOW_BYTES])
            del self._pending[:WINDOW_BYTES]
            probability = self._detector.probability(window)
            self._windows += 1
            if self._speaking:
                self._within(window, probability, events)
            else:
                self._before(window, probability, events)
        return events

    def tick(self, silence_s: float) -> list[Event]:
        """Count time in which no audio came (silence suppression), at most 60 s of it."""
        return self.feed(bytes(2 * round(min(silence_s, MAX_TICK_S) * BYTES_PER_S / 2)))

    def _before(self, window: bytes, probability: float, events: list[Event]) -> None:
        self._kept.append((window, probability))
        if probability >= self.settings.start_threshold:
            if not self._score:
                self._since = self._windows - 1
            self._score += 1
        elif self._score:
            self._score -= 1
        if self._score < self._need:
            return
        self._speaking, self._score, self._run = True, 0, 0
        self._sound()
        kept = list(self._kept)
        first = self._onset(kept, len(kept) - (self._windows - self._since))
        self._since = self._windows - (len(kept) - first)
        audio = b"".join(window for window, _ in kept[max(0, first - self._pre_roll) :])
        self._kept.clear()
        events.append(SpeechStarted(self._since * WINDOW_S, audio))

    @staticmethod
    def _onset(kept: list[tuple[bytes, float]], first: int) -> int:
        """Go back from the first clear window over the faint ones before it, one gap at a time."""
        first = max(first, 0)
        for back in range(first - 1, max(first - MAX_ONSET, 0), -1):
            if kept[back][1] >= FAINT:
                first = back
            elif kept[back - 1][1] < FAINT:
                break
        return first

    def _within(self, window: bytes, probability: float, events: list[Event]) -> None:
        if events and isinstance(events[-1], SpeechAudio):
            events[-1] = SpeechAudio(events[-1].audio + window)
        else:
            events.append(SpeechAudio(window))
        limit = self.settings.start_threshold if self.quiet_s > 0.2 else None
        if probability >= (limit or self.settings.end_threshold):
            self._run += 1
            if limit is None or self._run >= 2:  # one loud window in a pause is a click
                if self._paused:
                    events.append(Resumed())
                self._sound()
        else:
            self._run = 0
        until = self._last_sound * WINDOW_S
        if self.now_s - self._since * WINDOW_S >= self.settings.max_speech_s:
            self._end(TooLong(self.now_s, until), events)
        elif self.quiet_s >= self._patience_s:
            self._end(SpeechEnded(self.now_s, until), events)
        elif not self._paused and self.quiet_s >= self.settings.pause_s:
            self._paused = True
            events.append(Paused(until))

    @property
    def quiet_s(self) -> float:
        """Seconds of audio since the last sound of the sentence."""
        return (self._windows - self._last_sound) * WINDOW_S

    def _end(self, event: SpeechEnded, events: list[Event]) -> None:
        events.append(event)
        self._speaking, self._score, self._run = False, 0, 0
        self._paused = False
        self._kept.clear()

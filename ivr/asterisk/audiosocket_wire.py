"""AudioSocket on the wire: frames to bytes and back. No I/O.

A frame is its kind (1 byte), the length of its payload (2 bytes, big endian) and the payload.
Every sequence of bytes is a sequence of frames, so parsing cannot fail.
"""

from dataclasses import dataclass
from enum import IntEnum

MAX_PAYLOAD_BYTES = 65_535
"""What the length field can say."""


class Kind(IntEnum):
    """The kinds of frames this service knows."""

    HANGUP = 0x00
    """No payload; ends the conversation, from either side."""
    UUID = 0x01
    """16 bytes, the first frame of every connection, from Asterisk."""
    DTMF = 0x03
    """One ASCII character, from Asterisk only: sent by us, it ends the call."""
    AUDIO = 0x10
    """8 kHz, 16-bit little-endian, mono."""
    ERROR = 0xFF
    """One byte of an error code, from Asterisk."""


class AudioSocketError(Exception):
    """Anything that can go wrong with an AudioSocket connection."""


class AudioSocketArgumentError(AudioSocketError, ValueError):
    """What must not be sent."""


class AudioSocketClosedError(AudioSocketError):
    """The connection has ended; nothing can be sent any more."""


class AudioSocketStalledError(AudioSocketError):
    """Asterisk no longer reads what is sent; the connection has been closed."""


class AudioSocketTimeoutError(AudioSocketError, TimeoutError):
    """No connection came with the announced UUID in time."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; `kind` need not be one of `Kind`."""

    kind: int
    payload: bytes = b""

    def encode(self) -> bytes:
        """Return the frame as bytes; raises AudioSocketArgumentError when it cannot be one."""
        if not 0 <= self.kind <= 0xFF:
            raise AudioSocketArgumentError(f"{self.kind} is no kind of frame")
        if len(self.payload) > MAX_PAYLOAD_BYTES:
            raise AudioSocketArgumentError(f"{len(self.payload)} bytes do not fit into a frame")
        return bytes((self.kind,)) + len(self.payload).to_bytes(2, "big") + self.payload


class FrameParser:
    """Bytes in as they arrive, whole frames out."""

    def __init__(self) -> None:
        self._rest = bytearray()

    @property
    def partial(self) -> bool:
        """Whether the bytes so far end inside a frame."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes."""
        self._rest += data
        frames = []
        start = 0
        while len(self._rest) - start >= 3:
            end = start + 3 + int.from_bytes(self._rest[start + 1 : start + 3], "big")
            if end > len(self._rest):
                break
            frames.append(Frame(self._rest[start], bytes(self._rest[start + 3 : end])))
            start = end
        del self._rest[:start]
        return frames

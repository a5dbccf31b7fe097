"""The voice of one call: audio and keys in, audio out."""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from ivr.asterisk.audiosocket_wire import (
    AudioSocketArgumentError,
    AudioSocketClosedError,
    AudioSocketStalledError,
    Frame,
    FrameParser,
    Kind,
)

BYTES_PER_SECOND = 16_000
"""Of 8 kHz, 16-bit mono."""
FRAME_BYTES = 320
"""20 ms of audio, the frame that is sent. Received frames have the length the phone chose."""
SILENCE_LIMIT_S = 2.0
"""Asterisk ends a connection on which nothing was sent either way for so long, as an error."""
MAX_WAITING_KEYS = 4096
"""Keys nobody took; beyond it the peer is no telephone and the connection is ended."""

_UNSENT_BYTES = 10 * FRAME_BYTES


@dataclass(frozen=True, slots=True)
class Audio:
    """Audio of the caller: 8 kHz, 16-bit little-endian mono, any whole number of samples."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class Digit:
    """A key the caller pressed: `0`-`9`, `*`, `#`, `A`-`D`."""

    key: str


EndReason = Literal["hangup", "closed", "reset", "cut", "error", "flood", "ours"]


@dataclass(frozen=True, slots=True)
class Ended:
    """The connection is over.

    `reason`: the peer's hang-up frame, its closing (`cut` when inside a frame), its reset, its
    error frame; `flood` for keys without end; `ours` after our own close.
    """

    reason: EndReason


class AudioSocketConnection:
    """A connection with its UUID known; made by the server.

    - The owner takes what arrives with `receive` or `events`. When it is slow, at most
      `receive_limit_s` seconds of audio wait for it; the oldest is dropped and counted in
      `dropped_bytes`. Keys are never dropped.
    - Whoever sends must go on for as long as the call shall stay here, silence included
      (`SILENCE_LIMIT_S`), at the pace of real time: Asterisk does not pace.
    - A phone that is muted or suppresses silence sends nothing at all: see `since_received_s`.
    """

    def __init__(
        self,
        uuid: UUID,
        writer: asyncio.StreamWriter,
        *,
        write_timeout_s: float,
        receive_limit_s: float,
    ):
        self.uuid = uuid
        self._writer = writer
        self._write_timeout_s = write_timeout_s
        self._receive_limit = int(receive_limit_s * BYTES_PER_SECOND)
        self._waiting: deque[Audio | Digit] = deque()
        self._waiting_bytes = 0
        self._waiting_keys = 0
        self._arrived = asyncio.Event()
        self._over = asyncio.Event()
        self._ended: Ended | None = None
        self._loop = asyncio.get_running_loop()
        self._sent_at = self._received_at = self._loop.time()
        self.dropped_bytes = 0
        self.unknown_frames = 0
        self.odd_frames = 0
        writer.transport.set_write_buffer_limits(high=_UNSENT_BYTES)
        with suppress(OSError):  # the peer may be gone again
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT_BYTES
            )

    @property
    def ended(self) -> Ended | None:
        """How the connection ended; None while it lasts."""
        return self._ended

    @property
    def since_received_s(self) -> float:
        """Seconds since the last audio of the caller (since the beginning, when there is none)."""
        return self._loop.time() - self._received_at

    @property
    def since_sent_s(self) -> float:
        """Seconds since audio was last sent; to be kept well under SILENCE_LIMIT_S."""
        return self._loop.time() - self._sent_at

    async def receive(self) -> Audio | Digit | Ended:
        """Return what came next; after everything, and then always, how the connection ended."""
        while not self._waiting:
            if self._ended is not None:
                return self._ended
            self._arrived.clear()
            await self._arrived.wait()
        event = self._waiting.popleft()
        if isinstance(event, Audio):
            self._waiting_bytes -= len(event.pcm)
        else:
            self._waiting_keys -= 1
        return event

    async def events(self) -> AsyncIterator[Audio | Digit | Ended]:
        """Yield everything that arrives; the last one is the Ended."""
        while not isinstance(event := await self.receive(), Ended):
            yield event
        yield event

    async def send(self, pcm: bytes) -> None:
        """Send audio in frames of 20 ms (the last may be shorter).

        Raises AudioSocketArgumentError for half a sample, AudioSocketClosedError after the end,
        AudioSocketStalledError when Asterisk has not read for `write_timeout_s`.
        """
        if len(pcm) % 2:
            raise AudioSocketArgumentError(f"{len(pcm)} bytes are no whole number of samples")
        for start in range(0, len(pcm), FRAME_BYTES):
            await self._write(Frame(Kind.AUDIO, pcm[start : start + FRAME_BYTES]))

    async def _write(self, frame: Frame) -> None:
        if self._ended is not None or self._writer.is_closing():
            raise AudioSocketClosedError(f"the AudioSocket connection has ended: {self._ended}")
        try:
            async with asyncio.timeout(self._write_timeout_s):
                self._writer.write(frame.encode())
                await self._writer.drain()
        except TimeoutError as error:
            self.close()
            raise AudioSocketStalledError(
                f"Asterisk has not read for {self._write_timeout_s} s; the connection is closed"
            ) from error
        except OSError as error:
            raise AudioSocketClosedError(f"the AudioSocket connection broke: {error}") from error
        self._sent_at = self._loop.time()

    async def hangup(self, *, wait_s: float = 1.0) -> None:
        """Send the hang-up frame, wait up to `wait_s` for Asterisk to close, and close.

        The call goes on with the next AGI command. Does nothing when the connection has ended.
        """
        try:
            await self._write(Frame(Kind.HANGUP))
            async with asyncio.timeout(wait_s):
                await self._over.wait()
        except (AudioSocketClosedError, AudioSocketStalledError, TimeoutError):
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close at once; what was not sent yet is lost. Harmless when repeated."""
        self._end("ours")
        self._writer.transport.abort()

    async def read(
        self, reader: asyncio.StreamReader, parser: FrameParser, first: list[Frame]
    ) -> None:
        """Take in frames until the end; run by the server."""
        try:
            for frame in first:
                self._take(frame)
            while self._ended is None and (data := await reader.read(65_536)):
                for frame in parser.feed(data):
                    self._take(frame)
            self._end("cut" if parser.partial else "closed")
        except OSError:
            self._end("reset")
        finally:
            self._end("ours")

    def _take(self, frame: Frame) -> None:
        if self._ended is not None:
            return
        match frame.kind:
            case Kind.AUDIO:
                self._take_audio(frame.payload)
            case Kind.DTMF:
                self._waiting.append(Digit(frame.payload.decode("ascii", "replace")))
                self._waiting_keys += 1
                self._arrived.set()
                if self._waiting_keys > MAX_WAITING_KEYS:
                    self._end("flood")
            case Kind.HANGUP:
                self._end("hangup")
            case Kind.ERROR:
                self._end("error")
            case _:
                self.unknown_frames += 1

    def _take_audio(self, pcm: bytes) -> None:
        if len(pcm) % 2:
            # Asterisk sends whole samples; carrying the odd byte over would make noise of the rest.
            self.odd_frames += 1
            pcm = pcm[:-1]
        if not pcm:
            return
        self._received_at = self._loop.time()
        self._waiting.append(Audio(pcm))
        self._waiting_bytes += len(pcm)
        self._arrived.set()
        while self._waiting_bytes > self._receive_limit:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        for place, event in enumerate(self._waiting):
            if isinstance(event, Audio):
                del self._waiting[place]
                self._waiting_bytes -= len(event.pcm)
                self.dropped_bytes += len(event.pcm)
                return

    def _end(self, reason: EndReason) -> None:
        if self._ended is None:
            self._ended = Ended(reason)
        self._arrived.set()
        self._over.set()

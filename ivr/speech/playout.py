"""Prompts onto the line at the pace of speech.

    frame k leaves at   begin + k * 20 ms - 40 ms        (absolute, so nothing drifts)

The far end thus holds 40 to 60 ms in hand against our own lateness, and never more. After a late
wake-up the frames missing leave at once; if the far end ran dry meanwhile, the time line begins
anew there instead, so that never more than 60 ms go out together.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol, Self

FRAME_S = 0.02
FRAME_BYTES = 320
LEAD_S = 0.04
"""How long before its turn a frame leaves; with the frame itself 60 ms ahead at most."""
SILENCE = bytes(FRAME_BYTES)

Send = Callable[[bytes], Awaitable[None]]


class Clock(Protocol):
    """Time in seconds that only goes forward, and waiting."""

    def time(self) -> float:
        """Give the time now."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class MonotonicClock:
    """The machine's own."""

    def time(self) -> float:
        """Give the time now."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Pacer:
    """The time line of one connection: says when the next frame may leave."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._begin = clock.time()
        self._sent = 0

    async def turn(self) -> None:
        """Wait until the next frame may leave, and count it as sent."""
        due = self._begin + self._sent * FRAME_S - LEAD_S
        if (early := due - self._clock.time()) > 0:
            await self._clock.sleep(early)
        else:
            await asyncio.sleep(0)  # a burst must not keep other calls waiting
        if (now := self._clock.time()) > self.heard_at():
            self._begin, self._sent = now, 0  # the far end has run dry: a new time line begins
        self._sent += 1

    def heard_at(self) -> float:
        """Give the time at which the last frame sent has been heard to its end."""
        return self._begin + self._sent * FRAME_S


async def play(send: Send, pcm: bytes, *, clock: Clock | None = None) -> None:
    """Send `pcm` in frames of 320 bytes at the pace of speech; ends when it has been heard.

    The last frame is filled with silence. A cancellation stops it before the next frame.
    """
    clock = clock or MonotonicClock()
    pacer = Pacer(clock)
    for at in range(0, len(pcm), FRAME_BYTES):
        await pacer.turn()
        await send(pcm[at : at + FRAME_BYTES].ljust(FRAME_BYTES, b"\0"))
    if (rest := pacer.heard_at() - clock.time()) > 0:
        await clock.sleep(rest)


class Playback:
    """A prompt given to a Player."""

    def __init__(self, pcm: bytes) -> None:
        self._pcm = pcm
        self._at = 0
        self._heard: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    @property
    def finished(self) -> Awaitable[bool]:
        """Await it: True once heard to its end, False if stopped or the line is gone."""
        return asyncio.shield(self._heard)

    @property
    def done(self) -> bool:
        """Whether it is over, one way or the other."""
        return self._heard.done()

    @property
    def played_s(self) -> float:
        """Seconds that have left."""
        return self._at / FRAME_BYTES * FRAME_S

    def _frame(self) -> bytes | None:
        frame = self._pcm[self._at : self._at + FRAME_BYTES]
        self._at += len(frame)
        return frame.ljust(FRAME_BYTES, b"\0") if frame else None

    def _end(self, heard: bool) -> None:
        if not self._heard.done():
            self._heard.set_result(heard)


class Player:
    """The one sender of a connection: prompts in turn, silence between them.

    The silence keeps the connection alive (Asterisk ends an AudioSocket after 2 s without audio)::

        async with Player(connection.send_audio) as player:
            prompt = player.say(store.audio("greeting", "pl"))
            if not await prompt.finished: ...   # somebody spoke into it, player.stop() was called
    """

    def __init__(self, send: Send, *, clock: Clock | None = None):
        self._send = send
        self._clock = clock or MonotonicClock()
        self._queue: deque[Playback] = deque()
        self._leaving: deque[tuple[float, Playback]] = deque()
        self._task: asyncio.Task[None] | None = None
        self.failure: Exception | None = None
        """What `send` raised, if it did: the line is gone, nothing plays any more."""

    async def __aenter__(self) -> Self:
        """Begin to send."""
        self._task = asyncio.create_task(self._run(), name="player")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop and wait for the task."""
        await self.close()

    @property
    def playing(self) -> bool:
        """Whether a prompt is under way or waiting."""
        return bool(self._queue or self._leaving)

    def say(self, *pcm: bytes) -> Playback:
        """Queue audio (pieces are joined) and give its playback."""
        playback = Playback(b"".join(pcm))
        if self._task is None or self._task.done():
            playback._end(False)
        else:
            self._queue.append(playback)
        return playback

    def stop(self) -> None:
        """Stop what plays and all that waits, at once: silence from the next frame on."""
        for playback in [*self._queue, *(p for _, p in self._leaving)]:
            playback._end(False)
        self._queue.clear()
        self._leaving.clear()

    async def close(self) -> None:
        """End the task; what still plays ends as stopped."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.stop()

    async def _run(self) -> None:
        pacer = Pacer(self._clock)
        try:
            while True:
                await pacer.turn()
                await self._send(self._next(pacer))
                while self._leaving and self._leaving[0][0] <= self._clock.time():
                    self._leaving.popleft()[1]._end(True)
        except Exception as error:  # noqa: BLE001, RUF100 - whatever send raises: the line is gone
            self.failure = error
        finally:
            self.stop()

    def _next(self, pacer: Pacer) -> bytes:
        while self._queue:
            if (frame := self._queue[0]._frame()) is not None:
                return frame
            self._leaving.append((pacer.heard_at() - FRAME_S, self._queue.popleft()))
        return SILENCE

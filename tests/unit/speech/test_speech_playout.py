import asyncio
import time

import pytest

from ivr.speech.playout import FRAME_BYTES, FRAME_S, SILENCE, Player, play

JITTER_S = 0.002
"""Between the player's look at the clock and the test's."""
PROMPT = bytes(range(1, 65)) * 5


class FakeClock:
    """Time that passes only in `sleep`, with a lateness of its own for some sleeps."""

    def __init__(self, lateness: dict[int, float] | None = None) -> None:
        self.now, self.sleeps, self.lateness = 100.0, 0, lateness or {}

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        self.now += seconds + self.lateness.get(self.sleeps, 0)
        await asyncio.sleep(0)


class Line:
    """Notes when each frame was sent, and how far ahead of the far end's ear it was then."""

    def __init__(self, time_of) -> None:  # type: ignore[no-untyped-def]
        self.time_of, self.at, self.frames, self.ahead = time_of, [], [], []
        self.heard_to = 0.0

    async def send(self, frame: bytes) -> None:
        now = self.time_of()
        self.heard_to = max(self.heard_to, now) + FRAME_S
        self.at.append(now)
        self.frames.append(frame)
        self.ahead.append(self.heard_to - now)


async def test_pace_is_exact_without_drift() -> None:
    clock = FakeClock()
    line = Line(clock.time)
    await play(line.send, PROMPT * 500, clock=clock)
    assert b"".join(line.frames) == PROMPT * 500
    assert max(line.ahead) <= 0.06 + 1e-9
    assert line.at[499] - line.at[0] == pytest.approx(499 * FRAME_S - 0.04)
    assert clock.now - 100 == pytest.approx(10.0)


@pytest.mark.parametrize("late", [0.015, 0.035, 0.05, 0.2, 3.0])
async def test_a_late_wake_up_is_made_good_without_a_burst(late: float) -> None:
    clock = FakeClock({50: late, 120: late})
    line = Line(clock.time)
    await play(line.send, PROMPT * 300, clock=clock)
    assert max(line.ahead) <= 0.06 + 1e-9
    together = max(line.at.count(moment) for moment in line.at)
    assert together <= 3
    lost = 2 * max(0, late - 0.04)  # what the far end missed while it had run dry
    assert clock.now - 100 == pytest.approx(6.0 + lost, abs=2 * FRAME_S)


async def test_measured_pace_on_this_machine() -> None:
    line = Line(time.monotonic)
    began = time.monotonic()
    await play(line.send, PROMPT * 100)
    took = time.monotonic() - began
    assert max(line.ahead) <= 0.06 + JITTER_S
    assert took == pytest.approx(2.0, abs=0.1)


async def test_a_short_end_is_filled_and_nothing_is_nothing() -> None:
    line = Line(time.monotonic)
    await play(line.send, b"\1" * 330)
    assert line.frames == [b"\1" * 320, b"\1" * 10 + bytes(310)]
    await play(line.send, b"")
    assert len(line.frames) == 2


async def test_cancelling_stops_before_the_next_frame() -> None:
    line = Line(time.monotonic)
    task = asyncio.create_task(play(line.send, PROMPT * 500))
    while len(line.frames) < 10:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(line.frames) == 10


async def test_player_plays_in_turn_with_silence_around() -> None:
    clock = FakeClock()
    line = Line(clock.time)
    async with Player(line.send, clock=clock) as player:
        while len(line.frames) < 5:
            await asyncio.sleep(0)
        one, two = player.say(b"\1" * 640), player.say(b"\2" * 320, b"\3" * 320)
        assert player.playing
        assert await one.finished
        assert await two.finished
        assert not player.playing
        while line.frames[-1] != SILENCE:
            await asyncio.sleep(0)
    spoken = [frame[:1] for frame in line.frames if frame != SILENCE]
    assert spoken == [b"\1", b"\1", b"\2", b"\3"]
    first = next(i for i, f in enumerate(line.frames) if f != SILENCE)
    assert first >= 5
    assert all(f != SILENCE for f in line.frames[first : first + 4])
    assert max(line.ahead) <= 0.06 + 1e-9


async def test_finished_means_heard() -> None:
    line = Line(time.monotonic)
    async with Player(line.send) as player:
        began = time.monotonic()
        assert await player.say(PROMPT * 25).finished
        assert time.monotonic() - began >= 0.5


async def test_stop_is_at_once_and_frees_the_queue() -> None:
    line = Line(time.monotonic)
    async with Player(line.send) as player:
        one, two = player.say(PROMPT * 500), player.say(PROMPT * 500)
        while PROMPT not in line.frames:
            await asyncio.sleep(0)
        sent = len(line.frames)
        player.stop()
        assert not await one.finished
        assert not await two.finished
        assert 0 < one.played_s < 0.1
        while len(line.frames) < sent + 5:
            await asyncio.sleep(0)
        assert line.frames[sent:][:5] == [SILENCE] * 5
        three = player.say(b"\7" * FRAME_BYTES)
        assert await three.finished


async def test_a_line_that_is_gone_ends_all_that_waits() -> None:
    async def broken(frame: bytes) -> None:
        if frame != SILENCE:
            raise ConnectionResetError("gone")

    async with Player(broken) as player:
        assert not await asyncio.wait_for(player.say(PROMPT).finished, 2)
        assert isinstance(player.failure, ConnectionResetError)
        assert player.say(PROMPT).done


async def test_closing_ends_what_plays() -> None:
    line = Line(time.monotonic)
    player = Player(line.send)
    async with player:
        prompt = player.say(PROMPT * 500)
    assert not await prompt.finished


async def test_somebody_who_stops_waiting_does_not_stop_the_prompt() -> None:
    line = Line(time.monotonic)
    async with Player(line.send) as player:
        prompt = player.say(PROMPT * 10)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(prompt.finished, 0.02)
        assert await prompt.finished


async def test_a_hundred_and_twenty_players_keep_the_pace() -> None:
    lines = [Line(time.monotonic) for _ in range(120)]
    began, cpu = time.monotonic(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for line in lines:
            group.create_task(play(line.send, PROMPT * 50))
    assert time.monotonic() - began < 1.5
    assert time.process_time() - cpu < 1.0
    assert max(max(line.ahead) for line in lines) <= 0.06 + JITTER_S

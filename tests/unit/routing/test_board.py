"""The board against a real Redis: every change is atomic, nothing sticks for ever."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from routing_data import call

from ivr.processes import Server
from ivr.routing.board import Board, BoardDownError

PEOPLE = [f"{n}" for n in range(101, 121)]
ROOT = Path(__file__).parents[3]


Boards = Callable[..., Awaitable[Board]]


@pytest.fixture
async def boards(redis_server: tuple[Server, str]) -> AsyncIterator[Boards]:
    async with AsyncExitStack() as stack:

        async def make(owner: str, node: str = "a") -> Board:
            board = Board(redis_server[1], owner, timeout_s=0.5, node=node)
            stack.push_async_callback(board.close)
            await board.heartbeat(60)
            return board

        yield make


async def until(what: Callable[[], Awaitable[bool]], within: float = 5) -> None:
    async with asyncio.timeout(within):
        while not await what():
            await asyncio.sleep(0.01)


async def test_a_telephone_brings_its_consultant_to_the_board(
    boards: Boards,
) -> None:
    board = await boards("a")
    state = (await board.snapshot(["101"])).consultants["101"]
    assert (state.state, state.device, state.free) == ("offline", "unavailable", False)
    assert await board.set_device("101", "idle")
    assert not await board.set_device("101", "idle"), "nothing has changed"
    seen = (await board.snapshot(["101"])).consultants["101"]
    assert (seen.state, seen.device, seen.free) == ("available", "idle", True)
    assert await board.set_device("101", "busy")
    busy = (await board.snapshot(["101"])).consultants["101"]
    assert (busy.state, busy.free, busy.since) == ("available", False, seen.since)
    await board.set_device("101", "unavailable")
    await board.set_device("101", "idle")
    assert (await board.snapshot(["101"])).consultants["101"].since > seen.since


async def test_who_is_paused_stays_so_when_the_telephone_comes_back(
    boards: Boards,
) -> None:
    board = await boards("a")
    await board.set_device("101", "idle")
    await board.move("101", "paused", reason="break")
    await board.set_device("101", "unavailable")
    await board.set_device("101", "idle")
    state = (await board.snapshot(["101"])).consultants["101"]
    assert (state.state, state.reason, state.free) == ("paused", "break", False)


async def test_an_offer_needs_a_waiting_caller_and_a_free_consultant(
    boards: Boards,
) -> None:
    board = await boards("a")
    assert not await board.offer("nobody", "101", 5)
    await board.join(call("c1"))
    await board.join(call("c2"))
    assert not await board.offer("c1", "101", 5), "not on the board yet"
    await board.set_device("101", "busy")
    assert not await board.offer("c1", "101", 5), "talks"
    await board.set_device("101", "idle")
    assert await board.offer("c1", "101", 5)
    assert not await board.offer("c2", "101", 5), "reserved"
    await board.set_device("102", "idle")
    assert not await board.offer("c1", "102", 5), "has an offer"
    snapshot = await board.snapshot(["101", "102"])
    assert snapshot.offered == {"c1": "101"}
    assert (snapshot.consultants["101"].state, snapshot.consultants["101"].call) == (
        "reserved", "c1",
    )  # fmt: skip
    await board.leave("c1")
    assert not await board.offer("c1", "102", 5), "has left"


async def test_a_move_is_compare_and_set(boards: Boards) -> None:
    board = await boards("a")
    await board.set_device("101", "idle")
    await board.join(call("c1"))
    await board.offer("c1", "101", 5)
    assert not await board.move("101", "ringing", call="c2", expected=("reserved",))
    assert not await board.move("101", "ringing", call="c1", expected=("talking", "available"))
    assert await board.move(
        "101", "ringing", call="c1", expected=("reserved",), lease_s=5, keep_call=True
    )
    assert (await board.snapshot(["101"])).offered == {"c1": "101"}
    assert await board.move("101", "paused", call="c1", reason="no_answer")
    snapshot = await board.snapshot(["101"])
    assert snapshot.offered == {}, "the caller may be offered again"
    assert snapshot.consultants["101"].call == ""
    assert snapshot.consultants["101"].lease is None
    assert [c.id for c in snapshot.waiting] == ["c1"], "and keeps the place"


async def test_of_many_moves_from_one_state_one_wins(boards: Boards) -> None:
    both = [await boards("a"), await boards("b")]
    await both[0].set_device("101", "idle")
    wins = await asyncio.gather(
        *(
            both[i % 2].move("101", "paused", expected=("available",), reason=str(i))
            for i in range(50)
        )
    )
    assert sum(wins) == 1


async def test_giving_back_an_old_call_does_not_take_the_new_offer(
    boards: Boards,
) -> None:
    board = await boards("a")
    for name in ("101", "102"):
        await board.set_device(name, "idle")
    await board.join(call("c1"))
    await board.offer("c1", "101", 5)
    await board.withdraw_offer("c1")
    assert await board.offer("c1", "102", 5)
    await board.move("101", "available", call="c1", expected=("reserved",))
    assert (await board.snapshot(PEOPLE)).offered == {"c1": "102"}


RACER = """
import asyncio, json, sys
from ivr.routing.board import Board

async def main(url, owner, seed):
    board = Board(url, owner, timeout_s=5)
    calls = [f"c{i}" for i in range(20)]
    people = [str(n) for n in range(101, 121)]
    await board.heartbeat(30)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    async def one(i, j):
        call, consultant = calls[i], people[(i * seed + j) % 20]
        return (call, consultant) if await board.offer(call, consultant, 30) else None
    won = []
    for j in range(20):
        won += [x for x in await asyncio.gather(*(one(i, j) for i in range(20))) if x]
    print(json.dumps(won), flush=True)
    await board.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def test_two_processes_race_for_twenty_callers_and_nobody_is_doubled(
    redis_server: tuple[Server, str], boards: Boards
) -> None:
    board = await boards("judge")
    for i in range(20):
        await board.join(call(f"c{i}"))
    for name in PEOPLE:
        await board.set_device(name, "idle")
    racers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", RACER, redis_server[1], owner, seed, cwd=ROOT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for owner, seed in (("a", "1"), ("b", "7"))
    ]  # fmt: skip
    try:
        async with asyncio.timeout(60):
            for racer in racers:
                assert racer.stdout
                assert await racer.stdout.readline() == b"ready\n"
            outputs = await asyncio.gather(*(racer.communicate(b"go\n") for racer in racers))
    finally:
        for racer in racers:
            if racer.returncode is None:
                racer.kill()
                await racer.wait()
    won = [tuple(pair) for out, _ in outputs for pair in json.loads(out)]
    assert len({c for c, _ in won}) == len(won)
    assert len({p for _, p in won}) == len(won)
    snapshot = await board.snapshot(PEOPLE)
    assert snapshot.offered == dict(won)
    for caller, consultant in won:
        state = snapshot.consultants[consultant]
        assert (state.state, state.call) == ("reserved", caller)
    assert len(won) == 20, "everybody was tried with everybody"


async def test_a_reservation_nobody_renews_is_over(boards: Boards) -> None:
    board = await boards("a")
    await board.set_device("101", "idle")
    await board.join(call("c1"))
    await board.offer("c1", "101", 0.05)
    assert await board.expire("101") in ("", "reserved")

    async def free() -> bool:
        await board.expire("101")
        return (await board.snapshot(["101"])).consultants["101"].free

    await until(free)
    assert (await board.snapshot(["101"])).offered == {}
    assert await board.offer("c1", "101", 5), "and may be offered again"


async def test_a_lease_that_runs_is_left_alone(boards: Boards) -> None:
    board = await boards("a")
    await board.set_device("101", "idle")
    await board.join(call("c1"))
    await board.offer("c1", "101", 30)
    assert await board.expire("101") == ""
    assert (await board.snapshot(["101"])).consultants["101"].state == "reserved"
    await board.move("101", "paused")
    assert await board.expire("101") == "", "a pause has no end of its own"


async def test_who_still_talks_in_asterisk_is_not_freed(boards: Boards) -> None:
    board = await boards("a")
    await board.set_device("101", "idle")
    await board.join(call("c1"))
    await board.offer("c1", "101", 0.02)
    await board.set_device("101", "busy")

    async def talking() -> bool:
        assert await board.expire("101") == ""
        return (await board.snapshot(["101"])).consultants["101"].state == "talking"

    await until(talking)
    assert (await board.snapshot(["101"])).consultants["101"].lease


async def test_wrap_up_ends_by_time_even_while_the_telephone_is_busy(
    boards: Boards,
) -> None:
    board = await boards("a")
    await board.set_device("101", "busy")
    await board.move("101", "wrap_up", lease_s=0.05)

    async def over() -> bool:
        await board.expire("101")
        return (await board.snapshot(["101"])).consultants["101"].state == "available"

    await until(over)


async def test_a_renewal_keeps_since_and_moves_the_lease(boards: Boards) -> None:
    board = await boards("a")
    await board.set_device("101", "idle")
    await board.move("101", "talking", lease_s=1)
    before = (await board.snapshot(["101"])).consultants["101"]
    await board.move("101", "talking", lease_s=60, renew=True)
    after = (await board.snapshot(["101"])).consultants["101"]
    assert after.since == before.since
    assert (after.lease or 0) > (before.lease or 0) + 30


async def test_the_callers_of_a_dead_process_are_dropped(boards: Boards) -> None:
    alive, dying = await boards("alive"), await boards("dying")
    await dying.heartbeat(0.3)
    await alive.heartbeat(30)
    await dying.join(call("theirs"))
    await alive.join(call("ours"))
    assert set((await alive.snapshot([])).owners) == {"ours", "theirs"}

    async def dropped() -> bool:
        return set((await alive.snapshot([])).owners) == {"ours"}

    await until(dropped)
    assert [c.id for c in (await dying.snapshot([])).waiting] == ["ours"]


async def test_changes_are_told_to_every_process(boards: Boards) -> None:
    here, there = await boards("a"), await boards("b")
    changes = there.changes()
    async with asyncio.timeout(5):
        await anext(changes)  # listens from here on
        await here.join(call("c1"))
        await anext(changes)
        await here.set_device("101", "idle")
        await anext(changes)
    await changes.aclose()  # type: ignore[attr-defined]


async def test_without_redis_everything_says_so_at_once(
    redis_server: tuple[Server, str], boards: Boards
) -> None:
    server, _ = redis_server
    board = await boards("a")
    await board.join(call("c1"))
    server.kill()
    await server.wait()
    for work in (
        board.now, lambda: board.heartbeat(1), lambda: board.join(call("x")),
        lambda: board.leave("x"), lambda: board.withdraw_offer("x"),
        lambda: board.offer("c1", "101", 1), lambda: board.move("101", "paused"),
        lambda: board.set_device("101", "idle"), lambda: board.expire("101"),
        lambda: board.snapshot(["101"]), lambda: anext(board.changes()),
    ):  # fmt: skip
        began = time.monotonic()
        with pytest.raises(BoardDownError):
            await work()
        assert time.monotonic() - began < 1
    await server.start()
    assert (await board.snapshot([])).waiting == ()
    await board.join(call("c1"))
    assert [c.id for c in (await board.snapshot([])).waiting] == ["c1"]


async def test_a_redis_that_hangs_is_away_within_the_timeout(
    redis_server: tuple[Server, str], boards: Boards
) -> None:
    server, _ = redis_server
    board = await boards("a")
    await board.now()
    server.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(BoardDownError):
            await board.now()
        assert time.monotonic() - began < 1.5
    finally:
        server.signal(signal.SIGCONT)
    assert await board.now() > 0


async def test_connections_from_before_redis_died_do_no_harm_after_it_is_back(
    boards: Boards, redis_server: tuple[Server, str]
) -> None:
    server, board = redis_server[0], await boards("a")
    await asyncio.gather(*(board.now() for _ in range(6)))  # as many connections
    server.kill()
    await server.wait()
    with pytest.raises(BoardDownError):
        await board.now()
    await server.stop()
    await server.start()
    waiting = [call(f"c{n}") for n in range(6)]
    await asyncio.gather(*(board.join(one) for one in waiting))
    assert len((await board.snapshot([])).waiting) == 6

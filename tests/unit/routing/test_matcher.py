"""Matching against a real Redis: tickets, several processes, Redis gone and back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from routing_data import call

from ivr.processes import Server
from ivr.routing.board import Board, BoardDownError
from ivr.routing.matcher import Matcher
from ivr.routing.plan import Offer, WaitingCall
from ivr.routing.skills import Consultant, Routing, Step
from ivr.routing.snapshot import Snapshot
from ivr.routing.staff import Staff

PEOPLE = {
    n: Consultant(id=n, name=f"C {n}", languages={"pl": 5}, skills={"roads": 5})
    for n in ("101", "102", "103")
}
ROUTING = Routing({"normal": 3}, (Step(level=0),), {})
RELAXING = Routing({"normal": 3}, (Step(for_s=1, level=5), Step(level=0)), {})

Start = Callable[..., "Awaitable[tuple[Matcher, Board]]"]


class Process:
    """One service's part: a board and a matcher that runs."""

    def __init__(self, url: str, owner: str, routing: Routing = ROUTING):
        self.problems: list[Exception] = []
        self.back = 0
        self.board = Board(url, owner, timeout_s=0.5)
        self.matcher = Matcher(
            self.board, Staff(PEOPLE.values(), routing), lease_s=5,
            on_problem=self.problems.append, on_back=self._is_back,
        )  # fmt: skip

    def _is_back(self) -> None:
        self.back += 1

    async def see(self) -> Snapshot:
        return await self.board.snapshot(list(PEOPLE))


@asynccontextmanager
async def process(url: str, owner: str, routing: Routing = ROUTING) -> AsyncIterator[Process]:
    one = Process(url, owner, routing)
    running = asyncio.create_task(one.matcher.run())
    try:
        await until(lambda: one.matcher.healthy)
        yield one
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await one.board.close()


async def until(what: Callable[[], object], within: float = 10) -> None:
    async with asyncio.timeout(within):
        while True:
            found = what()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.01)


async def offer_of(one: Process, waiting: WaitingCall) -> Offer:
    async with one.matcher.ticket(waiting) as ticket, asyncio.timeout(5):
        return await ticket.offer()


async def now_call(one: Process, name: str, topic: str = "roads", priority: int = 3) -> WaitingCall:
    now = await one.board.now()
    return WaitingCall(name, topic, "pl", priority, now, now)


async def test_a_caller_is_offered_whoever_becomes_free(redis_server: tuple[Server, str]) -> None:
    async with process(redis_server[1], "a") as one:
        waiting = await now_call(one, "c1")
        async with one.matcher.ticket(waiting) as ticket:
            assert one.matcher.waiting == 1
            await one.board.set_device("102", "idle")
            async with asyncio.timeout(0.9):  # by the change itself, not by the next tick
                offer = await ticket.offer()
            assert (offer.call, offer.consultant) == ("c1", "102")
            assert (await one.see()).consultants["102"].state == "reserved"
            await one.matcher.release(offer)
        assert one.matcher.waiting == 0
        assert (await one.see()).waiting == ()
        assert (await one.see()).consultants["102"].free


async def test_an_offer_nobody_waits_for_any_more_is_given_back(
    redis_server: tuple[Server, str],
) -> None:
    async with process(redis_server[1], "a") as one:
        await one.board.set_device("101", "idle")

        async def reserved() -> bool:
            return (await one.see()).consultants["101"].state == "reserved"

        async with one.matcher.ticket(await now_call(one, "c1")):
            await until(reserved)
        state = await one.see()
        assert state.consultants["101"].free
        assert state.consultants["101"].call == ""
        assert not state.offered
        assert not state.waiting


async def test_leaving_at_any_moment_leaves_nobody_reserved(
    redis_server: tuple[Server, str],
) -> None:
    async with process(redis_server[1], "a") as one:
        await one.board.set_device("101", "idle")
        for steps in range(40):  # each caller leaves after another number of turns of the loop
            async with one.matcher.ticket(await now_call(one, f"c{steps}")):
                for _ in range(steps):
                    await asyncio.sleep(0)

        async def free() -> bool:
            state = await one.see()
            return state.consultants["101"].free and not state.offered and not state.waiting

        await until(free, 4)  # less than the lease: nothing is left for time to mend


async def test_two_processes_serve_each_other_s_order(redis_server: tuple[Server, str]) -> None:
    url = redis_server[1]
    async with process(url, "a") as one, process(url, "b") as two:
        first, second = await now_call(one, "c1"), await now_call(two, "c2")
        async with two.matcher.ticket(second) as behind, one.matcher.ticket(first) as ahead:
            await until(lambda: two.matcher.snapshot and len(two.matcher.snapshot.waiting) == 2)
            await one.board.set_device("101", "idle")
            async with asyncio.timeout(5):
                assert (await ahead.offer()).consultant == "101"
            await one.board.set_device("102", "idle")
            async with asyncio.timeout(5):
                assert (await behind.offer()).consultant == "102"
            offered = (await one.see()).offered
    assert offered == {"c1": "101", "c2": "102"}


async def test_many_callers_of_two_processes_get_different_consultants(
    redis_server: tuple[Server, str],
) -> None:
    url = redis_server[1]
    async with process(url, "a") as one, process(url, "b") as two:
        served: list[str] = []

        async def serve(at: Process, name: str) -> None:
            async with at.matcher.ticket(await now_call(at, name)) as ticket:
                offer = await ticket.offer()
                moved = await at.board.move(
                    offer.consultant, "talking", call=name, expected=("reserved",), lease_s=5
                )
                assert moved, "the reservation is really ours"
                served.append(name)
                await at.board.move(offer.consultant, "available", expected=("talking",))

        for name in PEOPLE:
            await one.board.set_device(name, "idle")
        async with asyncio.timeout(30):
            await asyncio.gather(*(serve((one, two)[i % 2], f"c{i}") for i in range(30)))
        assert sorted(served) == sorted(f"c{i}" for i in range(30))
        state = await one.see()
        assert all(c.free for c in state.consultants.values())
        assert not state.waiting
        assert not state.offered


async def test_a_step_relaxes_without_any_change_on_the_board(
    redis_server: tuple[Server, str],
) -> None:
    async with process(redis_server[1], "a", RELAXING) as one:
        await one.board.set_device("101", "idle")
        waiting = await now_call(one, "c1", "waste")
        async with one.matcher.ticket(waiting) as ticket, asyncio.timeout(4):
            offer = await ticket.offer()
        assert offer.step == 1
        assert offer.level == 0


async def test_wrap_up_ends_by_itself_and_the_next_caller_is_served(
    redis_server: tuple[Server, str],
) -> None:
    async with process(redis_server[1], "a") as one:
        await one.board.set_device("101", "idle")
        await one.board.move("101", "wrap_up", lease_s=0.2)
        assert (await offer_of(one, await now_call(one, "c1"))).consultant == "101"


async def test_without_redis_callers_are_told_and_new_ones_refused(
    redis_server: tuple[Server, str],
) -> None:
    server, url = redis_server
    async with process(url, "a") as one:
        waiting = await now_call(one, "c1")
        loop = asyncio.get_running_loop()
        async with one.matcher.ticket(waiting) as ticket:
            server.kill()
            began = loop.time()
            with pytest.raises(BoardDownError):
                async with asyncio.timeout(5):
                    await ticket.offer()
            assert loop.time() - began < 2.5
        assert not one.matcher.healthy
        assert len(one.problems) == 1, "said once, not at every attempt"
        with pytest.raises(BoardDownError):
            async with one.matcher.ticket(call("c2")):
                pytest.fail("no place without a board")
        assert one.matcher.waiting == 0
        await server.stop()
        await server.start()
        await until(lambda: one.matcher.healthy)
        assert one.back == 2
        await one.board.set_device("103", "idle")
        assert (await offer_of(one, await now_call(one, "c3"))).consultant == "103"


async def test_a_redis_without_its_memory_gets_the_callers_again(
    redis_server: tuple[Server, str],
) -> None:
    _, url = redis_server
    async with process(url, "a") as one:
        waiting = await now_call(one, "c1")
        async with one.matcher.ticket(waiting) as ticket:
            await one.board._redis.flushall()

            async def again() -> bool:
                return list((await one.see()).waiting) == [waiting]

            await until(again, 4)
            await one.board.set_device("101", "idle")
            async with asyncio.timeout(5):
                assert (await ticket.offer()).consultant == "101"


async def test_a_dead_process_leaves_its_reservation_to_the_lease(
    redis_server: tuple[Server, str],
) -> None:
    url = redis_server[1]
    gone = Process(url, "gone")
    await gone.board.heartbeat(0.3)
    await gone.board.set_device("101", "idle")
    await gone.board.join(await now_call(gone, "theirs"))
    assert await gone.board.offer("theirs", "101", 0.5)
    await gone.board.close()
    async with process(url, "a") as one:

        async def dropped() -> bool:
            await one.board.expire("101")  # the reconciler's part
            state = await one.see()
            return state.consultants["101"].free and not state.waiting and not state.offered

        await until(dropped)
        assert (await offer_of(one, await now_call(one, "c1"))).consultant == "101"

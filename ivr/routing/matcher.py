"""One process's part in the matching: watches the board and commits its own callers' offers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ivr.routing.board import Board, BoardDownError, Snapshot
from ivr.routing.plan import Offer, WaitingCall, order, plan
from ivr.routing.staff import Floor, Staff

TICK_S = 1.0
"""The board is looked at this often even when nothing changes: steps expire, Redis may be gone."""
HEARTBEAT_TTL_S = 5.0
RETRY_S = 0.5


class Ticket:
    """A caller's place on the board."""

    def __init__(self, call: WaitingCall):
        self.call = call
        self.ahead = 0
        """Callers who are served before this one."""
        self._offers: asyncio.Queue[Offer | BoardDownError] = asyncio.Queue()

    async def offer(self) -> Offer:
        """Wait for a consultant; BoardDownError when the board is gone."""
        offer = await self._offers.get()
        if isinstance(offer, BoardDownError):
            raise offer
        return offer

    def left_over(self) -> list[Offer]:
        """Take the offers nobody waited for any more."""
        found = []
        while not self._offers.empty():
            if isinstance(offer := self._offers.get_nowait(), Offer):
                found.append(offer)
        return found

    def put(self, offer: Offer | BoardDownError) -> None:
        """Hand over what the matcher has decided."""
        self._offers.put_nowait(offer)


class Matcher:
    """Matches while `run` runs. `healthy` tells whether the board could be read lately."""

    def __init__(
        self,
        board: Board,
        staff: Staff,
        *,
        lease_s: float,
        on_problem: Callable[[Exception], None],
        on_back: Callable[[], None] = lambda: None,
    ):
        self.board, self.staff = board, staff
        self._lease_s = lease_s
        self._on_problem, self._on_back = on_problem, on_back
        self._tickets: dict[str, Ticket] = {}
        self._wake = asyncio.Event()
        self.healthy = False
        self.snapshot: Snapshot | None = None

    @property
    def waiting(self) -> int:
        """Callers of this process on the board."""
        return len(self._tickets)

    @asynccontextmanager
    async def ticket(self, call: WaitingCall) -> AsyncIterator[Ticket]:
        """A place on the board, given up at the end; BoardDownError when there is no board."""
        if not self.healthy:
            raise BoardDownError("Redis is away")
        ticket = self._tickets[call.id] = Ticket(call)
        try:
            await self.board.join(call)
            self._wake.set()
            yield ticket
        finally:
            self._tickets.pop(call.id, None)
            try:
                for offer in ticket.left_over():
                    await self.release(offer)
                await self.board.leave(call.id)
            except BoardDownError as error:
                self._lost(error)

    async def run(self) -> None:
        """Match for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            while True:
                try:
                    await self.board.heartbeat(HEARTBEAT_TTL_S)
                    await self._match()
                    self._found()
                except BoardDownError as error:
                    self._lost(error)
                try:
                    async with asyncio.timeout(self._next_look_s()):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()

    def _next_look_s(self) -> float:
        """Seconds until something changes by time alone."""
        if not self.healthy or self.snapshot is None:
            return RETRY_S
        ends = [
            state.lease - self.snapshot.now
            for state in self.snapshot.consultants.values()
            if state.state == "wrap_up" and state.lease
        ]
        return max(0.01, min([TICK_S, *ends]))

    def wake(self) -> None:
        """Look at the board now."""
        self._wake.set()

    async def _listen(self) -> None:
        while True:
            try:
                async for _ in self.board.changes():
                    self._wake.set()
            except BoardDownError:
                self._wake.set()
            await asyncio.sleep(RETRY_S)

    async def _match(self) -> None:
        staff = self.staff
        snapshot = await self.board.snapshot(staff.ids)
        self.snapshot = snapshot
        for state in snapshot.consultants.values():
            if state.state == "wrap_up" and state.lease and state.lease <= snapshot.now:
                await self.board.expire(state.id, busy=False)
        for ticket in list(self._tickets.values()):
            if ticket.call.id not in snapshot.owners:  # Redis came back without its memory
                await self.board.join(ticket.call)
        ghosts = {  # who left while being joined again would stand before others for ever
            name
            for name, owner in snapshot.owners.items()
            if owner == self.board.owner and name not in self._tickets
        }
        for name in ghosts:
            await self.board.leave(name)
        waiting = [
            call
            for call in snapshot.waiting
            if call.id not in snapshot.offered and call.id not in ghosts
        ]
        for position, call in enumerate(order(waiting)):
            if mine := self._tickets.get(call.id):
                mine.ahead = position
        for offer in plan(waiting, _floor(staff, snapshot), snapshot.now):
            wanted = self._tickets.get(offer.call)
            if wanted and await self.board.offer(offer.call, offer.consultant, self._lease_s):
                if self._tickets.get(offer.call) is wanted:
                    wanted.put(offer)
                else:  # the caller left while the offer was being committed
                    await self.release(offer)

    async def release(self, offer: Offer) -> None:
        """Give a reserved consultant back, whose caller is gone."""
        await self.board.move(
            offer.consultant, "available", call=offer.call, expected=("reserved", "ringing")
        )

    def _found(self) -> None:
        if not self.healthy:
            self.healthy = True
            self._on_back()

    def _lost(self, error: BoardDownError) -> None:
        if self.healthy:
            self._on_problem(error)
        self.healthy = False
        for ticket in self._tickets.values():
            ticket.put(error)


def _floor(staff: Staff, snapshot: Snapshot) -> Floor:
    states = snapshot.consultants.values()
    return Floor.of(
        staff,
        {state.id: state.since for state in states if state.free},
        [state.id for state in states if state.on_duty],
    )

"""One process's part in the matching: watches the board and commits its own callers' offers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ivr.routing.board import Board, BoardDownError, BoardVersionError
from ivr.routing.callback import Callback
from ivr.routing.plan import Offer, WaitingCall, plan
from ivr.routing.snapshot import Snapshot
from ivr.routing.staff import Floor, Staff

TICK_S = 1.0
"""The board is looked at this often even when nothing changes: steps expire, Redis may be gone."""
HEARTBEAT_TTL_S = 5.0
RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class StepBegun:
    """A step of a caller's waiting that begins without an offer; kept in the case."""

    step: int
    asks: dict[str, object]
    able: dict[str, str]
    """What everybody does whom this step lets answer."""


class Ticket:
    """A caller's place on the board."""

    def __init__(self, call: WaitingCall):
        self.call = call
        self.offered: Offer | None = None
        """The offer that is being served: no other one is made meanwhile."""
        self.steps: asyncio.Queue[StepBegun] = asyncio.Queue()
        self._step = -1
        self._offers: asyncio.Queue[Offer | BoardDownError] = asyncio.Queue()

    def note_step(self, step: int, describe: Callable[[], StepBegun]) -> None:
        """Tell of a step the first time it is seen."""
        if step != self._step:
            self._step = step
            self.steps.put_nowait(describe())

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
        if isinstance(offer, Offer):
            self.offered = offer
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
        on_callback: Callable[[Offer, Callback], None] | None = None,
        sees_telephones: Callable[[], bool] = lambda: True,
    ):
        self.board, self.staff = board, staff
        self._lease_s = lease_s
        self._on_problem, self._on_back = on_problem, on_back
        self._on_callback, self._sees_telephones = on_callback, sees_telephones
        self._tickets: dict[str, Ticket] = {}
        self._wake = asyncio.Event()
        self._told = ""
        self.healthy = False
        self.snapshot: Snapshot | None = None

    @property
    def waiting(self) -> int:
        """Callers of this process on the board."""
        return len(self._tickets)

    @asynccontextmanager
    async def ticket(self, call: WaitingCall, offer: Offer | None = None) -> AsyncIterator[Ticket]:
        """A place on the board, given up at the end; BoardDownError when there is no board.

        `offer`: one that this caller has already.
        """
        if not self.healthy:
            raise BoardDownError("Redis is away")
        ticket = self._tickets[call.id] = Ticket(call)
        ticket.offered = offer
        try:
            await self.board.join(call)
            self._wake.set()
            yield ticket
        finally:
            self._tickets.pop(call.id, None)
            try:
                for unread in ticket.left_over():
                    await self.release(unread)
                await self.board.leave(call.id)
            except BoardDownError as error:
                self._lost(error)

    async def run(self) -> None:
        """Match for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            while True:
                try:
                    if not self.healthy:
                        await self.board.adopt(self.staff.ids)
                    await self.board.heartbeat(HEARTBEAT_TTL_S, telephones=self._sees_telephones())
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
        await self._mend(snapshot)
        ghosts = {  # who left while being joined again would stand before others for ever
            name
            for name, owner in snapshot.owners.items()
            if owner == self.board.owner and name not in self._tickets
        }
        for name in ghosts:
            await self.board.leave(name)
        served = {name for name, ticket in self._tickets.items() if ticket.offered}
        waiting = unoffered(snapshot, ghosts | served, callbacks=self._dials)
        floor = floor_of(staff, snapshot)
        offers = plan(waiting, floor, snapshot.now)
        for offer in offers:
            if callback := snapshot.callbacks.get(offer.call):
                await self._offer_callback(offer, callback)
            elif wanted := self._tickets.get(offer.call):
                await self._offer(offer, wanted)
        self._note_steps(snapshot, floor, {offer.call for offer in offers})

    async def _mend(self, snapshot: Snapshot) -> None:
        """Put right what a process that died or a Redis that forgot has left behind."""
        for state in snapshot.consultants.values():
            orphan = (
                state.call
                and state.call not in snapshot.owners
                and state.call not in snapshot.callbacks
            )
            if orphan or (state.state == "wrap_up" and state.lease and state.lease <= snapshot.now):
                await self.board.expire(state.id)
        for ticket in list(self._tickets.values()):
            if ticket.call.id not in snapshot.owners:  # Redis came back without its memory
                await self.board.join(ticket.call)
                if offer := ticket.offered:
                    await self.board.reclaim(offer.call, offer.consultant, self._lease_s)
        for call, consultant in snapshot.offered.items():
            known = snapshot.consultants.get(consultant)
            if known is None or known.call != call:
                await self.board.mend(call, consultant)

    async def _offer(self, offer: Offer, wanted: Ticket) -> None:
        if await self.board.offer(offer.call, offer.consultant, self._lease_s):
            if self._tickets.get(offer.call) is wanted:
                wanted.put(offer)
            else:  # the caller left while the offer was being committed
                await self.release(offer)

    async def _offer_callback(self, offer: Offer, callback: Callback) -> None:
        dial = self._on_callback
        if dial and await self.board.offer(offer.call, offer.consultant, self._lease_s):
            dial(offer, callback)

    @property
    def _dials(self) -> bool:
        """Whether this process can dial callbacks; they must not hold consultants if nobody can."""
        return self._on_callback is not None and self._sees_telephones()

    def _note_steps(self, snapshot: Snapshot, floor: Floor, offered: Collection[str]) -> None:
        staff = self.staff
        for name, ticket in self._tickets.items():
            if name in offered or name in snapshot.offered or ticket.offered:
                continue
            call = ticket.call
            step = floor.step(call.topic, call.language, snapshot.now - call.queued_at)

            def describe(call: WaitingCall = call, step: int = step) -> StepBegun:
                able = staff.able(call.topic, call.language, step).nonzero()[0]
                names = [staff.ids[i] for i in able]
                asks = staff.demand(call.topic, call.language, step).model_dump(
                    exclude_defaults=True
                )
                return StepBegun(step, asks, {name: _doing(snapshot, name) for name in names})

            ticket.note_step(step, describe)

    async def withdraw(self, ticket: Ticket) -> None:
        """Let a caller be offered again, whose consultant did not answer."""
        await self.board.withdraw_offer(ticket.call.id)
        ticket.offered = None
        self._wake.set()

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
        news = isinstance(error, BoardVersionError) and str(error) != self._told
        if self.healthy or news:
            self._on_problem(error)
            self._told = str(error)
        self.healthy = False
        for ticket in self._tickets.values():
            ticket.put(error)


def floor_of(staff: Staff, snapshot: Snapshot) -> Floor:
    """Who is there, as the plan wants it."""
    states = snapshot.consultants.values()
    return Floor.of(
        staff,
        {state.id: state.since for state in states if state.free},
        [state.id for state in states if state.on_duty],
    )


def unoffered(
    snapshot: Snapshot, ghosts: Collection[str] = (), *, callbacks: bool = True
) -> Sequence[WaitingCall]:
    """Who waits for an offer: on the line, or for a callback that may be dialled now."""
    due = [
        callback.call
        for case, callback in snapshot.callbacks.items()
        if callbacks and callback.not_before <= snapshot.now and case not in snapshot.owners
    ]
    return [
        call
        for call in (*snapshot.waiting, *due)
        if call.id not in snapshot.offered and call.id not in ghosts
    ]


def _doing(snapshot: Snapshot, consultant: str) -> str:
    state = snapshot.consultants[consultant]
    if state.state == "available" and state.device != "idle":
        return f"telephone {state.device}"
    return f"{state.state} {state.reason}".strip()

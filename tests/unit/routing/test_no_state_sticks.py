"""Whatever happens in whatever order, no state sticks and nobody is passed over.

Two processes with the real board (in a real Redis), matcher, waiting and talks; hypothesis plays
the callers, the telephones, the clock, the crashes. Only Asterisk is played: what a session's
commands do to the telephones.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ivr.asterisk.agi_wire import AgiHangupError
from ivr.asterisk.audiosocket_wire import AudioSocketError
from ivr.cases.event import CaseEvent
from ivr.dialogue.call import Call, Parts
from ivr.dialogue.line import Key, Line
from ivr.dialogue.waiting import Waiting
from ivr.routing.board import Board, BoardDownError
from ivr.routing.desk import Wish, change
from ivr.routing.matcher import Matcher, Ticket, floor_of, unoffered
from ivr.routing.plan import Offer, WaitingCall
from ivr.routing.skills import Consultant, Routing, Step
from ivr.routing.snapshot import Device, Snapshot
from ivr.routing.staff import Staff
from ivr.settings import Settings

PEOPLE = [
    Consultant(id="101", name="A", languages={"pl": 5}, skills={"roads": 5, "waste": 3}),
    Consultant(id="102", name="B", languages={"pl": 5}, skills={"roads": 4}),
    Consultant(id="103", name="C", languages={"pl": 5}, skills={"waste": 5}),
]
IDS = [person.id for person in PEOPLE]
STEPS = (Step(for_s=20, level=4), Step(level=1))
ROUTING = Routing({"normal": 3, "vulnerable": 2, "callback": 1, "returned_emergency": 0}, STEPS)
SETTINGS = Settings().model_copy(
    update={"routing": Settings().routing.model_copy(update={"lease_s": 30.0, "wrap_up_s": 20.0})}
)
SETTLED_S = 0.06
LONGEST_S = 10.0
EXAMPLES = int(os.environ.get("HOTLINE_EXAMPLES", "12"))
"""Four seconds each; set more for a night."""
consultants, processes = st.sampled_from(IDS), st.integers(0, 1)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = shutil.which("redis-server")
    assert program, "redis-server is missing: apt-get install redis-server"
    folder = tmp_path_factory.mktemp("redis")
    command = [
        program,
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "--dir",
        str(folder),
        "--save",
        "",
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis("127.0.0.1", port)
        for _ in range(100):
            with suppress(redis.ConnectionError):
                client.ping()
                break
            time.sleep(0.05)
        client.close()
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


@dataclass
class Phone:
    """A consultant's telephone in Asterisk, and who is connected to it."""

    id: str
    there: bool = True
    call: "Session | None" = None
    talks: bool = False
    over: asyncio.Future[str] | None = None

    @property
    def device(self) -> Device:
        """What Asterisk would tell of it."""
        if not self.there:
            return "unavailable"
        return "idle" if self.call is None else "busy"


class Session:
    """A caller's AGI session; Dial rings the telephones of the world."""

    def __init__(self, world: "World", name: str, returned: bool):
        self.world, self.uniqueid = world, name
        self.env = {"agi_callerid": "", "agi_uniqueid": name}
        self.args = ("returned",) if returned else ()
        self.hungup = self.closed = False
        self._gone = asyncio.Event()
        self._status = ""

    def hang_up(self) -> None:
        """The caller hangs up."""
        self.hungup = True
        self._gone.set()
        for phone in self.world.phones.values():
            if phone.call is self and phone.over and not phone.over.done():
                phone.over.set_result("ANSWER" if phone.talks else "CANCEL")

    async def wait_hangup(self) -> None:
        await self._gone.wait()

    def _check(self) -> None:
        if self.hungup:
            raise AgiHangupError("the caller has hung up")

    async def exec(self, application: str, argument: str) -> None:
        self._check()
        assert application == "Dial"
        phone = self.world.phones[argument.partition(",")[0].removeprefix("PJSIP/")]
        if not phone.there:
            self._status = "CHANUNAVAIL"
            return
        assert phone.call is None, f"{phone.id} is rung twice at once"
        phone.call, phone.talks = self, False
        phone.over = asyncio.get_running_loop().create_future()
        self.world.tell(phone)
        try:
            self._status = await phone.over
        finally:
            phone.call, phone.talks, phone.over = None, False, None
            self.world.tell(phone)

    async def get_variable(self, name: str, *, force: bool = False) -> str:
        assert force
        if name == "DIALSTATUS":
            return self._status
        consultant = name.removeprefix("DEVICE_STATE(PJSIP/").removesuffix(")")
        return {"idle": "NOT_INUSE", "busy": "INUSE"}.get(
            self.world.phones[consultant].device, "UNAVAILABLE"
        )

    async def set_variable(self, name: str, value: str, *, force: bool = False) -> None:
        if not force:
            self._check()

    async def set_music(self, on: bool) -> None:
        self._check()

    async def goto(self, context: str, extension: str) -> None:
        self._check()

    async def stream_file(self, name: str, *, timeout: float) -> None:
        self._check()

    async def hangup(self) -> None:
        self._gone.set()


class Caller(Call):
    """A call whose dialogue is over: it waits from its first moment on."""

    topic = "roads"

    async def _serve(self) -> None:
        async def nothing() -> None: ...

        await Waiting(self).run(self.topic, cast(Line, SilentLine()), nothing)

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        raise AudioSocketError("no audio here")
        yield


class SilentLine:
    """Prompts that never end by themselves."""

    async def say(self, *_: str) -> Key | None:
        await asyncio.sleep(0.01)
        return None

    def hush(self) -> None: ...


@dataclass
class Journal:
    """The events, by call."""

    events: dict[str, list[str]] = field(default_factory=dict)

    async def append(self, event: CaseEvent) -> None:
        self.events.setdefault(str(event.call), []).append(event.kind)


class FairMatcher(Matcher):
    """Looks at every offer before it is made."""

    async def _offer(self, offer: Offer, wanted: Ticket) -> None:
        assert self.snapshot is not None
        snapshot, staff = self.snapshot, self.staff
        floor, column = floor_of(staff, snapshot), staff.column[offer.consultant]
        place = (wanted.call.priority, wanted.call.arrived_at)
        for other in unoffered(snapshot):
            if (other.priority, other.arrived_at) < place and other.id not in self.offers_now:
                step = floor.step(other.topic, other.language, snapshot.now - other.queued_at)
                able = staff.able(other.topic, other.language, step)[column]
                assert not able, f"{wanted.call} is offered {offer.consultant} before {other}"
        await super()._offer(offer, wanted)

    async def _match(self) -> None:
        self.offers_now: set[str] = set()
        await super()._match()


class Process:
    """One service: its board, its matcher, its calls."""

    def __init__(self, world: "World", url: str, owner: str):
        self.world = world
        self.board = Board(url, owner, timeout_s=2)
        self.matcher = Matcher(
            self.board, Staff(PEOPLE, ROUTING), lease_s=SETTINGS.routing.lease_s,
            on_problem=lambda _: None,
        )  # fmt: skip
        self.running = asyncio.ensure_future(self.matcher.run())
        self.calls: dict[asyncio.Future[None], Caller] = {}

    def parts(self) -> Parts:
        topic = SimpleNamespace(queue="general")
        understanding = SimpleNamespace(topics={"roads": topic, "waste": topic})
        nothing: Any = None
        return Parts(
            SETTINGS, cast(Any, self.world.journal), nothing, nothing, {}, cast(Any, understanding),
            nothing, self.matcher, cast(Any, NoOutlooks()), nothing, lambda: True,
        )  # fmt: skip

    async def stop(self, *, crash: bool) -> None:
        """End; a crash tidies nothing up on the board."""
        connection = self.board._redis
        if crash:
            self.board._redis = cast(Any, Gone())
            self.board._scripts.clear()
            for caller in self.calls.values():
                self.world.lost.add(str(caller.id))
        tasks = [self.running, *self.calls]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.board._redis = connection
        await self.board.close()


class NoOutlooks:
    """Nothing is forecast."""

    async def of(self, _: str) -> None: ...

    def arrived(self, call: WaitingCall) -> None: ...

    def learn(self, topic: str, talk_s: float) -> None: ...


class Gone:
    """The connection of a process that is no more."""

    def register_script(self, _: str) -> Any:
        async def refuse(**_: Any) -> None:
            raise ConnectionError("the process is dead")

        return refuse


class World:
    """Everything, in one event loop."""

    def __init__(self, url: str):
        self.url = url
        self.journal = Journal()
        self.phones = {name: Phone(name) for name in IDS}
        self.sessions: list[Session] = []
        self.lost: set[str] = set()
        self.served: list[str] = []
        self.processes: list[Process] = []
        self.witness: Board | None = None
        self.telling: set[asyncio.Future[Any]] = set()
        self._count = 0

    async def start(self) -> None:
        client = redis.Redis.from_url(self.url)
        client.flushall()
        client.close()
        self.witness = Board(self.url, "witness", timeout_s=2)
        await self.witness.heartbeat(1e6)
        self.processes = [Process(self, self.url, f"p{n}-0") for n in range(2)]
        for phone in self.phones.values():
            self.tell(phone)
        await self.settle()

    @property
    def board(self) -> Board:
        assert self.witness is not None
        return self.witness

    def tell(self, phone: Phone) -> None:
        """Let the board know a telephone's state, as a device event does."""

        async def write() -> None:
            with suppress(BoardDownError):
                await self.board.set_device(phone.id, phone.device)

        task = asyncio.ensure_future(write())
        self.telling.add(task)
        task.add_done_callback(self.telling.discard)

    def call(self, process: int, topic: str, returned: bool) -> None:
        self._count += 1
        session = Session(self, f"s{self._count}", returned)
        self.sessions.append(session)
        at = self.processes[process]
        caller = Caller(cast(Any, session), at.parts())
        caller.topic = topic
        task = asyncio.ensure_future(caller.run())
        at.calls[task] = caller

        def over(done: asyncio.Future[None]) -> None:
            del at.calls[done]
            if session in self.sessions:
                self.sessions.remove(session)
            self.served.append(str(caller.id))

        task.add_done_callback(over)

    async def reconcile(self) -> None:
        for phone in self.phones.values():
            await self.board.set_device(phone.id, phone.device)
            await self.board.expire(phone.id)

    async def settle(self) -> Snapshot:
        """Wait until nothing changes any more."""
        deadline = time.monotonic() + LONGEST_S
        last: Any = None
        since = time.monotonic()
        while time.monotonic() < deadline:
            await asyncio.sleep(0.01)
            snapshot = await self.board.snapshot(IDS)
            now = (
                snapshot.owners, snapshot.offered,
                {n: (s.state, s.call, s.device) for n, s in snapshot.consultants.items()},
                {n: (p.call, p.talks) for n, p in self.phones.items()}, len(self.telling),
            )  # fmt: skip
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > SETTLED_S and not self.telling:
                return snapshot
        raise AssertionError(f"it never settles: {last}")

    async def stop(self) -> None:
        for process in self.processes:
            await process.stop(crash=False)
        await self.board.close()


class Hotline(RuleBasedStateMachine):
    """What may happen to a hotline."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.generation = 0

    def go(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        async def make() -> World:
            world = World(self.url)
            await world.start()
            return world

        self.world: World = self.go(make())

    def at_once(self, *what: Any) -> None:
        """Let things happen without a pause between them, then wait for the dust to settle."""

        async def happen() -> None:
            for one in what:
                result = one()
                if asyncio.iscoroutine(result):
                    await result
            await self.world.settle()

        self.go(happen())

    # ---- callers

    @precondition(lambda self: len(self.world.sessions) < 6)
    @rule(process=processes, topic=st.sampled_from(["roads", "waste"]), returned=st.booleans())
    def somebody_calls(self, process: int, topic: str, returned: bool) -> None:
        self.at_once(lambda: self.world.call(process, topic, returned))

    @precondition(lambda self: len(self.world.sessions) < 6)
    @rule(process=processes, topic=st.sampled_from(["roads", "waste"]))
    def somebody_calls_and_hangs_up_at_once(self, process: int, topic: str) -> None:
        self.at_once(
            lambda: self.world.call(process, topic, False),
            lambda: asyncio.sleep(0),
            self._the_last_hangs_up,
        )

    def _the_last_hangs_up(self) -> None:
        self.world.sessions[-1].hang_up()

    @precondition(lambda self: self.world.sessions)
    @rule(which=st.integers(0, 5))
    def a_caller_hangs_up(self, which: int) -> None:
        sessions = self.world.sessions
        self.at_once(sessions[which % len(sessions)].hang_up)

    # ---- telephones

    def _end_ringing(self, consultant: str, status: str) -> None:
        phone = self.world.phones[consultant]
        if phone.over and not phone.over.done() and not phone.talks:
            phone.over.set_result(status)

    @rule(consultant=consultants)
    def a_consultant_answers(self, consultant: str) -> None:
        def answer() -> None:
            phone = self.world.phones[consultant]
            if phone.call and not phone.talks and not phone.call.hungup:
                phone.talks = True
                for process in self.world.processes:
                    for caller in process.calls.values():
                        if cast(Any, caller.session) is phone.call:
                            caller.talking()

        self.at_once(answer)

    @rule(consultant=consultants)
    def a_talk_ends(self, consultant: str) -> None:
        def end() -> None:
            phone = self.world.phones[consultant]
            if phone.over and not phone.over.done() and phone.talks:
                phone.over.set_result("ANSWER")

        self.at_once(end)

    @rule(consultant=consultants, status=st.sampled_from(["NOANSWER", "BUSY", "CONGESTION"]))
    def a_telephone_is_not_answered(self, consultant: str, status: str) -> None:
        self.at_once(lambda: self._end_ringing(consultant, status))

    @rule(consultant=consultants, there=st.booleans())
    def a_telephone_comes_or_goes(self, consultant: str, there: bool) -> None:
        def move() -> None:
            phone = self.world.phones[consultant]
            phone.there = there
            if not there:
                self._end_ringing(consultant, "CHANUNAVAIL")
                if phone.over and not phone.over.done():
                    phone.over.set_result("ANSWER")
            self.world.tell(phone)

        self.at_once(move)

    @rule(consultant=consultants, times=st.integers(1, 3))
    def an_event_comes_twice(self, consultant: str, times: int) -> None:
        phone = self.world.phones[consultant]
        self.at_once(*[lambda: self.world.tell(phone)] * times)

    @rule(consultant=consultants, wish=st.sampled_from(["available", "offline", "paused"]))
    def a_consultant_wishes(self, consultant: str, wish: Wish) -> None:
        self.at_once(lambda: change(self.world.board, consultant, wish))

    # ---- time and failures

    @rule(seconds=st.sampled_from([-3600.0, -5.0, 25.0, 3600.0]))
    def the_clock_jumps(self, seconds: float) -> None:
        async def jump() -> None:
            client = self.world.board._redis
            key = "{hotline}:clock"
            if seconds < 0:  # Redis's own clock goes back: what it showed last lies ahead of it
                last = float(await cast(Any, client).hget(key, "last"))
                await cast(Any, client).hset(key, "last", last - seconds)
            else:
                ahead = float(await cast(Any, client).hget(key, "ahead") or 0)
                await cast(Any, client).hset(key, "ahead", ahead + seconds)
            await self.world.board.heartbeat(1e6)
            await self.world.reconcile()

        self.at_once(jump)

    @rule(process=processes, crash=st.booleans())
    def a_process_is_started_again(self, process: int, crash: bool) -> None:
        async def again() -> None:
            world = self.world
            old = world.processes[process]
            for caller in old.calls.values():  # Asterisk's own queue serves them from here on
                world.lost.add(str(caller.id))
                session = cast(Session, caller.session)
                session.hang_up()
            await old.stop(crash=crash)
            self.generation += 1
            world.processes[process] = Process(world, world.url, f"p{process}-{self.generation}")
            client = cast(Any, world.board._redis)
            await client.hset("{hotline}:alive", f"p:{old.board.owner}", 0)  # its time is over
            ahead = float(await client.hget("{hotline}:clock", "ahead") or 0)
            await client.hset("{hotline}:clock", "ahead", ahead + SETTINGS.routing.lease_s + 1)
            await world.board.heartbeat(1e6)
            await world.reconcile()

        self.at_once(again)

    @rule()
    def redis_loses_its_memory(self) -> None:
        async def forget() -> None:
            await cast(Any, self.world.board._redis).flushall()
            await self.world.board.heartbeat(1e6)
            await self.world.reconcile()

        self.at_once(forget)

    # ---- what must hold whenever the dust has settled

    @invariant()
    def nothing_sticks(self) -> None:
        if hasattr(self, "world"):
            self.go(self._holds())

    async def _holds(self) -> None:
        world = self.world
        snapshot = await world.settle()
        states = snapshot.consultants.values()
        calls = [state.call for state in states if state.call]
        assert len(calls) == len(set(calls)), "a call with two consultants"
        sessions = [phone.call for phone in world.phones.values() if phone.call]
        assert len(sessions) == len(set(sessions)), "a caller rings two telephones"
        for state in states:
            if state.state in ("reserved", "ringing"):
                assert snapshot.offered.get(state.call) == state.id, f"{state} without an offer"
                assert world.phones[state.id].call is not None, f"{state} and nothing rings"
            if state.state in ("reserved", "ringing", "talking", "wrap_up"):
                assert state.lease is not None, f"{state} for ever"
        for call, consultant in snapshot.offered.items():
            assert snapshot.consultants[consultant].call == call
        # Nobody free is kept from a caller, so nobody can have been passed over and still wait.
        staff = Staff(PEOPLE, ROUTING)
        floor = floor_of(staff, snapshot)
        for waiting in unoffered(snapshot):
            step = floor.step(waiting.topic, waiting.language, snapshot.now - waiting.queued_at)
            able = staff.able(waiting.topic, waiting.language, step)
            free = [n for n, ok in zip(staff.ids, able, strict=True)
                    if ok and snapshot.consultants[n].free]  # fmt: skip
            assert not free, f"{waiting} waits although {free} are free"

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.go(self._end())
        finally:
            self.runner.close()

    async def _end(self) -> None:
        world = self.world
        try:
            for session in list(world.sessions):
                session.hang_up()
            await world.settle()
            client = cast(Any, world.board._redis)
            ahead = float(await client.hget("{hotline}:clock", "ahead") or 0)
            await client.hset("{hotline}:clock", "ahead", ahead + 1000)
            await world.board.heartbeat(1e6)
            await world.reconcile()
            snapshot = await world.settle()
            assert not snapshot.waiting
            assert not snapshot.offered
            for state in snapshot.consultants.values():
                assert state.state in ("available", "paused", "offline"), f"{state} sticks"
                assert not state.call
            for call, kinds in world.journal.events.items():
                finals = kinds.count("closed") + kinds.count("degraded")
                assert finals == 1 or call in world.lost, f"{call} ended so: {kinds}"
        finally:
            await world.stop()


def test_no_state_sticks(redis_url: str) -> None:
    machine = type("HotlineHere", (Hotline,), {"url": redis_url})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=25, deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


def test_a_lease_that_lapses_while_it_rings_gives_a_call_no_second_consultant(
    redis_url: str,
) -> None:
    hotline: Any = type("HotlineHere", (Hotline,), {"url": redis_url})()
    try:
        hotline.begin()
        hotline.somebody_calls(process=0, topic="roads", returned=False)
        hotline.the_clock_jumps(seconds=3600.0)
        hotline.a_telephone_is_not_answered(consultant="101", status="NOANSWER")
        hotline.a_telephone_comes_or_goes(consultant="102", there=True)
        hotline.nothing_sticks()
    finally:
        hotline.teardown()

"""The telephony process: the one place that wires the parts together."""

import asyncio
import os
import signal
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import structlog
from aiohttp import web

from ivr.asterisk.agi import AgiServer
from ivr.asterisk.agi_session import AgiSession
from ivr.asterisk.ami import AmiClient
from ivr.asterisk.ami_wire import AmiMessage
from ivr.asterisk.audiosocket import AudioSocketServer
from ivr.cases.drain import Drain
from ivr.cases.event import EventKind
from ivr.cases.journal import Journal
from ivr.cases.problem import Problem
from ivr.cases.store import CaseStore
from ivr.dialogue.call import Call, Parts
from ivr.dialogue.callback import Callbacks
from ivr.errors import HotlineError
from ivr.features import serve_feature
from ivr.loading import Loaded
from ivr.manager_events import ManagerEvents
from ivr.metrics import METRICS
from ivr.processes import require_free
from ivr.provisioning import Telephones
from ivr.reconcile import Reconciler
from ivr.reload import Reloader
from ivr.routing.board import Board
from ivr.routing.callback import Callback
from ivr.routing.handling import HandlingTimes
from ivr.routing.matcher import Matcher
from ivr.routing.outlook import Outlooks
from ivr.routing.plan import Offer
from ivr.routing.staff import Staff
from ivr.secrets import Secrets
from ivr.settings import Settings
from ivr.web.consultants import ConsultantsApi
from ivr.web.health import make_app
from ivr.web.rows import StatusRows

LAG_PROBE_S = 0.05
END_WITHIN_S = 8.0
"""Seconds the parts have for closing once the last call is over."""


class Service:
    """One telephony process; `run` is its life."""

    def __init__(self, settings: Settings, loaded: Loaded, secrets: Secrets):
        self.settings, self._loaded = settings, loaded
        self._log = structlog.get_logger()
        self._tasks: asyncio.TaskGroup | None = None
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        asterisk, state_dir = settings.asterisk, settings.state_dir
        consultants = {c.id: c for c in loaded.plan.consultants}
        self._journal = Journal(
            state_dir / "journal", settings.service.node, on_problem=self._case_problem
        )
        self.store = CaseStore(settings.cases.database)
        self._drain = Drain(state_dir / "journal", self.store, on_problem=self._case_problem)
        node = settings.service.node
        self._board = Board(
            settings.redis.url, f"{node}-{uuid4()}", timeout_s=settings.redis.timeout_s, node=node,
            newcomers="available" if settings.routing.telephone_logs_in else "offline",
        )  # fmt: skip
        self.matcher = Matcher(
            self._board, Staff(loaded.plan.consultants, loaded.plan.routing),
            lease_s=settings.routing.lease_s,
            on_problem=self._board_lost,
            on_back=self._board_back,
            on_callback=self._dial_callback if settings.trunks.outgoing else None,
            sees_telephones=lambda: self._ami.connected,
        )  # fmt: skip
        self._audio = AudioSocketServer(asterisk.service_host, asterisk.audiosocket_port)
        self._agi = AgiServer(
            self._on_session, asterisk.service_host, asterisk.agi_port, on_problem=self._problem
        )
        self.events = ManagerEvents(self._note_device, consultants, self._later)
        self._ami = AmiClient(
            asterisk.service_host, asterisk.ami_port, "hotline", secrets["ami"],
            on_event=self._on_event, on_connected=self._on_manager, on_problem=self._problem,
        )  # fmt: skip
        self._reconciler = Reconciler(
            settings, self._ami, self._board, consultants, self.store, self._journal,
            self._drain, self.events,
        )  # fmt: skip
        self._reloader = Reloader(
            settings.files.queues, loaded.plan, loaded.files, self.matcher, consultants,
            Telephones(settings, self._ami), self._reconciler.read_devices,
        )  # fmt: skip
        self._callbacks = Callbacks(
            settings, self.matcher, self._ami, self._journal, self.store, self._drain, self._later
        )
        profile = loaded.profile
        self._outlooks = Outlooks(
            self.matcher, HandlingTimes(profile.handling_s, profile.handling_by_topic_s),
            wrap_up_s=settings.routing.wrap_up_s, patience_s=profile.patience_s,
        )  # fmt: skip
        self._parts = Parts(
            settings, self._journal, self._audio, loaded.prompts, loaded.recognizers,
            loaded.understanding, loaded.places, self.matcher,
            self._outlooks, loaded.voice_activity,
            lambda: self._ami.connected,
        )  # fmt: skip
        self._api = ConsultantsApi(
            self._board, lambda: {c.id: c.name for c in self.matcher.staff.consultants},
            secrets["api"],
        )  # fmt: skip
        self._devices: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._problems_seen: dict[str, str] = {}

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then let running calls finish. Raises HotlineError."""
        asterisk, service = self.settings.asterisk, self.settings.service
        require_free("the AGI server", asterisk.service_host, asterisk.agi_port)
        require_free("the AudioSocket server", asterisk.service_host, asterisk.audiosocket_port)
        require_free("the status page", service.http_host, service.http_port)
        loop = asyncio.get_running_loop()
        METRICS.tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reloader.look_now)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._journal)
            stack.push_async_callback(self.store.close)
            stack.push_async_callback(self._board.close)
            async with asyncio.TaskGroup() as self._tasks:
                background = [
                    self._tasks.create_task(work)
                    for work in (
                        self._drain.run(), self.matcher.run(), self._ami.run(),
                        self._reconciler.run(), self._write_devices(), self._measure_lag(),
                        self._callbacks.run(), self._reloader.run(),
                        self._outlooks.learn_from(self.store),
                    )
                ]  # fmt: skip
                try:
                    await self._audio.start()
                    await self._serve_status(stack)
                    await self._agi.start()
                    self._log.info("ready", agi_port=self._agi.port)
                    await self._stopping.wait()
                    await self._finish_calls()
                    loop.call_later(END_WITHIN_S, self._end_now)
                finally:
                    await self._agi.close()
                    await self._audio.close()
                    for task in background:
                        task.cancel()
            with suppress(Exception):  # what is left is drained at the next start
                await self._drain.drain_once()

    async def _finish_calls(self) -> None:
        self._log.info("stopping", calls=len(self.events.calls))
        self._agi.stop_accepting()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.service.drain_s):
                await self._idle.wait()

    def _end_now(self) -> None:
        """End a service that does not end: its calls are over and the journal is on the disk."""
        for task in asyncio.all_tasks():
            stack = " < ".join(str(frame) for frame in reversed(task.get_stack(limit=4)))
            self._log.error("still there at the end", task=task.get_name(), stack=stack)
        os._exit(1)

    async def _serve_status(self, stack: AsyncExitStack) -> None:
        service = self.settings.service
        runner = web.AppRunner(
            make_app(
                METRICS.registry,
                self.status,
                StatusRows(self.matcher, self.store),
                self._api,
                self._reloader.warnings,
            ),
            shutdown_timeout=1.0,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, service.http_host, service.http_port).start()
        except OSError as error:
            raise HotlineError(
                f"the status page cannot use {service.http_host}:{service.http_port} "
                f"({error.strerror}): choose another [service] http_port"
            ) from None

    def status(self) -> Mapping[str, bool]:
        """Each part and whether it works."""
        parts = {
            "asterisk": self._ami.connected,
            "redis": self.matcher.healthy,
            "speech": any(self._loaded.recognizers.values()),
            "cases": not self._problems_seen,
        }
        for part, works in parts.items():
            METRICS.up.labels(part).set(works)
        return parts

    async def _on_session(self, session: AgiSession) -> None:
        if session.path.startswith("consultant/"):
            await serve_feature(session, self._board, set(self.matcher.staff.ids))
            return
        if session.path == "callback":
            await self._on_callback(session)
            return
        if len(self.events.calls) >= self.settings.service.max_calls:
            METRICS.refused.inc()
            self._log.warning("too many calls: a caller goes to the fallback queue")
            return
        call = Call(session, self._parts)
        await self._serve(call, call.run())

    async def _on_callback(self, session: AgiSession) -> None:
        """Serve who has answered a callback; whom nobody knows any more Asterisk serves."""
        if (found := self._callbacks.answered(session)) is None:
            return
        offer, callback = found
        call = Call(session, self._parts, UUID(callback.call.id))
        begin = partial(self._callbacks.begin, offer, callback, session)
        await self._serve(call, call.resume(offer, callback, begin))

    async def _serve(self, call: Call, work: Coroutine[Any, Any, None]) -> None:
        self.events.calls[call.asterisk_id] = call
        self._idle.clear()
        METRICS.calls.inc()
        METRICS.calls_total.inc()
        try:
            await work
        except BaseException as error:
            await call.record(EventKind.DEGRADED, why=f"{type(error).__name__}: {error}"[:200])
            raise
        finally:
            METRICS.calls.dec()
            self.events.calls.pop(call.asterisk_id, None)
            if not self.events.calls:
                self._idle.set()
            if call.to_emergency:
                self.events.hand_over(call)

    async def _on_manager(self, _: AmiClient) -> None:
        await self._reconciler.read_devices()

    def _on_event(self, event: AmiMessage) -> None:
        self.events(event)
        self._callbacks.on_event(event)

    def _dial_callback(self, offer: Offer, callback: Callback) -> None:
        self._callbacks.dial(offer, callback)

    def _note_device(self, consultant: str, device: Any) -> None:
        self._devices.put_nowait((consultant, device))

    async def _write_devices(self) -> None:
        """One after the other, so that the last state told is the last one written."""
        while True:
            consultant, device = await self._devices.get()
            with suppress(Exception):  # Redis away: read again when it is back
                await self._board.set_device(consultant, device)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        if self._tasks is None:
            work.close()
            return
        self._tasks.create_task(self._guard(work))

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # one step of one case must not end the service
            self._problem(error)

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_PROBE_S
            await asyncio.sleep(LAG_PROBE_S)
            METRICS.loop_lag.observe(max(0.0, loop.time() - due))
            METRICS.waiting.set(self.matcher.waiting)

    def _problem(self, error: Exception) -> None:
        METRICS.problems.labels(type(error).__name__).inc()
        self._log.error("problem", error=str(error) or repr(error), kind=type(error).__name__)

    def _case_problem(self, problem: Problem) -> None:
        METRICS.problems.labels(problem.part).inc()
        if problem.over:
            self._problems_seen.pop(problem.part, None)
            self._log.info("over", part=problem.part, text=problem.text)
        else:
            if problem.part in ("journal", "database"):
                self._problems_seen[problem.part] = problem.text
            self._log.error("problem", part=problem.part, text=problem.text)

    def _board_lost(self, error: Exception) -> None:
        self._log.error(
            "Redis is away: callers go to the fallback queue; start Redis again", error=str(error)
        )

    def _board_back(self) -> None:
        self._log.info("Redis answers")
        self._later(self._reconciler.read_devices())

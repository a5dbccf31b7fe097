"""One call from its first ring to its last step: the room where the parts meet.

Whatever goes wrong in here, the AGI session ends without the mark HOTLINE_DONE, and Asterisk
serves the caller from `dialplans/degraded.conf`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import structlog

from ivr.asterisk.agi_session import AgiSession
from ivr.asterisk.agi_wire import AgiError, AgiGoneError
from ivr.asterisk.audiosocket import AudioSocketServer
from ivr.asterisk.dialplan import audiosocket_argument
from ivr.cases.event import CaseEvent, EventKind
from ivr.cases.journal import Journal
from ivr.cases.numbers import mask, normalise
from ivr.dialogue.line import CallerGoneError, Line
from ivr.dialogue.outcome import Outcome, ToConsultant, ToEmergency
from ivr.dialogue.places import PlaceOfCall
from ivr.dialogue.script import PERSON, Conversation
from ivr.dialogue.waiting import Waiting
from ivr.metrics import METRICS
from ivr.routing.board import BoardDownError
from ivr.routing.callback import Callback
from ivr.routing.matcher import Matcher
from ivr.routing.outlook import Outlooks
from ivr.routing.plan import Offer
from ivr.settings import Settings
from ivr.speech.endpoint import Endpointer
from ivr.speech.playout import Player
from ivr.speech.prompts import PromptStore
from ivr.speech.recognizer import Recognizer
from ivr.speech.vad import VoiceActivity, VoiceActivityModel
from ivr.types import Language
from ivr.understanding.meaning import Understanding
from ivr.understanding.place import Gazetteer

AUDIO_ARRIVES_S = 5.0
NAME_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Parts:
    """What every call uses; made once by the service."""

    settings: Settings
    journal: Journal
    audio: AudioSocketServer
    prompts: PromptStore
    recognizers: dict[Language, Recognizer | None]
    understanding: Understanding
    places: Gazetteer
    matcher: Matcher
    outlooks: Outlooks
    voice_activity: VoiceActivityModel
    manager_connected: Callable[[], bool]


class Call:
    """One caller. `keys` are pressed while no audio connection is open (from AMI)."""

    def __init__(self, session: AgiSession, parts: Parts, case: UUID | None = None):
        self.session, self.parts = session, parts
        self.id: UUID = case or uuid4()
        self.language: Language = parts.settings.dialogue.language
        self.caller = normalise(_known(session.env.get("agi_callerid", "")))
        """The caller's number, E.164 where it is a valid one."""
        self.returned = "returned" in session.args
        """Whether 112 has sent the caller back."""
        self.keys: asyncio.Queue[str] = asyncio.Queue(maxsize=32)
        self.topic = self.queue = ""
        self.consultant: str | None = None
        """Whose telephone rings or talks for this caller."""
        self.answered_by_consultant = asyncio.Event()
        self.talking_since: float | None = None
        """When the consultant answered, by the loop's clock."""
        self.to_emergency = False
        self.log = structlog.get_logger().bind(
            call=str(self.id), caller=mask(session.env.get("agi_callerid", ""))
        )
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    @property
    def asterisk_id(self) -> str:
        """Asterisk's name for the caller's channel."""
        return self.session.uniqueid

    def talking(self) -> None:
        """Note that the consultant has answered."""
        self.talking_since = self._loop.time()
        self.answered_by_consultant.set()

    def manager_connected(self) -> bool:
        """Whether keys of a waiting caller arrive by Asterisk's manager."""
        return self.parts.manager_connected()

    async def record(self, kind: EventKind, **data: Any) -> None:
        """Keep a step in the case, before anything else happens."""
        event = CaseEvent(uuid4(), self.id, datetime.now(UTC), str(kind), data)
        await self.parts.journal.append(event)
        METRICS.events.labels(str(kind)).inc()
        shown = {key: value for key, value in data.items() if key not in _PRIVATE}
        self.log.info(str(kind), at_s=round(self._loop.time() - self._began, 3), **shown)

    async def run(self) -> None:
        """Serve the caller."""
        try:
            await self._serve()
        except (CallerGoneError, AgiGoneError):
            await self.gone("dialogue", 0.0)
        except BoardDownError as error:
            await self.degrade(f"Redis is away: {error}")

    async def _serve(self) -> None:
        env = self.session.env
        await self.record(
            EventKind.OPENED,
            asterisk_id=self.asterisk_id,
            channel="phone",
            caller_number=_known(env.get("agi_callerid", "")),
            caller_name=_known(env.get("agi_calleridname", ""))[:NAME_LIMIT],
            language=self.language,
            node=self.parts.settings.service.node,
        )
        await self.session.answer()
        await self.record(EventKind.ANSWERED)
        await self.session.set_variable("HOTLINE_STAGE", "dialogue")
        async with AsyncExitStack() as audio:
            line = await audio.enter_async_context(self.line())
            if self.returned:
                outcome: Outcome = ToConsultant(PERSON, "sent back by 112")
            else:
                outcome = await self._converse(line)
            if isinstance(outcome, ToEmergency):
                await audio.aclose()
                await self.emergency(outcome.why, crisis=outcome.crisis)
            else:
                await Waiting(self).run(outcome.topic, line, audio.aclose)

    async def resume(
        self, offer: Offer, callback: Callback, begin: Callable[[], Awaitable[bool]]
    ) -> None:
        """Serve a caller who was called back, if `begin` says that there is still a reason to."""
        self.language = callback.call.language
        try:
            await Waiting(self).resume(callback, offer, begin)
        except (CallerGoneError, AgiGoneError):
            await self.gone("waiting", 0.0)
        except BoardDownError as error:
            await self.degrade(f"Redis is away: {error}")

    async def _converse(self, line: Line) -> Outcome:
        settings = self.parts.settings.dialogue
        conversation = Conversation(
            line, self.parts.understanding, settings, self.record, PlaceOfCall(self.parts.places)
        )
        try:
            return await conversation.run()
        finally:
            self.language = line.language

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        """Audio to and from the caller for as long as the block lasts."""
        parts, uuid = self.parts, uuid4()
        where = audiosocket_argument(uuid, parts.settings.asterisk.service_host, parts.audio.port)
        async with parts.audio.announce(uuid) as expected:
            application = asyncio.create_task(self.session.exec("AudioSocket", where))
            try:
                connection = await expected.wait(AUDIO_ARRIVES_S)
                try:
                    async with Player(connection.send) as player:
                        endpoint = parts.settings.speech.endpoint
                        ear = VoiceActivity(parts.voice_activity, gate_dbfs=endpoint.gate_dbfs)
                        endpointer = Endpointer(ear, endpoint)
                        yield Line(
                            connection, player, parts.prompts, parts.recognizers,
                            endpointer, self.language,
                        )  # fmt: skip
                finally:
                    await connection.hangup()
            finally:
                await self._end_application(application)

    async def _end_application(self, application: "asyncio.Task[Any]") -> None:
        try:
            async with asyncio.timeout(2):
                await application
        except (AgiError, TimeoutError) as error:
            self.log.debug("audio connection ended", error=str(error))

    async def emergency(self, why: str, *, crisis: bool = False) -> None:
        """Hand the caller over to `emergency.conf`, which needs nothing of ours any more.

        `crisis`: the caller is also told the number of the crisis line.
        """
        self.to_emergency = True
        METRICS.emergencies.inc()
        await self.set_language()
        if crisis:
            await self.session.set_variable("HOTLINE_CRISIS", "1")
        await self.session.goto("emergency", "112")
        await self.record(EventKind.EMERGENCY, why=why)

    async def degrade(self, why: str) -> None:
        """Hand the caller over to Asterisk's own queue."""
        METRICS.degraded.inc()
        await self.record(EventKind.DEGRADED, why=why)
        if not self.session.hungup:
            await self.set_language()
            await self.session.goto("degraded", "call")

    async def finish(self, outcome: str, **facts: Any) -> None:
        """Close the case and hang up."""
        await self.record(EventKind.CLOSED, outcome=outcome, **facts)
        with suppress(AgiError):
            await self.session.set_variable("HOTLINE_DONE", "1", force=True)
            await self.session.hangup()

    async def abandoned(self, where: str, wait_s: float) -> None:
        """Close the case of a caller who hung up."""
        METRICS.abandoned.labels(where).inc()
        await self.record(EventKind.ABANDONED, where=where, wait_s=round(wait_s, 3))
        await self.finish("abandoned", wait_s=round(wait_s, 3))

    async def gone(self, where: str, wait_s: float) -> None:
        """Close the case of who hung up; if only the audio broke, Asterisk serves the caller."""
        # The audio may end a moment before the news of the hang-up.
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self.session.wait_hangup()
        if self.session.hungup or self.session.closed:
            await self.abandoned(where, wait_s)
        else:
            await self.degrade("the audio connection was lost")

    async def set_language(self) -> None:
        """Let Asterisk's own announcements speak the language of the caller."""
        await self.session.set_variable("CHANNEL(language)", self.language)


def _known(value: str) -> str:
    """What AGI says of the caller; it says "unknown" for nothing."""
    return "" if value == "unknown" else value


_PRIVATE = {
    "caller_number", "caller_name", "transcript", "street", "house_number", "crossing",
    "landmark", "place_said",
}  # fmt: skip

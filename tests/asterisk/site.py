"""A whole hotline on loopback for the tests: real Redis, Asterisk, service and telephones."""

import asyncio
import os
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from ivr.cases.model import Case
from ivr.cases.store import CaseStore
from ivr.loading import load_plan
from ivr.rendering import render
from ivr.settings_file import load_settings
from ivr.speech.audiofile import read_audio, write_wav
from ivr.supervisor import Supervisor
from ivr.telephone import AnswerMode, Telephone
from tests.trained import give_trained_models

ROOT = Path(__file__).parents[2]
AUDIO = ROOT / "tests" / "audio"
SLOT = int(os.environ.get("HOTLINE_TEST_SLOT", "1"))
"""Everything listens on 127.0.<slot>.x, so that several test runs can go on at once."""
NET = f"127.0.{SLOT}"
HOST = f"{NET}.1"
SIP = f"{HOST}:5060"
HOTLINE = f"sip:19115@{SIP}"
NUMBER = "19115"
CONSULTANTS = ("101", "102")
WHOLE_PROMPTS = {
    "emergency-failed", "emergency-retry", "degraded", "transfer-emergency", "crisis-line", "menu",
}  # fmt: skip
SHORT_S = 0.8
"""All other prompts are cut to this, so that a test need not listen to whole greetings."""

TOML = """
[service]
node = "{node}"
state_dir = "{state}"
drain_s = 3
http_host = "{host}"
http_port = 8119
max_calls = 30
[files]
queues = "{root}/queues"
prompts = "{state}/prompts"
dialplans = "{root}/dialplans"
asterisk = "{root}/config/asterisk"
models = "{models}"
[asterisk]
sip_host = "{host}"
service_host = "{host}"
rtp_first = {rtp}
rtp_last = {rtp_last}
[trunks]
numbers = ["19115"]
incoming = ["{net}.2", "{net}.3"]
outgoing = "{net}.2:5060"
[emergency]
trunk_a = "{net}.5:5060"
trunk_b = "{net}.6:5060"
ring_s = 10
[redis]
url = "redis://{redis}:6379/0"
timeout_s = 0.5
[cases]
database = "sqlite+aiosqlite:///{cases}/cases.db"
[dialogue]
speech_wait_s = 2
key_wait_s = 2
connecting_ring_s = 4
[routing]
lease_s = 3
wrap_up_s = 0.3
reconcile_s = 1
[callback]
ring_s = 5
retry_after_s = [1, 2]
[speech]
recognition_deadline_s = 20
queue_deadline_s = 10
{more}
"""


def models_dir() -> Path:
    """Where the set-up has put the models."""
    return Path(os.environ.get("HOTLINE_MODELS", ROOT / ".hotline" / "models"))


class Site:
    """The servers; started once for all tests. Tests may kill them and must start them again.

    Of several nodes each is a site with its own `node` and `host`; they share Redis (at the address
    `redis`) and the folder of the cases. `more` goes to the end of the settings, after [speech].
    """

    def __init__(
        self,
        folder: Path,
        *,
        node: str = "t",
        host: str = HOST,
        rtp: int = (30 + SLOT) * 1000,
        redis: str = HOST,
        cases: Path | None = None,
        more: str = "",
    ):
        self.folder, self.host, self.sip = folder, host, f"{host}:5060"
        self._make_prompts()
        give_trained_models(folder / "cache")
        self.config = folder / "hotline.toml"
        self.config.write_text(
            TOML.format(
                state=folder,
                root=ROOT,
                models=models_dir(),
                host=host,
                net=NET,
                rtp=rtp,
                rtp_last=rtp + 999,
                node=node,
                redis=redis,
                cases=cases or folder,
                more=more,
            )
        )
        self.settings = load_settings(self.config)
        self.plan = load_plan(self.settings.files.queues)
        self.supervisor = Supervisor(self.settings, self.plan.consultants, config=self.config)
        self.redis, self.asterisk = self.supervisor.redis, self.supervisor.asterisk
        self.service = self.supervisor.service
        self.store = CaseStore(self.settings.cases.database)
        self.warnings_at_start: list[str] = []

    def _make_prompts(self) -> None:
        for source in (ROOT / "prompts").rglob("*"):
            target = self.folder / "prompts" / source.relative_to(ROOT / "prompts")
            if source.is_dir():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix == ".wav" and source.stem not in WHOLE_PROMPTS:
                write_wav(target, read_audio(source)[: int(SHORT_S * 16_000)])
            else:
                target.write_bytes(source.read_bytes())

    async def start(self) -> None:
        """Start all three."""
        for server in (self.redis, self.asterisk, self.service):
            await server.start()
        await self.store.open()
        await self.ready()
        self.warnings_at_start = self.warnings()

    async def stop(self) -> None:
        """Stop what still runs."""
        await self.store.close()
        for server in (self.service, self.asterisk, self.redis):
            await server.stop()

    def render(self) -> None:
        """Write Asterisk's configuration again."""
        render(
            self.settings, self.plan.consultants, self.supervisor.install, self.supervisor.secrets
        )

    async def restart_service(self) -> None:
        """Start the service again after a test has ended it."""
        if self.service.running:
            await self.service.stop()
        await self.service.start()
        await self.ready()

    async def ready(self) -> None:
        """Wait until the service has Asterisk and Redis."""

        async def is_ready() -> bool:
            try:
                return (await self.http("/readyz"))[0] == 200
            except aiohttp.ClientError:
                return False

        await until(is_ready, "the service is ready", 20)

    async def http(self, path: str) -> tuple[int, str]:
        """Ask the service's status server."""
        url = f"http://{self.host}:8119{path}"
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            return answer.status, await answer.text()

    async def metric(self, name: str) -> float:
        """One figure without labels from /metrics."""
        _, text = await self.http("/metrics")
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        assert found, f"no metric {name}"
        return float(found[1])

    async def console(self, words: str) -> str:
        """Ask Asterisk by its console: a witness of what it did."""
        return await self.supervisor.asterisk_console(words)

    async def channels(self) -> int:
        """Channels open in Asterisk."""
        found = re.search(r"(\d+) active channel", await self.console("core show channels"))
        assert found
        return int(found[1])

    async def no_channels(self) -> None:
        """Wait until no channel is left."""

        async def none() -> bool:
            return await self.channels() == 0

        await until(none, "no channel is left in Asterisk", 20)

    def warnings(self) -> list[str]:
        """Errors and warnings in Asterisk's log."""
        log = self.folder / "asterisk" / "log" / "messages.log"
        return [line for line in log.read_text().splitlines() if re.search("ERROR|WARNING", line)]

    @asynccontextmanager
    async def caller(
        self, audio: Path | None = None, *, host: str = f"{NET}.2", answer: AnswerMode = "manual"
    ) -> AsyncIterator[Telephone]:
        """A caller at the telephone network's address; `user` is a number nobody else has."""
        number = f"+48601{uuid.uuid4().int % 10**6:06d}"
        folder = self.folder / "phones" / number
        async with Telephone(
            "caller", folder, host, user=number, audio=audio, answer=answer
        ) as telephone:
            yield telephone

    @asynccontextmanager
    async def consultant(
        self, extension: str, audio: Path | None = None, *, answer: str = "auto"
    ) -> AsyncIterator[Telephone]:
        """A consultant's telephone, registered and idle on the board."""
        address = f"{NET}.{int(extension) - 80}"
        folder = self.folder / "phones" / f"{extension}-{uuid.uuid4().hex[:6]}"
        telephone = Telephone(
            f"consultant-{extension}", folder, address, user=extension, server=self.sip,
            register=True, answer=answer, audio=audio,  # type: ignore[arg-type]
            password=self.supervisor.secrets[f"consultant-{extension}"],
        )  # fmt: skip
        async with telephone:

            async def registered() -> bool:
                return telephone.registered

            # Not wait_for: a call may come before the news of the registration, and stay unread.
            await until(registered, f"telephone {extension} is registered", 10)
            yield telephone

    @asynccontextmanager
    async def trunk(
        self, name: str, *, answer: str = "auto", audio: Path | None = None
    ) -> AsyncIterator[Telephone]:
        """The far end of an emergency trunk, `a` or `b`."""
        host = {"a": f"{NET}.5", "b": f"{NET}.6"}[name]
        folder = self.folder / "phones" / f"trunk-{name}-{uuid.uuid4().hex[:6]}"
        telephone = Telephone(
            f"trunk-{name}", folder, host, user="112", answer=answer, audio=audio,  # type: ignore[arg-type]
        )  # fmt: skip
        async with telephone:
            yield telephone

    async def case(
        self,
        caller: Telephone,
        want: Callable[[Case], bool] = lambda case: True,
        within: float = 30,
    ) -> Case:
        """The one case of a caller's number, once `want` holds."""
        found: list[Case] = []

        async def there() -> bool:
            found[:] = [
                c for c in await self.store.list(limit=50) if c.caller_number == caller.user
            ]
            return bool(found) and want(found[0])

        await until(there, f"the case of {caller.user} is as wanted", within)
        assert len(found) == 1, "a call has exactly one case"
        return found[0]

    async def closed_case(self, caller: Telephone, within: float = 30) -> Case:
        """The case of a caller whose call is over."""
        return await self.case(caller, lambda case: case.ended_at is not None, within)

    async def steps(self, case: Case) -> list[str]:
        """The kinds of the case's events, in order."""
        return [event.kind for event in await self.store.events(case.uuid)]

    async def step(self, caller: Telephone, kind: str, within: float = 30) -> Case:
        """Wait until a step is in the caller's case."""
        case = await self.case(caller, within=within)

        async def there() -> bool:
            return kind in await self.steps(case)

        try:
            await until(there, f"{kind} is in the case of {caller.user}", within)
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {await self.steps(case)}") from None
        return case


async def until(
    condition: Callable[[], Awaitable[bool]], what: str, within: float, every: float = 0.05
) -> float:
    """Wait until a condition holds; returns the seconds it took, fails with `what`."""
    began = time.monotonic()
    while time.monotonic() - began < within:
        if await condition():
            return time.monotonic() - began
        await asyncio.sleep(every)
    raise AssertionError(f"not within {within} s: {what}")


def late(folder: Path, recording: Path, silence_s: float = 1.0) -> Path:
    """A recording with silence before it, so that the line is up before the first word."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"late-{recording.name}"
    write_wav(target, bytes(2 * int(silence_s * 8000)) + read_audio(recording))
    return target

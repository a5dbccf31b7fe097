"""The demonstration: real servers, two consultants and one caller at real SIP telephones."""

import asyncio
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from ivr.cases.event import CaseEvent
from ivr.cases.model import Case
from ivr.cases.store import CaseStore
from ivr.errors import HotlineError
from ivr.loading import load_plan, require_folders
from ivr.settings import Settings
from ivr.speech.audiofile import read_audio, write_wav
from ivr.supervisor import Supervisor
from ivr.telephone import Telephone

SPEAK_AFTER_S = 1.5
TALK_S = 4.0
CALL_DEADLINE_S = 150.0
STEP_NAMES = {
    "answered": "answered", "heard": "heard", "understood": "understood", "queued": "queue",
    "offered": "offered", "ringing": "ringing", "talking": "talking", "talk_ended": "talk ended",
    "emergency": "to 112", "emergency_trunk": "112 trunk called",
    "emergency_answered": "112 answered", "no_answer": "no answer", "menu_chosen": "keypad menu",
    "degraded": "degraded", "abandoned": "abandoned", "closed": "closed",
}  # fmt: skip

Say = Callable[[str], None]


async def demonstrate(
    settings: Settings, config: Path, audio: Path, *, stay: bool, say: Say
) -> dict[str, Any] | None:
    """Run one call and return its result; with `stay`, keep everything up until Ctrl-C.

    Raises HotlineError.
    """
    require_folders(settings)
    plan = load_plan(settings.files.queues)
    speech = read_audio(audio)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="hotline-demo-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        say("starting Redis, Asterisk and the service ...")
        supervisor = Supervisor(
            settings, plan.consultants, config=config, demo_caller=True,
            environment={"HOTLINE_SERVICE__DRAIN_S": "2"},
        )  # fmt: skip
        await stack.enter_async_context(supervisor)
        sip = f"{settings.asterisk.sip_host}:{settings.asterisk.sip_port}"
        consultants = _best_two(plan.consultants)
        greeting = settings.files.prompts.absolute() / "pl" / "connecting.wav"
        for position, consultant in enumerate(consultants):
            telephone = Telephone(
                f"consultant-{consultant}", folder / consultant, f"127.0.0.{11 + position}",
                user=consultant, server=sip, register=True, answer="auto", audio=greeting,
                password=supervisor.secrets[f"consultant-{consultant}"],
            )  # fmt: skip
            await stack.enter_async_context(telephone)
            await telephone.wait_for("REGISTER_OK", timeout=10)
            say(f"consultant {consultant} is at the telephone")
        for name, address in (("a", settings.emergency.trunk_a), ("b", settings.emergency.trunk_b)):
            host, _, port = address.partition(":")
            trunk = Telephone(
                f"trunk-{name}", folder / f"trunk-{name}", host, int(port or 5060),
                user=settings.emergency.number, answer="auto", audio=greeting,
            )  # fmt: skip
            await stack.enter_async_context(trunk)
        result = await _one_call(stack, settings, folder, speech, sip, stop, say)
        if stay and not stop.is_set():
            service = settings.service
            say("")
            say(f"status page   http://{service.http_host}:{service.http_port}/")
            say(f"call in       any SIP telephone on this machine: server {sip}, user caller,")
            say(f"              password {supervisor.secrets['caller']}; dial 19115")
            say(f"answer calls  user 103 (and so on), passwords in {supervisor.secrets}")
            say("Ctrl-C ends everything.")
            await stop.wait()
            say("stopping ...")
        return result


def _best_two(consultants: Any) -> list[str]:
    return [consultant.id for consultant in consultants[:2]]


async def _one_call(
    stack: AsyncExitStack,
    settings: Settings,
    folder: Path,
    speech: bytes,
    sip: str,
    stop: asyncio.Event,
    say: Say,
) -> dict[str, Any]:
    number = f"+48600{random.randrange(10**6):06d}"  # noqa: S311 - a number to find the case by
    words = folder / "words.wav"
    write_wav(words, bytes(int(SPEAK_AFTER_S * 16_000)) + speech)
    host = settings.trunks.incoming[0]
    caller = Telephone("caller", folder / "caller", host, user=number, audio=words)
    await stack.enter_async_context(caller)
    say(f"a caller dials {settings.trunks.numbers[0]} and says {len(speech) / 16_000:.1f} s")
    await caller.dial(f"sip:{settings.trunks.numbers[0]}@{sip}")
    store = CaseStore(settings.cases.database)
    stack.push_async_callback(store.close)
    await store.open()
    shown = 0
    deadline = time.monotonic() + CALL_DEADLINE_S
    talk_until: float | None = None
    while time.monotonic() < deadline and not stop.is_set():
        await asyncio.sleep(0.1)
        case = await _find(store, number)
        if case is None:
            continue
        events = list(await store.events(case.uuid))
        for event in events[shown:]:
            _show(event, case, say)
            if event.kind in ("talking", "emergency_answered"):
                talk_until = time.monotonic() + TALK_S
        shown = len(events)
        if events and events[-1].kind == "closed":
            say(f"case {case.number} is on record")
            return _result(case, events)
        if talk_until and time.monotonic() > talk_until and caller.in_call:
            await caller.hangup()
    if stop.is_set():
        raise HotlineError("stopped before the call was over")
    raise HotlineError(
        f"the call was not over after {CALL_DEADLINE_S:.0f} s: see {settings.state_dir}/logs"
    )


async def _find(store: CaseStore, number: str) -> Case | None:
    for case in await store.list(limit=5):
        if case.caller_number == number:
            return case
    return None


def _show(event: CaseEvent, case: Case, say: Say) -> None:
    name = STEP_NAMES.get(event.kind)
    if name is None:
        return
    facts = {
        key: value for key, value in event.data.items()
        if key in ("transcript", "topic", "confidence", "emergency", "queue", "consultant",
                   "trunk", "why", "outcome", "talk_s")
    }  # fmt: skip
    told = ", ".join(f"{key} {value}" for key, value in facts.items() if value not in (None, ""))
    say(f"{_at(event, case):7.2f} s  {name:<17} {told}")


def _at(event: CaseEvent, case: Case) -> float:
    return round((event.at - case.opened_at).total_seconds(), 3)


def _result(case: Case, events: list[CaseEvent]) -> dict[str, Any]:
    return {
        "case": case.number,
        "language": case.language,
        "transcript": case.transcript,
        "topic": case.topic,
        "confidence": case.confidence,
        "emergency": case.outcome in ("emergency", "emergency_failed"),
        "trunk": case.emergency_trunk,
        "queue": case.queue,
        "consultant": case.consultant,
        "wait_s": case.wait_s,
        "talk_s": case.talk_s,
        "steps": [
            {"at_s": _at(event, case), "step": STEP_NAMES.get(event.kind, event.kind)}
            for event in events
        ],
    }


def print_result(result: dict[str, Any]) -> None:
    """Print the result as one line, the last one."""
    print(json.dumps(result, ensure_ascii=False))
    sys.stdout.flush()

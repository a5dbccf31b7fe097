"""Parts are killed, frozen and cut off under callers: nobody is dropped, every case is kept."""

import asyncio
import json
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from asterisk.ami import AMIClient, SimpleAction

from ivr.speech.audiofile import read_audio
from ivr.telephone import Telephone
from tests.asterisk.people import (
    another_caller,
    answered,
    closes,
    fallback_has,
    greeted,
    note,
    queued,
    times_said,
    trunk_alive,
    waits,
)
from tests.asterisk.site import AUDIO, HOST, HOTLINE, Site, late, until
from tests.asterisk.test_emergency import key_zero, over
from tests.asterisk.test_spoken_call import heard_audio, likeness

TO_FALLBACK_S = 2.0
"""From the failure to the caller standing in Asterisk's own queue."""
LAMP = AUDIO / "roads-lamp.wav"


class Witness:
    """An AMI client of other people's making (asterisk-ami, synchronous), on the service's user."""

    def __init__(self, site: Site):
        self._secret = site.supervisor.secrets["ami"]
        self._port = site.settings.asterisk.ami_port

    async def callers(self) -> list[str]:
        """The channels in the fallback queue."""
        return await asyncio.to_thread(self._callers)

    def _callers(self) -> list[str]:
        client = AMIClient(address=HOST, port=self._port, timeout=3)
        try:
            welcome = client.login(username="hotline", secret=self._secret).response
            assert welcome is not None, "Asterisk lets the witness in"
            assert not welcome.is_error(), str(welcome)
            found: list[str] = []
            over: list[bool] = []

            def on_event(event: object, **_: object) -> None:
                name, keys = event.name, event.keys  # type: ignore[attr-defined]
                if name == "CoreShowChannelsComplete":
                    over.append(True)
                elif name == "CoreShowChannel" and keys.get("Application") == "Queue":
                    found.append(keys["Channel"])

            client.add_event_listener(on_event)
            client.send_action(SimpleAction("CoreShowChannels"))
            deadline = time.monotonic() + 3
            while not over and time.monotonic() < deadline:
                time.sleep(0.01)  # its events come in a thread of its own
            assert over, "the witness has not seen the whole list"
            client.logoff()
            return found
        finally:
            client.disconnect()


async def talk_through(one: Telephone, other: Telephone, site: Site) -> None:
    """Both speak; each has then heard the other's words."""
    folder = site.folder / "audio"
    first = await one.speak(late(folder, AUDIO / "waste-fridge.wav", 0.2))
    second = await other.speak(late(folder, AUDIO / "water-hot.wav", 0.2))
    await asyncio.sleep(max(first, second) + 0.3)  # the talk itself
    assert likeness(other.heard_pcm(), read_audio(AUDIO / "waste-fridge.wav")) > 0.5
    assert likeness(one.heard_pcm(), read_audio(AUDIO / "water-hot.wav")) > 0.5


async def test_the_service_is_killed_under_its_callers(site: Site) -> None:
    witness = Witness(site)
    async with (
        site.consultant("101") as first,
        site.caller() as talker,
        another_caller(site, 1) as waiter,
        another_caller(site, 2) as speaker,
    ):
        await queued(site, talker)
        await site.step(talker, "talking")
        await waits(site, waiter)
        await greeted(site, speaker)
        site.service.signal(signal.SIGKILL)
        took = await fallback_has(site, 2, within=TO_FALLBACK_S)
        note(f"killed to both callers in the fallback queue: {took:.2f} s")
        assert len(await witness.callers()) == 2
        await talk_through(talker, first, site)
        assert await site.channels() == 4
        async with site.consultant("102") as second:
            await answered(second, 10)
            await fallback_has(site, 1, within=2)
            await first.hangup()
            await closes(talker)
            assert times_said(heard_audio(talker), "thank-you"), "a talk ends with thanks"
            # The one who is left has waited longest: 101, free now, is rung by the queue.
            await answered(first, 15)
            await fallback_has(site, 0, within=2)
            await second.hangup()
            await first.hangup()
            await closes(waiter)
            await closes(speaker)
        for one in (waiter, speaker):
            assert times_said(heard_audio(one), "thank-you"), "served: not queued again"
    await site.restart_service()
    case = await site.closed_case(talker)
    assert (case.outcome, case.consultant) == ("answered", "101")
    assert (case.talk_s or 0) > 4
    for one in (waiter, speaker):
        case = await site.closed_case(one)
        assert case.outcome == "degraded"
        assert case.consultant in ("101", "102")
        assert (case.wait_s or 0) > 0
        assert (case.talk_s or 0) > 0


async def test_calls_made_while_the_service_is_down_have_their_cases(site: Site) -> None:
    await site.service.stop()
    async with site.consultant("101") as consultant, site.caller() as served:
        await greeted(site, served)
        await served.press("1")
        await answered(consultant, 10)
        await talk_through(served, consultant, site)
        await consultant.hangup()
        await closes(served)
        assert times_said(heard_audio(served), "thank-you")
    async with site.caller() as impatient:
        await greeted(site, impatient)
        await impatient.press("1")
        await fallback_has(site, 1, within=5)
        await impatient.hangup()
        await fallback_has(site, 0, within=5)
    await site.restart_service()
    case = await site.closed_case(served)
    assert (case.outcome, case.consultant, case.channel) == ("degraded", "101", "phone")
    assert 4 < (case.talk_s or 0) < 12
    assert case.wait_s is not None
    assert re.fullmatch(r"\d{6}/\d\d", case.number or "")
    case = await site.closed_case(impatient)
    assert (case.consultant, case.talk_s or 0) == (None, 0)


async def test_redis_is_killed_and_comes_back(site: Site) -> None:
    words = late(site.folder / "audio", LAMP)
    async with site.caller() as waiter, another_caller(site, 1, words) as speaker:
        await waits(site, waiter)
        site.redis.signal(signal.SIGKILL)
        try:
            took = await fallback_has(site, 1, within=TO_FALLBACK_S)
            note(f"Redis killed to the caller in the fallback queue: {took:.2f} s")
            await site.redis.wait()
            await speaker.dial(HOTLINE)
            await site.step(speaker, "understood")
            await fallback_has(site, 2, within=5)
            async with site.consultant("102") as consultant:
                await answered(consultant, 10)
                await fallback_has(site, 1, within=2)
                await consultant.hangup()
                await closes(waiter)
        finally:
            await site.redis.start()
        await speaker.hangup()
        case = await site.closed_case(speaker)
        assert (case.topic, case.outcome) == ("roads", "degraded")
    await site.ready()
    case = await site.closed_case(waiter)
    assert (case.outcome, case.consultant) == ("degraded", "102")
    async with site.consultant("101") as consultant, site.caller() as caller:
        await queued(site, caller)
        await answered(consultant, 10)
        await site.step(caller, "talking")
        await consultant.hangup()
        await closes(caller)
        case = await site.closed_case(caller)
    assert (case.outcome, case.consultant) == ("answered", "101")


@asynccontextmanager
async def manager_moved(site: Site) -> AsyncIterator[None]:
    """Asterisk's manager listens elsewhere and has ended the service's connection."""
    file = site.supervisor.etc_dir / "manager.conf"
    text = file.read_text()
    port = site.settings.asterisk.ami_port
    file.write_text(text.replace(f"port = {port}", f"port = {port + 900}"))
    try:
        await site.console("manager reload")
        await kick(site)
        yield
    finally:
        file.write_text(text)
        await site.console("manager reload")


async def kick(site: Site) -> None:
    """Have Asterisk end every manager connection."""
    shown = await site.console("manager show connected")
    sessions = re.findall(r"^\s*hotline\s.*?\s(\d+)\s+\d+\s+\d+\s+\d+\s*$", shown, re.MULTILINE)
    assert sessions, shown
    for number in sessions:
        await site.console(f"manager kick session {number}")


async def parts(site: Site) -> dict[str, bool]:
    """What the service tells of its parts."""
    _, text = await site.http("/readyz")
    return dict(json.loads(text)["parts"])


async def linked(site: Site, wanted: bool, within: float) -> float:
    """Wait until the service has, or has not, its manager link."""

    async def there() -> bool:
        return (await parts(site))["asterisk"] is wanted

    return await until(there, f"the manager link is {'up' if wanted else 'down'}", within)


async def test_the_manager_link_breaks_and_comes_back(site: Site) -> None:
    async with (
        site.trunk("a") as centre,
        site.caller() as waiter,
        another_caller(site, 1) as endangered,
    ):
        await trunk_alive(site, "a")
        await waits(site, waiter)
        await waits(site, endangered)
        async with manager_moved(site):
            await linked(site, False, 5)
            await key_zero(endangered, centre)
            await over(centre, endangered)
            assert waiter.in_call
        took = await linked(site, True, 15)
        note(f"the manager link is back after {took:.2f} s")
        async with site.consultant("101") as consultant:
            await answered(consultant, 10)
            await site.step(waiter, "talking")
            await consultant.hangup()
            await closes(waiter)
        case = await site.closed_case(waiter)
        assert (case.outcome, case.consultant) == ("answered", "101")
        case = await site.closed_case(endangered)
        assert (case.outcome, case.emergency) == ("emergency", "yes")


async def test_a_kicked_manager_link_is_made_again_at_once(site: Site) -> None:
    async with site.caller() as waiter:
        await waits(site, waiter)
        await kick(site)
        async with site.consultant("101") as consultant:
            await answered(consultant, 10)
            await consultant.hangup()
            await closes(waiter)
        case = await site.closed_case(waiter)
    assert case.outcome == "answered"


@asynccontextmanager
async def service_with(
    site: Site, monkeypatch: pytest.MonkeyPatch, **environment: str
) -> AsyncIterator[None]:
    """The service with other settings; the next test starts it again without them."""
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        await site.service.stop()
        await site.service.start()

    async def ready() -> bool:
        now = await parts(site)
        return now["asterisk"] and now["redis"]

    try:
        await until(ready, "the service has Asterisk and Redis", 20)
        yield
        await site.no_channels()
    finally:
        await site.service.stop()


async def test_without_a_recogniser_the_keypad_serves(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = '{"pl": "none", "uk": "none", "en": "none"}'
    async with (
        service_with(site, monkeypatch, HOTLINE_SPEECH__ENGINE=engines),
        site.consultant("102") as consultant,
        site.caller() as caller,
    ):
        await greeted(site, caller)

        async def menu() -> bool:
            return bool(times_said(caller.heard_pcm(), "menu"))

        await until(menu, "the menu is read out", 40, every=0.5)
        await caller.press("2")
        await answered(consultant, 10)
        await consultant.hangup()
        await closes(caller)
        case = await site.closed_case(caller)
    assert (case.queue, case.topic, case.outcome) == ("roads", "roads", "answered")


async def test_a_recogniser_that_fails_leads_to_the_keypad(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        service_with(site, monkeypatch, HOTLINE_SPEECH__RECOGNITION_DEADLINE_S="0.01"),
        site.consultant("102") as consultant,
        site.caller(late(site.folder / "audio", LAMP)) as caller,
    ):
        await caller.dial(HOTLINE)
        case = await site.step(caller, "heard")
        heard = [e.data for e in await site.store.events(case.uuid) if e.kind == "heard"]
        assert "longer than 0.01 s" in str(heard[0]["failed"])
        await caller.press("2")
        await answered(consultant, 10)
        await consultant.hangup()
        await closes(caller)
        case = await site.closed_case(caller)
    assert (case.queue, case.topic, case.outcome) == ("roads", "roads", "answered")


async def test_sigterm_lets_nobody_fall(site: Site) -> None:
    async with site.caller() as waiter, another_caller(site, 1) as late_caller:
        await waits(site, waiter)
        site.service.signal(signal.SIGTERM)
        began = time.monotonic()
        await greeted(site, late_caller)
        await late_caller.press("1")
        await fallback_has(site, 1, within=TO_FALLBACK_S)
        assert site.service.running, "the caller who waits is still served"
        drain_s = site.settings.service.drain_s
        await fallback_has(site, 2, within=drain_s + TO_FALLBACK_S)
        async with asyncio.timeout(drain_s + 5):
            status = await site.service.wait()
        note(f"SIGTERM to the end of the service: {time.monotonic() - began:.1f} s")
        assert status == 0
        assert waiter.in_call
        assert late_caller.in_call
        for one in (waiter, late_caller):
            await one.hangup()
        await fallback_has(site, 0, within=5)
    await site.restart_service()
    for one in (waiter, late_caller):
        assert (await site.closed_case(one)).ended_at is not None


async def test_a_frozen_service_is_killed_and_its_callers_are_served(site: Site) -> None:
    watch = asyncio.create_task(site.supervisor._watch_health())
    try:
        async with site.caller() as waiter:
            await waits(site, waiter)
            began = time.monotonic()
            site.service.signal(signal.SIGSTOP)
            async with asyncio.timeout(6):
                await site.service.wait()
            killed_s = time.monotonic() - began
            took = await fallback_has(site, 1, within=TO_FALLBACK_S)
            note(f"frozen to killed: {killed_s:.1f} s; to the fallback queue: {took:.2f} s more")
            assert killed_s < 4.5
            async with site.consultant("101") as consultant:
                await answered(consultant, 10)
                await consultant.hangup()
                await closes(waiter)
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
    await site.restart_service()
    case = await site.closed_case(waiter)
    assert (case.outcome, case.consultant) == ("degraded", "101")

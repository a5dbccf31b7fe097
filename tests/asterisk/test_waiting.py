"""What who waits hears and may press, and who goes first, on a real site."""

import asyncio
import time

import pytest

from tests.asterisk.people import answered, board, closes, note, playing, times_said, waits
from tests.asterisk.site import HOTLINE, SIP, Site, until
from tests.asterisk.test_failures import service_with
from tests.asterisk.test_spoken_call import heard_audio

KNOWS_BOTH = "114"
"""A consultant who is offered calls about roads and about anything else at once."""
OFFER_DURING_ANNOUNCEMENT_S = 0.6
"""From a consultant's "available" to the talk, the ending of the audio included."""


async def test_who_waits_is_told_the_place_and_the_wait_again_and_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        service_with(site, monkeypatch, HOTLINE_ROUTING__ANNOUNCE_S="5"),
        site.consultant("101") as consultant,
        site.caller() as caller,
    ):
        await consultant.dial(f"sip:*13@{SIP}")
        await closes(consultant)
        await waits(site, caller)

        async def told_twice() -> bool:
            return len(times_said(caller.heard_pcm(), "still-waiting")) == 2

        await until(told_twice, "still-waiting is said twice", 25, every=0.2)
        # In the middle of the second announcement a consultant becomes available.
        async with board() as witness:
            began = time.monotonic()
            assert await witness.move("101", "available", expected=("paused",))
            await answered(consultant, 5, hear_s=0)
            took = time.monotonic() - began
        note(f"available during an announcement to answered: {took * 1000:.0f} ms")
        heard = heard_audio(caller)
        await consultant.hangup()
        await closes(caller)
        await site.closed_case(caller)
    assert took < OFFER_DURING_ANNOUNCEMENT_S
    first, second = times_said(heard, "still-waiting")
    assert 5 <= second - first < 12
    assert len(times_said(heard, "people-ahead")) >= 2
    assert len(times_said(heard, "number-0")) >= 2
    assert len(times_said(heard, "offer-callback")) >= 2


async def test_a_star_ends_the_announcement_and_music_plays_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        service_with(site, monkeypatch, HOTLINE_ROUTING__ANNOUNCE_S="5"),
        site.caller() as caller,
    ):
        await waits(site, caller)

        async def told() -> bool:
            return bool(times_said(caller.heard_pcm(), "still-waiting"))

        await until(told, "still-waiting is said", 15, every=0.1)
        await caller.press("*")
        await asyncio.sleep(1.5)  # far less than the announcement has left

        async def music() -> bool:
            return playing(caller)

        await until(music, "music plays", 3)
        assert len(times_said(caller.heard_pcm(), "offer-callback")) == 1, "the first time only"
        await caller.hangup()
        case = await site.closed_case(caller)
    assert case.outcome == "abandoned"
    assert (case.wait_s or 0) > 5


async def test_who_is_sent_back_by_112_goes_first_and_is_not_asked(site: Site) -> None:
    async with site.caller() as earlier, site.trunk("a", answer="manual") as returned:
        await waits(site, earlier)
        await returned.dial(HOTLINE)
        await returned.wait_for("CALL_ESTABLISHED", timeout=10)
        case = await site.step(returned, "queued")
        async with board() as witness:
            waiting = {c.id: c.priority for c in (await witness.snapshot([])).waiting}
        assert waiting[str(case.uuid)] == 0
        assert sorted(waiting.values()) == [0, 3]
        async with site.consultant(KNOWS_BOTH) as consultant:
            await answered(consultant, 10)
            await site.step(returned, "talking")
            assert "talking" not in await site.steps(await site.case(earlier))
            await consultant.hangup()
            await closes(returned)
            await closes(consultant)
            await answered(consultant, 10)
            await site.step(earlier, "talking")
            await consultant.hangup()
            await closes(earlier)
        assert (await site.closed_case(returned)).outcome == "answered"


async def test_each_step_of_a_wait_is_kept_in_the_case(site: Site) -> None:
    async with site.consultant("101") as consultant, site.caller() as caller:
        await consultant.dial(f"sip:*131@{SIP}")
        await closes(consultant)
        await waits(site, caller)
        case = await site.step(caller, "step")
        await consultant.dial(f"sip:*11@{SIP}")
        await closes(consultant)
        steps = [e.data for e in await site.store.events(case.uuid) if e.kind == "step"]
        await caller.hangup()
        await site.closed_case(caller)
    assert steps[0]["step"] == 0
    assert steps[0]["able"]["101"] == "paused break"  # type: ignore[index,call-overload]
    assert "102" in steps[0]["able"]  # type: ignore[operator]


async def test_a_telephone_that_is_gone_is_not_offered_calls(site: Site) -> None:
    async def device() -> str:
        async with board() as witness:
            return (await witness.snapshot(["101"])).consultants["101"].device

    async def there() -> bool:
        return await device() == "idle"

    async def gone() -> bool:
        return await device() == "unavailable"

    async with site.consultant("101") as telephone:
        await until(there, "101 is there", 10)
        await telephone.stop()  # takes back its registration
        took = await until(gone, "101 is known to be gone", 2)
        note(f"registration taken back, known on the board after {took:.2f} s")
    async with site.consultant("101") as telephone:
        await until(there, "101 is there", 10)
        assert telephone._process is not None
        telephone._process.kill()
        took = await until(gone, "101 is known to be dead", 12)
        note(f"telephone killed, known on the board after {took:.2f} s")


async def test_a_telephone_in_use_is_not_rung(site: Site) -> None:
    """The board is told by events, which may be late: Asterisk is asked before it rings."""
    async with (
        site.trunk("a"),
        site.consultant("101") as telephone,
        site.caller() as caller,
    ):
        await telephone.dial(f"sip:*13@{SIP}")
        await closes(telephone)
        await waits(site, caller)
        await telephone.dial(f"sip:112@{SIP}")
        await answered(telephone, 10, hear_s=0)
        async with board() as witness:
            await witness.set_device("101", "idle", node="t")  # an event that is out of date
            assert await witness.move("101", "available", expected=("paused",))
        await asyncio.sleep(1)
        assert len([e for e in telephone.history if e.type == "CALL_ESTABLISHED"]) == 2
        await telephone.hangup()
        await closes(telephone)
        await answered(telephone, 10)
        await site.step(caller, "talking")
        case = await site.case(caller)
        assert "no_answer" not in await site.steps(case)
        await telephone.hangup()
        await closes(caller)
        await site.closed_case(caller)

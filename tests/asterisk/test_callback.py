"""Waiting and being called back, on a real site: the place, the keys, the tries, what survives."""

import signal
from itertools import pairwise

import pytest

from ivr.cases.model import Case
from ivr.telephone import Telephone
from tests.asterisk.people import (
    another_caller,
    answered,
    board,
    closes,
    note,
    times_said,
    waits,
)
from tests.asterisk.site import NET, SIP, Site, until
from tests.asterisk.test_spoken_call import heard_audio


async def open_callbacks() -> list[str]:
    async with board() as witness:
        return sorted((await witness.snapshot([])).callbacks)


def closed_after_talk(case: Case) -> bool:
    """The first end of such a case is that of the call in which the callback was ordered."""
    return bool(case.talking_at and case.ended_at and case.ended_at > case.talking_at)


async def orders_callback(site: Site, caller: Telephone) -> Case:
    """Call, wait, press 1, and be thanked."""
    await waits(site, caller)
    await caller.press("1")
    await closes(caller)
    case = await site.case(caller, lambda case: case.outcome == "callback")
    assert times_said(heard_audio(caller), "callback-confirmed")

    async def on_the_board() -> bool:
        return str(case.uuid) in await open_callbacks()

    await until(on_the_board, "the callback is on the board", 15)
    return case


async def test_a_callback_is_dialled_when_a_consultant_is_reserved(site: Site) -> None:
    async with site.caller(answer="auto") as caller:
        ordered = await orders_callback(site, caller)
        assert (ordered.status, ordered.consultant) == ("Nowe", None)
        async with site.consultant("101") as consultant:
            await answered(consultant, 20)
            assert caller.in_call
            rung = next(event for event in consultant.history if event.type == "CALL_ESTABLISHED")
            assert caller.user in rung.peer, "the consultant sees who is called back"
            await site.step(caller, "talking")
            await consultant.hangup()
            await closes(caller)
            case = await site.case(caller, closed_after_talk)
    assert case.outcome == "answered"
    assert case.uuid == ordered.uuid, "one case for both calls"
    assert (case.consultant, case.topic) == ("101", "roads")
    assert (case.wait_s or 0) > 0
    steps = await site.steps(case)
    wanted = [
        "queued", "callback_asked", "closed", "callback_dialled", "callback_answered", "offered",
        "talking", "talk_ended", "closed",
    ]  # fmt: skip
    assert [step for step in steps if step in wanted] == wanted
    assert await open_callbacks() == []


async def test_a_callback_keeps_its_place_before_who_came_later(site: Site) -> None:
    async with site.caller(answer="auto") as first, another_caller(site, 1) as second:
        await orders_callback(site, first)
        await waits(site, second)
        async with site.consultant("101") as consultant:
            await answered(consultant, 20)
            assert first.in_call
            assert (await site.steps(await site.case(second)))[-1] != "offered"
            await consultant.hangup()
            await closes(first)
            await closes(consultant)
            await answered(consultant, 10)
            await site.step(second, "talking")
            await consultant.hangup()
            await closes(second)
            await site.closed_case(second)


async def test_who_does_not_answer_is_tried_again_and_then_left_to_a_person(site: Site) -> None:
    async with site.caller(answer="reject") as caller, site.consultant("101") as consultant:
        await consultant.dial(f"sip:*13@{SIP}")
        await consultant.wait_for("CALL_CLOSED", timeout=10)
        await orders_callback(site, caller)
        await consultant.dial(f"sip:*11@{SIP}")
        case = await site.case(caller, lambda case: case.outcome == "callback_failed", 40)
        assert not consultant.in_call
    assert case.status == "Nowe", "somebody is to look after it"
    events = await site.store.events(case.uuid)
    failed = [event for event in events if event.kind == "callback_failed"]
    assert [event.data["attempt"] for event in failed] == [1, 2, 3]
    assert {event.data["status"] for event in failed} == {"busy"}
    gaps = [(b.at - a.at).total_seconds() for a, b in pairwise(failed)]
    assert gaps[1] > gaps[0] > 0.9
    assert await open_callbacks() == []


async def test_who_calls_again_keeps_the_place_and_is_not_called_back(site: Site) -> None:
    async with site.caller() as caller:
        ordered = await orders_callback(site, caller)
        async with board() as witness:
            place = (await witness.snapshot([])).callbacks[str(ordered.uuid)].call
        await caller.dial(f"sip:19115@{SIP}")
        await caller.wait_for("CALL_ESTABLISHED", timeout=10)
        await caller.hear(0.4, timeout=10)
        await caller.press("12")

        async def waiting_again() -> bool:
            async with board() as witness:
                snapshot = await witness.snapshot([])
            return [c.arrived_at for c in snapshot.waiting] == [place.arrived_at]

        await until(waiting_again, "the new call has the old place", 15)
        assert await open_callbacks() == []
        await caller.hangup()
        await site.no_channels()

    async def outcomes() -> set[str | None]:
        cases = await site.store.list(limit=20)
        return {case.outcome for case in cases if case.caller_number == caller.user}

    async def both_closed() -> bool:
        return await outcomes() == {"callback_cancelled", "abandoned"}

    await until(both_closed, "both cases are closed", 10)


@pytest.mark.parametrize("part", ["service", "redis", "asterisk"])
async def test_a_callback_survives_the_end_of_every_part(site: Site, part: str) -> None:
    async with site.caller(answer="auto") as caller:
        ordered = await orders_callback(site, caller)
        server = {"service": site.service, "redis": site.redis, "asterisk": site.asterisk}[part]
        server.signal(signal.SIGKILL)
        await server.wait()
        await (site.restart_service() if part == "service" else server.start())
        await site.ready()
        async with site.consultant("101") as consultant:
            took = await answered(consultant, 40)
            note(f"{part} killed: called back {took:.1f} s after a consultant was there")
            assert caller.in_call
            await consultant.hangup()
            await closes(caller)
            case = await site.case(caller, lambda case: case.outcome == "answered")
    assert case.uuid == ordered.uuid
    assert (await site.steps(case)).count("callback_dialled") == 1


async def test_a_number_that_may_not_be_dialled_is_offered_nothing(site: Site) -> None:
    folder = site.folder / "phones" / "premium"
    async with Telephone("caller", folder, f"{NET}.2", user="+48701234567") as caller:
        await waits(site, caller)
        await caller.press("1")
        await caller.hear(len(caller.heard_pcm()) / 16_000 + 1.5, timeout=10)
        assert caller.in_call
        assert await open_callbacks() == []
        await caller.hangup()
        await site.no_channels()

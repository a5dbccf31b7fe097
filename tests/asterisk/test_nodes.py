"""Two nodes with one board behind Kamailio: calls go to both, each outlives the other's death."""

import asyncio
import re
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ivr.telephone import Telephone
from tests.asterisk.nodes import Nodes, board, greeted, on_board, queued, waits
from tests.asterisk.people import another_caller, answered, closes, fallback_has, note, times_said
from tests.asterisk.site import NUMBER, Site, until
from tests.asterisk.test_failures import talk_through
from tests.asterisk.test_spoken_call import heard_audio

FREED_S = 10.0
"""From the death of a node to its consultants being free on the board."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def whole_nodes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nodes]:
    nodes = Nodes(tmp_path_factory.mktemp("nodes"))
    try:
        await nodes.open()
        yield nodes
    finally:
        await nodes.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def nodes(whole_nodes: Nodes) -> AsyncIterator[Nodes]:
    await whole_nodes.start()
    yield whole_nodes
    for site in whole_nodes.sites.values():
        if site.asterisk.running:
            await site.no_channels()


def at(site: Site) -> str:
    """The hotline's number at one node, without Kamailio."""
    return f"sip:{NUMBER}@{site.sip}"


async def end(server_owner: Site, name: str) -> None:
    """Kill one server of a node."""
    server = getattr(server_owner, name)
    server.kill()
    await server.wait()


async def test_calls_go_to_both_nodes_in_turn(nodes: Nodes) -> None:
    assert nodes.a.warnings() == nodes.b.warnings() == []
    taken = []
    for _ in range(4):
        async with nodes.a.caller() as caller:
            await greeted(caller)
            await caller.hangup()
            case = await nodes.a.closed_case(caller)
            assert case.caller_number == caller.user
            taken.append(case.node)
    assert sorted(taken) == ["a", "a", "b", "b"]
    assert taken[0] != taken[1]


async def test_a_consultant_of_the_other_node_serves_the_caller(nodes: Nodes) -> None:
    async with nodes.a.caller() as caller, board() as witness:
        await waits(nodes, caller, at(nodes.a))
        async with nodes.b.consultant("101") as consultant:
            await answered(consultant, 10)
            await on_board(witness, "101", lambda c: c.state == "talking" and c.node == "b", 5)
            shown = consultant.history[-1].peer
            assert caller.user in shown, f"the telephone shows {shown}"
            await talk_through(caller, consultant, nodes.a)
            await consultant.hangup()
            await closes(caller, 5)
            await on_board(witness, "101", lambda c: c.free, 5)
        assert times_said(heard_audio(caller), "thank-you")
        case = await nodes.a.closed_case(caller)
    assert (case.node, case.outcome, case.consultant) == ("a", "answered", "101")
    assert (case.talk_s or 0) > 4
    # Both nodes have read their records since: `closed_case` would find a second case.
    await asyncio.sleep(2 * nodes.b.settings.routing.reconcile_s)
    assert (await nodes.a.closed_case(caller)).uuid == case.uuid


async def test_who_hangs_up_stops_the_telephone_of_the_other_node(nodes: Nodes) -> None:
    async with (
        nodes.b.consultant("101", answer="manual") as consultant,
        nodes.a.caller() as caller,
        board() as witness,
    ):
        await queued(nodes, caller, at(nodes.a))
        await consultant.wait_for("CALL_INCOMING", timeout=10)
        await caller.hangup()
        await consultant.wait_for("CALL_CLOSED", timeout=3)
        await on_board(witness, "101", lambda c: c.free, 5)
        case = await nodes.a.closed_case(caller)
    assert (case.outcome, case.consultant) == ("abandoned", None)


async def ringing(telephone: Telephone, wanted: bool, within: float) -> None:
    """A call rings now, or none: its events tell of every call there was."""

    async def so() -> bool:
        return telephone.ringing is wanted

    await until(so, f"{telephone.name} rings: {wanted}", within)


PROBE = """
exten => _8XXX,1,Dial(PJSIP/${EXTEN:1},2,g)
 same => n,Goto(told,1)
exten => _9XXX,1,Dial(PJSIP/${EXTEN:1}@node-b,2,g)
 same => n,Goto(told,1)
exten => told,1,Log(NOTICE,STATUS ${DIALSTATUS})
 same => n,Hangup()
"""


async def status(nodes: Nodes, site: Site, number: str) -> str:
    """What Dial says at a node whose dialplan has PROBE."""
    log = site.folder / "asterisk" / "log" / "messages.log"
    before = len(log.read_text())
    async with nodes.a.caller() as caller:
        await caller.dial(f"sip:{number}@{site.sip}")
        await caller.wait_for("CALL_CLOSED", timeout=10)
    found = re.search(r"STATUS (\w+)", log.read_text()[before:])
    assert found, f"{number} at {site.host} ended without a status"
    return found[1]


async def test_dialling_over_a_node_tells_what_dialling_there_does(nodes: Nodes) -> None:
    for site in nodes.sites.values():
        numbers = site.supervisor.etc_dir / "numbers.conf"
        numbers.write_text(numbers.read_text() + PROBE)
        await site.console("dialplan reload")

    async def both(extension: str) -> tuple[str, str]:
        there = await status(nodes, nodes.b, f"8{extension}")
        return there, await status(nodes, nodes.a, f"9{extension}")

    try:
        assert await both("101") == ("CHANUNAVAIL", "CHANUNAVAIL")
        assert await both("999") == ("CHANUNAVAIL", "CHANUNAVAIL")
        async with nodes.b.consultant("101", answer="reject"):
            assert await both("101") == ("BUSY", "BUSY")
        async with nodes.b.consultant("102", answer="manual"):
            assert await both("102") == ("NOANSWER", "NOANSWER")
        async with nodes.b.consultant("101") as busy, another_caller(nodes.a, 1) as talker:
            await talker.dial(f"sip:8101@{nodes.b.sip}")
            await answered(busy, 5)
            assert await status(nodes, nodes.a, "9101") == "CHANUNAVAIL", "not rung twice"
            assert [e.type for e in busy.history].count("CALL_ESTABLISHED") == 1
            await talker.hangup()
            await closes(talker)
    finally:
        for site in nodes.sites.values():
            site.render()
            await site.console("dialplan reload")


async def test_the_service_of_a_node_is_killed(nodes: Nodes) -> None:
    async with (
        nodes.a.caller() as mine,
        another_caller(nodes.a, 1) as other,
        another_caller(nodes.a, 2) as fresh,
    ):
        await waits(nodes, mine, at(nodes.a))
        await waits(nodes, other, at(nodes.b))
        await end(nodes.a, "service")
        for _ in range(2):
            took = await greeted(fresh)
            note(f"a without its service: a new call answered by b after {took:.2f} s")
            assert took < 3
            await fresh.hangup()
            await closes(fresh)
        async with nodes.b.consultant("101") as first, nodes.b.consultant("102") as second:
            for consultant in (first, second):
                await answered(consultant, 20)
            await fallback_has(nodes.b, 0, within=5)
            assert mine.in_call
            assert other.in_call
            for consultant in (first, second):
                await consultant.hangup()
            for caller in (mine, other):
                await closes(caller)
                assert times_said(heard_audio(caller), "thank-you")
        await nodes.start()
        case = await nodes.a.closed_case(mine)
        assert (case.node, case.outcome) == ("a", "degraded")
        assert case.consultant in ("101", "102")
        case = await nodes.a.closed_case(other)
        assert (case.node, case.outcome) == ("b", "answered")
        assert case.consultant in ("101", "102")
    cases = await nodes.store.list(limit=50)
    assert [c.node for c in cases if c.caller_number == fresh.user] == ["b", "b"]


async def test_without_any_service_the_nodes_serve_by_themselves(nodes: Nodes) -> None:
    async with (
        nodes.a.trunk("a") as centre,
        nodes.a.caller() as endangered,
        another_caller(nodes.a, 1) as fresh,
        nodes.b.consultant("101", answer="manual") as consultant,
    ):
        await queued(nodes, endangered, at(nodes.a))
        await consultant.wait_for("CALL_INCOMING", timeout=10)
        for site in nodes.sites.values():
            await end(site, "service")
        # Nobody is registered at a: its caller waits in the queue of b, and still has key 0.
        await fallback_has(nodes.b, 1, within=20)
        await endangered.press("0")
        await centre.wait_for("CALL_ESTABLISHED", timeout=15)
        await fallback_has(nodes.b, 0, within=5)
        await ringing(consultant, False, within=5)
        took = await greeted(fresh)
        note(f"no service anywhere: answered after {took:.2f} s")
        await fresh.press("1")
        await ringing(consultant, True, within=20)
        await consultant.answer()
        await consultant.hear(0.5, timeout=5)
        await consultant.hangup()
        await closes(fresh)
        await centre.hangup()
        await closes(endangered)
        await nodes.start()
        case = await nodes.a.closed_case(fresh)
        assert (case.outcome, case.consultant) == ("degraded", "101")
        assert (await nodes.a.closed_case(endangered)).outcome == "emergency"


async def test_the_asterisk_of_a_node_is_killed_and_comes_back(nodes: Nodes) -> None:
    async with (
        nodes.a.consultant("101") as lost,
        nodes.a.caller() as talker,
        another_caller(nodes.a, 1) as other,
        another_caller(nodes.a, 2) as fresh,
        another_caller(nodes.a, 3) as later,
        board() as witness,
    ):
        await queued(nodes, talker, at(nodes.a))
        await answered(lost, 10)
        await on_board(witness, "101", lambda c: c.state == "talking" and c.node == "a", 5)
        await waits(nodes, other, at(nodes.b))
        began = time.monotonic()
        await end(nodes.a, "asterisk")
        for call in range(2):
            took = await greeted(fresh)
            note(f"Asterisk a killed: new call {call + 1} answered by b after {took:.2f} s")
            assert took < 5
            await fresh.hangup()
            await closes(fresh)
        left = FREED_S - (time.monotonic() - began)
        await on_board(
            witness, "101", lambda c: c.state == "available" and c.device == "unavailable", left
        )
        note(f"Asterisk a killed: 101 is free of its call after {time.monotonic() - began:.2f} s")
        assert other.in_call, "who waits at b goes on waiting"
        await nodes.b.step(other, "queued")
        async with nodes.b.consultant("102") as second:
            await answered(second, 10)
            await second.hangup()
            await closes(other)
        assert (await nodes.a.closed_case(other)).consultant == "102"
        await nodes.start()
        # The telephone registered at a is known there again, and serves callers of b.
        await lost.hangup()
        await closes(lost)
        await on_board(witness, "101", lambda c: c.free and c.node == "a", 30)
        await queued(nodes, later, at(nodes.b))
        await answered(lost, 10)
        await lost.hangup()
        await closes(later)
        assert (await nodes.a.closed_case(later)).consultant == "101"
    cases = [c for c in await nodes.store.list(limit=50) if c.caller_number == fresh.user]
    assert [c.node for c in cases] == ["b", "b"]


async def test_a_whole_node_is_killed_under_a_talk_with_its_caller(nodes: Nodes) -> None:
    async with (
        nodes.b.consultant("101") as consultant,
        nodes.a.caller() as talker,
        board() as witness,
    ):
        await queued(nodes, talker, at(nodes.a))
        await answered(consultant, 10)
        await on_board(witness, "101", lambda c: c.state == "talking" and c.node == "b", 5)
        began = time.monotonic()
        await end(nodes.a, "service")
        await end(nodes.a, "asterisk")
        await consultant.wait_for("CALL_CLOSED", timeout=FREED_S)
        await on_board(witness, "101", lambda c: c.free, FREED_S - (time.monotonic() - began))
        note(f"node a killed: the consultant at b is free after {time.monotonic() - began:.2f} s")
        await talker.hangup()
        async with another_caller(nodes.a, 1) as fresh:
            await queued(nodes, fresh)
            await answered(consultant, 10)
            await consultant.hangup()
            await closes(fresh)

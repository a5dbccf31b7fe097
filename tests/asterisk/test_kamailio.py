"""Kamailio alone, in front of trunks' far ends that play two nodes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from ivr.processes import Server
from ivr.telephone import Telephone, TelephoneError
from ivr.telephone_trunk import Trunk
from tests.asterisk.nodes import HOTLINE, TRUNK, ask, kamailio
from tests.asterisk.people import note
from tests.asterisk.site import NET, until

STRANGER = f"{NET}.9"
ASKED_FIRST = "x-hotline-try"


@dataclass
class Front:
    """Two made-up nodes behind Kamailio, and a caller's telephone."""

    nodes: dict[str, Trunk]
    caller: Telephone
    server: Server

    async def call(self, within: float = 5) -> str:
        """Call and be answered; returns the name of the node."""
        await self.caller.dial(HOTLINE)
        await self.caller.wait_for("CALL_ESTABLISHED", timeout=within)
        taken: list[str] = []

        async def acknowledged() -> bool:
            taken[:] = [name for name, node in self.nodes.items() if node.in_call]
            return bool(taken)

        await until(acknowledged, "a node has the call", 5)
        (name,) = taken
        return name

    async def hang_up(self) -> None:
        """The caller hangs up, and the node hears of it."""
        await self.caller.hangup()
        for node in self.nodes.values():
            await node.wait_until_calls(0, timeout=5)

    async def both_live(self) -> None:
        """Both nodes accept calls, and Kamailio knows."""
        for node in self.nodes.values():
            node.mode = "accept"

        async def taken_in_turn() -> bool:
            taken = set()
            for _ in range(2):
                taken.add(await self.call())
                await self.hang_up()
            return len(taken) == 2

        await until(taken_in_turn, "calls go to both nodes", 15, every=0.3)

    def called(self) -> dict[str, int]:
        """How many calls each node has been offered."""
        return {name: len(node.invites) for name, node in self.nodes.items()}


@asynccontextmanager
async def _front(folder: Path) -> AsyncIterator[Front]:
    hosts = {"a": f"{NET}.41", "b": f"{NET}.42"}
    server = kamailio(folder / "kamailio", list(hosts.values()))
    async with (
        Trunk("a", hosts["a"]) as a,
        Trunk("b", hosts["b"]) as b,
        Telephone("caller", folder / "caller", TRUNK, user="+48600100200") as caller,
    ):
        await server.start()
        try:
            yield Front({"a": a, "b": b}, caller, server)
        finally:
            await server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def whole_front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with _front(tmp_path_factory.mktemp("front")) as front:
        yield front


@pytest_asyncio.fixture(loop_scope="session")
async def front(whole_front: Front) -> Front:
    await whole_front.both_live()
    return whole_front


async def test_only_the_trunk_is_served_and_only_with_calls(front: Front) -> None:
    assert await ask("OPTIONS") == 200
    assert await ask("REGISTER") == 405
    assert await ask("MESSAGE") == 405
    assert await ask("BYE", to_tag=";tag=none") == 481
    for method in ("OPTIONS", "REGISTER", "INVITE", "BYE"):
        assert await ask(method, source=STRANGER) == 403, method
    assert await ask("INVITE", source=front.nodes["a"].address) == 403, "nodes call nobody"
    assert await ask("OPTIONS", max_forwards=0) == 483


async def test_the_caller_chooses_neither_the_way_nor_our_header(front: Front) -> None:
    before = front.called()
    elsewhere = f"Route: <sip:{STRANGER}:5060;lr>\r\nX-Hotline-Try: second\r\n"
    async with Trunk("stranger", STRANGER) as stranger:
        assert await ask("INVITE", headers=elsewhere) == 200
        assert stranger.invites == []
    (node,) = [n for name, n in front.nodes.items() if len(n.invites) > before[name]]
    invite = node.invites[-1].message
    assert invite.get(ASKED_FIRST) == "first"
    assert STRANGER not in invite.get("route")
    node.hangup()


async def test_calls_go_to_the_nodes_in_turn_and_either_side_ends_them(front: Front) -> None:
    taken = []
    for _ in range(2):
        taken.append(await front.call())
        await front.hang_up()
    for _ in range(2):
        taken.append(await front.call())
        front.nodes[taken[-1]].hangup()
        await front.caller.wait_for("CALL_CLOSED", timeout=5)
    assert sorted(taken) == ["a", "a", "b", "b"]
    assert taken[0] != taken[1]


async def test_a_call_outlives_kamailio(front: Front) -> None:
    await front.call()
    await front.server.stop()
    await front.server.start()
    await front.hang_up()


async def test_a_node_without_its_service_passes_the_call_on(front: Front) -> None:
    front.nodes["a"].mode = 503
    for _ in range(2):
        began = time.monotonic()
        assert await front.call() == "b"
        note(f"refused by a with 503, answered by b after {time.monotonic() - began:.2f} s")
        await front.hang_up()
    assert front.nodes["a"].invites[-1].message.get(ASKED_FIRST) == "first"


async def test_what_a_node_refuses_for_good_is_not_tried_elsewhere(front: Front) -> None:
    for node in front.nodes.values():
        node.mode = 404
    before = sum(front.called().values())
    await front.caller.dial(HOTLINE)
    with pytest.raises(TelephoneError, match="404"):
        await front.caller.wait_for("CALL_ESTABLISHED", timeout=5)
    assert sum(front.called().values()) == before + 1


async def test_a_caller_who_hangs_up_while_it_rings_goes_nowhere_else(front: Front) -> None:
    for node in front.nodes.values():
        node.mode = "ring"
    before = sum(front.called().values())
    await front.caller.dial(HOTLINE)
    await front.caller.wait_for("CALL_RINGING", timeout=5)
    await front.caller.hangup()
    await front.caller.wait_for("CALL_CLOSED", timeout=5)
    await asyncio.sleep(0.5)  # nothing follows
    assert sum(front.called().values()) == before + 1
    assert all(node.in_call == 0 for node in front.nodes.values())


async def test_a_dead_node_is_passed_over(front: Front) -> None:
    front.nodes["a"].mode = "ignore"
    times = []
    for _ in range(4):
        began = time.monotonic()
        assert await front.call() == "b"
        times.append(time.monotonic() - began)
        await front.hang_up()
    note("a dies; calls one after the other answered by b after " +
         ", ".join(f"{t:.2f}" for t in times) + " s")  # fmt: skip
    assert max(times) < 4
    assert min(times[-2:]) < 1, "once known to be dead it costs no time"


async def test_a_node_that_hangs_while_a_call_is_coming_in_is_given_up(front: Front) -> None:
    front.nodes["a"].mode = "ring"
    assert {await front.call(within=15)} == {"b"}
    await front.hang_up()
    assert await front.call(within=15) == "b"
    await front.hang_up()


async def test_without_any_node_the_network_is_told(front: Front) -> None:
    for node in front.nodes.values():
        node.mode = "ignore"

    async def refused() -> bool:
        return await ask("OPTIONS") == 503

    await until(refused, "Kamailio says that no node lives", 15, every=0.3)
    front.nodes["b"].mode = "accept"
    assert await front.call() == "b", "a node thought dead is tried all the same"
    await front.hang_up()

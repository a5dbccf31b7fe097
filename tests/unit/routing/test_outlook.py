"""The forecast as the service makes it: from the board, recent talks and who comes."""

from dataclasses import replace
from typing import Any, cast

import pytest
from routing_data import NOW, ROUTING, call, consultant

from ivr.routing.callback import Callback
from ivr.routing.handling import HandlingTimes
from ivr.routing.matcher import Matcher
from ivr.routing.outlook import Outlooks
from ivr.routing.plan import WaitingCall
from ivr.routing.snapshot import ConsultantState, Snapshot, State
from ivr.routing.staff import Staff

PEOPLE = [consultant("101", roads=5).consultant, consultant("102", roads=5).consultant]


class Board:
    """What a matcher knows of a board."""

    def __init__(self, *waiting: WaitingCall, talking_s: float = 0.0, state: State = "talking"):
        self.staff = Staff(PEOPLE, ROUTING)
        served = [call(f"t{person.id}", waited=talking_s) for person in PEOPLE]
        people = {
            person.id: ConsultantState(
                person.id, state, NOW - talking_s, "busy", f"t{person.id}", "", NOW + 10, "a"
            )
            for person in PEOPLE
        }
        calls = (*served, *waiting)
        self.snapshot = Snapshot(
            NOW, calls, dict.fromkeys([c.id for c in calls], "p"),
            {f"t{person.id}": person.id for person in PEOPLE}, people, {},
        )  # fmt: skip


def outlooks(board: Board, handling_s: float = 100.0) -> Outlooks:
    return Outlooks(cast(Matcher, cast(Any, board)), HandlingTimes(handling_s), wrap_up_s=0.0)


async def expected(board: Board, name: str, made: Outlooks | None = None) -> float:
    found = await (made or outlooks(board)).of(name)
    assert found is not None
    assert found.expected_s is not None
    return found.expected_s


async def test_who_is_behind_more_callers_waits_longer() -> None:
    ahead = [call(f"c{n}", waited=50 - n) for n in range(8)]
    board = Board(*ahead)
    assert await expected(board, "c0") < await expected(board, "c3") < await expected(board, "c7")
    found = await outlooks(board).of("c3")
    assert found is not None
    assert found.position == 3


async def test_talks_that_are_over_teach_how_long_talks_take() -> None:
    board = Board(call("c1"), talking_s=10)
    made = outlooks(board)
    before = await expected(board, "c1", made)
    for _ in range(100):
        made.learn("roads", 400.0)
    assert await expected(board, "c1", made) > 2 * before


async def test_callbacks_stand_before_who_came_later() -> None:
    board = Board(call("c1"))
    alone = await expected(board, "c1")
    back = Callback(call("back", waited=300), "+48601234567")
    board.snapshot = replace(board.snapshot, callbacks={"back": back})
    assert await expected(board, "c1") > alone


async def test_who_usually_goes_first_is_foreseen() -> None:
    board = Board(*[call(f"c{n}", waited=50 - n) for n in range(6)])
    made = outlooks(board)
    before = await expected(board, "c5", made)
    for n in range(40):  # of the last hour, one each minute and a half
        made.arrived(call(f"v{n}", priority=0, waited=3600 - 90 * n))
    assert await expected(board, "c5", made) > before
    made.arrived(replace(call("later"), queued_at=NOW + 7200))
    assert len(made._arrived) == 1, "older ones are forgotten"


async def test_with_everybody_paused_nothing_is_promised() -> None:
    found = await outlooks(Board(call("c1"), state="paused")).of("c1")
    assert found is not None
    assert found.expected_s is None


async def test_a_call_the_board_does_not_know_has_no_forecast() -> None:
    assert await outlooks(Board()).of("nobody") is None


async def test_a_forecast_that_fails_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("101")

    monkeypatch.setattr("ivr.routing.outlook.forecast", fail)
    assert await outlooks(Board(call("c1"))).of("c1") is None

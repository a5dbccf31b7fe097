"""Erlang's formulas against published points, and against each other."""

import doctest
from math import inf, isclose

import pytest

from ivr.routing import erlang


def test_the_example_of_the_docstring() -> None:
    assert doctest.testmod(erlang).failed == 0


@pytest.mark.parametrize(
    ("calls", "consultants"),
    [(520, 40), (410 / 5, 8)],
)
def test_the_marks_of_forty_seats_and_of_five_silos(calls: float, consultants: int) -> None:
    """80 % within 20 s at 240 s a call: 520 calls an hour for 40 seats, 410 for five silos."""
    assert erlang.consultants_for(calls, 240, 0.8, 20) == consultants
    assert erlang.consultants_for(calls * 1.06, 240, 0.8, 20) > consultants


def test_one_consultant_is_a_queue_whose_wait_is_known() -> None:
    """M/M/1: the share who wait is the load; the mean wait is load / (1 - load) services."""
    wait = erlang.erlang_c(30, 60, 1)
    assert isclose(wait.waits, 0.5)
    assert isclose(wait.mean_s, 60)


def test_too_much_load_waits_for_ever() -> None:
    assert erlang.erlang_c(360, 240, 24).mean_s == inf
    assert erlang.answered_within(360, 240, 24, 20) == 0


def test_endless_patience_is_erlang_c() -> None:
    patient, forever = erlang.erlang_a(360, 240, 28, 1e9), erlang.erlang_c(360, 240, 28)
    assert isclose(patient.waits, forever.waits, rel_tol=1e-4)
    assert isclose(patient.mean_s, forever.mean_s, rel_tol=1e-4)
    assert isclose(patient.occupancy, forever.occupancy, rel_tol=1e-4)


def test_what_comes_in_is_served_or_gives_up() -> None:
    wait = erlang.erlang_a(480, 240, 24, 100)
    served = wait.occupancy * 24 / 240 * 3600
    assert isclose(served + wait.gives_up * 480, 480, rel_tol=1e-9)


def test_nobody_is_needed_for_no_calls_and_the_impossible_is_refused() -> None:
    assert erlang.consultants_for(0, 240, 0.8, 20) == 0
    with pytest.raises(ValueError, match="too many"):
        erlang.consultants_for(1e6, 240, 0.8, 20)

"""The simulator against Erlang's formulas C and A, and its speed.

    .venv/bin/python benchmarks/simulator.py [--calls 200000] [--long 40000000]

With one skill the simulator must do what one list does that needs no events: each caller takes the
consultant who comes free first (the recursion of Kiefer and Wolfowitz), or gives up before. So the
same `--calls` go through both; any difference of a single caller's wait is printed. As heavy loads
need many calls (200,000 leave 5 % of chance in the mean wait), the recursion, which is fifty times
faster, also gets `--long` calls: their mean corrects the simulator's for the luck of its calls (a
control variate); a quarter of them where callers give up. Last, a million calls of the project's
own profile and skills, timed. Ten minutes.
"""

import argparse
import time
from collections.abc import Iterator
from heapq import heapreplace
from pathlib import Path

import numpy as np

from ivr.loading import load_staff
from ivr.routing.erlang import answered_within, erlang_a, erlang_c
from ivr.routing.rota import load_rota
from ivr.routing.simulate import Outcome, simulate
from ivr.routing.skills import Consultant, Routing, Step
from ivr.routing.staff import Staff
from ivr.routing.trace import Floats, Trace, load_profile, make_trace, steady_trace

QUEUES = Path(__file__).resolve().parent.parent / "queues"
HANDLING_S = 240.0
POINTS = [
    (30, 3), (60, 5), (60, 6), (120, 10), (120, 11), (180, 14), (240, 19), (300, 23),
    (360, 27), (420, 31), (480, 35), (480, 40), (520, 39),
]  # fmt: skip
"""Calls an hour and consultants: from busy to very busy."""
PATIENCE_S = 120.0
WITHIN_S = 20.0
PART = 1_000_000
"""Calls of one trace of the long ones."""


def alike(size: int) -> Staff:
    """So many consultants who can all do everything."""
    people = [
        Consultant(id=str(1000 + i), name="C", languages={"pl": 5}, skills={"other": 5})
        for i in range(size)
    ]
    return Staff(people, Routing({}, (Step(level=0),)))


def in_one_list(trace: Trace, consultants: int) -> tuple[Floats, Floats]:
    """Everybody's wait (s) in one list, and 1 for who gave up; without events, without a plan."""
    free_at = [0.0] * consultants
    waits, gave_up = np.empty(len(trace)), np.zeros(len(trace))
    rows = zip(
        trace.arrives.tolist(), trace.handling.tolist(), trace.patience.tolist(), strict=True
    )
    for index, (arrives, handling, patience) in enumerate(rows):
        begins = max(arrives, free_at[0])
        if begins - arrives > patience:
            waits[index], gave_up[index] = patience, 1.0
        else:
            waits[index] = begins - arrives
            heapreplace(free_at, begins + handling)
    return waits, gave_up


def figures(waits: Floats, gave_up: Floats) -> np.ndarray:
    """Share who wait, share answered in time, mean wait (s), share who give up."""
    in_time = (waits <= WITHIN_S) & (gave_up == 0)
    return np.array([(waits > 0).mean(), in_time.mean(), waits.mean(), gave_up.mean()])


def of_outcome(outcome: Outcome) -> np.ndarray:
    """The same figures of a simulation."""
    return figures(outcome.wait_s, (~outcome.answered).astype(float))


def corrected(
    rate: float, consultants: int, patience_s: float, calls: int, long: int
) -> tuple[np.ndarray, float, float]:
    """The simulator's figures freed of luck; the largest difference of a wait (s); its seconds."""
    trace = steady_trace(rate, calls, HANDLING_S, patience_s, seed=consultants)
    began = time.perf_counter()
    outcome = simulate(trace, alike(consultants), ring_s=0)
    took = time.perf_counter() - began
    waits, gave_up = in_one_list(trace, consultants)
    parts = [
        figures(*in_one_list(part, consultants))
        for part in _parts(rate, patience_s, long, 1000 * consultants)
    ]
    found = of_outcome(outcome) - figures(waits, gave_up) + np.mean(parts, axis=0)
    return found, float(np.abs(outcome.wait_s - waits).max()), took


def _parts(rate: float, patience_s: float, long: int, seed: int) -> Iterator[Trace]:
    for part in range(max(1, long // PART)):
        yield steady_trace(rate, min(long, PART), HANDLING_S, patience_s, seed + part)


def _speed() -> None:
    """A million calls with the project's own consultants, skills, steps and rota."""
    staff, queue_of = load_staff(QUEUES)
    profile = load_profile(QUEUES / "profile.yaml", frozenset(queue_of))
    days = 125
    trace = make_trace(profile, days, 8000, seed=1)
    for name, shifts in (
        ("all 40 there", []),
        ("as in rota.yaml", load_rota(QUEUES / "rota.yaml", staff.ids).days(staff, days)),
    ):
        began = time.perf_counter()
        outcome = simulate(trace, staff, shifts)
        took = time.perf_counter() - began
        print(
            f"{len(trace)} calls, {len(queue_of)} topics, {name}: {took:.1f} s, "
            f"passed over {outcome.passed_over}, gave up {1 - outcome.answered.mean():.1%}"
        )


def main() -> None:
    """Print a table: simulated and by formula."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--long", type=int, default=40_000_000)
    args = parser.parse_args()
    names = ("waits", "in 20 s", "mean s", "gave up (A)", "mean s (A)")
    print("calls/h  staff  " + "".join(f"{name:^26}" for name in names) + " differ    s a million")
    worst = np.zeros(len(names))
    for rate, staff in POINTS:
        patient, differ_c, took = corrected(rate, staff, np.inf, args.calls, args.long)
        hasty, differ_a, _ = corrected(rate, staff, PATIENCE_S, args.calls, args.long // 4)
        c, a = erlang_c(rate, HANDLING_S, staff), erlang_a(rate, HANDLING_S, staff, PATIENCE_S)
        in_time = answered_within(rate, HANDLING_S, staff, WITHIN_S)
        found = [*patient[:3], hasty[3], hasty[2]]
        off = np.array(found) / np.array([c.waits, in_time, c.mean_s, a.gives_up, a.mean_s]) - 1
        worst = np.maximum(worst, np.abs(off))
        cells = "".join(
            f"{value:9.4f} {value / (1 + error):8.4f} {error:+7.2%} "
            for value, error in zip(found, off, strict=True)
        )
        print(
            f"{rate:7d} {staff:6d}  {cells} {max(differ_c, differ_a):.1e} "
            f"{1e6 / args.calls * took:10.1f}",
            flush=True,
        )
    print("farthest off:  " + "".join(f"{value:>25.2%} " for value in worst))
    _speed()


if __name__ == "__main__":
    main()

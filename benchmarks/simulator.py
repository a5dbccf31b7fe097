"""The simulator against Erlang's formulas C and A, and its speed.

python benchmarks/simulator.py [--calls 1000000]
"""

import argparse
import time

import numpy as np

from ivr.routing.erlang import erlang_a, erlang_c
from ivr.routing.simulate import simulate
from ivr.routing.skills import Consultant, Routing, Step
from ivr.routing.staff import Staff
from ivr.routing.trace import steady_trace

HANDLING_S = 240.0
POINTS = [
    (30, 3), (60, 5), (60, 6), (120, 10), (120, 11), (180, 14), (240, 19), (300, 23),
    (360, 27), (420, 31), (480, 35), (520, 39),
]  # fmt: skip
"""Calls an hour and consultants: from busy to very busy."""
PATIENCE_S = 120.0


def alike(size: int) -> Staff:
    """So many consultants who can all do everything."""
    people = [
        Consultant(id=str(1000 + i), name="C", languages={"pl": 5}, skills={"other": 5})
        for i in range(size)
    ]
    return Staff(people, Routing({}, (Step(level=0),)))


def main() -> None:
    """Print a table: simulated and by formula."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    calls = parser.parse_args().calls
    print("calls/h  staff    waits (C)         mean wait, s (C)         gave up (A)")
    for rate, staff in POINTS:
        began = time.perf_counter()
        trace = steady_trace(rate, calls, HANDLING_S, np.inf, seed=staff)
        outcome = simulate(trace, alike(staff), ring_s=0)
        took = time.perf_counter() - began
        c, a = erlang_c(rate, HANDLING_S, staff), erlang_a(rate, HANDLING_S, staff, PATIENCE_S)
        impatient = steady_trace(rate, calls, HANDLING_S, PATIENCE_S, seed=staff)
        gave_up = ~simulate(impatient, alike(staff), ring_s=0).answered
        cells = "  ".join(
            f"{found:8.4f} {formula:8.4f} {found / formula - 1:+6.1%}"
            for found, formula in (
                (float((outcome.wait_s > 0).mean()), c.waits),
                (float(outcome.wait_s.mean()), c.mean_s),
                (float(gave_up.mean()), a.gives_up),
            )
        )
        print(f"{rate:7d} {staff:6d}  {cells}  {1e6 / calls * took:5.1f} s a million calls")


if __name__ == "__main__":
    main()

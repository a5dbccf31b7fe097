"""How long `plan()` takes: a city's board, and one fifty times as large.

    .venv/bin/python benchmarks/plan_speed.py [--seconds 10] [--no-freeze]

Consultants and steps as in queues/ (for 2,000 of them, the 40 again and again), callers with the
shares of profile.yaml, one in ten before the others, who have waited 40 s on average. Boards with
all free (the most offers) and with a tenth free. Beside each timing runs a fixed loop of pure
Python: its p99 tells a noisy machine, its p50 a slow one. Objects made before are frozen
(`gc.freeze()`), so that no full collection of garbage falls into a plan; `--no-freeze` leaves that.
"""

import argparse
import gc
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ivr.loading import load_staff
from ivr.routing.plan import WaitingCall, plan
from ivr.routing.staff import Floor, Staff
from ivr.routing.trace import load_profile, make_trace

QUEUES = Path(__file__).resolve().parent.parent / "queues"
NOW = 1_000_000.0
SIZES = ((40, 100, 2.0), (2000, 5000, 100.0))
"""Consultants, callers, and the p99 (ms) to stay below."""
FREE = (1.0, 0.1)
LOOP = 100_000
ATTEMPTS = 10
"""At least so many, however long one takes."""


def many(staff: Staff, size: int) -> Staff:
    """So many consultants, like those there are."""
    people = [
        staff.consultants[i % len(staff.consultants)].model_copy(update={"id": str(10_000 + i)})
        for i in range(size)
    ]
    return Staff(people, staff.routing)


def callers(count: int, seed: int) -> list[WaitingCall]:
    """Callers as they come by the profile, waiting."""
    _, queue_of = load_staff(QUEUES)
    profile = load_profile(QUEUES / "profile.yaml", frozenset(queue_of))
    trace = make_trace(profile, 1, 2.0 * count, seed)
    random = np.random.default_rng(seed)
    waited = random.exponential(40, count)
    first = random.random(count) < 0.1
    return [
        WaitingCall(
            f"call-{i}", trace.topics[trace.topic[i]], trace.languages[trace.language[i]],
            2 if first[i] else 3, NOW - float(waited[i]), NOW - float(waited[i]),
        )
        for i in range(count)
    ]  # fmt: skip


def board(staff: Staff, free: float, seed: int) -> Floor:
    """A share of all free, for some minutes each; everybody is on duty."""
    random = np.random.default_rng(seed)
    idle = np.where(
        random.random(len(staff.ids)) < free, NOW - random.uniform(0, 600, len(staff.ids)), np.inf
    )
    return Floor(staff, idle, np.ones(len(staff.ids), dtype=np.bool_))


def loop() -> None:
    """Work that is always the same."""
    total = 0
    for number in range(LOOP):
        total += number


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    """Print a line for each board."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of planning, for each board")
    parser.add_argument("--no-freeze", action="store_true")
    args = parser.parse_args()
    staff, _ = load_staff(QUEUES)
    print(
        "consultants  callers  free  offers   first      p50      p99      max ms   loop p50  p99"
    )
    for consultants, count, goal in SIZES:
        crowd = many(staff, consultants)
        waiting = [callers(count, seed) for seed in range(ATTEMPTS)]
        if not args.no_freeze:
            gc.collect()
            gc.freeze()
        for free in FREE:
            took: list[float] = []
            loops: list[float] = []
            offers = 0
            while len(took) < ATTEMPTS or sum(took) < 1000 * args.seconds:
                floor = board(crowd, free, len(took))
                callers_now = waiting[len(took) % ATTEMPTS]
                began = time.perf_counter()
                offers = len(plan(callers_now, floor, NOW))
                took.append(1000 * (time.perf_counter() - began))
                loops.append(timed(loop))
            p50, p99 = np.quantile(took, [0.5, 0.99])
            verdict = "" if p99 < goal else f"not below {goal:g} ms"
            print(
                f"{consultants:11d}  {count:7d}  {free:4.0%}  {offers:6d}  {took[0]:6.2f}  "
                f"{p50:7.2f}  {p99:7.2f}  {max(took):7.2f}      {np.median(loops):6.2f}  "
                f"{np.quantile(loops, 0.99):6.2f}  {verdict}",
                flush=True,
            )


if __name__ == "__main__":
    main()

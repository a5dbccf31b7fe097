"""The same calls through six ways of routing: who waits how long, and who answers.

    .venv/bin/python -m benchmarks.routing [--calls 480 440 400] [--days 10] [--retry 1]

`--calls` an hour, round the clock, all 40 consultants of queues/ on duty. Topics, languages and
patience as in queues/profile.yaml; handling times too, but scaled to a mean of 240 s: Erlang C
says that 40 alike reach 80/20 up to 520 calls of 240 s an hour, five teams of eight up to 410. A
telephone rings 4 s. Each day is a trace of its own, the same for every policy; the figures are the
means of the days and, after ±, their standard deviation.

Markdown on standard output. What the policies are: `app_queue.py`, `others.py`.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.routing.app_queue import by_city_queue, by_penalty
from benchmarks.routing.others import RandomAble, Silos
from ivr.loading import load_staff
from ivr.routing.policy import Planned, Policy
from ivr.routing.simulate import NoAnswer, simulate
from ivr.routing.skills import Priority
from ivr.routing.staff import Staff
from ivr.routing.summary import summarise
from ivr.routing.trace import HOURS, Profile, Trace, load_profile, make_trace

QUEUES = Path(__file__).resolve().parents[2] / "queues"
MEAN_HANDLING_S = 240.0
LIVELY: Mapping[Priority, float] = {"normal": 90, "vulnerable": 7, "callback": 3}
NO_ANSWER = NoAnswer(0.03)
COLUMNS = (
    "in 20 s, %", "mean wait, s", "p95 wait, s", "gave up, %", "level", "passed over of 1,000",
)  # fmt: skip


def ways(
    staff: Staff, queue_of: Mapping[str, str], profile: Profile, retry_s: float
) -> Iterator[tuple[str, Callable[[], Policy]]]:
    """Each way's name, and how it is made anew for a day."""
    yield "`plan()`", Planned
    yield "random able consultant", lambda: RandomAble(seed=1)
    yield "five teams of eight", lambda: Silos(staff, queue_of, profile)
    yield "app_queue, rrmemory", lambda: by_city_queue(staff, queue_of, retry_s)
    for name, level, longest in (
        ("app_queue, penalties", 1, False),
        ("app_queue, penalties, all are members", 0, False),
        ("the same, force_longest_waiting_caller", 0, True),
    ):
        yield (
            name,
            lambda level=level, longest=longest: by_penalty(  # type: ignore[misc]
                staff, queue_of, retry_s, least_level=level, force_longest=longest
            ),
        )


def day(profile: Profile, calls_per_h: float, seed: int) -> Trace:
    """A day of steady calls with handling times of the right mean."""
    steady = profile.model_copy(update={"calls_by_hour": (1.0,) * HOURS})
    trace = make_trace(steady, 1, calls_per_h * HOURS, seed)
    parts = np.array([profile.topics[topic] for topic in trace.topics])
    means = [profile.handling_by_topic_s.get(topic, profile.handling_s) for topic in trace.topics]
    return replace(trace, handling=trace.handling * MEAN_HANDLING_S / np.average(means, 0, parts))


def row(
    name: str,
    policy: Callable[[], Policy],
    traces: Sequence[Trace],
    staff: Staff,
    queue_of: Mapping[str, str],
    no_answer: NoAnswer | None = None,
) -> str:
    """One line of the table."""
    days = []
    for trace in traces:
        outcome = simulate(trace, staff, policy=policy(), no_answer=no_answer)
        group = summarise(trace, outcome, queue_of).total
        figures = (
            100 * (group.within_20_s or 0), group.mean_wait_s, group.p95_wait_s,
            100 * (group.abandoned or 0), group.skill, 1000 * outcome.passed_over / len(trace),
        )  # fmt: skip
        days.append(figures)
    table = np.array(days, dtype=float)
    digits = (1, 1, 1, 1, 2, 1)
    cells = (
        f"{mean:.{n}f} ± {spread:.{n}f}"
        for mean, spread, n in zip(table.mean(0), table.std(0), digits, strict=True)
    )
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print a table for each load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=float, nargs="+", default=[480.0], help="calls an hour")
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--retry", type=float, default=1.0, help="app_queue's `retry`, seconds")
    parser.add_argument("--queues", type=Path, default=QUEUES)
    args = parser.parse_args()
    staff, queue_of = load_staff(args.queues)
    profile = load_profile(args.queues / "profile.yaml", frozenset(queue_of))
    for calls in args.calls:
        print(f"\n{calls:g} calls an hour, {args.days} days\n")
        print("| | " + " | ".join(COLUMNS) + " |\n|---|" + "---|" * len(COLUMNS))
        traces = [day(profile, calls, seed) for seed in range(args.days)]
        for name, policy in ways(staff, queue_of, profile, args.retry):
            print(row(name, policy, traces, staff, queue_of), flush=True)
        lively = profile.model_copy(update={"priorities": LIVELY})
        traces = [day(lively, calls, seed) for seed in range(args.days)]
        name = "`plan()`, 10 % come first, 3 % are not answered"
        print(row(name, Planned, traces, staff, queue_of, NO_ANSWER), flush=True)


if __name__ == "__main__":
    main()

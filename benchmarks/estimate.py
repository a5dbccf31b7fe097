"""What callers who wait are told, against what then happened, beside the usual ways to tell it.

    .venv/bin/python -m benchmarks.estimate [--told 3000] [--days 8]

Days of queues/profile.yaml go through the simulator. Some of those who wait are told what to
expect, when the wait begins and every 45 s, about `--told` times a scenario, and that is compared
with the wait that was left. The forecast knows what a hotline knows: who waits, who talks since
when about what, how long the talks took that are over, how often callers come and give up.

Markdown on standard output. In a cell: mean absolute error, median absolute error, mean error
(minus: told too little), all in seconds; and how many waited longer than told by half and by a
minute. In the second table callers give up; for them it is compared with the wait that they would
have had, all else as it was. Last, how long one forecast takes.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.watching import AGAIN_S, RING_S, WAYS, Watching
from ivr.loading import load_staff
from ivr.routing.estimate import Busy, forecast
from ivr.routing.handling import HandlingTimes
from ivr.routing.plan import WaitingCall
from ivr.routing.rota import load_rota
from ivr.routing.simulate import simulate
from ivr.routing.skills import Priority
from ivr.routing.staff import Floor, Seconds, Staff
from ivr.routing.trace import Profile, Trace, load_profile, make_trace

QUEUES = Path(__file__).resolve().parent.parent / "queues"
LIVELY: Mapping[Priority, float] = {"normal": 90, "vulnerable": 7, "callback": 3}


@dataclass(frozen=True)
class Scenario:
    """Some days; all 40 are there unless `rota`."""

    name: str
    calls_a_day: float
    burstiness: float = 0.0
    rota: bool = False
    priorities: Mapping[Priority, float] | None = None
    longer: float = 1.0
    """Talks last so many times what profile.yaml says."""
    lognormal: bool = True
    """Else every third talk is over in a fifth of the mean, the others are gamma (shape 2)."""


PATIENT = (
    Scenario("quiet", 3000),
    Scenario("busy", 4400),
    Scenario("overloaded", 5600),
    Scenario("bursty", 3800, burstiness=0.5),
    Scenario("as in rota.yaml", 1800, rota=True),
    Scenario("10 % go first", 5000, priorities=LIVELY),
    Scenario("talks half as long again", 3000, longer=1.5),
    Scenario("talks not lognormal", 4400, lognormal=False),
)
IMPATIENT = (
    Scenario("busy", 5000),
    Scenario("overloaded", 7000),
    Scenario("bursty", 4400, burstiness=0.5),
)


@dataclass(frozen=True)
class Result:
    """What was told in a scenario, and what happened; seconds, a row each."""

    told: Seconds
    """A column for each of `WAYS`."""
    low: Seconds
    high: Seconds
    left: Seconds
    no_promise: int
    """How often nothing was told; not in the rows."""


def run(
    scenario: Scenario, staff: Staff, queue_of: Mapping[str, str], days: int, told: int, *,
    impatient: bool, seed: int = 1,
) -> Result:  # fmt: skip
    """Simulate the scenario, telling somebody about so many times what to expect."""
    profile = load_profile(QUEUES / "profile.yaml", frozenset(queue_of))
    changed = {"priorities": scenario.priorities} if scenario.priorities else {}
    trace = make_trace(
        profile.model_copy(update=changed), days, scenario.calls_a_day, seed,
        burstiness=scenario.burstiness,
    )  # fmt: skip
    trace = replace(trace, handling=trace.handling * scenario.longer)
    if not scenario.lognormal:
        trace = replace(trace, handling=_crooked(trace, profile))
    if not impatient:
        trace = replace(trace, patience=np.full(len(trace), np.inf))
    shifts = load_rota(QUEUES / "rota.yaml", staff.ids).days(staff, days) if scenario.rota else []
    unwatched = simulate(trace, staff, shifts, ring_s=RING_S).wait_s
    watching = Watching(staff, queue_of, profile, impatient)
    watching.every = max(int((unwatched[unwatched > RING_S] // AGAIN_S + 1).sum()) // told, 1)
    outcome = simulate(trace, staff, shifts, watching, ring_s=RING_S)
    assert np.array_equal(outcome.wait_s, unwatched), "who watches must change nothing"
    return _compare(trace, watching, np.where(outcome.answered, outcome.wait_s, np.nan))


def _crooked(trace: Trace, profile: Profile) -> Seconds:
    random = np.random.default_rng(3)
    of_topic = [profile.handling_by_topic_s.get(t, profile.handling_s) for t in trace.topics]
    short = random.random(len(trace)) < 1 / 3
    return np.array(of_topic)[trace.topic] * np.where(short, 0.2, random.gamma(2, 0.7, len(trace)))


def _compare(trace: Trace, watching: Watching, waits: Seconds) -> Result:
    for call, wait_s in watching.would_wait.items():
        waits[call] = wait_s
    known = [one for one in watching.told if np.isfinite(waits[one.call])]
    promised = [one for one in known if one.seconds]
    rows = np.array([(*one.seconds, one.forecast.low_s, one.forecast.high_s) for one in promised])
    left = [trace.arrives[one.call] + waits[one.call] - one.at for one in promised]
    return Result(
        rows[:, :-2], rows[:, -2], rows[:, -1], np.array(left), len(known) - len(promised)
    )  # fmt: skip


def late(told: Seconds, left: Seconds) -> float:
    """The share of who waited longer than told by half and by more than a minute."""
    return float(((left > 1.5 * told) & (left > told + 60)).mean())


def _row(name: str, result: Result) -> str:
    left = result.left
    cells = [name, f"{left.mean():.0f}"]
    for told in result.told.T:
        error = told - left
        size = np.abs(error)
        cells.append(
            f"{size.mean():.0f} / {np.median(size):.0f} / {error.mean():+.0f} / "
            f"{late(told, left):.1%}"
        )
    inside = (left >= result.low - 0.01) & (left <= result.high + 0.01)
    return "| " + " | ".join([*cells, f"{inside.mean():.0%}"]) + " |"


def _speed(staff: Staff) -> None:
    """The last of 100 callers, all 40 consultants in talks."""
    random = np.random.default_rng(1)
    topics = sorted({topic for c in staff.consultants for topic in c.skills})
    waiting = [
        WaitingCall(str(i), str(random.choice(topics)), "pl", 3, -3.0 * i, -3.0 * i)
        for i in range(100)
    ]
    busy = [
        Busy(name, "talking", float(-random.exponential(240)), str(random.choice(topics)))
        for name in staff.ids
    ]
    for words, patience_s in (("", None), (", others give up after 150 s", 150.0)):
        times = []
        for _ in range(50):
            began = perf_counter()
            forecast(
                ["0"], waiting, Floor.of(staff, {}), busy, HandlingTimes(240.0), 0.0,
                patience_s=patience_s,
            )  # fmt: skip
            times.append(perf_counter() - began)
        middle, longest = np.median(times) * 1000, max(times[1:]) * 1000
        print(f"One forecast, 100 wait, 40 talk{words}: {middle:.1f} ms, at most {longest:.1f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--told", type=int, default=3000)
    parser.add_argument("--days", type=int, default=8)
    args = parser.parse_args()
    staff, queue_of = load_staff(QUEUES)
    promised, no_promise = 0, 0
    for title, scenarios in (("Nobody gives up", PATIENT), ("Callers give up", IMPATIENT)):
        print("| " + " | ".join((title, "wait, s", *WAYS, "in its range")) + " |")
        print("|---" * (len(WAYS) + 3) + "|", flush=True)
        for scenario in scenarios:
            impatient = scenarios is IMPATIENT
            result = run(scenario, staff, queue_of, args.days, args.told, impatient=impatient)
            promised += len(result.left)
            no_promise += result.no_promise
            print(_row(scenario.name, result), flush=True)
        print()
    print(f"Told {promised} times; {no_promise} times nothing was promised.")
    _speed(staff)


if __name__ == "__main__":
    main()

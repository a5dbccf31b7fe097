"""How many consultants each hour needs for a service level, by Erlang's formula."""

from collections.abc import Mapping
from dataclasses import dataclass

from ivr.routing.erlang import consultants_for
from ivr.routing.trace import Profile


@dataclass(frozen=True, slots=True)
class HourlyNeed:
    """One hour of the day."""

    calls: float
    needed: int
    """Consultants, if everybody can do everything."""
    queues: Mapping[str, int]
    """Consultants of each queue, if nobody can do two."""


def hourly_need(
    profile: Profile,
    calls_a_day: float,
    queue_of: Mapping[str, str],
    share: float,
    within_s: float,
) -> list[HourlyNeed]:
    """Return the need of the 24 hours; `queue_of` gives the queue of each topic."""
    day, whole = sum(profile.calls_by_hour), sum(profile.topics.values())
    found = []
    for by_hour in profile.calls_by_hour:
        calls = by_hour / day * calls_a_day
        loads: dict[str, list[float]] = {}
        for topic, part in profile.topics.items():
            some = calls * part / whole
            handling = profile.handling_by_topic_s.get(topic, profile.handling_s)
            load = loads.setdefault(queue_of[topic], [0.0, 0.0])
            load[0] += some
            load[1] += some * handling
        handled = sum(seconds for _, seconds in loads.values())
        found.append(
            HourlyNeed(
                calls,
                consultants_for(calls, handled / calls, share, within_s) if calls else 0,
                {
                    queue: consultants_for(some, seconds / some, share, within_s)
                    for queue, (some, seconds) in loads.items()
                    if some
                },
            )
        )
    return found

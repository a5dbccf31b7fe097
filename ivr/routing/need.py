"""How many consultants each hour needs for a service level, by Erlang's formula."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ivr.errors import HotlineError
from ivr.routing.erlang import consultants_for
from ivr.routing.skills import DEFAULT, Target
from ivr.routing.trace import Profile


@dataclass(frozen=True, slots=True)
class HourlyNeed:
    """One hour of the day."""

    calls: float
    needed: int
    """Consultants, if everybody can do everything."""
    queues: Mapping[str, int]
    """Consultants of each queue, if nobody can do two."""
    languages: Mapping[str, int]
    """Consultants who speak a language, if those who call in it are all they answer."""


def hourly_need(
    profile: Profile,
    calls_a_day: float,
    queue_of: Mapping[str, str],
    target_of: Callable[[str], Target],
) -> list[HourlyNeed]:
    """Return the need of the 24 hours.

    `queue_of` gives the queue of each topic, `target_of` the service level of a queue, and of all
    calls together that of the queue "default". Raises HotlineError for more than can be planned.
    """
    day, whole = sum(profile.calls_by_hour), sum(profile.topics.values())
    spoken = sum(profile.languages.values())
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
                _needed(calls, handled, target_of(DEFAULT)),
                {
                    queue: _needed(some, seconds, target_of(queue))
                    for queue, (some, seconds) in loads.items()
                    if some
                },
                {
                    language: _needed(
                        calls * part / spoken, handled * part / spoken, target_of(DEFAULT)
                    )
                    for language, part in profile.languages.items()
                    if part
                },
            )
        )
    return found


def _needed(calls: float, handled_s: float, target: Target) -> int:
    if not calls:
        return 0
    try:
        return consultants_for(calls, handled_s / calls, target.share, target.within_s)
    except ValueError as error:
        raise HotlineError(f"{error}: plan for fewer with --calls") from None

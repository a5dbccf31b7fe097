"""Asterisk's app_queue as a policy of the simulator: what it does by its papers and its behaviour.

- Each queue has a list of its own, by QUEUE_PRIO, then arrival; there is no order across queues.
- Nobody is woken when a member comes free: each caller looks for himself. While there are fewer
  available members in the queue than callers before him, once a second; else he tries to call,
  and when there is nobody for him, again after `retry` seconds. Whoever looks first after a member
  came free has him: for members of several queues that is chance.
- `autofill=yes`: as many callers may try as members are available, penalties not considered.
- Members are tried by penalty, the lowest first; among equals `rrmemory` goes round. Those with a
  penalty above the caller's QUEUE_MAX_PENALTY are not tried; the rules of queuerules.conf raise it
  with the time waited, in whole seconds of the clock, and are looked at only when the caller looks.
- A member who does not answer is autopaused; the caller tries again after `retry` seconds.
- `force_longest_waiting_caller=yes`: a member is refused while another of his queues holds a caller
  who came before, even one who may not have him.

Against the real one: `python -m benchmarks.routing.real`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ivr.routing.plan import Offer, WaitingCall
from ivr.routing.skills import Step
from ivr.routing.staff import Floor, Staff
from ivr.types import LANGUAGES, Language

RECHECK_S = 1.0
ANY = 10_000
"""No limit: QUEUE_MAX_PENALTY is not set."""
HIGHEST = 5
Rules = Sequence[tuple[float, int]]
"""After so many seconds, this QUEUE_MAX_PENALTY; the first is set when the call enters."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member line of queues.conf; `column` is the consultant's."""

    column: int
    penalty: int = 0


@dataclass
class Queue:
    """A section of queues.conf, strategy rrmemory."""

    members: Sequence[Member]
    rules: Rules = ((0, ANY),)
    next_place: int = 0
    """Where rrmemory goes on."""


@dataclass
class _Caller:
    start: int
    """Whole seconds, as Asterisk keeps it."""
    rule: int = 0
    trying: bool = False
    """Had his turn when he last looked."""
    rung: bool = False


@dataclass
class AppQueue:
    """The whole of them; `queue_of` gives the queue of a topic and a language."""

    queues: Mapping[str, Queue]
    queue_of: Mapping[tuple[str, Language], str]
    retry_s: float = 5.0
    force_longest: bool = False
    _callers: dict[str, _Caller] = field(default_factory=dict)

    def offers(
        self,
        waiting: Mapping[str, WaitingCall],
        floor: Floor,
        now: float,
        news: WaitingCall | None,
    ) -> list[Offer]:
        """Let the one caller look whose time has come."""
        if news is None:
            return []
        me = self._callers.setdefault(news.id, _Caller(int(news.arrived_at)))
        if me.rung:  # nobody answered
            me.rung, me.trying = False, True
            return []
        queue = self.queues[self._queue(news)]
        me.trying = self._is_my_turn(waiting, floor, news, queue)
        waited = int(now) - me.start
        while me.rule + 1 < len(queue.rules) and (
            waited - queue.rules[me.rule + 1][0] >= (1 if me.trying else 0)
        ):
            me.rule += 1
        if not me.trying:
            return []
        member = self._best(waiting, floor, news, queue, queue.rules[me.rule][1])
        if member is None:
            return []
        me.rung = True
        who = floor.staff.consultants[member.column]
        return [Offer(news.id, who.id, me.rule, who.level(news.topic), (who.id,), "app_queue")]

    def looks_again_in(self, call: WaitingCall, floor: Floor, now: float) -> float | None:
        """Once a second while it is not his turn, else after `retry`."""
        return self.retry_s if self._callers[call.id].trying else RECHECK_S

    def _queue(self, call: WaitingCall) -> str:
        return self.queue_of[call.topic, call.language]

    def _is_my_turn(
        self, waiting: Mapping[str, WaitingCall], floor: Floor, call: WaitingCall, queue: Queue
    ) -> bool:
        available = sum(np.isfinite(floor.idle_since[[m.column for m in queue.members]]))
        name, place = self._queue(call), (call.priority, call.arrived_at)
        before = sum(
            self._queue(other) == name and (other.priority, other.arrived_at) < place
            for other in waiting.values()
        )
        return bool(before < available)

    def _best(
        self,
        waiting: Mapping[str, WaitingCall],
        floor: Floor,
        call: WaitingCall,
        queue: Queue,
        max_penalty: int,
    ) -> Member | None:
        metrics = sorted(
            (member.penalty, place < queue.next_place, place)
            for place, member in enumerate(queue.members)
            if member.penalty <= max_penalty
        )
        for number, (_, _, place) in enumerate(metrics):
            member = queue.members[place]
            if not np.isfinite(floor.idle_since[member.column]):
                continue
            if self.force_longest and self._another_is_longer(waiting, call, member):
                continue
            if number + 1 < len(metrics):
                queue.next_place = metrics[number + 1][2]
            else:
                wrapped = any(place > queue.next_place for _, _, place in metrics)
                queue.next_place = 0 if wrapped else queue.next_place + 1
            return member
        return None

    def _another_is_longer(
        self, waiting: Mapping[str, WaitingCall], call: WaitingCall, member: Member
    ) -> bool:
        start, name = int(call.arrived_at), self._queue(call)
        return any(
            int(other.arrived_at) < start
            and self._queue(other) != name
            and any(m.column == member.column for m in self.queues[self._queue(other)].members)
            for other in waiting.values()
        )


def by_city_queue(staff: Staff, queue_of: Mapping[str, str], retry_s: float) -> AppQueue:
    """One queue for each of the city's and each language; rrmemory, all members alike.

    Members: who speaks the language and knows one of the queue's topics.
    """
    queues: dict[str, Queue] = {}
    names: dict[tuple[str, Language], str] = {}
    for language in LANGUAGES:
        for name in sorted(set(queue_of.values())):
            topics = [topic for topic, queue in queue_of.items() if queue == name]
            members = [
                Member(column)
                for column, who in enumerate(staff.consultants)
                if language in who.languages and any(who.level(topic) for topic in topics)
            ]
            queues[f"{name}-{language}"] = Queue(members)
            names |= {(topic, language): f"{name}-{language}" for topic in topics}
    return AppQueue(queues, names, retry_s)


def by_penalty(
    staff: Staff,
    topics: Iterable[str],
    retry_s: float,
    *,
    least_level: int,
    force_longest: bool = False,
) -> AppQueue:
    """One queue for each topic and language; queuerules.conf has the steps of routing.yaml.

    Members: who speaks the language and has `least_level` in the topic; the penalty is 5 less the
    level.
    """
    queues: dict[str, Queue] = {}
    names: dict[tuple[str, Language], str] = {}
    for language in LANGUAGES:
        for topic in topics:
            members = [
                Member(column, HIGHEST - who.level(topic))
                for column, who in enumerate(staff.consultants)
                if language in who.languages and who.level(topic) >= least_level
            ]
            rules = tuple(_rules(staff.routing.steps_for(topic, language)))
            queues[f"{topic}-{language}"] = Queue(members, rules)
            names[topic, language] = f"{topic}-{language}"
    return AppQueue(queues, names, retry_s, force_longest)


def _rules(steps: Sequence[Step]) -> Iterable[tuple[float, int]]:
    until = 0.0
    for step in steps:
        yield until, HIGHEST - step.level
        until += step.for_s or 0.0

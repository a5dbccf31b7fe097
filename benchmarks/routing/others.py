"""Two more policies of the simulator: five teams with a list each, and a random able consultant."""

from collections.abc import Mapping

import numpy as np
from scipy.optimize import linear_sum_assignment

from ivr.routing.plan import Offer, WaitingCall, order
from ivr.routing.policy import Planned
from ivr.routing.staff import Floor, Indices, Staff
from ivr.routing.trace import Profile


class Silos:
    """Teams of the same size, each with one list; whoever of the team is longest idle answers.

    The city's queues go to the teams so that the loads are even, the consultants to the team
    whose callers' topics they know best. Only the language is asked for.
    """

    def __init__(self, staff: Staff, queue_of: Mapping[str, str], profile: Profile, teams: int = 5):
        loads = {
            topic: part * profile.handling_by_topic_s.get(topic, profile.handling_s)
            for topic, part in profile.topics.items()
        }
        by_queue: dict[str, float] = {}
        for topic, load in loads.items():
            by_queue[queue_of[topic]] = by_queue.get(queue_of[topic], 0.0) + load
        of_team = np.zeros(teams)
        team_of_queue: dict[str, int] = {}
        for queue, load in sorted(by_queue.items(), key=lambda item: -item[1]):
            team_of_queue[queue] = int(of_team.argmin())
            of_team[team_of_queue[queue]] += load
        self.team_of = {topic: team_of_queue[queue_of[topic]] for topic in loads}
        self.load_of_team = of_team / of_team.sum()
        knows = np.zeros((len(staff.ids), teams))
        for topic, load in loads.items():
            knows[:, self.team_of[topic]] += load * staff.levels(topic)
        seats = np.repeat(np.arange(teams), len(staff.ids) // teams)
        people, seat = linear_sum_assignment(-knows[:, seats])
        self.team = np.full(len(staff.ids), -1)
        self.team[people] = seats[seat]

    def offers(
        self,
        waiting: Mapping[str, WaitingCall],
        floor: Floor,
        now: float,
        news: WaitingCall | None,
    ) -> list[Offer]:
        """Each team's list in its order."""
        found, free = [], np.isfinite(floor.idle_since)
        for call in order(waiting.values()) if free.any() else ():
            speaks = [call.language in who.languages for who in floor.staff.consultants]
            able = ((self.team == self.team_of[call.topic]) & speaks & free).nonzero()[0]
            if len(able):
                found.append(_offer(call, floor, able[floor.idle_since[able].argmin()]))
                free[able[floor.idle_since[able].argmin()]] = False
        return found

    def looks_again_in(self, call: WaitingCall, floor: Floor, now: float) -> float | None:
        """Nothing changes by time alone."""
        return None


class RandomAble(Planned):
    """One list in the order of arrival; anybody whom the step of routing.yaml lets answer."""

    def __init__(self, seed: int):
        self._random = np.random.default_rng(seed)

    def offers(
        self,
        waiting: Mapping[str, WaitingCall],
        floor: Floor,
        now: float,
        news: WaitingCall | None,
    ) -> list[Offer]:
        """As planned, but chance chooses."""
        found, free = [], np.isfinite(floor.idle_since)
        for call in order(waiting.values()) if free.any() else ():
            step = floor.step(call.topic, call.language, now - call.queued_at)
            able: Indices = (floor.staff.able(call.topic, call.language, step) & free).nonzero()[0]
            if len(able):
                chosen = self._random.choice(able)
                found.append(_offer(call, floor, chosen))
                free[chosen] = False
        return found


def _offer(call: WaitingCall, floor: Floor, column: int) -> Offer:
    who = floor.staff.consultants[column]
    return Offer(call.id, who.id, 0, who.level(call.topic), (who.id,), "")

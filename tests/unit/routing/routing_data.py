"""Routings, consultants and callers that the routing tests share."""

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from ivr.routing.plan import Offer, WaitingCall, plan
from ivr.routing.skills import Consultant, Routing, Step
from ivr.routing.staff import Floor, Staff

TOPICS = ("roads", "waste", "water", "taxes")
NOW = 1_000_000.0
STEPS = (Step(for_s=20, level=4), Step(for_s=60, level=2), Step(level=0))
ROUTING = Routing(
    {"returned_emergency": 0, "callback": 1, "vulnerable": 2, "normal": 3},
    STEPS,
    {"taxes": (Step(for_s=5, level=5, language_level=2), Step(level=1))},
)


EXPERT = Consultant(
    id="999", name="Expert", languages={"pl": 5, "uk": 5, "en": 5}, skills=dict.fromkeys(TOPICS, 5)
)
"""Logged in and in a talk: while such a one is there, no step is left out."""


class FreeConsultant(NamedTuple):
    """A consultant who could be offered a call, and since when."""

    consultant: Consultant
    idle_since: float


def planned(
    waiting: Sequence[WaitingCall],
    free: Sequence[FreeConsultant],
    routing: Routing = ROUTING,
    now: float = NOW,
    others: Sequence[Consultant] = (EXPERT,),
) -> list[Offer]:
    """The plan with these consultants free and others logged in, but not free."""
    staff = Staff([*(entry.consultant for entry in free), *others], routing)
    since = {entry.consultant.id: entry.idle_since for entry in free}
    return plan(waiting, Floor.of(staff, since), now)


def call(
    name: str, topic: str = "roads", *, waited: float = 0.0, priority: int = 3, language: str = "pl"
) -> WaitingCall:
    arrived = NOW - waited
    return WaitingCall(name, topic, language, priority, arrived, arrived)  # type: ignore[arg-type]


def consultant(name: str, *, idle: float = 0.0, pl: int = 5, **skills: int) -> FreeConsultant:
    languages = {"pl": pl} if pl else {"en": 5}
    who = Consultant(id=name, name=f"Consultant {name}", languages=languages, skills=skills)
    return FreeConsultant(who, NOW - idle)


waiting_calls = st.lists(
    st.builds(
        lambda topic, waited, priority, language: (topic, waited, priority, language),
        st.sampled_from(TOPICS),
        st.floats(0, 200),
        st.integers(0, 3),
        st.sampled_from(("pl", "uk", "en")),
    ),
    max_size=12,
).map(
    lambda rows: [
        call(f"c{i}", topic, waited=waited, priority=priority, language=language)
        for i, (topic, waited, priority, language) in enumerate(rows)
    ]
)

levels = st.integers(1, 5)
free_consultants = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(("pl", "uk", "en")), levels, min_size=1),
        st.dictionaries(st.sampled_from(TOPICS), levels),
        st.floats(0, 600),
    ),
    max_size=8,
).map(
    lambda rows: [
        FreeConsultant(
            Consultant(id=f"{100 + i}", name=f"C {i}", languages=languages, skills=skills),
            NOW - idle,
        )
        for i, (languages, skills, idle) in enumerate(rows)
    ]
)

"""Routings, consultants and callers that the routing tests share."""

from hypothesis import strategies as st

from ivr.routing.plan import FreeConsultant, WaitingCall
from ivr.routing.skills import Consultant, Routing, Step

TOPICS = ("roads", "waste", "water", "taxes")
NOW = 1_000_000.0
STEPS = (Step(for_s=20, level=4), Step(for_s=60, level=2), Step(level=0))
ROUTING = Routing(
    {"returned_emergency": 0, "callback": 1, "vulnerable": 2, "normal": 3},
    STEPS,
    {"taxes": (Step(for_s=5, level=5, language_level=2), Step(level=1))},
)


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

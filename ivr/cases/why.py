"""Why a call went as it did: a case's events told as sentences. Pure.

Kinds this version does not know are told plainly, and data of the wrong shape is left out: the
events may be older or younger than the program that reads them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ivr.cases.event import JSON, CaseEvent, EventKind
from ivr.cases.model import CALLBACK
from ivr.cases.text import printable
from ivr.cases.wording import (
    CHOSEN,
    LANGUAGES,
    STATUS,
    WHERE,
    because,
    duration,
    mapping,
    number,
    plainly,
    stamp,
    text,
    witness,
)

_UNTOLD = frozenset(
    {
        EventKind.ANSWERED, EventKind.HEARD, EventKind.KEY, EventKind.RINGING,
        EventKind.RECORDED, EventKind.SURVEY, EventKind.CONSULTANT_NOTE,
    }
)  # fmt: skip
"""Kinds that say nothing of the routing, or nothing that the next event does not say."""
_DUTIES = ("available", "reserved", "ringing", "wrap_up", "talking", "paused", "offline")
"""What consultants do, from the nearest to a call to the farthest."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """What happened `at_s` seconds after the call began."""

    at_s: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Account:
    """The whole story and its sum."""

    sentences: tuple[Sentence, ...]
    summary: str


def explain(events: Sequence[CaseEvent], names: Mapping[str, str]) -> Account:
    """Tell a case from its events (at least one); `names` are consultants' names by extension."""
    teller = _Teller(names)
    ordered = sorted(events, key=lambda event: event.order)
    sentences = []
    for event in ordered:
        at_s = (event.at - ordered[0].at).total_seconds()
        if told := teller.tell(event, at_s):
            sentences.append(Sentence(at_s, printable(event.kind), told))
    return Account(tuple(sentences), teller.summary())


class _Teller:
    """Goes through the events of one case in their order."""

    def __init__(self, names: Mapping[str, str]):
        self._names = names
        self._language = self._topic = self._reason = self._outcome = ""
        self._queued_at: float | None = None
        self._offered_at: float | None = None
        self._hung_up_at: float | None = None
        """Since when the caller waits for a callback."""
        self._end: tuple[float, str] | None = None
        """When the wait was over, and how."""
        self._last_s = self._rang_s = 0.0
        self._in_vain: list[str] = []
        self._overflow: dict[float, str] = {}
        """By step: the topic whose level counts instead of the call's own."""
        self._kinds: Mapping[str, Callable[[Mapping[str, JSON], float], str]] = {
            EventKind.OPENED: self._opened,
            EventKind.LANGUAGE_CHANGED: lambda *_: f"The language became {self._spoken}.",
            EventKind.UNDERSTOOD: self._understood,
            EventKind.MENU_CHOSEN: lambda data, _: f"The topic {_topic(data)} was chosen by key.",
            EventKind.QUEUED: self._queued,
            EventKind.STEP: self._step,
            EventKind.CALLBACK_ASKED: self._callback_asked,
            EventKind.CALLBACK_DIALLED: lambda data, _: (
                f"The caller was dialled{_try(data)}, {self._consultant(data)} being held ready."
            ),
            EventKind.CALLBACK_FAILED: lambda data, _: (
                f"The caller was not reached{_try(data)}: {text(data, 'status') or 'unknown'}."
            ),
            EventKind.CALLBACK_ANSWERED: lambda data, _: (
                f"The caller answered the callback{_try(data)}."
            ),
            EventKind.CALLBACK_ENDED: lambda data, _: f"There will be no callback{because(data)}.",
            EventKind.OFFERED: self._offered,
            EventKind.NO_ANSWER: self._no_answer,
            EventKind.TALKING: self._talking,
            EventKind.TALK_ENDED: self._talk_ended,
            EventKind.ABANDONED: self._abandoned,
            EventKind.EMERGENCY: self._emergency,
            EventKind.EMERGENCY_TRUNK: lambda data, _: f"112 was called by {_trunk(data)}.",
            EventKind.EMERGENCY_ANSWERED: lambda data, _: f"112 answered on {_trunk(data)}.",
            EventKind.EMERGENCY_FAILED: lambda *_: "112 could not be reached.",
            EventKind.DEGRADED: self._degraded,
            EventKind.ORPHANED: lambda *_: (
                "The service had ended under the call; what is known is Asterisk's own record."
            ),
            EventKind.CLOSED: self._closed,
        }

    def tell(self, event: CaseEvent, at_s: float) -> str:
        """Give the sentence of an event, "" for none."""
        self._last_s = at_s
        self._language = text(event.data, "language") or self._language
        if event.kind in _UNTOLD:
            return ""
        known = self._kinds.get(event.kind)
        return known(event.data, at_s) if known else plainly(event)

    def summary(self) -> str:
        """Say in short how long the caller waited for what, and who got the call."""
        if self._queued_at is None:
            how = self._end[1] if self._end else "It has not ended yet."
            return f"The call was never queued for a consultant. {how}"
        until, how = self._end or (self._last_s, "Nobody has served the caller yet.")
        waited_s = max(0.0, until - self._queued_at)
        wait = f"The caller waited {duration(waited_s)}"
        if self._hung_up_at is not None:
            wait += f" (from {stamp(self._hung_up_at)} on for a callback)"
        if not self._in_vain:
            return f"{wait}. {how}"
        return (
            f"{wait}: {duration(max(0.0, waited_s - self._rang_s))} without an offer, "
            f"{duration(self._rang_s)} while telephones rang. "
            f"Offered in vain: {', '.join(self._in_vain)}. {how}"
        )

    @property
    def _spoken(self) -> str:
        return LANGUAGES.get(self._language, self._language or "an unknown language")

    def _who(self, identity: JSON) -> str:
        shown = printable(str(identity))
        name = self._names.get(shown)
        return f"{printable(name)} ({shown})" if name else f"consultant {shown}"

    def _consultant(self, data: Mapping[str, JSON]) -> str:
        return self._who(text(data, "consultant") or "unknown")

    def _callback_asked(self, _: Mapping[str, JSON], at_s: float) -> str:
        self._hung_up_at = at_s
        return "The caller asked to be called back, and keeps the place in the queue."

    def _opened(self, data: Mapping[str, JSON], _: float) -> str:
        spoken = f", in {self._spoken}" if self._language else ""
        return f"The call began{spoken}{witness(data)}."

    def _understood(self, data: Mapping[str, JSON], _: float) -> str:
        alarm = text(data, "emergency")
        danger = f" Danger to life: {alarm}{because(data)}." if alarm in ("yes", "ask") else ""
        confirmed = data.get("confirmed_emergency")
        if isinstance(confirmed, bool):
            return f"Asked about danger to life, the caller said {'yes' if confirmed else 'no'}."
        if not text(data, "topic"):
            return f"No topic was understood.{danger}"
        confidence = number(data, "confidence")
        sure = "" if confidence is None else f" (confidence {confidence:.2f})"
        return f"The topic {_topic(data)} was understood{sure}.{danger}"

    def _queued(self, data: Mapping[str, JSON], at_s: float) -> str:
        self._topic = text(data, "topic") or self._topic
        self._queued_at, self._end = at_s, None
        facts = [f"topic {self._topic or 'unknown'}"]
        if queue := text(data, "queue"):
            facts.append(f"queue {queue}")
        facts.append(self._spoken)
        priority = number(data, "priority")
        if priority is not None:
            facts.append(f"priority {priority:g} (0 is served first)")
        return f"The caller was queued: {', '.join(facts)}."

    def _step(self, data: Mapping[str, JSON], _: float) -> str:
        index, asks = number(data, "step"), mapping(data, "asks")
        skill = text(asks, "skill")
        if index is not None and skill:
            self._overflow[index] = skill
        demands = [
            (skill or self._topic or "the topic", number(asks, "level")),
            (self._spoken, number(asks, "language_level")),
            *((topic, number(mapping(asks, "also"), topic)) for topic in mapping(asks, "also")),
        ]
        wanted = [
            f"level {level:g} in {printable(subject)}" if level else f"no level in {subject}"
            for subject, level in demands
            if level is not None
        ]
        begun = "A step began" if index is None else f"Step {index + 1:g} began"
        overflow = f", the call may overflow to {skill}" if skill else ""
        asked = f"; it asks for {', '.join(wanted)}" if wanted else ""
        return f"{begun}{overflow}{asked}. {self._duties(mapping(data, 'able'))}"

    def _duties(self, able: Mapping[str, JSON]) -> str:
        if not able:
            return "Nobody was able."
        doing: dict[str, list[str]] = {}
        for identity, state in able.items():
            doing.setdefault(printable(str(state)), []).append(identity)
        groups = [
            f"{state.replace('_', ' ')}: {', '.join(map(self._who, sorted(doing[state])))}"
            for state in sorted(doing, key=_nearness)
        ]
        return f"Able were {len(able)}: {'; '.join(groups)}."

    def _offered(self, data: Mapping[str, JSON], at_s: float) -> str:
        self._offered_at = at_s
        step, level = number(data, "step"), number(data, "level")
        why = text(data, "why")
        subject = self._overflow.get(-1.0 if step is None else step) or self._topic or "the topic"
        self._reason = ", ".join(
            part
            for part in (
                CHOSEN.get(why, why),
                "" if level is None else f"level {level:g} in {subject}",
                "" if step is None else f"step {step + 1:g}",
            )
            if part
        )
        considered = data.get("considered")
        others = (
            f" Considered, the best first: {', '.join(map(self._who, considered))}."
            if isinstance(considered, list) and len(considered) > 1
            else ""
        )
        reason = f": {self._reason}" if self._reason else ""
        return f"The call was offered to {self._consultant(data)}{reason}.{others}"

    def _rung(self, at_s: float) -> str:
        """Note that an offer is over; gives " after 4.0 s" where it is known how long it was."""
        if self._offered_at is None:
            return ""
        rang_s, self._offered_at = at_s - self._offered_at, None
        self._rang_s += rang_s
        return f" after {duration(rang_s)}"

    def _no_answer(self, data: Mapping[str, JSON], at_s: float) -> str:
        who, status = self._consultant(data), text(data, "status")
        self._in_vain.append(who)
        return f"{who} {STATUS.get(status) or f'did not answer ({status})'}{self._rung(at_s)}."

    def _talking(self, data: Mapping[str, JSON], at_s: float) -> str:
        who, ringing = self._consultant(data), self._rung(at_s)
        self._over(at_s, f"{who} got the call{f': {self._reason}' if self._reason else ''}.")
        return f"{who} answered{ringing}, and they talked{witness(data)}."

    def _talk_ended(self, data: Mapping[str, JSON], _: float) -> str:
        talk_s = number(data, "talk_s")
        return f"The talk ended{f' after {duration(talk_s)}' if talk_s is not None else ''}."

    def _abandoned(self, data: Mapping[str, JSON], at_s: float) -> str:
        where = text(data, "where")
        where = WHERE.get(where, where)
        return self._over(at_s, f"The caller hung up{f' {where}' if where else ''}.")

    def _emergency(self, data: Mapping[str, JSON], at_s: float) -> str:
        return self._over(at_s, f"The caller was handed over to 112{because(data)}.")

    def _degraded(self, data: Mapping[str, JSON], at_s: float) -> str:
        return self._over(at_s, f"The caller was left to Asterisk's own queue{because(data)}.")

    def _closed(self, data: Mapping[str, JSON], at_s: float) -> str:
        outcome = text(data, "outcome")
        if outcome == CALLBACK and self._hung_up_at is not None:
            return "The caller hung up, to be called back."
        return self._over(
            at_s, f"The case was closed{f' as {outcome}' if outcome else ''}{witness(data)}."
        )

    def _over(self, at_s: float, how: str) -> str:
        """Note how the wait ended (what comes later does not change that); gives the sentence."""
        self._rung(at_s)
        self._end = self._end or (at_s, how)
        return how


def _nearness(state: str) -> tuple[int, str]:
    duty = state.split(" ", 1)[0]
    return (_DUTIES.index(duty) if duty in _DUTIES else len(_DUTIES), state)


def _topic(data: Mapping[str, JSON]) -> str:
    return text(data, "topic") or "unknown"


def _try(data: Mapping[str, JSON]) -> str:
    attempt = number(data, "attempt")
    return "" if attempt is None else f" (try {attempt:g})"


def _trunk(data: Mapping[str, JSON]) -> str:
    return f"trunk {text(data, 'trunk') or 'unknown'}"

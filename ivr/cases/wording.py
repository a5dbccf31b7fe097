"""Pieces of sentences about events, from data that may have any shape."""

import json
import re
from collections.abc import Mapping

from ivr.cases.event import JSON, CaseEvent
from ivr.cases.numbers import mask
from ivr.cases.text import printable

LANGUAGES = {"pl": "Polish", "uk": "Ukrainian", "en": "English"}
STATUS = {
    "NOANSWER": "did not answer",
    "BUSY": "was busy",
    "CHANUNAVAIL": "could not be reached (the telephone is away)",
    "CANCEL": "had not answered yet",
}
"""What Asterisk's DIALSTATUS says of a consultant."""
CHOSEN = {
    "only one": "the only one able and free",
    "level": "the highest level of those able and free",
    "other skills least wanted":
        "of the best the one whose other skills the callers behind asked for least",
    "longest idle": "of the best the longest idle",
    "lowest extension": "of the best, all idle as long, the lowest extension",
}  # fmt: skip
"""What set the chosen one apart, by the plan's word for it."""
WHERE = {
    "dialogue": "in the dialogue",
    "waiting": "while waiting",
    "ringing": "while a telephone rang",
}
"""Where a caller was who hung up."""

_NUMBER = re.compile(r"\+?[0-9][0-9 ()-]{5,}")
_LARGEST = 1e12


def duration(seconds: float) -> str:
    """Seconds for a reader: "12.3 s", "4 min 2 s", "1 h 3 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def stamp(seconds: float) -> str:
    """Seconds since the call began as minutes and seconds: "4:02.3"."""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths % 600 // 10:02d}.{tenths % 10}"


def text(data: Mapping[str, JSON], key: str) -> str:
    """Give a text fit for a terminal, "" where there is none."""
    value = data.get(key)
    return printable(value) if isinstance(value, str) else ""


def number(data: Mapping[str, JSON], key: str) -> float | None:
    """Give a number of a sensible size."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -_LARGEST < value < _LARGEST else None


def mapping(data: Mapping[str, JSON], key: str) -> Mapping[str, JSON]:
    """Give an object, an empty one where there is none."""
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def because(data: Mapping[str, JSON]) -> str:
    """Give the reason in brackets, with a blank before it."""
    why = text(data, "why")
    return f" ({why})" if why else ""


def witness(data: Mapping[str, JSON]) -> str:
    """Tell when it is Asterisk that says so, not the service."""
    return " (from Asterisk's own record)" if data.get("source") == "cel" else ""


def plainly(event: CaseEvent) -> str:
    """Tell an event whose kind has no sentence of its own; telephone numbers are masked."""
    kind = printable(event.kind).replace("_", " ").strip().capitalize() or "Something"
    facts = ", ".join(f"{printable(key)} {_shown(value)}" for key, value in event.data.items())
    return f"{kind}: {facts}." if facts else f"{kind}."


def _shown(value: JSON) -> str:
    if isinstance(value, str):
        return mask(value) if _NUMBER.fullmatch(value) else printable(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{printable(k)}: {_shown(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)

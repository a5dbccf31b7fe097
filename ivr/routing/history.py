"""Calls of the past as a profile: what a day is like, counted instead of assumed."""

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ivr.errors import ConfigError, HotlineError
from ivr.routing.trace import HOURS, Profile
from ivr.types import LANGUAGES, Language

if TYPE_CHECKING:
    from ivr.cases.model import Case

ENOUGH = 30
"""Answered calls that a topic needs for a handling time of its own."""
PATIENCE_S = 150.0
"""Where nobody has given up yet."""
_LANGUAGES: Mapping[str, Language] = {language: language for language in LANGUAGES}
_Name = TypeVar("_Name", bound=str)


@dataclass(frozen=True, slots=True)
class PastCall:
    """One call that asked for a consultant; None is what is not known."""

    at: datetime
    """Aware."""
    topic: str | None = None
    language: str | None = None
    wait_s: float | None = None
    talk_s: float | None = None
    """None also for who was not answered."""


def of_cases(cases: Iterable["Case"]) -> list[PastCall]:
    """The calls among the cases that came to the consultants."""
    return [
        PastCall(case.queued_at, case.topic, case.language, case.wait_s, case.talk_s)
        for case in cases
        if case.queued_at is not None
    ]


def read_history(path: Path) -> list[PastCall]:
    """Read cases from CSV; raises ConfigError with file and line.

    Columns are named as the fields of a case: `queued_at` (or `opened_at`), in ISO 8601 with the
    difference to UTC, and as far as there are any `topic`, `language`, `wait_s`, `talk_s`; others
    are passed over, as are rows without the time. They stand apart by `;` or `,`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(path, f"cannot be read: {reason}") from None
    header = text.split("\n", 1)[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in header else ",")
    column = next((n for n in ("queued_at", "opened_at") if n in (reader.fieldnames or ())), None)
    if column is None:
        raise ConfigError(path, "no column queued_at or opened_at", line=1, hint="name it so")
    try:
        return [_past_call(row, column) for row in reader if row[column]]
    except (csv.Error, ValueError) as error:
        raise ConfigError(path, str(error), line=reader.line_num) from None


def _past_call(row: Mapping[str, str | None], column: str) -> PastCall:
    at = datetime.fromisoformat(row[column] or "")
    if at.tzinfo is None:
        raise ValueError(f"{row[column]}: the difference to UTC is missing, as in +00:00")
    wait, talk = row.get("wait_s"), row.get("talk_s")
    return PastCall(
        at,
        row.get("topic") or None,
        row.get("language") or None,
        float(wait) if wait else None,
        float(talk) if talk else None,
    )


def profile_of(
    calls: Sequence[PastCall], topics: Collection[str], wrap_up_s: float, zone: tzinfo
) -> tuple[Profile, int]:
    """Count the calls of a mean day by the clock of `zone`; and the days they are from.

    Each hour is the mean of all days from the first to the last. Calls without a known topic count
    in their hour. `wrap_up_s` is added to each talk. Patience is the time waited by all, divided by
    those who gave up. Raises HotlineError where there is nothing to count.
    """
    known = [call for call in calls if call.topic in topics]
    answered = [call for call in calls if call.talk_s]
    if not known or not answered:
        raise HotlineError(
            f"of {len(calls)} calls {len(known)} have a known topic and {len(answered)} were "
            "answered: too few to plan by"
        )
    local = [call.at.astimezone(zone) for call in calls]
    days = (max(local).date() - min(local).date()).days + 1
    hours = Counter(at.hour for at in local)
    gave_up = sum(call.talk_s is None for call in calls)
    waited = sum(call.wait_s or 0.0 for call in calls)
    profile = Profile(
        calls_by_hour=tuple(hours[hour] / days for hour in range(HOURS)),
        topics=_shares(call.topic for call in known if call.topic),
        languages=_shares(_LANGUAGES.get(call.language or "", "pl") for call in calls),
        handling_s=_mean(answered) + wrap_up_s,
        handling_by_topic_s={
            topic: _mean(some) + wrap_up_s
            for topic in topics
            if len(some := [call for call in answered if call.topic == topic]) >= ENOUGH
        },
        patience_s=waited / gave_up if gave_up and waited else PATIENCE_S,
    )
    return profile, days


def _shares(names: Iterable[_Name]) -> dict[_Name, float]:
    return {name: float(count) for name, count in Counter(names).items()}


def _mean(calls: Sequence[PastCall]) -> float:
    return sum(call.talk_s or 0.0 for call in calls) / len(calls)

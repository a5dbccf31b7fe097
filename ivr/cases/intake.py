"""The one transaction that takes events in: which case they belong to, its number, its new state.

It runs alone (SQLite: `BEGIN IMMEDIATE`, PostgreSQL: an advisory lock), so what it has looked up
stays true until it commits, however many processes drain journals into one database.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from ivr.cases.event import CaseEvent, EventKind
from ivr.cases.model import Case, CaseCounter, CaseEventRow, JournalOffset
from ivr.cases.projection import PROJECTED, fold
from ivr.cases.text import clean, clean_json

LOCK = 19115
"""Key of PostgreSQL's advisory lock that writers hold."""

WARSAW = ZoneInfo("Europe/Warsaw")


async def take_in(session: AsyncSession, events: Iterable[CaseEvent]) -> int:
    """Store the events that are new, number new cases, bring every case concerned up to date.

    Returns how many events were new.
    """
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    unique = {event.id: event for event in events}
    known = set(
        await session.scalars(select(CaseEventRow.id).where(CaseEventRow.id.in_(list(unique))))
    )
    fresh = sorted(
        (event for event in unique.values() if event.id not in known), key=lambda event: event.order
    )
    if not fresh:
        return 0
    homes = await _homes(session, fresh)
    await _create_cases(session, fresh, homes)
    rows = [
        {
            "id": event.id,
            "case_uuid": homes[event.call],
            "call": event.call,
            "at": event.at,
            "kind": clean(event.kind, 64),
            "data": clean_json(dict(event.data)),
        }
        for event in fresh
    ]
    await session.execute(insert(CaseEventRow), rows)
    await _project(session, set(homes.values()))
    return len(fresh)


async def advance_offsets(session: AsyncSession, offsets: Mapping[str, int]) -> None:
    """Note how far the segments are taken in; never backwards."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    for segment, offset in offsets.items():
        new = dialect.insert(JournalOffset).values(segment=segment, offset=offset)
        await session.execute(
            new.on_conflict_do_update(
                index_elements=[JournalOffset.segment],
                set_={"offset": new.excluded.offset},
                where=JournalOffset.offset < new.excluded.offset,
            )
        )


async def _homes(session: AsyncSession, events: Sequence[CaseEvent]) -> dict[UUID, UUID]:
    """Find the case of each call: known, or that of the same Asterisk channel, or a new one."""
    calls = {event.call for event in events}
    found = await session.execute(
        select(CaseEventRow.call, CaseEventRow.case_uuid)
        .where(CaseEventRow.call.in_(calls))
        .distinct()
    )
    homes = dict(found.all())
    openings = {
        clean(asterisk_id, 150): event.call
        for event in events
        if event.kind == EventKind.OPENED
        and isinstance(asterisk_id := event.data.get("asterisk_id"), str)
        and asterisk_id
    }
    held = await session.execute(
        select(Case.asterisk_id, Case.uuid).where(Case.asterisk_id.in_(openings))
    )
    holders = dict(held.all())
    for event in events:
        asterisk_id = event.data.get("asterisk_id") if event.kind == EventKind.OPENED else None
        home = homes.get(event.call)
        if isinstance(asterisk_id, str) and asterisk_id:
            holder = holders.setdefault(clean(asterisk_id, 150), home or event.call)
            if home is None:
                homes[event.call] = holder
            elif home != holder:
                await _merge(session, home, holder)
                homes = {c: holder if case == home else case for c, case in homes.items()}
    return {call: homes.get(call, call) for call in calls}


async def _merge(session: AsyncSession, away: UUID, into: UUID) -> None:
    """Make one case of two that are the same call; the number of `away` is not used again."""
    await session.execute(
        update(CaseEventRow).where(CaseEventRow.case_uuid == away).values(case_uuid=into)
    )
    await session.execute(delete(Case).where(Case.uuid == away))


async def _create_cases(
    session: AsyncSession, events: Sequence[CaseEvent], homes: Mapping[UUID, UUID]
) -> None:
    """Insert the cases that are not there yet, numbered in the order of their first events."""
    existing = set(await session.scalars(select(Case.uuid).where(Case.uuid.in_(homes.values()))))
    first: dict[UUID, CaseEvent] = {}
    for event in events:
        if (home := homes[event.call]) not in existing:
            first.setdefault(home, event)
    by_year: dict[int, list[UUID]] = {}
    for home, event in first.items():
        by_year.setdefault(event.at.astimezone(WARSAW).year, []).append(home)
    rows = []
    for year, new in by_year.items():
        last = await _allocate(session, year, len(new))
        rows += [
            {
                "uuid": home,
                "number": f"{number:06d}/{year % 100:02d}",
                "opened_at": first[home].at,
                "channel": "phone",
                "emergency": "no",
                "status": "Nowe",
            }
            for number, home in enumerate(new, last - len(new) + 1)
        ]
    if rows:
        await session.execute(insert(Case), rows)


async def _allocate(session: AsyncSession, year: int, count: int) -> int:
    """Take `count` numbers of the year in one atomic statement; give the last of them."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    counter = dialect.insert(CaseCounter).values(year=year, last=count)
    last = await session.execute(
        counter.on_conflict_do_update(
            index_elements=[CaseCounter.year], set_={"last": CaseCounter.last + count}
        ).returning(CaseCounter.last)
    )
    return int(last.scalar_one())


async def _project(session: AsyncSession, cases: Collection[UUID]) -> None:
    """Fold all events of the cases anew, so that the order of their arrival does not matter."""
    found = await session.scalars(
        select(CaseEventRow)
        .where(CaseEventRow.case_uuid.in_(cases))
        .execution_options(populate_existing=True)
    )
    events: dict[UUID, list[CaseEvent]] = {uuid: [] for uuid in cases}
    for row in found:
        events[row.case_uuid].append(as_event(row))
    for case in await session.scalars(select(Case).where(Case.uuid.in_(cases))):
        folded = fold(case.uuid, events[case.uuid])
        for name in PROJECTED:
            setattr(case, name, getattr(folded, name))
    await session.flush()


def as_event(row: CaseEventRow) -> CaseEvent:
    """Give the event that a row holds."""
    return CaseEvent(row.id, row.call, row.at, row.kind, row.data)

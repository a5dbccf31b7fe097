"""The database of cases: SQLite on one machine, PostgreSQL for many."""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, delete, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from ivr.cases.event import CaseEvent
from ivr.cases.intake import LOCK, advance_offsets, as_event, take_in
from ivr.cases.model import CALLBACK, Case, CaseEventRow, JournalOffset
from ivr.cases.text import clean
from ivr.errors import HotlineError

_MIGRATIONS = Path(__file__).parent / "migrations"
_WRITES = "hotline_writes"


class DatabaseAway(HotlineError):  # noqa: N818 - it says what is the matter
    """The database does not answer or cannot be used now; the same call may succeed later."""


class DatabaseRefused(HotlineError):  # noqa: N818 - it says what is the matter
    """The database answers, and refuses the data it was given; trying again is of no use."""


_OPEN_TRIES, _OPEN_AGAIN_S = 40, 0.05


class CaseStore:
    """Cases and their events.

    `url` is `sqlite+aiosqlite:////path` or `postgresql+asyncpg://user@host/name`; `deadline_s` is
    how long any one operation may take. Every method raises `DatabaseAway` when the database is
    not to be had.
    """

    def __init__(self, url: str, *, deadline_s: float = 30.0):
        try:
            self._url = make_url(url)
        except ArgumentError:
            raise HotlineError(
                "the database's URL cannot be read: write it as sqlite+aiosqlite:////path "
                "or postgresql+asyncpg://user@host/name"
            ) from None
        if self._url.drivername not in {"sqlite+aiosqlite", "postgresql+asyncpg"}:
            raise HotlineError(
                f"{self._url.drivername}: no database for cases "
                "(use sqlite+aiosqlite or postgresql+asyncpg)"
            )
        self._deadline_s = deadline_s
        self._engine = _engine(self._url.drivername, url)

    @property
    def where(self) -> str:
        """The URL without its password, for messages."""
        return self._url.render_as_string(hide_password=True)

    async def open(self, *, migrate: bool = True) -> None:
        """Bring the tables up to date (or, with `migrate=False`, only see that they are there).

        May be called again after the database was away. Raises `DatabaseAway`, `HotlineError`.
        """
        if self._url.drivername.startswith("sqlite") and self._url.database:
            file = Path(self._url.database)
            if migrate:
                try:
                    await asyncio.to_thread(file.parent.mkdir, 0o700, parents=True, exist_ok=True)
                except OSError as error:
                    raise DatabaseAway(f"{self.where}: {error}") from error
            elif not await asyncio.to_thread(file.exists):
                raise HotlineError(f"{file}: there is no such database (see --database)")
        await self._engine.dispose()
        for left in reversed(range(_OPEN_TRIES)):
            try:
                await self._prepare(migrate=migrate)
            except DatabaseAway as error:
                # SQLite does not wait its busy_timeout when several turn a new file to WAL.
                if not left or "database is locked" not in str(error):
                    raise
                await asyncio.sleep(_OPEN_AGAIN_S)
            else:
                return

    async def _prepare(self, *, migrate: bool) -> None:
        async with self._errors(), self._engine.connect() as connection:
            await connection.execution_options(**{_WRITES: migrate})
            async with connection.begin():
                await connection.run_sync(_upgrade if migrate else _check)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    async def apply(
        self, events: Iterable[CaseEvent], *, offsets: Mapping[str, int] | None = None
    ) -> int:
        """Take events into their cases, in one transaction; what is known already is passed over.

        `offsets` (bytes, by segment name) are kept in the same transaction. Returns how many events
        were new. Raises `DatabaseAway`, or `DatabaseRefused` when nothing of it can be stored.
        """
        async with self._session(writes=True) as session:
            taken = await take_in(session, events)
            await advance_offsets(session, offsets or {})
            return taken

    async def offsets(self) -> dict[str, int]:
        """Tell how far (bytes) each segment has been taken in."""
        async with self._session() as session:
            rows = await session.execute(select(JournalOffset.segment, JournalOffset.offset))
            return dict(rows.all())

    async def forget_segment(self, segment: str) -> None:
        """Drop the offset of a segment that has been removed."""
        async with self._session(writes=True) as session:
            await session.execute(delete(JournalOffset).where(JournalOffset.segment == segment))

    async def list(
        self, limit: int = 50, *, since: datetime | None = None, before: datetime | None = None
    ) -> Sequence[Case]:
        """Give the latest cases, the newest first; opened at `since` or later, before `before`."""
        query = select(Case).order_by(Case.opened_at.desc(), Case.uuid).limit(limit)
        if since is not None:
            query = query.where(Case.opened_at >= since)
        if before is not None:
            query = query.where(Case.opened_at < before)
        async with self._session() as session:
            return (await session.scalars(query)).all()

    async def get(self, which: str | UUID) -> Case | None:
        """Find a case by its number, or its UUID or that of any call that became part of it."""
        async with self._session() as session:
            uuid = _as_uuid(which)
            if uuid is None:
                number = clean(str(which).strip())
                return await session.scalar(select(Case).where(Case.number == number))
            if (case := await session.get(Case, uuid)) is not None:
                return case
            home = select(CaseEventRow.case_uuid).where(CaseEventRow.call == uuid).limit(1)
            return await session.scalar(select(Case).where(Case.uuid == home.scalar_subquery()))

    async def events(self, uuid: UUID) -> Sequence[CaseEvent]:
        """Give the events of a case in their order."""
        async with self._session() as session:
            rows = await session.scalars(select(CaseEventRow).where(CaseEventRow.case_uuid == uuid))
            return sorted((as_event(row) for row in rows), key=lambda known: known.order)

    async def unknown(self, ids: Iterable[UUID]) -> set[UUID]:
        """Tell which of these events the database does not hold."""
        wanted = set(ids)
        async with self._session() as session:
            for part in _parts(tuple(wanted), 1_000):
                query = select(CaseEventRow.id).where(CaseEventRow.id.in_(part))
                wanted.difference_update(await session.scalars(query))
        return wanted

    async def known_asterisk_ids(self, ids: Collection[str]) -> set[str]:
        """Tell which of the Asterisk channels have a case."""
        async with self._session() as session:
            query = select(Case.asterisk_id).where(
                Case.asterisk_id.in_([clean(one, 150) for one in ids])
            )
            return {known for known in await session.scalars(query) if known is not None}

    async def unfinished(self, before: datetime) -> dict[str, UUID]:
        """Give the cases opened before that time whose call has no end: Asterisk's id to UUID."""
        query = select(Case.asterisk_id, Case.uuid).where(
            Case.ended_at.is_(None), Case.asterisk_id.is_not(None), Case.opened_at < before
        )
        async with self._session() as session:
            rows = await session.execute(query)
            return {known: uuid for known, uuid in rows if known is not None}

    async def open_callbacks(self, since: datetime) -> Sequence[Case]:
        """Give the cases opened at `since` or later whose callers are still to be called back."""
        query = select(Case).where(Case.opened_at >= since, Case.outcome == CALLBACK)
        async with self._session() as session:
            return (await session.scalars(query)).all()

    @asynccontextmanager
    async def _session(self, *, writes: bool = False) -> AsyncIterator[AsyncSession]:
        engine = self._engine.execution_options(**{_WRITES: writes})
        async with (
            self._errors(),
            AsyncSession(engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        """Keep the deadline, and sort errors into those that pass and those that stay."""
        try:
            async with asyncio.timeout(self._deadline_s):
                yield
        except (
            OSError,  # asyncpg's connection refused, and TimeoutError
            OperationalError,
            InterfaceError,
            ProgrammingError,  # a table is missing: `open` makes it
            PoolTimeoutError,
        ) as error:
            raise DatabaseAway(f"{self.where}: {_reason(error)}") from error
        except DBAPIError as error:
            if error.connection_invalidated or _connection_lost(error):
                raise DatabaseAway(f"{self.where}: {_reason(error)}") from error
            raise DatabaseRefused(f"{self.where}: {_nature(error)}") from error
        except SQLAlchemyError as error:
            raise DatabaseRefused(f"{self.where}: {_nature(error)}") from error


def _parts(ids: tuple[UUID, ...], size: int) -> Iterator[tuple[UUID, ...]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def _as_uuid(which: str | UUID) -> UUID | None:
    if isinstance(which, UUID):
        return which
    try:
        return UUID(which.strip())
    except ValueError:
        return None


def _reason(error: BaseException) -> str:
    """Give the driver's own first line, without the statement and its personal data."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__


def _nature(error: SQLAlchemyError) -> str:
    """Name an error about data without its text, which quotes the data."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return f"{type(cause).__name__} {getattr(cause, 'sqlstate', None) or ''}".strip()


def _connection_lost(error: DBAPIError) -> bool:
    """Tell the errors of a server that goes down or comes up (SQLSTATE classes 08, 53, 57)."""
    state = getattr(error.orig, "sqlstate", None)
    return isinstance(state, str) and state[:2] in {"08", "53", "57"}


def _engine(driver: str, url: str) -> AsyncEngine:
    if driver == "postgresql+asyncpg":
        return create_async_engine(
            url,
            pool_size=4,
            pool_timeout=10,
            pool_pre_ping=True,
            connect_args={"timeout": 5, "command_timeout": 30},
        )
    engine = create_async_engine(url, connect_args={"timeout": 10})
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Set what each SQLite connection needs; transactions begin by our own hand."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "busy_timeout=10000",
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Begin a writer as a writer: an upgrade in the middle would fail at once when two meet."""
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _upgrade(connection: Connection) -> None:
    """Run the migrations; one process at a time."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _check(connection: Connection) -> None:
    if MigrationContext.configure(connection).get_current_revision() is None:
        raise HotlineError("the database holds no cases yet (see --database)")

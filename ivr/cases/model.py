"""The tables: a case is what its events make of it (see `projection`), the events are for ever."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    Uuid,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

STATUSES = ("Nowe", "W trakcie", "Zamknięte", "Reklamowane - W trakcie", "Przekierowane")
"""The statuses of the city's own data, the first one of a new case."""

CALLBACK = "callback"
"""The outcome of a case whose caller is still to be called back."""

TRANSCRIPT_LIMIT = 65_536
"""Characters of a case's transcript or note."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, held in UTC: SQLite itself knows no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware time into what the database holds."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Make what the database holds aware again."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The tables' common metadata, with names for constraints that migrations can rely on."""

    type_annotation_map: ClassVar[dict[type, Any]] = {float: Double}
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Case(Base):
    """One contact of a citizen with the city. Seconds are real ones, times UTC."""

    __tablename__ = "cases"
    __table_args__ = (Index("ix_cases_opened_at", "opened_at"),)

    uuid: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    number: Mapped[str | None] = mapped_column(String(16), unique=True)
    """As citizens know it: `nnnnnn/yy`."""
    asterisk_id: Mapped[str | None] = mapped_column(String(150), unique=True)
    """Asterisk's uniqueid of the caller's channel."""
    node: Mapped[str | None] = mapped_column(String(64))
    channel: Mapped[str] = mapped_column(String(16), default="phone")
    language: Mapped[str | None] = mapped_column(String(8))
    caller_number: Mapped[str | None] = mapped_column(String(64))
    """E.164 where it is a valid number, else what the network sent."""
    caller_name: Mapped[str | None] = mapped_column(String(4096))
    topic: Mapped[str | None] = mapped_column(String(64))
    confidence: Mapped[float | None]
    second_topic: Mapped[str | None] = mapped_column(String(64))
    transcript: Mapped[str | None] = mapped_column(Text)
    emergency: Mapped[str] = mapped_column(String(8), default="no")
    """yes, ask or no."""
    emergency_why: Mapped[str | None] = mapped_column(String(1024))
    emergency_outcome: Mapped[str | None] = mapped_column(String(16))
    """trying, answered or failed."""
    emergency_trunk: Mapped[str | None] = mapped_column(String(64))
    district: Mapped[str | None] = mapped_column(String(64))
    street: Mapped[str | None] = mapped_column(String(255))
    house_number: Mapped[str | None] = mapped_column(String(32))
    crossing: Mapped[str | None] = mapped_column(String(255))
    landmark: Mapped[str | None] = mapped_column(String(255))
    place_said: Mapped[str | None] = mapped_column(String(255))
    """The place in the caller's own words, known to the gazetteer or not."""
    lat: Mapped[float | None]
    lon: Mapped[float | None]
    queue: Mapped[str | None] = mapped_column(String(64))
    consultant: Mapped[str | None] = mapped_column(String(64))
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    queued_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    talking_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    wait_s: Mapped[float | None]
    talk_s: Mapped[float | None]
    disposition: Mapped[str | None] = mapped_column(String(64))
    unit: Mapped[str | None] = mapped_column(String(128))
    note: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(32), default=STATUSES[0])
    outcome: Mapped[str | None] = mapped_column(String(32))
    """answered, abandoned, emergency, degraded, ..."""
    consent: Mapped[bool | None]
    recording: Mapped[str | None] = mapped_column(String(512))
    survey: Mapped[int | None]

    def as_dict(self) -> dict[str, Any]:
        """Give every field by its name."""
        return {column.key: getattr(self, column.key) for column in Case.__table__.columns}


class CaseEventRow(Base):
    """One event; the primary key makes keeping it twice harmless."""

    __tablename__ = "case_events"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    case_uuid: Mapped[UUID] = mapped_column(Uuid, ForeignKey("cases.uuid"), index=True)
    """The case it belongs to: not always `call`, for Asterisk's own record may tell of the same
    call under another UUID."""
    call: Mapped[UUID] = mapped_column(Uuid, index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(String(64))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)


class JournalOffset(Base):
    """How far (bytes) a segment of a journal has been taken into this database."""

    __tablename__ = "journal_offsets"

    segment: Mapped[str] = mapped_column(String(255), primary_key=True)
    offset: Mapped[int]


class CaseCounter(Base):
    """The last case number given out in a year (of Warsaw)."""

    __tablename__ = "case_counters"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int]

"""Cases, their events, the offsets of journals and the counters of numbers."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "cases",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(16)),
        sa.Column("asterisk_id", sa.String(150)),
        sa.Column("node", sa.String(64)),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("language", sa.String(8)),
        sa.Column("caller_number", sa.String(64)),
        sa.Column("caller_name", sa.String(4096)),
        sa.Column("topic", sa.String(64)),
        sa.Column("confidence", sa.Double()),
        sa.Column("second_topic", sa.String(64)),
        sa.Column("transcript", sa.Text()),
        sa.Column("emergency", sa.String(8), nullable=False),
        sa.Column("emergency_why", sa.String(1024)),
        sa.Column("emergency_outcome", sa.String(16)),
        sa.Column("emergency_trunk", sa.String(64)),
        sa.Column("district", sa.String(64)),
        sa.Column("street", sa.String(255)),
        sa.Column("house_number", sa.String(32)),
        sa.Column("lat", sa.Double()),
        sa.Column("lon", sa.Double()),
        sa.Column("queue", sa.String(64)),
        sa.Column("consultant", sa.String(64)),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("answered_at", _TIME),
        sa.Column("queued_at", _TIME),
        sa.Column("talking_at", _TIME),
        sa.Column("ended_at", _TIME),
        sa.Column("wait_s", sa.Double()),
        sa.Column("talk_s", sa.Double()),
        sa.Column("disposition", sa.String(64)),
        sa.Column("unit", sa.String(128)),
        sa.Column("note", sa.Text()),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("outcome", sa.String(32)),
        sa.Column("consent", sa.Boolean()),
        sa.Column("recording", sa.String(512)),
        sa.Column("survey", sa.Integer()),
        sa.PrimaryKeyConstraint("uuid", name="pk_cases"),
        sa.UniqueConstraint("number", name="uq_cases_number"),
        sa.UniqueConstraint("asterisk_id", name="uq_cases_asterisk_id"),
    )
    op.create_index("ix_cases_opened_at", "cases", ["opened_at"])
    op.create_table(
        "case_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_uuid", sa.Uuid(), nullable=False),
        sa.Column("call", sa.Uuid(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_case_events"),
        sa.ForeignKeyConstraint(["case_uuid"], ["cases.uuid"], name="fk_case_events_case_uuid"),
    )
    op.create_index("ix_case_events_case_uuid", "case_events", ["case_uuid"])
    op.create_index("ix_case_events_call", "case_events", ["call"])
    op.create_table(
        "journal_offsets",
        sa.Column("segment", sa.String(255), nullable=False),
        sa.Column("offset", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("segment", name="pk_journal_offsets"),
    )
    op.create_table(
        "case_counters",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("year", name="pk_case_counters"),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("case_counters", "journal_offsets", "case_events", "cases"):
        op.drop_table(table)

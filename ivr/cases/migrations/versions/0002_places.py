"""Where a caller speaks of: crossing, landmark, and the place in the caller's own words."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_COLUMNS = ("crossing", "landmark", "place_said")


def upgrade() -> None:
    """Add the columns."""
    for name in _COLUMNS:
        op.add_column("cases", sa.Column(name, sa.String(255)))


def downgrade() -> None:
    """Take the columns away."""
    for name in _COLUMNS:
        op.drop_column("cases", name)

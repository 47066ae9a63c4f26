"""Since when an object that was tried in vain waits for its next turn."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column that an object lacks."""
    op.add_column("glacier_sync_progress", sa.Column("tried_on", sa.DateTime(timezone=True)))

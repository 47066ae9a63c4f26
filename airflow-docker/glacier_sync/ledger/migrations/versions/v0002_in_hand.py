"""How far a stage has come with what is in hand, whose hand it is, and what was taken off the list."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the table of paces, and the columns that an object lacks."""
    op.create_table(
        "glacier_sync_pace",
        sa.Column("object_id", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False),
        sa.Column("bytes_in_all", sa.BigInteger(), nullable=False),
        sa.Column("bytes_gained", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["object_id"], ["glacier_sync_progress.id"], name="fk_glacier_sync_pace_object_id"),
    )
    op.add_column("glacier_sync_progress", sa.Column("claim_worker", sa.Text()))
    op.add_column("glacier_sync_progress", sa.Column("forgotten_on", sa.DateTime(timezone=True)))
    op.add_column("glacier_sync_progress", sa.Column("forgotten_by", sa.Text()))
    op.add_column("glacier_sync_progress", sa.Column("forgotten_reason", sa.Text()))

"""The ledger's first schema."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_PHASES = ("requested", "restored", "downloaded", "debagged", "synced", "failed")

_SQLITE_TRIGGERS = tuple(
    f"CREATE TRIGGER glacier_sync_event_no_{action.lower()} BEFORE {action} ON glacier_sync_event "
    "BEGIN SELECT RAISE(ABORT, 'events of the ledger are appended, never changed'); END"
    for action in ("UPDATE", "DELETE")
)
_POSTGRESQL_TRIGGERS = (
    "CREATE FUNCTION glacier_sync_event_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'events of the ledger are appended, never changed'; END $$",
    "CREATE TRIGGER glacier_sync_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON glacier_sync_event "
    "FOR EACH STATEMENT EXECUTE FUNCTION glacier_sync_event_refuse()",
)


def upgrade() -> None:
    """Make the tables, and the triggers that keep events as they were written."""
    _make_progress()
    _make_work()
    _make_event()
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _SQLITE_TRIGGERS if on_sqlite else _POSTGRESQL_TRIGGERS:
        op.execute(statement)


def _id() -> sa.Column[int]:
    return sa.Column("id", _NUMBER, primary_key=True)


def _time(name: str, *, nullable: bool = True) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _phase() -> sa.Column[str]:
    return sa.Column("phase", sa.Enum(*_PHASES, name="phase", native_enum=False, length=16), nullable=False)


def _phase_check() -> sa.CheckConstraint:
    return sa.CheckConstraint(sa.column("phase").in_(_PHASES), name="phase")


def _text(name: str, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _make_progress() -> None:
    op.create_table(
        "glacier_sync_progress",
        _id(),
        sa.Column("object_name", sa.String(255), nullable=False),
        _time("restore_requested_on"),
        _time("restore_complete_on"),
        _time("download_complete_on"),
        _time("debag_complete_on"),
        _time("sync_complete_on"),
        sa.Column("user_data", sa.JSON(), nullable=False),
        _time("create_time", nullable=False),
        _time("update_time", nullable=False),
        _text("queue", nullable=False),
        _text("bucket", nullable=False),
        _text("object_key", nullable=False),
        _text("version_id"),
        _text("etag", nullable=False),
        sa.Column("size", sa.BigInteger()),
        _time("restore_expiry"),
        _text("event_name", nullable=False),
        _time("event_time"),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("identity", sa.String(64), nullable=False),
        _text("rid"),
        _phase(),
        sa.Column("attempt", sa.Integer(), nullable=False),
        _text("failure_reason"),
        _text("failure_cause"),
        sa.Column("unknown_errors", sa.Integer(), nullable=False),
        _text("claim_run"),
        _text("claim_host"),
        _text("claim_process"),
        _time("claim_until"),
        sa.Column("claim_count", sa.Integer(), nullable=False),
        sa.UniqueConstraint("identity", name="uq_glacier_sync_progress_identity"),
        _phase_check(),
    )
    for column in ("content", "phase", "rid", "claim_run"):
        op.create_index(f"ix_glacier_sync_progress_{column}", "glacier_sync_progress", [column])


def _make_work() -> None:
    op.create_table(
        "glacier_sync_work",
        _id(),
        sa.Column("object_id", _NUMBER, nullable=False),
        _text("rid", nullable=False),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        _phase(),
        _text("destination"),
        _text("audit"),
        _text("reason"),
        _time("synced_on"),
        sa.ForeignKeyConstraint(["object_id"], ["glacier_sync_progress.id"], name="fk_glacier_sync_work_object_id"),
        sa.UniqueConstraint("object_id", "rid", name="uq_glacier_sync_work_object_id_rid"),
        _phase_check(),
    )
    op.create_index("ix_glacier_sync_work_rid", "glacier_sync_work", ["rid"])


def _make_event() -> None:
    op.create_table(
        "glacier_sync_event",
        _id(),
        sa.Column("object_id", _NUMBER),
        _time("time", nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        _text("run"),
        _text("message", nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("once", sa.String(64)),
        sa.ForeignKeyConstraint(["object_id"], ["glacier_sync_progress.id"], name="fk_glacier_sync_event_object_id"),
        sa.UniqueConstraint("once", name="uq_glacier_sync_event_once"),
    )
    op.create_index("ix_glacier_sync_event_object_id", "glacier_sync_event", ["object_id"])

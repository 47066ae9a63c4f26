"""The ledger's tables. The migrations make them; a test holds the two together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from glacier_sync.ledger.facts import Phase
from glacier_sync.ledger.text import escape, escape_all, unescape, unescape_all


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, stored in UTC by databases with and without time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware time into what the database stores."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"expected a time with its zone, found {value!r}")
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn what the database stores into an aware time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class AnyText(TypeDecorator[str]):
    """Text with any characters in it, stored escaped."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Escape what can't be stored."""
        return None if value is None else escape(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Undo the escaping."""
        return None if value is None else unescape(value)


class AnyJson(TypeDecorator[Any]):
    """Details: JSON with any text in it, stored escaped."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Escape what can't be stored."""
        return escape_all(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Undo the escaping."""
        return unescape_all(value)


_Id = BigInteger().with_variant(Integer, "sqlite")
_Phase = Enum(Phase, native_enum=False, length=16, create_constraint=True, name="phase", values_callable=list)


class Base(DeclarativeBase):
    """The tables' registry."""

    type_annotation_map = {datetime: UtcDateTime, str: AnyText, Phase: _Phase}  # noqa: RUF012 - SQLAlchemy's own API


class Progress(Base):
    """A restored object; the first columns are the sites' and are reported from."""

    __tablename__ = "glacier_sync_progress"
    __table_args__ = (
        Index("ix_glacier_sync_progress_content", "content"),
        Index("ix_glacier_sync_progress_phase", "phase"),
        Index("ix_glacier_sync_progress_rid", "rid"),
        Index("ix_glacier_sync_progress_claim_run", "claim_run"),
        UniqueConstraint("identity", name="uq_glacier_sync_progress_identity"),
    )

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    object_name: Mapped[str] = mapped_column(String(255))
    restore_requested_on: Mapped[datetime | None]
    restore_complete_on: Mapped[datetime | None]
    download_complete_on: Mapped[datetime | None]
    debag_complete_on: Mapped[datetime | None]
    sync_complete_on: Mapped[datetime | None]
    user_data: Mapped[list[dict[str, Any]]] = mapped_column(AnyJson)
    create_time: Mapped[datetime]
    update_time: Mapped[datetime]

    queue: Mapped[str]
    bucket: Mapped[str]
    object_key: Mapped[str]
    version_id: Mapped[str | None]
    etag: Mapped[str]
    size: Mapped[int | None] = mapped_column(BigInteger)
    restore_expiry: Mapped[datetime | None]
    event_name: Mapped[str]
    event_time: Mapped[datetime | None]
    content: Mapped[str] = mapped_column(String(64))
    identity: Mapped[str] = mapped_column(String(64))
    rid: Mapped[str | None]

    phase: Mapped[Phase]
    attempt: Mapped[int] = mapped_column(Integer, default=1)
    failure_reason: Mapped[str | None]
    failure_cause: Mapped[str | None]
    unknown_errors: Mapped[int] = mapped_column(Integer, default=0)

    claim_run: Mapped[str | None]
    claim_host: Mapped[str | None]
    claim_process: Mapped[str | None]
    claim_worker: Mapped[str | None]
    claim_until: Mapped[datetime | None]
    claim_count: Mapped[int] = mapped_column(Integer, default=0)

    forgotten_on: Mapped[datetime | None]
    forgotten_by: Mapped[str | None]
    forgotten_reason: Mapped[str | None]

    tried_on: Mapped[datetime | None]

    works: Mapped[list[Work]] = relationship(cascade="all, delete-orphan", order_by=lambda: Work.id, lazy="selectin")
    pace: Mapped[StagePace | None] = relationship(cascade="all, delete-orphan", lazy="selectin")


class Work(Base):
    """A work found in an object."""

    __tablename__ = "glacier_sync_work"
    __table_args__ = (
        UniqueConstraint("object_id", "rid", name="uq_glacier_sync_work_object_id_rid"),
        Index("ix_glacier_sync_work_rid", "rid"),
    )

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    object_id: Mapped[int] = mapped_column(ForeignKey(Progress.id, name="fk_glacier_sync_work_object_id"))
    rid: Mapped[str]
    files: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    phase: Mapped[Phase]
    destination: Mapped[str | None]
    audit: Mapped[str | None]
    reason: Mapped[str | None]
    synced_on: Mapped[datetime | None]


class StagePace(Base):
    """How far a stage has come with an object in hand; there is none while no stage works on it."""

    __tablename__ = "glacier_sync_pace"

    object_id: Mapped[int] = mapped_column(
        ForeignKey(Progress.id, name="fk_glacier_sync_pace_object_id"), primary_key=True, autoincrement=False
    )
    stage: Mapped[str]
    bytes_done: Mapped[int] = mapped_column(BigInteger)
    bytes_in_all: Mapped[int] = mapped_column(BigInteger)
    bytes_gained: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float] = mapped_column(Float)
    time: Mapped[datetime]


class Event(Base):
    """Something that happened. Rows are appended and never changed: a trigger refuses it.

    ``once`` is the digest of what may be recorded only once.
    """

    __tablename__ = "glacier_sync_event"
    __table_args__ = (
        Index("ix_glacier_sync_event_object_id", "object_id"),
        UniqueConstraint("once", name="uq_glacier_sync_event_once"),
    )

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    object_id: Mapped[int | None] = mapped_column(ForeignKey(Progress.id, name="fk_glacier_sync_event_object_id"))
    time: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(32))
    run: Mapped[str | None]
    message: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(AnyJson)
    once: Mapped[str | None] = mapped_column(String(64))

"""One writing transaction: its time, its lease, and how it records what happens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from glacier_sync.ledger.errors import UnknownObjectError
from glacier_sync.ledger.models import Event, Progress

Details = Mapping[str, Any] | None


@dataclass(frozen=True)
class Transaction:
    """What every write is made in: one session, one time, one lease."""

    session: Session
    now: datetime
    lease: timedelta

    def row(self, object_id: int) -> Progress:
        """Return an object's row, locked. Raises UnknownObjectError."""
        row = self.session.get(Progress, object_id, with_for_update=True)
        if row is None:
            raise UnknownObjectError(
                f"the ledger has no object {object_id}: expected one that it has recorded; look at its status"
            )
        return row

    def append(
        self,
        row: Progress | None,
        kind: str,
        message: str,
        *,
        run: str | None = None,
        details: Details = None,
        once: str | None = None,
    ) -> None:
        """Append an event; one with that digest (``once``) must not be there yet."""
        if row is not None:
            row.update_time = self.now
            self.session.flush()
        self.session.add(
            Event(
                object_id=row.id if row is not None else None,
                time=self.now,
                kind=kind,
                run=run,
                message=message,
                details=dict(details or {}),
                once=once,
            )
        )

    def append_once(self, once: str, row: Progress | None, kind: str, message: str, details: Details) -> None:
        """Append an event unless one was appended under that digest before."""
        if self.happened(once) is None:
            self.append(row, kind, message, details=details, once=once)

    def happened(self, once: str) -> Event | None:
        """Return the event that was appended under that digest, if any."""
        return self.session.scalar(select(Event).where(Event.once == once))

    def tell_site(self, row: Progress, message: str, details: Details = None) -> None:
        """Append to the sites' own column of remarks."""
        remark: dict[str, Any] = {"message": message, **({"details": dict(details)} if details else {})}
        row.user_data = [*row.user_data, {"time_stamp": self.now.isoformat(), "user_data": remark}]


def digest(*parts: str | None) -> str:
    """Return a digest that tells apart any two lists of texts."""
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()

"""The ledger itself: the only writer of state."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from glacier_sync.events import RestoredObject, UnwantedObject
from glacier_sync.ledger import attempts, claims, intake, progress, reading, schema
from glacier_sync.ledger.database import Clock, Database
from glacier_sync.ledger.errors import LedgerConfigurationError, LedgerUnavailableError
from glacier_sync.ledger.facts import LedgerEvent, LedgerObject, Phase, Run, Way, WorkFacts
from glacier_sync.ledger.room import BOUNDLESS, Allotment
from glacier_sync.ledger.transaction import Transaction
from glacier_sync.progress import Pace
from glacier_sync.settings import Settings

_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE})


class Ledger:
    """Which objects were restored, who has them in hand, and how far they have come.

    Each method is one transaction: when it returns, what it wrote is committed;
    when it raises, nothing was. ``lease`` is how long a claim lasts without being
    renewed; ``clock`` replaces the database's own time. Every method raises
    LedgerUnavailableError when the database doesn't answer, is locked, full or
    read-only, and LedgerConfigurationError when URL, rights or schema are wrong.
    """

    def __init__(self, url: str, *, lease: timedelta, clock: Clock | None = None) -> None:
        self._database = Database(url, clock)
        self._lease = lease

    @classmethod
    def open(cls, settings: Settings) -> Ledger:
        """Open the ledger that the settings name; a SQLite file that is missing is made.

        Raises LedgerConfigurationError if its schema isn't this program's.
        """
        ledger = cls.from_settings(settings)
        try:
            ledger._check_schema()
        except BaseException:
            ledger.close()
            raise
        return ledger

    @classmethod
    def from_settings(cls, settings: Settings) -> Ledger:
        """Return the ledger that the settings name without looking at its schema: to migrate it."""
        return cls(settings.ledger_url.get_secret_value(), lease=timedelta(minutes=settings.lease_minutes))

    def migrate(self) -> None:
        """Bring the tables to this program's version; nothing happens if they are there."""
        self._make_folder()
        schema.migrate(self._database)

    def close(self) -> None:
        """Close the connections to the database."""
        self._database.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def record(
        self,
        queue: str,
        message_id: str,
        wanted: Sequence[RestoredObject],
        unwanted: Sequence[UnwantedObject],
    ) -> tuple[int, ...]:
        """Record what a message announces and return the numbers of the objects that are new.

        The same restore (bucket, key, version, ETag, expiry) is recorded once.
        Another expiry of an object that is still on its way replaces the one
        known; of one that is synced or failed it is a new restore. A later event in
        the same words, of an upload for instance, begins anew what waits or has failed.
        """
        with self._writing() as transaction:
            return intake.record(transaction, queue, message_id, wanted, unwanted)

    def reject(self, queue: str, message_id: str, body: str, reason: str) -> None:
        """Record a message that isn't understood, once, with its body."""
        with self._writing() as transaction:
            intake.reject(transaction, queue, message_id, body, reason)

    def claim(
        self,
        run: Run,
        limit: int,
        ways: Collection[Way] = tuple(Way),
        *,
        without: Collection[int] = (),
        allotment: Allotment | None = None,
    ) -> list[LedgerObject]:
        """Take up to ``limit`` objects that came in by these ways in hand and return them.

        First what the run holds already, also with a lease that has run out;
        then what is free: the nearest restore expiry first, then the oldest. What was
        tried in vain, or taken over from a claim that ended without a word, goes behind
        all others for an hour, and twice as long with each further claim, up to 16. No two
        objects in hand have the same key, RID or work. ``without`` are numbers of
        objects that the run doesn't want. With an ``allotment`` only what it has
        room for is taken, beside what is in hand on the run's host.
        """
        with self._writing() as transaction:
            given = allotment or Allotment(BOUNDLESS)
            rows = claims.claim(transaction, run, limit, ways=ways, without=without, allotment=given)
            return [reading.facts_of(row) for row in rows]

    def in_hand(self, run: Run) -> list[LedgerObject]:
        """Return what is in hand on the run's host, by its own claims and others'."""
        with self._database.reading() as session:
            transaction = Transaction(session, self._database.now(session), self._lease)
            return [reading.facts_of(row) for row in claims.in_hand(transaction, run)]

    def hold(self, object_id: int, run: Run) -> LedgerObject:
        """Make sure that the run has the object in hand, renew the lease, and return the object.

        One that nobody has is taken again; one that is synced or failed is only
        returned. Raises ClaimLostError if another run has it (or its key or
        work), PhaseOrderError if it isn't restored yet, UnknownObjectError.
        """
        with self._writing() as transaction:
            return reading.facts_of(claims.hold(transaction, object_id, run))

    def renew(self, run: Run) -> frozenset[int]:
        """Extend the lease of all that the run holds and return the objects that this process may work on."""
        with self._writing() as transaction:
            return claims.renew(transaction, run)

    def release(self, object_id: int, run: Run, message: str, *, in_vain: bool = False) -> None:
        """Give an object back; nothing happens if nobody has it. Raises ClaimLostError.

        One that was tried ``in_vain`` goes behind all others for a time, as ``claim`` tells; any other keeps its place.
        """
        with self._writing() as transaction:
            claims.release(transaction, object_id, run, message, in_vain=in_vain)

    def advance(
        self, object_id: int, run: Run, phase: Phase, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        """Move an object on to a later phase; SYNCED gives it back as well.

        Nothing happens if this run has brought it to that phase already. Raises
        PhaseOrderError for an earlier phase or the same one, ClaimLostError.
        """
        with self._writing() as transaction:
            progress.advance(transaction, object_id, run, phase, message, details=details)

    def note(self, object_id: int, run: Run, message: str, details: Mapping[str, Any] | None = None) -> None:
        """Append a remark to an object. Raises ClaimLostError."""
        with self._writing() as transaction:
            progress.note(transaction, object_id, run, message, details)

    def remark(self, rid: str, run: Run, message: str, details: Mapping[str, Any] | None = None) -> bool:
        """Append a remark on a work to the newest object that holds it, in hand or not; return whether there is one.

        For what a person does with a work by hand, which needs no claim. Without
        an object the remark is kept by itself: ``remarks`` finds it.
        """
        with self._writing() as transaction:
            return progress.remark(transaction, rid, run, message, details)

    def remark_on_object(
        self, object_id: int, run: Run, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        """Append a remark to an object, in hand or not: for what is done when an attempt has ended."""
        with self._writing() as transaction:
            progress.remark_on_object(transaction, object_id, run, message, details)

    def tell_pace(self, object_id: int, run: Run, stage: str, pace: Pace) -> None:
        """Write down how far a stage has come with an object, until it ends. Raises ClaimLostError."""
        with self._writing() as transaction:
            progress.tell_pace(transaction, object_id, run, stage, pace)

    def fail(self, object_id: int, run: Run, reason: str, cause: str, details: Mapping[str, Any] | None = None) -> None:
        """Give an object up, with a reason in words and a technical cause; it is in nobody's hands then.

        Nothing happens if this run has failed it already. Raises PhaseOrderError
        if this run has synced it, ClaimLostError.
        """
        with self._writing() as transaction:
            progress.fail(transaction, object_id, run, reason, cause, details=details)

    def count_unknown_error(self, object_id: int, run: Run, cause: str) -> int:
        """Count an error that nobody foresaw and return how many this object has had. Raises ClaimLostError."""
        with self._writing() as transaction:
            return progress.count_unknown_error(transaction, object_id, run, cause)

    def set_works(self, object_id: int, run: Run, works: Sequence[WorkFacts]) -> None:
        """Write down which works an object holds; one that was known with the same facts keeps its phase.

        Raises ClaimLostError, also if one of the works is in hand with another object.
        """
        with self._writing() as transaction:
            progress.set_works(transaction, object_id, run, works)

    def update_work(
        self,
        object_id: int,
        run: Run,
        rid: str,
        *,
        phase: Phase,
        destination: str | None = None,
        audit: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Write down how far a work has come; destination and audit stay as they were if not given.

        Raises PhaseOrderError if a work that is synced or failed is to go back,
        UnknownObjectError if the object holds no such work, ClaimLostError.
        """
        with self._writing() as transaction:
            progress.update_work(
                transaction, object_id, run, rid, phase=phase, destination=destination, audit=audit, reason=reason
            )

    def await_restore(
        self,
        object_id: int,
        run: Run,
        message: str,
        *,
        known_expiry: datetime | None,
        requested: bool,
        details: Mapping[str, Any] | None = None,
    ) -> bool:
        """Give an object back that has no restored copy: a new attempt begins when one is announced.

        ``requested`` tells whether its restore was asked for. Nothing happens, and
        False is returned, if a restore that isn't ``known_expiry``'s was announced
        meanwhile. Raises ClaimLostError.
        """
        with self._writing() as transaction:
            return attempts.await_restore(
                transaction, object_id, run, message, known_expiry=known_expiry, requested=requested, details=details
            )

    def retry(self, object_ids: Sequence[int], run: Run) -> list[LedgerObject]:
        """Begin a new attempt of objects that have failed, all or none, on behalf of ``run``.

        Raises RefusedError if one hasn't failed or was restored once more since, or
        if its works were synced from what was announced later; UnknownObjectError.
        """
        with self._writing() as transaction:
            return [reading.facts_of(row) for row in attempts.retry(transaction, object_ids, run)]

    def forget(self, object_ids: Sequence[int], run: Run, reason: str) -> list[LedgerObject]:
        """Take objects off the list of what is to be done, all or none: they are failed then, and forgotten.

        Raises RefusedError if one is synced, forgotten already or in hand, UnknownObjectError.
        """
        with self._writing() as transaction:
            return [reading.facts_of(row) for row in attempts.forget(transaction, object_ids, run, reason)]

    def object(self, object_id: int) -> LedgerObject:
        """Return an object. Raises UnknownObjectError."""
        with self._database.reading() as session:
            return reading.object_by_id(session, object_id)

    def objects(self, phases: Collection[Phase] | None = None, limit: int | None = None) -> list[LedgerObject]:
        """Return the objects (of these phases), oldest first; with a limit the newest of them."""
        with self._database.reading() as session:
            return reading.objects(session, phases, limit)

    def find(self, name: str) -> list[LedgerObject]:
        """Return the objects that hold this work, have a key of this RID, or exactly this key, as they were announced.

        The newest comes last. What no event has announced counts by when it was recorded.
        """
        with self._database.reading() as session:
            return reading.find(session, name)

    def synced_later(self, object_id: int, rid: str) -> LedgerObject | None:
        """Return the newest object that was announced after this one and that a work was synced from, if any.

        What no event has announced counts by when it was recorded. Raises UnknownObjectError.
        """
        with self._database.reading() as session:
            return reading.synced_later(session, object_id, rid)

    def events(self, object_id: int | None = None) -> list[LedgerEvent]:
        """Return the events of an object, or of everything, in the order in which they happened."""
        with self._database.reading() as session:
            return reading.events(session, object_id)

    def lapses(self) -> dict[int, int]:
        """Return, by objects' numbers, how many claims have ended without a word since an object last came on."""
        with self._database.reading() as session:
            return reading.lapses(session)

    def remarks(self, rid: str) -> list[LedgerEvent]:
        """Return the remarks on a work from times when no object held it, in order."""
        with self._database.reading() as session:
            return reading.remarks(session, rid)

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        with self._database.writing() as session:
            yield Transaction(session, self._database.now(session), self._lease)

    def _check_schema(self) -> None:
        self._make_folder()
        # A file without a schema is one that was made by a process killed before it could fill it.
        if self._database.is_sqlite and (not _exists(self._database) or schema.is_empty(self._database)):
            self.migrate()
        schema.check(self._database)

    def _make_folder(self) -> None:
        if not self._database.is_sqlite:
            return
        folder = Path(str(self._database.url.database)).parent
        try:
            # Messages and what they announce aren't everybody's to read. A folder that is there keeps its mode.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            kind = LedgerUnavailableError if error.errno in _PASSING else LedgerConfigurationError
            raise kind(
                f"the ledger's folder {folder} can't be made: {error.strerror}; make it, or correct "
                "GLACIER_SYNC_LEDGER_URL or GLACIER_SYNC_HOME",
                cause=str(error),
            ) from error


def _exists(database: Database) -> bool:
    return Path(str(database.url.database)).exists()

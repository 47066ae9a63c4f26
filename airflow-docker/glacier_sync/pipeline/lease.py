"""Keeping a run's claims alive while one of its processes works, and noticing when one is lost."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from glacier_sync.errors import TransientError
from glacier_sync.ledger import ClaimLostError, Ledger, Run
from glacier_sync.pipeline import working
from glacier_sync.progress import Meter, Progress
from glacier_sync.settings import Settings

log = logging.getLogger(__name__)

_RENEWALS_PER_LEASE = 4
_LONGEST_PAUSE_SECONDS = 10


class Lease:
    """A process's hold on one object, which a thread renews until the block ends.

    A process that was stopped, or couldn't reach the ledger, for longer than the
    lease may find its object in other hands: ``check``, and every progress that
    ``watched`` makes, raise then, so that the work ends where it is.
    """

    def __init__(self, settings: Settings, ledger: Ledger, run: Run, object_id: int) -> None:
        self._seconds = settings.lease_minutes * 60
        self._until = _clock() + self._seconds
        self.item = ledger.hold(object_id, run)
        self._ledger = ledger
        self._run = run
        self._meter: tuple[str, Meter] | None = None
        self._told: tuple[str, int] | None = None
        self._lost: ClaimLostError | None = None
        self._file: Path | None = None
        self._renewing = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def start(self) -> None:
        """Begin to renew; without a block, that goes on until the process ends."""
        self._thread.start()

    def __enter__(self) -> Lease:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def check(self) -> None:
        """Make sure that the object is still in this process's hands.

        The ledger is only asked when the lease has run out. Raises
        ClaimLostError, or LedgerUnavailableError if it can't be told.
        """
        if self._lost is None and _clock() >= self._until:
            self._renew()
        if self._lost is not None:
            raise self._lost

    def keep_file(self, path: Path) -> None:
        """Renew, and have a file from now on whose time of modification is the end of the lease.

        Bash can't ask the ledger, and looks at the file. Raises what ``check``
        raises, also if the lease hadn't run out.
        """
        self._file = path
        self._renew()
        self.check()

    def watched(self, shown: Callable[[str, int], Progress]) -> Callable[[str, int], Progress]:
        """Return a maker of progress callbacks that check the claim, and whose pace the ledger is told."""

        def make(stage: str, object_id: int) -> Progress:
            show, meter = shown(stage, object_id), Meter()
            self._meter = (stage, meter)

            def progress(done: int, total: int) -> None:
                self.check()
                meter(done, total)
                show(done, total)

            return progress

        return make

    def _beat(self) -> None:
        pause = self._seconds / _RENEWALS_PER_LEASE
        while self._lost is None and not self._ended.wait(min(pause, _LONGEST_PAUSE_SECONDS)):
            try:
                if self._until - _clock() <= self._seconds - pause:
                    self._renew()
                self._tell_pace()
            except ClaimLostError as error:
                self._lost = error
            except TransientError as error:
                # The lease lasts for several beats, and nothing is recorded without it.
                log.warning("the lease wasn't renewed: %s", error)

    def _renew(self) -> None:
        with self._renewing:
            until, file_until = _clock() + self._seconds, time.time() + self._seconds
            if self.item.id in self._ledger.renew(self._run):
                self._until = until
                self._set_file(file_until)
            else:
                self._set_file(0)
                self._lost = ClaimLostError(
                    f"object {self.item.id} ({self.item.key}) is no longer in the hands of this process of "
                    f"{self._run.name}, whose lease had run out: nothing more is done about it here; "
                    "leave it to whoever has it now"
                )

    def _set_file(self, until: float) -> None:
        if self._file is None:
            return
        try:
            if until:
                self._file.touch()
            os.utime(self._file, (until, until))
        except OSError as error:
            # Without the file, or with an old one, bash ends before it changes the archive.
            if until or not isinstance(error, FileNotFoundError):
                log.warning("%s can't be kept: %s", self._file, error)

    def _tell_pace(self) -> None:
        if self._meter is None:
            return
        stage, meter = self._meter
        pace = meter.pace
        if pace is not None and self._told != (stage, pace.done):
            self._ledger.tell_pace(self.item.id, self._run, stage, pace)
            self._told = (stage, pace.done)


def keep_lease_until_exit(settings: Settings, run: Run, object_id: int) -> None:
    """Hold an object whose sync begins, and renew the leases of all the run's claims, until this process ends."""
    lease = Lease(settings, Ledger.open(settings), run, object_id)
    lease.keep_file(working.claim_file(settings, lease.item, run))
    lease.start()


def _clock() -> float:
    """Return seconds that go on while the process, or the whole machine, sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()

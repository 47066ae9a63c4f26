"""Keeping a run's claims alive while one of its processes works."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from glacier_sync.errors import TransientError
from glacier_sync.ledger import Ledger, Run
from glacier_sync.pipeline.context import Context
from glacier_sync.settings import Settings

log = logging.getLogger(__name__)

_RENEWALS_PER_LEASE = 4


@contextmanager
def kept_lease(context: Context) -> Iterator[None]:
    """Renew the leases of all the run's claims until the block ends.

    A renewal that fails because the ledger is away is tried again at the next
    beat: the lease lasts for several beats, and every write to the ledger checks
    the claim anyway.
    """
    ended = threading.Event()
    thread = threading.Thread(
        target=_beat, args=(context.settings, context.ledger, context.run, ended), name="lease", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def keep_lease_until_exit(settings: Settings, run: Run) -> None:
    """Renew the leases of all the run's claims until this process ends."""
    ledger = Ledger.open(settings)
    threading.Thread(target=_beat, args=(settings, ledger, run, threading.Event()), name="lease", daemon=True).start()


def _beat(settings: Settings, ledger: Ledger, run: Run, ended: threading.Event) -> None:
    pause = settings.lease_minutes * 60 / _RENEWALS_PER_LEASE
    while not ended.wait(pause):
        try:
            ledger.renew(run)
        except TransientError as error:
            log.warning("the lease wasn't renewed: %s", error)

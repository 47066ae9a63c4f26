"""What can go wrong between this program and its ledger."""

from __future__ import annotations

from glacier_sync.errors import ConfigurationError, PermanentError, TransientError


class LedgerUnavailableError(TransientError):
    """The database doesn't answer, is locked, full or read-only: nothing was recorded."""


class LedgerConfigurationError(ConfigurationError):
    """The ledger's URL, its rights or its schema are wrong: nothing was recorded."""


class ClaimLostError(TransientError):
    """A run wanted to write about an object that isn't in its hands: nothing was recorded."""


class RefusedError(ConfigurationError):
    """An operator asked for what an object's state doesn't allow: nothing was recorded."""


class PhaseOrderError(PermanentError):
    """A phase was to go backwards, or a step came before its time."""


class UnknownObjectError(PermanentError):
    """The ledger has no object of that number, or the object no work of that RID."""

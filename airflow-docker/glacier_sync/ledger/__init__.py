"""The ledger: which objects were restored, who has them in hand, and how far they have come."""

from glacier_sync.ledger.errors import (
    ClaimLostError,
    LedgerConfigurationError,
    LedgerUnavailableError,
    PhaseOrderError,
    RefusedError,
    UnknownObjectError,
)
from glacier_sync.ledger.facts import (
    WORKABLE,
    EventKind,
    Forgotten,
    LedgerEvent,
    LedgerObject,
    LedgerWork,
    Phase,
    Run,
    StageProgress,
    Way,
    WorkFacts,
)
from glacier_sync.ledger.repository import Ledger

__all__ = [
    "WORKABLE",
    "ClaimLostError",
    "EventKind",
    "Forgotten",
    "Ledger",
    "LedgerConfigurationError",
    "LedgerEvent",
    "LedgerObject",
    "LedgerUnavailableError",
    "LedgerWork",
    "Phase",
    "PhaseOrderError",
    "RefusedError",
    "Run",
    "StageProgress",
    "UnknownObjectError",
    "Way",
    "WorkFacts",
]

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
from glacier_sync.ledger.room import Allotment, Room, space_of
from glacier_sync.ledger.text import shortened

__all__ = [
    "WORKABLE",
    "Allotment",
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
    "Room",
    "Run",
    "StageProgress",
    "UnknownObjectError",
    "Way",
    "WorkFacts",
    "shortened",
    "space_of",
]

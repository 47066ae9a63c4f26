"""Failures that an operator asks for, to see in a development deployment what they look like."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from glacier_sync.errors import ConfigurationError, PermanentError, TransientError
from glacier_sync.ledger import Run
from glacier_sync.settings import Settings
from glacier_sync.settings.wording import problem

_DRAWS = 2**64


class SimulatedTransientError(TransientError):
    """A cause that passes, simulated."""


class SimulatedPermanentError(PermanentError):
    """A cause that stays, simulated."""


class SimulatedUnknownError(Exception):
    """An error that nobody foresaw, simulated."""


class SimulatedFailures(BaseModel):
    """Which stage fails, for which share of a run's objects, and how.

    An object that is chosen is so in each try of the run, so that its retries
    can be seen to end.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Literal["download_from_messages", "take_in_files", "debag_downloads", "sync_debagged"]
    rate: float = Field(ge=0, le=1)
    outcome: Literal["failed", "retry", "unknown"] = "failed"

    def strike(self, stage: str, run: Run, object_id: int) -> None:
        """Raise the error that is wanted, if this stage and this object are chosen."""
        drawn = hashlib.sha256(f"{run.name}\0{object_id}".encode()).digest()
        if stage != self.stage or int.from_bytes(drawn[:8], "big") >= self.rate * _DRAWS:
            return
        told = f"{stage} is told to fail by this run's simulate_failures: nothing is wrong; run it without"
        if self.outcome == "failed":
            raise SimulatedPermanentError(told)
        if self.outcome == "retry":
            raise SimulatedTransientError(told)
        raise SimulatedUnknownError(told)


def simulated_failures(settings: Settings, asked: Mapping[str, Any] | None) -> SimulatedFailures | None:
    """Return what a run's parameter ``simulate_failures`` asks for, or None if it asks for nothing.

    Raises ConfigurationError if that isn't allowed here, or isn't understood.
    """
    if not asked:
        return None
    if settings.is_production:
        raise ConfigurationError(
            "simulate_failures is asked for in a deployment for production, where works must not fail on purpose; "
            "start the run without it"
        )
    if not settings.allow_simulated_failures:
        raise ConfigurationError(
            "simulate_failures is asked for, and GLACIER_SYNC_ALLOW_SIMULATED_FAILURES doesn't allow it here; "
            "start the run without it"
        )
    try:
        return SimulatedFailures.model_validate(asked)
    except ValidationError as error:
        known = tuple(SimulatedFailures.model_fields)
        problems = "; ".join(problem(".".join(map(str, found["loc"])), found, known) for found in error.errors())
        raise ConfigurationError(f"simulate_failures isn't understood: {problems}; correct it") from error

"""A stage's outcome: one of these, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Done:
    """The stage did its work, now or in an earlier try."""

    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RetryLater:
    """The stage met a cause that passes, or one that isn't known."""

    reason: str
    cause: str = ""


@dataclass(frozen=True)
class Failed:
    """The object has failed for good: a reason in words, and a technical cause."""

    reason: str
    cause: str = ""


@dataclass(frozen=True)
class Waiting:
    """The object is in nobody's hands until its restore is announced."""

    reason: str


Outcome = Done | RetryLater | Failed | Waiting

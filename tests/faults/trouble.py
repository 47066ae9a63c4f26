"""Trouble with Amazon's answers, for tests with parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.fault_proxy import Fault


@dataclass(frozen=True)
class Trouble:
    """A kind of fault: what is done to so many answers (the fields of ``Fault``), and what is said of it."""

    kind: str
    answer: Mapping[str, Any]
    says: str = ""
    times: int = 1

    def faults(self) -> list[Fault]:
        return [Fault(**self.answer) for _ in range(self.times)]

    def __str__(self) -> str:
        return self.kind

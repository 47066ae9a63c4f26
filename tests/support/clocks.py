"""Clocks that stand still: neither a busy machine nor midnight changes anything."""

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from glacier_sync.emulator import restores
from glacier_sync.pipeline import arrivals


def look_after(monkeypatch: pytest.MonkeyPatch, path: Path, seconds: float) -> None:
    """Have folders looked into so many seconds after a file's last change, until ``monkeypatch.undo``."""
    now = path.stat().st_ctime + seconds
    monkeypatch.setattr(arrivals, "time", SimpleNamespace(time=lambda: now))


def restore_at(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    """Have the emulator in this process take this for the time at which restores are asked for."""
    monkeypatch.setattr(restores, "datetime", SimpleNamespace(now=lambda _: now))

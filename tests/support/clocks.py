"""The clock of whoever looks for files that have settled, standing still: a busy machine changes nothing."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from glacier_sync.pipeline import arrivals


def look_after(monkeypatch: pytest.MonkeyPatch, path: Path, seconds: float) -> None:
    """Have folders looked into so many seconds after a file's last change, until ``monkeypatch.undo``."""
    now = path.stat().st_ctime + seconds
    monkeypatch.setattr(arrivals, "time", SimpleNamespace(time=lambda: now))

"""Fixity of what is archived: a work's copy against the manifests of its bag."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from glacier_sync import bags
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Ledger
from glacier_sync.pipeline import destination, manifests
from glacier_sync.progress import Progress
from glacier_sync.settings import Settings
from glacier_sync.works import archive_path, given_rid


@dataclass(frozen=True)
class FixityReport:
    """What comparing an archived work with its bag's manifests found."""

    rid: str
    path: Path
    bag_dir: Path
    differences: bags.Differences

    @property
    def intact(self) -> bool:
        """Whether every file is there, none is added, and each has its checksum."""
        return not self.differences


def check(settings: Settings, ledger: Ledger, work: str, *, progress: Progress | None = None) -> FixityReport:
    """Compare an archived work, named by its RID or its path, with its bag's manifests.

    Raises ConfigurationError if the work isn't in the archive, or no manifest of
    it is known.
    """
    named = Path(work)
    copy = named.absolute() if "/" in work else archive_path(settings.archive_parent, given_rid(work))
    if not copy.is_dir():
        raise ConfigurationError(f"{copy} isn't there: expected an archived work; name it by its RID or its path")
    bag_dir = manifests.of(settings, ledger, copy)
    found = destination.compare(settings, copy.name, bag_dir, copy, progress=progress)
    return FixityReport(copy.name, copy, bag_dir, found)

"""What a valid bag may have and an archive may not want: warnings, which a site can make errors.

A warning is a defect of its own branch: it doesn't make a bag invalid, unless its
kind is one of those that the site counts as errors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from glacier_sync.bags.defects import Defect, DetailedDefect, FurtherDefects
from glacier_sync.errors import ConfigurationError


class BagWarning(DetailedDefect):
    """What is odd with a file of a bag that may well be valid."""


class WeakAlgorithm(BagWarning):
    """A payload that only checksums prove which can be forged (RFC 8493 §2.4)."""


class MissingTagFile(BagWarning):
    """A tag file that a bag may leave out and an archive wants (RFC 8493 §2.2.1, §2.2.2)."""


class UnlistedTagFile(BagWarning):
    """A tag file that no tag manifest lists, so that nothing proves it (RFC 8493 §2.2.1)."""


class SystemFile(BagWarning):
    """A file in the payload that an operating system left there, as ``.DS_Store``."""


class UnportableName(BagWarning):
    """A name that some systems can't have: control characters, ``CON``, a dot at its end."""


class SimilarNames(BagWarning):
    """Two names that some file systems take for one: they differ by case or Unicode form only."""


class OtherUnicodeForm(BagWarning):
    """A file that a manifest lists by another Unicode form of its name (RFC 8493 §6.1.1.3)."""


class MarkedNames(BagWarning):
    """A manifest with the marks of a checksum program before its names: ``*`` or ``./`` (RFC 8493 §6.1.3)."""


class OtherEncoding(BagWarning):
    """A name that a manifest encodes otherwise than its version of BagIt does (RFC 8493 §2.1.3)."""


WARNINGS: dict[str, type[BagWarning]] = {kind.__name__: kind for kind in BagWarning.__subclasses__()}
"""Every kind of warning, by the name that settings and reports have for it."""


def require_kinds(names: Iterable[str]) -> None:
    """Raise ConfigurationError unless all are kinds of warnings."""
    for name in names:
        if name not in WARNINGS:
            raise ConfigurationError(
                f"{name} is no kind of warning: expected some of {', '.join(sorted(WARNINGS))}; correct the setting"
            )


def divided(found: Iterable[Defect], as_errors: Collection[str]) -> tuple[list[Defect], list[Defect]]:
    """Divide warnings into those that the site counts as errors, and the others."""
    errors: list[Defect] = []
    warnings: list[Defect] = []
    for warning in found:
        kind = warning.of if isinstance(warning, FurtherDefects) else type(warning).__name__
        (errors if kind in as_errors else warnings).append(warning)
    return errors, warnings

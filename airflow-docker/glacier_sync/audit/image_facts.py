"""What the tests need to know of an image; apart from image_headers, so that Pillow isn't imported for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class ImageFacts:
    """What an image's header says. ``unreadable`` and ``bad_metadata`` are reasons in words, or None.

    ``format`` is JPEG, TIFF or None for anything else; ``tiff_defects`` are the
    rules for 1-bit TIFFs that the image breaks.
    """

    format: str | None = None
    unreadable: str | None = None
    tiff_defects: tuple[str, ...] = ()
    bad_metadata: str | None = None
    orientation: int | str | None = None
    thumbnail: bool = False

    @classmethod
    def of_none(cls, reason: str) -> Self:
        """Return the facts of a file of which nothing can be read."""
        return cls(unreadable=reason, bad_metadata=reason)

    def as_line(self) -> bytes:
        """Return the facts as one line of text."""
        return json.dumps(vars(self)).encode("ascii") + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """Return the facts that ``as_line`` was given."""
        facts = json.loads(line)
        return cls(**{**facts, "tiff_defects": tuple(facts["tiff_defects"])})

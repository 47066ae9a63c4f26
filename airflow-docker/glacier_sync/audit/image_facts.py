"""What the tests need to know of an image; apart from image_headers, so that Pillow isn't imported for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageFacts:
    """What an image's header says. ``unreadable`` and ``bad_metadata`` are reasons in words, or None.

    ``tiff_defects`` are the rules for 1-bit TIFFs that the image breaks.
    """

    unreadable: str | None = None
    tiff_defects: tuple[str, ...] = ()
    bad_metadata: str | None = None
    orientation: object = None
    thumbnail: bool = False

"""How an object is cut: into the parts it was uploaded in, and the ranges it is read in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

# A part up to this size is read as one range even where ranges are smaller:
# its digest is then had while it arrives, without reading it again.
_LARGEST_PART = 64 * 2**20


@dataclass(frozen=True, order=True)
class Span:
    """The bytes from ``start`` up to, not including, ``end``."""

    start: int
    end: int


@dataclass(frozen=True)
class Range:
    """What one request reads; ``pieces`` are hashed one by one."""

    span: Span
    pieces: tuple[Span, ...]


def spans_of(sizes: Sequence[int]) -> tuple[Span, ...]:
    """Return the places of consecutive pieces of these sizes."""
    ends = list(accumulate(sizes))
    return tuple(Span(end - size, end) for size, end in zip(sizes, ends, strict=True))


def uniform_sizes(size: int, piece: int) -> tuple[int, ...]:
    """Return the sizes of pieces that are ``piece`` bytes each, the last one what is left."""
    whole, rest = divmod(size, piece)
    return (piece,) * whole + ((rest,) if rest or not whole else ())


def plan(size: int, parts: Sequence[Span], range_size: int) -> tuple[Range, ...]:
    """Return the ranges to read an object of ``size`` bytes in, of about ``range_size`` each.

    They hold whole parts, so that each byte is hashed only once, unless the
    parts are very large; an object without parts is cut freely.
    """
    if not parts or max(part.end - part.start for part in parts) > max(range_size, _LARGEST_PART):
        return tuple(Range(span, (span,)) for span in spans_of(uniform_sizes(size, range_size)))
    ranges: list[Range] = []
    pieces: list[Span] = []
    for part in parts:
        if pieces and part.end - pieces[0].start > range_size:
            ranges.append(Range(Span(pieces[0].start, pieces[-1].end), tuple(pieces)))
            pieces = []
        pieces.append(part)
    return (*ranges, Range(Span(pieces[0].start, pieces[-1].end), tuple(pieces)))

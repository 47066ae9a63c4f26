"""Room on a disk, given to objects in their turn. Pure: sizes in, decisions out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from glacier_sync.ledger.facts import Way


def space_of(size: int | None, way: Way) -> int:
    """Return how many bytes of the working folder an object takes.

    These are its zip, unless that stays in the watched folder, and its contents,
    which for a bag of images are about as large. Of a size that isn't known
    nothing is known before the download.
    """
    return (size or 0) * (1 if way is Way.FOLDER else 2)


@dataclass(frozen=True)
class Room:
    """What a working folder's disk has room for, in bytes.

    ``free`` may still be written; ``whole`` could be, if the disk were empty but
    for what has to stay free. ``here`` has, by the objects' numbers, what of
    them is on the disk already.
    """

    free: int
    whole: int
    here: Mapping[int, int] = field(default_factory=dict)


BOUNDLESS = Room(free=sys.maxsize, whole=sys.maxsize)
"""What a claim is held to that isn't for a disk."""


class Allotment:
    """Gives out a disk's room.

    What is in hand has been promised all that it needs. The rest goes to those
    who ask, in the order in which they ask: one that will fit when what is in
    hand is done lets nobody pass, so that it can't be starved by smaller ones.
    One that doesn't fit even then waits for others to clear the disk, and is
    passed by. One that can never fit is let through, for its first stage to say so,
    and is promised nothing.
    """

    def __init__(self, room: Room) -> None:
        self.room = room
        self._left = room.free
        self._left_in_the_end = room.free
        self.promised = 0
        self.refused: list[int] = []
        self.is_closed = False

    def has_here(self, object_id: int) -> bool:
        """Tell whether something of an object is on the disk."""
        return object_id in self.room.here

    def promise(self, object_id: int, space: int) -> None:
        """Count an object that is in hand."""
        if not self.can_ever_hold(space):
            return
        missing = self.missing(object_id, space)
        self.promised += missing
        self._left -= missing
        self._left_in_the_end += space - missing

    def admits(self, object_id: int, space: int) -> bool:
        """Tell whether the next object in turn may be taken, and promise it what it needs."""
        missing = self.missing(object_id, space)
        if not self.can_ever_hold(space):
            return True
        if not self.is_closed and missing <= max(self._left, 0):
            self.promise(object_id, space)
            return True
        self.refused.append(object_id)
        self.is_closed = self.is_closed or missing <= self._left_in_the_end
        return False

    def missing(self, object_id: int, space: int) -> int:
        """Return what of an object's bytes is still to be written."""
        return max(space - self.room.here.get(object_id, 0), 0)

    def can_ever_hold(self, space: int) -> bool:
        """Tell whether an object would fit if it had the disk to itself."""
        return space <= self.room.whole

"""The files of a bag, by name, with their sizes: held so that a million of them take little memory."""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections.abc import Callable, ItemsView, Iterator, Mapping


class NameIndex:
    """Finds the numbers of names by open addressing: some bytes for each, names are asked for where they matter."""

    def __init__(self, most: int, name: Callable[[int], bytes]) -> None:
        self._name = name
        self._slots = array("I", bytes(4 << (2 * most).bit_length()))
        self._mask = len(self._slots) - 1
        self._hashes = array("q", bytes(8 * most))

    def add(self, name: bytes, number: int) -> int | None:
        """Take a name with its number, unless it is there already: then return the number that it has."""
        key = hash(name)
        slot, found = self._slot(name, key)
        if found is None:
            self._slots[slot] = number + 1
            self._hashes[number] = key
        return found

    def find(self, name: bytes) -> int | None:
        """Return the number of a name, or None if it isn't there."""
        return self._slot(name, hash(name))[1]

    def _slot(self, name: bytes, key: int) -> tuple[int, int | None]:
        slots, mask = self._slots, self._mask
        slot = key & mask
        while number := slots[slot]:
            if self._hashes[number - 1] == key and self._name(number - 1) == name:
                return slot, number - 1
            slot = (slot + 1) & mask
        return slot, None


class Files(Mapping[str, int]):
    """Sizes of files in bytes by name; each file has a number too, its place in the listing."""

    @abstractmethod
    def number(self, name: str) -> int | None:
        """Return the number of a name, or None if there is no such file."""

    @abstractmethod
    def pairs(self) -> Iterator[tuple[str, int]]:
        """Yield each name with its size, in the order of the numbers."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.number(name) is not None

    def items(self) -> ItemsView[str, int]:
        """Return names with sizes; going through them takes no look-up by name."""
        return _Pairs(self)


class _Pairs(ItemsView[str, int]):
    _mapping: Files

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return self._mapping.pairs()

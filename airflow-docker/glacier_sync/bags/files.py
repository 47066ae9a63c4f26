"""The files of a bag, by name, with their sizes: held so that a million of them take little memory."""

from __future__ import annotations

import os
from abc import abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Callable, ItemsView, Iterator, Mapping
from itertools import pairwise

_FIRST_SLOTS = 1024


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


class SeenNames:
    """Tells names that were there before from new ones: some bytes for each, no name is held.

    Two names are taken for one if their keyed hashes of 64 bits are the same, as nobody can have them be.
    """

    def __init__(self) -> None:
        self._slots = array("q", [0]) * _FIRST_SLOTS
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, name: object) -> bool:
        return self._slots[self._slot(hash(name) or 1)] != 0

    def add(self, name: str) -> bool:
        """Take a name; tell whether it is a new one."""
        key = hash(name) or 1
        slot = self._slot(key)
        if self._slots[slot]:
            return False
        self._slots[slot] = key
        self._count += 1
        if 2 * self._count > len(self._slots):
            self._grow()
        return True

    def _slot(self, key: int) -> int:
        slots, mask = self._slots, len(self._slots) - 1
        slot = key & mask
        while slots[slot] not in {0, key}:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        keys, self._slots = self._slots, array("q", [0]) * (2 * len(self._slots))
        for key in filter(None, keys):
            self._slots[self._slot(key)] = key


class Files(Mapping[str, int]):
    """Sizes of files in bytes by name; each file has a number too, its place in the listing."""

    @abstractmethod
    def number(self, name: str) -> int | None:
        """Return the number of a name, or None if there is no such file."""

    @abstractmethod
    def name(self, number: int) -> str:
        """Return the name of a file by its number."""

    @abstractmethod
    def pairs(self) -> Iterator[tuple[str, int]]:
        """Yield each name with its size, in the order of the numbers."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.number(name) is not None

    def items(self) -> ItemsView[str, int]:
        """Return names with sizes; going through them takes no look-up by name."""
        return _Pairs(self)


class NameList(Files):
    """Files as they are listed, folder by folder."""

    def __init__(self) -> None:
        self._folders: list[str] = []
        self._starts = array("q")
        self._names = bytearray()
        self._ends = array("q")
        self._sizes = array("q")
        self._index: NameIndex | None = None

    def add(self, name: str, size: int) -> None:
        """Take a file; those of a folder should come together."""
        folder, slash, base = name.rpartition("/")
        if not self._folders or folder + slash != self._folders[-1]:
            self._folders.append(folder + slash)
            self._starts.append(len(self))
        self._names += os.fsencode(base)
        self._ends.append(len(self._names))
        self._sizes.append(size)
        self._index = None

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, name: str) -> int:
        number = self.number(name)
        if number is None:
            raise KeyError(name)
        return self._sizes[number]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.pairs())

    def pairs(self) -> Iterator[tuple[str, int]]:
        """Yield each name with its size, in the order of the listing."""
        begin = 0
        for folder, (start, stop) in zip(self._folders, pairwise([*self._starts, len(self)]), strict=True):
            for number in range(start, stop):
                end = self._ends[number]
                yield folder + os.fsdecode(bytes(self._names[begin:end])), self._sizes[number]
                begin = end

    def number(self, name: str) -> int | None:
        """Return the place of a name in the listing, or None if there is no such file."""
        if self._index is None:
            self._index = NameIndex(len(self), self._name)
            for number, (known, _) in enumerate(self.pairs()):
                self._index.add(os.fsencode(known), number)
        return self._index.find(os.fsencode(name))

    def name(self, number: int) -> str:
        """Return the name of a file by its place in the listing."""
        return os.fsdecode(self._name(number))

    def _name(self, number: int) -> bytes:
        folder = self._folders[bisect_right(self._starts, number) - 1]
        begin = self._ends[number - 1] if number else 0
        return os.fsencode(folder) + self._names[begin : self._ends[number]]


class _Pairs(ItemsView[str, int]):
    _mapping: Files

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return self._mapping.pairs()

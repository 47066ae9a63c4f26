"""Bags for tests: good ones by default, forged where a test says so.

``BagBuilder`` holds a bag as names and bytes. Manifests are computed when the
bag is written, and ``overrides`` replace any file after that, so that a test can
make exactly one thing wrong.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
SOME_FILES: Mapping[str, bytes] = {
    "images/I1/0001.jpg": b"first page",
    "images/I1/0002.jpg": b"second page" * 1000,
    "sources/readme.txt": b"",
}


def make_work(folder: Path, rid: str, files: Mapping[str, bytes] | None = None) -> Path:
    """Write a work below ``folder``; return its path."""
    work = folder / rid
    for name, data in (SOME_FILES if files is None else files).items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return work


@dataclass
class BagBuilder:
    """A bag of one work by default; ``payload`` names are relative to ``data/``.

    ``tags`` are further tag files, or stand in the place of those that are made;
    the tag manifests list them as they are. ``overrides`` maps a tag or payload
    file of the bag to other bytes, or to None to leave it out; it is applied after
    the manifests are made.
    """

    name: str = "W1"
    payload: dict[str, bytes] = field(default_factory=lambda: {f"W1/{name}": data for name, data in SOME_FILES.items()})
    algorithms: tuple[str, ...] = ("sha512",)
    tag_algorithms: tuple[str, ...] | None = None
    declaration: bytes = DECLARATION
    info: str | None = None
    tags: dict[str, bytes] = field(default_factory=dict)
    overrides: dict[str, bytes | None] = field(default_factory=dict)

    def files(self) -> dict[str, bytes]:
        """Return the bag's files, by their names in the bag."""
        found = {f"data/{name}": data for name, data in self.payload.items()}
        size = sum(map(len, self.payload.values()))
        info = f"Payload-Oxum: {size}.{len(self.payload)}\n" if self.info is None else self.info
        manifests = {f"manifest-{algorithm}.txt": manifest(algorithm, found) for algorithm in self.algorithms}
        tags = {"bagit.txt": self.declaration, "bag-info.txt": info.encode(), **manifests, **self.tags}
        tag_manifests = {
            f"tagmanifest-{algorithm}.txt": manifest(algorithm, tags)
            for algorithm in (self.algorithms if self.tag_algorithms is None else self.tag_algorithms)
        }
        found |= tags | tag_manifests
        for name, data in self.overrides.items():
            if data is None:
                found.pop(name, None)
            else:
                found[name] = data
        return found

    def folder(self, parent: Path) -> Path:
        """Write the bag as a directory; return its path."""
        bag = parent / f"{self.name}.bag"
        (bag / "data").mkdir(parents=True)
        for name, data in self.files().items():
            path = bag / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return bag

    def entries(self) -> list[ZipEntry]:
        """Return the bag's files as entries of a zip."""
        return [ZipEntry(os.fsencode(f"{self.name}.bag/{name}"), data) for name, data in self.files().items()]

    def zip(self, parent: Path, *, compress: bool = False) -> Path:
        """Write the bag as a zip; return its path."""
        entries = self.entries()
        for entry in entries:
            entry.method = 8 if compress else 0
        return write_zip(parent / f"{self.name}.bag.zip", entries)


def manifest(algorithm: str, files: Mapping[str, bytes]) -> bytes:
    """Return a manifest's bytes, as BagIt 1.0 wants them."""
    lines = []
    for name, data in sorted(files.items()):
        listed = re.sub(rb"[%\r\n]", lambda found: b"%%%02X" % ord(found.group()), os.fsencode(name))
        lines.append(hashlib.new(algorithm, data).hexdigest().encode() + b"  " + listed + b"\n")
    return b"".join(lines)


@dataclass
class ZipEntry:
    """An entry of a zip, each of whose fields can be forged; None is what an honest zip has.

    ``local_sizes`` are CRC-32, compressed size and size in the local header; ``behind``
    is what follows the entry's bytes.
    """

    name: bytes
    data: bytes = b""
    method: int = 0
    flags: int = 0
    mode: int = 0o100644
    local_name: bytes | None = None
    local_method: int | None = None
    crc: int | None = None
    size: int | None = None
    raw: bytes | None = None
    offset: int | None = None
    extra: bytes = b""
    local_extra: bytes = b""
    local_sizes: tuple[int, int, int] | None = None
    compressed: int | None = None
    attributes: int = 0
    disk: int = 0
    behind: bytes = b""
    dos_time: tuple[int, int] = (0, 0x21)


@dataclass
class ZipEnd:
    """The end of a zip, each of whose fields can be forged; None is what an honest zip has.

    ``zip64`` adds a ZIP64 end and its locator, which zips of many entries have anyway.
    """

    entries: int | None = None
    size: int | None = None
    offset: int | None = None
    disk: int = 0
    comment: bytes = b""
    zip64: bool = False
    entries64: int | None = None
    offset64: int | None = None
    disks64: int = 1
    place64: int | None = None

    def packed(self, count: int, start: int, stop: int) -> bytes:
        """Return the end of a zip whose central directory is between these places."""
        entries = count if self.entries is None else self.entries
        size = stop - start if self.size is None else self.size
        offset = start if self.offset is None else self.offset
        before = b""
        if self.zip64 or count > 0xFFFF:
            entries64 = count if self.entries64 is None else self.entries64
            offset64 = start if self.offset64 is None else self.offset64
            before = struct.pack(
                "<4sQ2H2L4Q4sLQL", b"PK\6\6", 44, 45, 45, 0, 0, entries64, entries64, stop - start, offset64,
                b"PK\6\7", 0, stop if self.place64 is None else self.place64, self.disks64,
            )  # fmt: skip
            entries = min(entries, 0xFFFF)
        fields = (self.disk, self.disk, entries, entries, size, offset, len(self.comment))
        return before + struct.pack("<4s4H2LH", b"PK\5\6", *fields) + self.comment


def write_zip(
    path: Path, entries: Iterable[ZipEntry], *, before: bytes = b"", behind: bytes = b"", end: ZipEnd | None = None
) -> Path:
    """Write a zip by hand, so that nothing of it has to make sense; return its path."""
    out = bytearray(before)
    central = bytearray()
    count = 0
    for entry in entries:
        raw = entry.raw if entry.raw is not None else _deflated(entry.data) if entry.method == 8 else entry.data
        crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
        size = len(entry.data) if entry.size is None else entry.size
        compressed = len(raw) if entry.compressed is None else entry.compressed
        local_sizes = (crc, compressed, size) if entry.local_sizes is None else entry.local_sizes
        offset = len(out) - len(before) if entry.offset is None else entry.offset
        local_name = entry.name if entry.local_name is None else entry.local_name
        local_method = entry.method if entry.local_method is None else entry.local_method
        out += struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, entry.flags, local_method, *entry.dos_time, *local_sizes,
            len(local_name), len(entry.local_extra),
        )  # fmt: skip
        out += local_name + entry.local_extra + raw + entry.behind
        central += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 0x314, 20, entry.flags, entry.method, *entry.dos_time, crc, compressed, size,
            len(entry.name), len(entry.extra), 0, entry.disk, 0, entry.mode << 16 | entry.attributes, offset,
        )  # fmt: skip
        central += entry.name + entry.extra
        count += 1
    start = len(out) - len(before)
    path.write_bytes(bytes(out + central) + (end or ZipEnd()).packed(count, start, start + len(central)) + behind)
    return path


def _deflated(data: bytes) -> bytes:
    engine = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()

"""What a work's files must be, as the manifests of the bag say that it was unpacked from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from glacier_sync.bags.defects import Findings, InvalidBagError, InvalidTagFile, MissingElement, UnsupportedAlgorithm
from glacier_sync.bags.errors import PathError, is_folder, unreadable
from glacier_sync.bags.lines import Tell, UnreadableLinesError, blocks_of_lines
from glacier_sync.bags.matching import find_works
from glacier_sync.bags.names import shown
from glacier_sync.bags.placing import place_in_work
from glacier_sync.bags.tagfiles import (
    DECLARATION,
    Declaration,
    Listed,
    Manifest,
    has_raw_percents,
    parse_declaration,
    parse_manifest,
)
from glacier_sync.hashing.digests import SUPPORTED

_BLOCK = 256 * 1024


@dataclass(frozen=True)
class BagManifests:
    """The payload manifests of a bag that was unpacked, read where they are needed."""

    bag_dir: Path
    declaration: Declaration
    manifests: tuple[Manifest, ...]

    def prefix(self, rid: str) -> str | None:
        """Return what the names of a work's files begin with, or None if there is no such work."""
        names = (line.names[0] for manifest in self.manifests for line in self.lines(manifest))
        return find_works(names, self.bag_dir.name).get(rid)

    def check(self, defects: Findings) -> None:
        """Read every manifest, and note what is wrong with its lines."""
        for manifest in self.manifests:

            def tell(found: str, expected: str, line: int, file: str = manifest.file) -> None:
                defects.append(InvalidTagFile(file, found, expected, line))

            with suppress(UnreadableLinesError):
                for _ in self.lines(manifest, tell):
                    pass

    def lines(self, manifest: Manifest, tell: Tell = lambda *_: None) -> Iterator[Listed]:
        """Yield a manifest's lines. Raises UnreadableError."""
        raw = self.declaration.version >= (1, 0) and has_raw_percents(self._blocks(manifest, lambda *_: None))
        return parse_manifest(manifest, self._blocks(manifest, tell), self.declaration, tell, raw_percent=raw)

    def _blocks(self, manifest: Manifest, tell: Tell) -> Iterator[list[str]]:
        return blocks_of_lines(_chunks(self.bag_dir / manifest.file), self.declaration.encoding, tell)


@dataclass(frozen=True)
class ExpectedFiles:
    """What a work's files must be, as the payload manifests of its bag say.

    ``prefix`` is what the names of its files begin with there.
    """

    rid: str
    prefix: str
    manifests: BagManifests

    def lines(self, manifest: Manifest) -> Iterator[Listed]:
        """Yield a manifest's lines of the work's files, with names relative to the work."""
        for line in self.manifests.lines(manifest):
            names = tuple(
                place_in_work(self.rid, name.removeprefix(self.prefix))
                for name in line.names
                if name.startswith(self.prefix)
            )
            if names:
                yield line._replace(names=names)


def expected_files(bag_dir: Path, rid: str) -> ExpectedFiles:
    """Read what a bag's manifests say of one of its works.

    ``bag_dir`` holds the bag's tag files, as ``unbag`` leaves them. Raises
    PathError if it isn't there, InvalidBagError if its manifests can't be
    understood or don't know the work, and UnreadableError.
    """
    manifests = _payload_manifests(bag_dir)
    prefix = manifests.prefix(rid)
    if prefix is None:
        found = f"has no payload manifest that lists the work {rid}"
        raise InvalidBagError(bag_dir, (MissingElement(bag_dir.name, found, "its bag"),))
    return ExpectedFiles(rid, prefix, manifests)


def holds_work(bag_dir: Path, rid: str) -> bool:
    """Tell whether the manifests in ``bag_dir`` list a work. Raises as ``expected_files`` does."""
    return _payload_manifests(bag_dir).prefix(rid) is not None


def _payload_manifests(bag_dir: Path) -> BagManifests:
    """Find the payload manifests whose checksums can be computed, in a bag that was verified before."""
    if not is_folder(bag_dir):
        raise PathError(f"{shown(str(bag_dir))} isn't there: expected the manifests of a bag; unpack its bag again")
    defects = Findings(bag_dir.name)
    names = _names(bag_dir)
    declaration = Declaration()
    if DECLARATION in names:
        declaration = parse_declaration(DECLARATION, b"".join(_chunks(bag_dir / DECLARATION)), defects)
    manifests = [manifest for manifest in map(Manifest.named, names) if manifest and not manifest.of_tags]
    found = BagManifests(bag_dir, declaration, tuple(manifest for manifest in manifests if manifest.supported))
    for manifest in manifests:
        if not manifest.supported:
            defects.append(UnsupportedAlgorithm(manifest.file, manifest.algorithm, ", ".join(SUPPORTED)))
    found.check(defects)
    if defects.all():
        raise InvalidBagError(bag_dir, defects.all())
    return found


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    except OSError as error:
        raise unreadable(folder, error) from error


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_BLOCK):
                yield chunk
    except OSError as error:
        raise unreadable(path, error) from error

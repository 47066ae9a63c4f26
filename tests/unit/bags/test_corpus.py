"""The fuzzer's corpus: each file of it, and hundreds of mutations, end in a report, never otherwise; and any
single change of a valid bag is found."""

from __future__ import annotations

import logging
import random
import re
import tempfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from zipfile import ZipFile

import bagit
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.bag_builder import BagBuilder, ZipEnd, write_zip

from glacier_sync import bags

CORPUS = Path(__file__).parent / "corpus"
ZIPS = sorted((CORPUS / "zips").iterdir())
MANIFESTS = sorted((CORPUS / "manifests").iterdir())
VALID = {"stored.zip", "deflated.zip", "zip64.zip", "descriptors.zip", "folders.zip"}
INTERESTING = (
    b"PK\1\2",
    b"PK\3\4",
    b"PK\5\6",
    b"PK\6\6",
    b"\xff" * 4,
    b"\0" * 8,
    b"%0A",
    b"\r",
    b"\n\n",
    b"../",
    b"\x80",
)
ROUNDS = 40


def mutations(data: bytes, seed: str) -> list[bytes]:
    """Bytes changed, cut, doubled and put in, at places that are the same in each run."""
    pick = random.Random(seed)
    found = []
    for _ in range(ROUNDS):
        changed = bytearray(data)
        for _ in range(pick.randint(1, 4)):
            at = pick.randrange(len(changed) + 1)
            match pick.randrange(5):
                case 0 if changed:
                    changed[at % len(changed)] ^= pick.randint(1, 255)
                case 1:
                    del changed[at : at + pick.randint(1, 40)]
                case 2:
                    changed[at:at] = changed[at : at + pick.randint(1, 80)]
                case 3:
                    part = pick.choice(INTERESTING)
                    changed[at : at + len(part)] = part
                case _:
                    changed[at:at] = pick.choice(INTERESTING)
        found.append(bytes(changed))
    return found


@pytest.mark.parametrize("path", ZIPS, ids=lambda path: path.name)
def test_zips_and_their_mutations_end_in_a_report(path: Path, tmp_path: Path) -> None:
    reports = bags.verify(path, workers=1)
    assert any(report.defects for report in reports) is (path.name not in VALID)
    changed = tmp_path / "W1.bag.zip"
    for data in mutations(path.read_bytes(), path.name):
        changed.write_bytes(data)
        for report in bags.verify(changed, workers=1):
            assert all(str(defect) for defect in report.defects)


def test_zips_that_are_accepted_are_read_by_others_the_same(tmp_path: Path) -> None:
    path, accepted = tmp_path / "W1.bag.zip", 0
    for data in chain.from_iterable(changed_headers(BagBuilder(), tmp_path, seed) for seed in range(4)):
        path.write_bytes(data)
        try:
            (work,) = bags.unbag(path, tmp_path / "to", workers=1, replace=True)
        except bags.InvalidBagError:
            continue
        found = {str(file.relative_to(work.path)): file.read_bytes() for file in work.path.rglob("*") if file.is_file()}
        with ZipFile(path) as archive:
            entries = archive.infolist()
            theirs = {entry.filename.removeprefix("W1.bag/"): archive.read(entry) for entry in entries}
        places = {name: name.removeprefix("data/W1/") if "/" in name else f"W1.bag/{name}" for name in theirs}
        assert {places[name]: content for name, content in theirs.items()} == found
        accepted += 1
    assert accepted > 20


def changed_headers(bag: BagBuilder, folder: Path, seed: int) -> list[bytes]:
    """A zip whose headers are changed, each time in another place, and not the version of zip that they ask for."""
    pick = random.Random(seed)
    whole = bag.zip(folder, compress=seed % 2 == 1).read_bytes()
    if seed > 1:
        end = ZipEnd(zip64=True, entries=0xFFFF, size=0xFFFFFFFF, offset=0xFFFFFFFF)
        whole = write_zip(folder / "W1.bag.zip", bag.entries(), end=end).read_bytes()
    # Those of a ZIP64 end and its locator are few, so that they are taken more often.
    kinds = [rb"PK[\1\3\5]", b"PK\6\6", b"PK\6\7"][: 3 if seed > 1 else 1]
    headers = [[found.start() for found in re.finditer(kind, whole)] for kind in kinds]
    changed = []
    for _ in range(100):
        data = bytearray(whole)
        at = min(pick.choice(pick.choice(headers)) + pick.randrange(8, 50), len(data) - 1)
        data[at] = pick.choice([data[at] ^ 1 << pick.randrange(8), 0, 0xFF])
        changed.append(bytes(data))
    return changed


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
@pytest.mark.parametrize("version", ["0.93", "1.0"])
def test_manifests_and_their_mutations_end_in_a_report(path: Path, version: str, tmp_path: Path) -> None:
    declaration = f"BagIt-Version: {version}\nTag-File-Character-Encoding: UTF-8\n".encode()
    bag = BagBuilder(payload={"W1/images/1": b"page"}, algorithms=("md5",), declaration=declaration)
    folder = bag.folder(tmp_path)
    for data in (path.read_bytes(), *mutations(path.read_bytes(), path.name)):
        (folder / "manifest-md5.txt").write_bytes(data)
        (folder / "fetch.txt").write_bytes(data)
        (report,) = bags.verify(folder, workers=1)
        assert report.defects


@pytest.mark.parametrize("version", ["0.97", "1.0"])
@pytest.mark.parametrize("name", ["manifest-md5.txt", "tagmanifest-md5.txt"])
def test_no_mutation_of_a_manifest_is_accepted_that_bagit_python_refuses(
    name: str, version: str, tmp_path: Path
) -> None:
    logging.getLogger("bagit").setLevel(logging.CRITICAL)
    declaration = f"BagIt-Version: {version}\nTag-File-Character-Encoding: UTF-8\n".encode()
    bag = BagBuilder(payload={"W1/images/a b": b"1", "W1/images/caf\u00e9": b"2"}, algorithms=("md5",))
    bag.declaration = declaration
    folder = bag.folder(tmp_path)
    if not name.startswith("tag"):
        (folder / "tagmanifest-md5.txt").unlink()
    whole = (folder / name).read_bytes()
    accepted = 0
    changed = chain.from_iterable(mutations(whole, f"{name} {seed}") for seed in range(5))
    for data in (whole, whole + b"\n", *changed):
        (folder / name).write_bytes(data)
        if not bags.verify(folder, workers=1)[0].defects:
            accepted += 1
            assert bagit.Bag(str(folder)).is_valid(), data
    assert accepted >= 2


def flipped(data: bytes, at: int) -> bytes:
    place = at % len(data)
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def truncated(data: bytes, at: int) -> bytes:
    """Cut off more than the last line's end, which may be missing."""
    return data[: at % max(len(data) - 1, 1)]


# What stands in the place of a file of these bytes then, and what under a new name beside it.
CHANGES: dict[str, Callable[[bytes, int], tuple[bytes | None, bytes | None]]] = {
    "flip": lambda data, at: (flipped(data, at), None),
    "truncate": lambda data, at: (truncated(data, at), None),
    "grow": lambda data, _: (data + b"\0", None),
    "delete": lambda _, __: (None, None),
    "rename": lambda data, _: (None, data),
    "add": lambda data, _: (data, b"new"),
}
FORMS: dict[str, Callable[[BagBuilder, Path], Path]] = {
    "folder": BagBuilder.folder,
    "zip": BagBuilder.zip,
    "deflated zip": lambda bag, parent: bag.zip(parent, compress=True),
}
UNPROVEN = ("MissingTagFile", "UnlistedTagFile")


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    files=st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.binary(min_size=1, max_size=50), min_size=1),
    algorithms=st.sets(st.sampled_from(["md5", "sha256", "sha512"]), min_size=1),
    version=st.sampled_from(["0.97", "1.0"]),
    form=st.sampled_from(sorted(FORMS)),
    data=st.data(),
)
def test_any_single_change_of_a_valid_bag_is_found(
    files: dict[str, bytes], algorithms: set[str], version: str, form: str, data: st.DataObject
) -> None:
    """Where a site wants every tag file proven; a tag manifest itself is proven by what it lists."""
    bag = BagBuilder(payload={f"W1/images/{name}": content for name, content in files.items()})
    bag.algorithms, bag.tag_algorithms = tuple(sorted(algorithms)), ("sha256",)
    bag.declaration = f"BagIt-Version: {version}\nTag-File-Character-Encoding: UTF-8\n".encode()
    bag.tags = {"fetch.txt": f"https://example.org/ - data/W1/images/{min(files)}\n".encode()}
    whole = bag.files()
    name = data.draw(st.sampled_from(sorted(whole)))
    place = data.draw(st.integers(0, 1000))
    with tempfile.TemporaryDirectory() as parent:
        path = FORMS[form](bag, Path(parent))
        assert bags.verify(path, workers=1, warnings_as_errors=UNPROVEN)[0].defects == ()
        assert form != "folder" or bagit.Bag(str(path)).is_valid()
    changed, beside = CHANGES[data.draw(st.sampled_from(sorted(CHANGES)))](whole[name], place)
    bag.overrides = {name: changed}
    if beside is not None:
        bag.overrides[f"{name}.{place}"] = beside
    with tempfile.TemporaryDirectory() as parent:
        path = FORMS[form](bag, Path(parent))
        assert bags.verify(path, workers=1, warnings_as_errors=UNPROVEN)[0].defects

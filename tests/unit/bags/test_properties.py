"""Properties: any name and any bytes come back; any damage is a defect; the reference agrees."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import bagit
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.bag_builder import DECLARATION, BagBuilder, make_work

from glacier_sync import bags

PAGE = "data/W1/images/I1/0001.jpg"
MD5 = "manifest-md5.txt"

COMPONENTS = (
    st.binary(min_size=1, max_size=40)
    .map(lambda raw: os.fsdecode(raw.replace(b"/", b"_").replace(b"\0", b"_").replace(b"\\", b"_")))
    .filter(lambda name: name not in {".", ".."})
)
FILES = st.dictionaries(COMPONENTS, st.binary(max_size=200), min_size=1, max_size=6)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(
    files=FILES, algorithms=st.sets(st.sampled_from(["md5", "sha256", "sha512"]), min_size=1), compress=st.booleans()
)
def test_any_name_and_any_bytes_come_back(files: dict[str, bytes], algorithms: set[str], *, compress: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        work = make_work(folder / "from", "W1", {f"images/{file}": data for file, data in files.items()})
        path = folder / "W1.bag.zip"
        bags.make_bag_zip([work], path, algorithms=sorted(algorithms), compress=compress)
        (found,) = bags.unbag(path, folder / "to", workers=2)
        assert {os.fsencode(file.name): file.read_bytes() for file in (found.path / "images").iterdir()} == {
            os.fsencode(file): data for file, data in files.items()
        }
        assert not bags.compare(found.path, bags.expected_files(found.bag_dir, "W1"), workers=1, drop_cache=False)


@QUICK
@given(data=st.data())
def test_any_damage_to_a_zip_is_a_defect_and_nothing_else(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = BagBuilder(payload={"W1/images/1": b"page" * 10}).zip(Path(name), compress=data.draw(st.booleans()))
        whole = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(whole)
        if any(report.defects for report in bags.verify(path, workers=1)):
            with pytest.raises(bags.InvalidBagError):
                bags.unbag(path, Path(name) / "to", workers=1)
            assert list(Path(name).iterdir()) == [path]
        else:
            # Times, versions, attributes: what no checksum covers and no file depends on.
            (work,) = bags.unbag(path, Path(name) / "to", workers=1)
            assert (work.path / "images/1").read_bytes() == b"page" * 10


@QUICK
@given(data=st.binary(max_size=300), end=st.booleans())
def test_any_bytes_are_judged_without_an_exception(data: bytes, *, end: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "any.zip"
        path.write_bytes(data + (b"PK\5\6" + data[:18].ljust(18, b"\0") if end else b""))
        assert any(report.defects for report in bags.verify(path, workers=1))


@QUICK
@given(tag=st.sampled_from(["bagit.txt", "bag-info.txt", MD5, "fetch.txt"]), data=st.binary(max_size=200))
def test_any_tag_file_is_judged_without_an_exception(tag: str, data: bytes) -> None:
    bag = BagBuilder(algorithms=("md5",), tag_algorithms=(), overrides={tag: data})
    with tempfile.TemporaryDirectory() as name:
        bags.verify(bag.folder(Path(name)), workers=1)


OLD = DECLARATION.replace(b"1.0", b"0.97")


def _bag(declaration: bytes = DECLARATION, **overrides: bytes | None) -> BagBuilder:
    names = {"page": PAGE, "manifest": MD5, "info": "bag-info.txt", "declared": "bagit.txt", "new": "data/new.txt"}
    bag = BagBuilder(algorithms=("md5",), tag_algorithms=(), declaration=declaration)
    bag.overrides = {names[name]: data for name, data in overrides.items()}
    return bag


def _listing(name: str) -> BagBuilder:
    """A bag whose manifest has one line more."""
    bag = _bag()
    bag.overrides = {MD5: bag.files()[MD5] + b"0" * 32 + f"  {name}\n".encode()}
    return bag


def _raw_percent() -> BagBuilder:
    """A bag whose manifest leaves a percent sign as it is, as the reference does."""
    bag = BagBuilder(payload={"W1/images/100%": b"x"}, algorithms=("md5",), tag_algorithms=())
    bag.overrides = {MD5: bag.files()[MD5].replace(b"%25", b"%")}
    return bag


JUDGED = {
    "good": _bag(),
    "good 0.97": _bag(OLD),
    "several algorithms": BagBuilder(algorithms=("md5", "sha1", "sha256", "sha384")),
    "tag directory": BagBuilder(tags={"meta/notes.txt": b"x"}),
    "no payload": BagBuilder(payload={}),
    "encoded name": BagBuilder(payload={"W1/images/a\nb": b"x"}),
    "percent sign of the reference": _raw_percent(),
    "changed": _bag(page=b"first pagE"),
    "missing": _bag(page=None),
    "unlisted": _bag(new=b"x"),
    "unlisted without Oxum": _bag(new=b"x", info=b""),
    "wrong Oxum": _bag(info=b"Payload-Oxum: 1.1\n"),
    "malformed Oxum": _bag(info=b"Payload-Oxum: a.b\n"),
    "malformed metadata": _bag(info=b"nothing\n"),
    "byte-order mark": _bag(b"\xef\xbb\xbf" + DECLARATION),
    "unknown version": _bag(DECLARATION.replace(b"1.0", b"2.0")),
    "unknown encoding": _bag(DECLARATION.replace(b"UTF-8", b"none")),
    "no manifest": _bag(manifest=None),
    "changed tag file": BagBuilder(tags={"notes.txt": b"x"}, overrides={"notes.txt": b"y"}),
    "missing tag file": BagBuilder(tags={"notes.txt": b"x"}, overrides={"notes.txt": None}),
    "no declaration": _bag(declared=None),
    "listed twice": _listing(PAGE),
    "climbing": _listing("data/../../x"),
    "absolute": _listing("/etc/passwd"),
    "listed and missing": _listing("data/x"),
}


@pytest.mark.parametrize("name", JUDGED)
def test_the_reference_implementation_judges_the_same(name: str, tmp_path: Path) -> None:
    logging.getLogger("bagit").setLevel(logging.CRITICAL)
    folder = JUDGED[name].folder(tmp_path)
    try:
        reference = bagit.Bag(str(folder)).is_valid()
    except (bagit.BagError, bagit.BagValidationError):
        reference = False
    assert (bags.verify(folder, workers=1)[0].defects == ()) is reference
    if name != "no payload":
        # A zip that lists files only has no payload directory then.
        assert (bags.verify(JUDGED[name].zip(tmp_path), workers=1)[0].defects == ()) is reference

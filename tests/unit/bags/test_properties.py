"""Properties: any name and any bytes come back; any damage is a defect."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.bag_builder import BagBuilder, make_work

from glacier_sync import bags

MD5 = "manifest-md5.txt"

COMPONENTS = (
    st.binary(min_size=1, max_size=40)
    .map(lambda raw: os.fsdecode(raw.replace(b"/", b"_").replace(b"\0", b"_").replace(b"\\", b"_")))
    .filter(lambda name: name not in {".", ".."})
)
FILES = st.dictionaries(COMPONENTS, st.binary(max_size=200), min_size=1, max_size=6)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(files=FILES, algorithms=st.sets(st.sampled_from(["md5", "sha256", "sha512"]), min_size=1))
def test_any_name_and_any_bytes_come_back(files: dict[str, bytes], algorithms: set[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        work = make_work(folder / "from", "W1", {f"images/{file}": data for file, data in files.items()})
        path = folder / "W1.bag.zip"
        bags.make_bag_zip([work], path, algorithms=sorted(algorithms))
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

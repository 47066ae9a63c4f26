"""Making bags, held against the reference implementation."""

from __future__ import annotations

import os
import zipfile
from datetime import date
from pathlib import Path

import bagit
import pytest
from tests.support.bag_builder import SOME_FILES, make_work

from glacier_sync import bags
from glacier_sync.errors import ConfigurationError


@pytest.mark.parametrize("compress", [False, True])
def test_a_made_bag_is_valid_for_the_reference_implementation(tmp_path: Path, *, compress: bool) -> None:
    works = [make_work(tmp_path, "W1"), make_work(tmp_path, "W2", {"images/a\nb.jpg": b"x", "images/ཀ.jpg": b"y"})]
    path = tmp_path / "W1.bag.zip"
    bags.make_bag_zip(works, path, algorithms=("md5", "SHA-512"), compress=compress, bagging_date=date(2024, 4, 12))
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "out")
        assert {info.compress_type for info in archive.infolist()} == {8 if compress else 0}
    bag = bagit.Bag(str(tmp_path / "out" / "W1.bag"))
    assert bag.validate()
    assert bag.info == {"Bagging-Date": "2024-04-12", "Payload-Oxum": "11012.5"}
    assert sorted(bag.algorithms) == ["md5", "sha512"]
    (report,) = bags.verify(path, workers=2)
    assert (report.works, report.defects) == (("W1", "W2"), ())


def test_the_same_works_make_the_same_bytes_and_keep_their_times(tmp_path: Path) -> None:
    work = make_work(tmp_path, "W1")
    os.utime(work / "sources/readme.txt", (1_000_000_001, 1_000_000_001))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        bags.make_bag_zip([work], tmp_path / name / "W1.bag.zip")
    assert (tmp_path / "a/W1.bag.zip").read_bytes() == (tmp_path / "b/W1.bag.zip").read_bytes()
    (unbagged,) = bags.unbag(tmp_path / "a/W1.bag.zip", tmp_path / "to", workers=1)
    assert (unbagged.path / "sources/readme.txt").stat().st_mtime == 1_000_000_001
    assert (unbagged.files, unbagged.bytes) == (3, sum(map(len, SOME_FILES.values())))


def test_what_cant_be_bagged_is_wrong_use_and_leaves_nothing(tmp_path: Path) -> None:
    work = make_work(tmp_path / "a", "W1")
    path = tmp_path / "W1.bag.zip"
    with pytest.raises(bags.PathError, match="isn't a work: expected a directory that has archive"):
        bags.make_bag_zip([tmp_path], path)
    with pytest.raises(ConfigurationError, match="crc32 is no supported checksum algorithm: expected blake2b"):
        bags.make_bag_zip([work], path, algorithms=["crc32"])
    with pytest.raises(ConfigurationError, match="two works have one name"):
        bags.make_bag_zip([work, make_work(tmp_path / "b", "W1")], path)
    (work / "images" / "link").symlink_to(work)
    with pytest.raises(ConfigurationError, match="link is a symbolic link: expected files and folders only"):
        bags.make_bag_zip([work], path)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a", "b"]

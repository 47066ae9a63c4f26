"""Comparing copies of works with the manifests of their bags."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import pytest
from tests.support.bag_builder import SOME_FILES, BagBuilder
from tests.support.rights import ordinary_rights

from glacier_sync import bags


@pytest.fixture
def work(tmp_path: Path) -> bags.UnbaggedWork:
    bag = BagBuilder(algorithms=("md5", "sha512"))
    (found,) = bags.unbag(bag.zip(tmp_path), tmp_path / "to", workers=2)
    return found


def differences(work: bags.UnbaggedWork, copy: Path | None = None) -> bags.Differences:
    expected = bags.expected_files(work.bag_dir, work.rid)
    return bags.compare(copy or work.path, expected, workers=2, drop_cache=True)


def test_an_equal_copy_has_no_differences(work: bags.UnbaggedWork, tmp_path: Path) -> None:
    copy = tmp_path / "archive" / "W1"
    shutil.copytree(work.path, copy)
    found = differences(work, copy)
    assert not found
    assert str(found) == "none"


def test_every_kind_of_difference_is_named(work: bags.UnbaggedWork) -> None:
    (work.path / "images/I1/0001.jpg").unlink()
    (work.path / "images/I1/0002.jpg").write_bytes(b"second pagE" * 1000)
    (work.path / "images/I1/0003.jpg").write_bytes(b"new")
    (work.path / "W1.bag" / "left.txt").write_bytes(b"the bag's own")
    found = differences(work)
    assert found == bags.Differences(
        missing=("images/I1/0001.jpg",), added=("images/I1/0003.jpg",), changed=("images/I1/0002.jpg",)
    )
    assert found
    assert str(found) == "1 missing (images/I1/0001.jpg); 1 added (images/I1/0003.jpg); 1 changed (images/I1/0002.jpg)"


def test_links_are_not_followed(work: bags.UnbaggedWork, tmp_path: Path) -> None:
    page = work.path / "images/I1/0001.jpg"
    page.rename(tmp_path / "same.jpg")
    page.symlink_to(tmp_path / "same.jpg")
    (work.path / "more").symlink_to(tmp_path)
    assert differences(work) == bags.Differences(changed=("images/I1/0001.jpg",), added=("more",))


def test_what_cant_be_read_is_not_said_to_be_changed_or_missing(work: bags.UnbaggedWork) -> None:
    (work.path / "sources/readme.txt").chmod(0)
    (work.path / "images").chmod(0)
    with ordinary_rights():
        found = differences(work)
    (work.path / "images").chmod(0o700)
    assert found == bags.Differences(unreadable=("images", "sources/readme.txt"))


def test_each_algorithm_counts(work: bags.UnbaggedWork) -> None:
    listing = work.bag_dir / "manifest-md5.txt"
    listing.write_bytes(b"0" * 32 + listing.read_bytes()[32:])
    assert differences(work) == bags.Differences(changed=("images/I1/0001.jpg",))


def test_two_manifests_of_one_algorithm_both_count(tmp_path: Path) -> None:
    bag = BagBuilder()
    bag.tags = {"manifest-SHA512.txt": bag.files()["manifest-sha512.txt"]}
    (work,) = bags.unbag(bag.zip(tmp_path), tmp_path / "to", workers=1)
    assert not differences(work)
    for name in ("manifest-sha512.txt", "manifest-SHA512.txt"):
        listing = work.bag_dir / name
        whole = listing.read_bytes()
        listing.write_bytes(b"0" * 128 + whole[128:])
        assert differences(work) == bags.Differences(changed=("images/I1/0001.jpg",))
        listing.write_bytes(whole)


def test_a_copy_in_another_unicode_form_is_equal(tmp_path: Path) -> None:
    name = "images/caf\u00e9.jpg"
    (work,) = bags.unbag(BagBuilder(payload={f"W1/{name}": b"x"}).zip(tmp_path), tmp_path / "to", workers=1)
    (work.path / name).rename(work.path / unicodedata.normalize("NFD", name))
    assert not differences(work)


def test_a_work_of_several_is_compared_with_its_part_of_the_manifest(tmp_path: Path) -> None:
    bag = BagBuilder(name="Bag", payload={"W1/images/1": b"1", "W2/images/2": b"2"})
    one, two = bags.unbag(bag.zip(tmp_path), tmp_path / "to", workers=1)
    assert not differences(one)
    (two.path / "images/2").write_bytes(b"?")
    assert differences(two).changed == ("images/2",)
    assert bags.holds_work(one.bag_dir, "W2")
    assert not bags.holds_work(one.bag_dir, "W3")
    with pytest.raises(bags.InvalidBagError, match="has no payload manifest that lists the work W3"):
        bags.expected_files(one.bag_dir, "W3")


def test_a_payload_that_is_a_work_itself_is_compared(tmp_path: Path) -> None:
    (work,) = bags.unbag(BagBuilder(payload=dict(SOME_FILES)).zip(tmp_path), tmp_path / "to", workers=1)
    assert not differences(work)
    (work.path / "images/I1/0001.jpg").unlink()
    assert differences(work).missing == ("images/I1/0001.jpg",)


def test_a_manifest_that_was_damaged_says_so(work: bags.UnbaggedWork) -> None:
    (work.bag_dir / "manifest-md5.txt").write_bytes(b"?")
    with pytest.raises(bags.InvalidBagError, match=r"manifest-md5\.txt: line 1 is '\?': expected a checksum"):
        bags.expected_files(work.bag_dir, "W1")


def test_folders_that_arent_there_are_wrong_use(work: bags.UnbaggedWork, tmp_path: Path) -> None:
    with pytest.raises(bags.PathError, match="isn't there: expected the manifests of a bag"):
        bags.expected_files(tmp_path / "absent", "W1")
    with pytest.raises(bags.PathError, match="is no directory: expected a work's copy"):
        differences(work, tmp_path / "absent")


def test_a_copy_that_cant_be_listed_is_an_error(work: bags.UnbaggedWork, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir(mode=0)
    with ordinary_rights(), pytest.raises(bags.UnreadableError, match=r"copy can't be read \(Permission denied\)"):
        differences(work, copy)

"""Steps by hand: the same code as in the pipeline, for works that are named."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.pipeline import STAMP, Bag, Bagger, Installation, change_page, is_archived, tree

from glacier_sync import bags
from glacier_sync.errors import ConfigurationError
from glacier_sync.pipeline import destination, fixity
from glacier_sync.pipeline.by_hand import ByHand
from glacier_sync.pipeline.judging import SyncPostponedError, WorkResult

RID = "W1TEST01"


def by_hand(place: Installation) -> ByHand:
    return ByHand(place.settings, place.ledger, STAMP, lambda _: lambda _done, _in_all: None)


def sync(place: Installation, folders: Sequence[Path]) -> list[WorkResult]:
    return by_hand(place).sync(folders)


def unpacked(place: Installation, made: Bag) -> list[Path]:
    """Unpack a bag into a staging folder."""
    return [work.path for work in bags.unbag(made.zip_path, place.home / "staging", workers=1)]


def test_unpacked_works_are_synced_by_hand(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01", "W1TEST02")
    results = sync(place, unpacked(place, made))
    assert results == [WorkResult(work.name, "Passed", None) for work in made.works]
    assert all(is_archived(place, work) for work in made.works)
    assert sync(place, unpacked_at(place)) == results


def unpacked_at(place: Installation) -> list[Path]:
    return sorted(path for path in (place.home / "staging").iterdir() if path.suffix != ".bag")


def test_works_by_hand_by_a_relative_path(place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder,) = unpacked(place, bag(RID))
    monkeypatch.chdir(folder.parent)
    assert sync(place, [Path(RID)]) == [WorkResult(RID, "Passed", None)]


def test_a_damaged_work_is_not_synced_by_hand(place: Installation, bag: Bagger) -> None:
    folders = unpacked(place, bag("W1TEST01", "W1TEST02"))
    next(folders[0].rglob("*.jpg")).write_bytes(b"damaged")
    first, second = sync(place, folders)
    assert first == WorkResult(
        "W1TEST01",
        None,
        "W1TEST01 isn't what its bag's manifest says: 1 changed (archive/W1TEST01-I0001/I00010001.jpg); "
        "unpack its bag again",
    )
    assert second == WorkResult("W1TEST02", "Passed", None)
    assert not place.archived("W1TEST01").exists()


def test_a_work_beside_the_bag_of_an_older_one_is_told_of_both(place: Installation, bag: Bagger) -> None:
    first, _ = unpacked(place, bag("W1TEST01", "W1TEST02"))
    shutil.rmtree(first)
    newer = bag("W1TEST01", change=change_page)
    (result,) = sync(place, unpacked(place, newer))
    assert result.failure == (
        "W1TEST01 isn't what its bag's manifest says: 1 changed (archive/W1TEST01-I0001/I00010001.jpg); "
        f"{first}.bag was taken for it, and {first}/W1TEST01.bag is there too: unpack its bag again, into an empty "
        "folder"
    )
    (work,) = bags.unbag(newer.zip_path, place.home / "empty", workers=1)
    assert sync(place, [work.path]) == [WorkResult("W1TEST01", "Passed", None)]


def test_a_different_work_is_refused_by_hand(place: Installation, bag: Bagger) -> None:
    folders = unpacked(place, bag(RID))
    (place.archived(RID) / "images").mkdir(parents=True)
    (result,) = sync(place, folders)
    assert (result.rid, result.audit) == (RID, None)
    assert "the archive has a different copy" in (result.failure or "")
    assert tree(place.archived(RID)) == {}


def test_an_audit_that_fails_by_hand(place: Installation, bag: Bagger) -> None:
    def remove_page(work: Path) -> None:
        for page in work.rglob("*0002.*"):
            page.unlink()

    (result,) = sync(place, unpacked(place, bag(RID, change=remove_page, images=3)))
    assert (result.rid, result.audit) == (RID, "Failed")
    assert (result.failure or "").startswith(f"{RID} failed its audit: ")


def test_a_works_own_bad_options_fail_that_work_only(place: Installation, bag: Bagger) -> None:
    def ask(work: Path) -> None:
        (work / "config").mkdir()
        (work / "config" / "sync.yml").write_text("sync: {replace: true}")

    folders = unpacked(place, bag("W1TEST01", "W1TEST02", change=ask))
    first, second = sync(place, folders)
    assert first == WorkResult("W1TEST01", "Passed", None)
    assert (second.rid, second.audit) == ("W1TEST02", None)
    assert "config/sync.yml: a work may not set sync.replace" in (second.failure or "")
    assert place.archived("W1TEST01").exists()
    assert not place.archived("W1TEST02").exists()


def test_one_postponed_work_hides_no_other(place: Installation, bag: Bagger) -> None:
    folders = unpacked(place, bag("W1TEST01", "W1TEST02", "W1TEST03"))
    lock = place.archived("W1TEST02").parent / ".W1TEST02.lock"
    lock.parent.mkdir(parents=True)
    with destination.locked(place.archived("W1TEST02")):
        assert lock.exists()
        first, second, third = sync(place, folders)
    assert [first, third] == [WorkResult(rid, "Passed", None) for rid in ("W1TEST01", "W1TEST03")]
    assert (second.rid, second.failure) == ("W1TEST02", None)
    assert isinstance(second.unsettled, SyncPostponedError)
    assert "another sync of this work is running" in second.unsettled.message
    assert is_archived(place, folders[2])
    assert sync(place, folders)[1] == WorkResult("W1TEST02", "Passed", None)


def test_an_object_in_the_way_is_a_result_too(place: Installation, bag: Bagger) -> None:
    folders = unpacked(place, bag("W1TEST01", "W1TEST02"))
    place.archived("W1TEST01").parent.mkdir(parents=True)
    place.archived("W1TEST01").write_text("a file")
    first, second = sync(place, folders)
    assert first.unsettled
    assert f"{place.archived('W1TEST01')} is no directory" in first.unsettled.message
    assert second == WorkResult("W1TEST02", "Passed", None)


def test_what_is_done_by_hand_is_recorded(place: Installation, bag: Bagger) -> None:
    (folder,) = unpacked(place, bag(RID))
    sync(place, [folder])
    by_hand(place).fixity(RID)
    change_page(folder)
    sync(place, [folder])
    to = place.archived(RID)
    remarks = place.ledger.remarks(RID)
    assert [event.message for event in remarks] == [
        f"syncing by hand from {folder}: the archive's copy is absent",
        f"synced by hand from {folder}: equal to its bag",
        f"fixity of {to} checked by hand: intact",
        f"synced by hand from {folder}: failed: {RID} isn't what its bag's manifest says: "
        f"1 changed (archive/{RID}-I0001/I00010001.jpg); unpack its bag again",
    ]
    assert remarks[1].details == {"rid": RID, "path": str(folder), "audit": "Passed", "synced by hand": True}
    place.synced(bag(RID))
    change_page(to)
    by_hand(place).fixity(RID)
    last = place.ledger.events(place.ledger.objects()[-1].id)[-1]
    assert last.message.endswith(f"not as its bag's manifest says: 1 changed (archive/{RID}-I0001/I00010001.jpg)")
    assert last.details["differences"] == [f"changed: archive/{RID}-I0001/I00010001.jpg"]


def test_manifests_of_works_synced_by_hand_speak_for_them(place: Installation, bag: Bagger) -> None:
    folders = unpacked(place, bag("W1TEST01", "W1TEST02"))
    sync(place, folders)
    shutil.rmtree(place.home / "staging")
    for folder in folders:
        found = by_hand(place).fixity(folder.name)
        assert found.intact
        assert found.bag_dir.is_relative_to(place.settings.log_dir / "bags" / "by-hand" / folder.name)


def test_whatever_was_synced_last_speaks_for_the_archive(place: Installation, bag: Bagger) -> None:
    place.say({"sync": {"replace": True}})
    place.synced(bag("W1TEST01", "W1TEST02"))
    sync(place, unpacked(place, bag("W1TEST01", change=change_page)))
    assert fixity.check(place.settings, place.ledger, "W1TEST01").intact
    place.settled(bag("W1TEST01", "W1TEST03"))
    assert is_archived(place, bag("W1TEST01").works[0])
    assert fixity.check(place.settings, place.ledger, "W1TEST01").intact


def test_what_cannot_be_synced_by_hand_changes_nothing(place: Installation, bag: Bagger) -> None:
    folders = unpacked(place, bag(RID))
    no_work = place.home / "staging" / "W1NOTHING"
    no_work.mkdir()
    no_bag = place.home / "staging" / "W1NOBAG"
    (no_bag / "images").mkdir(parents=True)
    for wrong, words in (
        ([*folders, no_work], "W1NOTHING isn't a work: expected a directory that has archive, images, "),
        ([*folders, no_bag], "W1NOBAG has no manifest to verify it by: expected W1NOBAG/W1NOBAG.bag"),
        ([*folders, place.home / "staging" / ".."], "can't be a work's RID"),
        ([*folders, place.home / "elsewhere" / RID], f"{RID} is named twice: expected each work once"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            sync(place, wrong)
    assert not place.archived(RID).exists()
    assert not place.settings.log_dir.exists()


def test_an_archive_that_goes_away_while_works_are_synced_by_hand(place: Installation, bag: Bagger) -> None:
    folders = unpacked(place, bag(RID))
    root = place.archived(RID).parent.parent
    root.rmdir()
    with pytest.raises(ConfigurationError, match="is it mounted"):
        sync(place, folders)
    assert not root.exists()

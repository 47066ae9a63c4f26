"""Manifests that speak for the archive after the working data is gone."""

import shutil

from tests.support.pipeline import Bagger, Installation, add_page, change_page

from glacier_sync.pipeline import Failed, fixity


def test_manifests_of_a_bag_of_several_works_are_kept(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01", "W1TEST02")
    place.settled(made)
    for work in made.works:
        to = place.archived(work.name)
        assert not (to / f"{work.name}.bag").exists()
        checked = fixity.check(place.settings, place.ledger, work.name)
        assert (checked.rid, checked.path, checked.intact) == (work.name, to, True)
        assert checked.bag_dir.is_relative_to(place.settings.log_dir / "bags")
    change_page(place.archived("W1TEST02"))
    found = fixity.check(place.settings, place.ledger, "W1TEST02").differences
    assert found.changed == ("archive/W1TEST02-I0001/I00010001.jpg",)


def test_kept_manifests_of_another_ledger_are_not_taken(place: Installation, bag: Bagger) -> None:
    """The ledger was made anew, and numbers begin at 1 again."""
    strange = place.settings.log_dir / "bags" / "1" / "W1TEST01.bag"
    strange.mkdir(parents=True)
    (strange / "manifest-md5.txt").write_text(f"{'0' * 32}  data/W1TEST01/images/other.tif\n")
    place.settled(bag("W1TEST01", "W1TEST02"))
    assert fixity.check(place.settings, place.ledger, "W1TEST01").intact


def test_manifests_of_a_work_that_was_refused_do_not_speak_for_the_archive(place: Installation, bag: Bagger) -> None:
    place.synced(bag("W1TEST02"))
    outcome, _ = place.settled(bag("W1TEST01", "W1TEST02", change=add_page))
    assert isinstance(outcome, Failed)
    for rid in ("W1TEST01", "W1TEST02"):
        assert fixity.check(place.settings, place.ledger, rid).intact


def test_the_manifests_that_came_last_speak_for_the_archive(place: Installation, bag: Bagger) -> None:
    place.settled(bag("W1TEST01", "W1TEST02"))
    place.say({"sync": {"replace": True}})
    place.settled(bag("W1TEST02", change=add_page))
    assert (place.archived("W1TEST02") / "images" / "added.txt").exists()
    for rid in ("W1TEST01", "W1TEST02"):
        assert fixity.check(place.settings, place.ledger, rid).intact


def test_manifests_of_an_equal_copy_without_any_are_kept(place: Installation, bag: Bagger) -> None:
    """As works stand in an archive that were put there in other ways."""
    made = bag("W1TEST01")
    shutil.copytree(made.works[0], place.archived("W1TEST01"))
    place.settled(made)
    assert not (place.archived("W1TEST01") / "W1TEST01.bag").exists()
    assert fixity.check(place.settings, place.ledger, "W1TEST01").intact

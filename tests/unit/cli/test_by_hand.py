"""``sync`` and ``fixity``: works that are named by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.support.pipeline import Bagger, Installation, tree

from glacier_sync import bags

from .conftest import Command

pytestmark = pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync isn't installed: apt-get install rsync")

RID = "W1TEST01"


@pytest.fixture
def work(place: Installation, bagged: Bagger, tmp_path: Path) -> Path:
    """An unbagged work, outside of the pipeline's folders."""
    folder = tmp_path / "unbagged"
    folder.mkdir()
    (found,) = bags.unbag(bagged(RID).zip_path, folder, workers=2)
    return found.path


def page_of(work: Path) -> Path:
    return sorted((work / "images").rglob("*.tif"))[0]


def page_name(work: Path) -> str:
    return str(page_of(work).relative_to(work))


def test_an_unbagged_work_is_synced(command: Command, place: Installation, work: Path) -> None:
    ended = command("sync", work)
    assert (ended.status, ended.out, ended.err) == (0, f"synced   {RID}: audit Passed\n", "")
    assert tree(place.archived(RID)) == tree(work)
    assert place.ledger.objects() == []


def test_syncing_it_again_changes_nothing(command: Command, place: Installation, work: Path) -> None:
    command("sync", work)
    archived = page_of(place.archived(RID))
    before = archived.stat()
    ended = command("sync", work, "--json")
    assert ended.status == 0
    assert ended.facts == [{"rid": RID, "audit": "Passed", "failure": None}]
    assert archived.stat() == before


def test_a_work_that_was_changed_since_it_was_unbagged_is_refused(
    command: Command, place: Installation, work: Path
) -> None:
    page_of(work).write_bytes(b"another page")
    ended = command("sync", work)
    assert ended.status == 1
    assert ended.out.startswith(f"FAILED   {RID} isn't what its bag's manifest says: 1 changed ({page_name(work)})")
    assert not place.archived(RID).exists()


def test_a_work_that_fails_its_audit_is_refused_and_stops_no_other(
    command: Command, place: Installation, bagged: Bagger, work: Path
) -> None:
    bad = bagged("W1TEST02", change=lambda made: sorted((made / "images").rglob("*.tif"))[1].unlink(), images=3)
    (unbagged,) = bags.unbag(bad.zip_path, work.parent, workers=2)
    ended = command("sync", unbagged.path, work, "--json")
    assert ended.status == 1
    results = {result["rid"]: result for result in ended.facts}
    assert results[RID] == {"rid": RID, "audit": "Passed", "failure": None}
    assert results["W1TEST02"]["audit"] == "Failed"
    assert "W1TEST02 failed its audit" in results["W1TEST02"]["failure"]
    assert not place.archived("W1TEST02").exists()
    assert place.archived(RID).exists()


def test_a_different_work_in_the_archive_is_left_alone(command: Command, place: Installation, work: Path) -> None:
    command("sync", work)
    page_of(place.archived(RID)).write_bytes(b"another page")
    ended = command("sync", work)
    assert ended.status == 1
    assert "the archive has a different copy" in ended.out
    assert page_of(place.archived(RID)).read_bytes() == b"another page"


def test_what_is_not_an_unbagged_work_is_wrong_use(
    command: Command, place: Installation, work: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "W1BARE" / "images").mkdir(parents=True)
    cases = {
        "empty": "isn't a work: expected a directory that has archive, images",
        "missing": "isn't a work",
        "file": "isn't a work",
        "W1BARE": "has no manifest to verify it by: expected W1BARE/W1BARE.bag",
    }
    for name, found in cases.items():
        ended = command("sync", work, tmp_path / name)
        assert ended.status == 2
        assert f"{tmp_path / name} {found}" in ended.error
    assert not place.archived(RID).exists()


def test_an_archive_that_is_not_mounted_is_not_filled(command: Command, place: Installation, work: Path) -> None:
    root = place.archived(RID).parent.parent
    root.rmdir()
    ended = command("sync", work)
    assert ended.status == 2
    assert f"the archive's root {root} isn't there: is it mounted?" in ended.error
    assert not root.exists()


def test_an_intact_work(command: Command, place: Installation, work: Path) -> None:
    command("sync", work)
    archived = place.archived(RID)
    for name in (RID, str(archived)):
        assert command("fixity", name).out == f"intact     {RID}: {archived}\n"
    ended = command("fixity", RID, "--json")
    differences = {"missing": [], "added": [], "changed": [], "unreadable": []}
    expected = {"work": RID, "path": str(archived), "intact": True, "differences": differences}
    assert (ended.status, ended.facts) == (0, [expected])


def test_every_difference_is_listed(command: Command, place: Installation, work: Path) -> None:
    command("sync", work)
    archived = place.archived(RID)
    changed, missing = page_name(archived), "images/W1TEST01-I0001/dimensions.json"
    page_of(archived).write_bytes(b"another page")
    (archived / missing).unlink()
    (archived / "new\x1b.txt").touch()
    ended = command("fixity", RID)
    assert ended.status == 1
    assert ended.out.splitlines() == [
        f"DIFFERENT  {RID}: {archived}",
        f"  missing: {missing}",
        r"  added: new\x1b.txt",
        f"  changed: {changed}",
    ]
    ended = command("fixity", "--json", RID)
    assert ended.status == 1
    (found,) = ended.facts
    assert found["intact"] is False
    assert found["differences"] == {
        "missing": [missing],
        "added": ["new\x1b.txt"],
        "changed": [changed],
        "unreadable": [],
    }


def test_an_unknown_work_is_wrong_use_and_hides_no_other(command: Command, place: Installation, work: Path) -> None:
    command("sync", work)
    ended = command("fixity", "W1NONE00", RID)
    assert ended.status == 2
    assert f"{place.archived('W1NONE00')} isn't there: expected an archived work" in ended.error
    assert ended.out.startswith(f"intact     {RID}")


@pytest.mark.parametrize("name", ["", ".hidden", "-x", "W1\n", "W" * 300])
def test_a_name_that_no_work_can_have_is_wrong_use(command: Command, place: Installation, name: str) -> None:
    ended = command("fixity", "--", name)
    assert (ended.status, ended.out) == (2, "")
    assert "can't be a work's RID: expected 1 to 200 bytes" in ended.error
    assert ended.error.endswith("; name a work")


def test_a_folder_that_no_work_can_be_named_as_is_wrong_use(command: Command, place: Installation, work: Path) -> None:
    named = work.rename(work.with_name("-W1TEST01"))
    ended = command("sync", work.parent / named.name)
    assert (ended.status, ended.out) == (2, "")
    assert "'-W1TEST01' can't be a work's RID" in ended.error


def test_a_work_without_manifests_cannot_be_judged(command: Command, place: Installation) -> None:
    (place.archived(RID) / "images").mkdir(parents=True)
    ended = command("fixity", RID)
    assert ended.status == 2
    assert f"no manifest of {RID} is known" in ended.error

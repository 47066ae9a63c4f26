"""``sync``, ``diff``, ``sync-options`` and ``fixity``: works that are named by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.pipeline import Bagger, Installation, tree

from glacier_sync import bags
from glacier_sync.pipeline import destination

from .conftest import Command

pytestmark = pytest.mark.needs("rsync")

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
    ended = command("status", RID)
    assert ended.out.splitlines()[0] == f"{RID}: by hand; in the archive: {place.archived(RID)}"
    assert ended.out.endswith(f"note: synced by hand from {work}: equal to its bag\n")
    (told,) = command("status", RID, "--json").facts
    assert (told["name"], told["archived"]) == (RID, str(place.archived(RID)))
    assert [event["kind"] for event in told["events"]] == ["note", "note"]
    place.archived(RID).rename(work.parent / "elsewhere")
    assert command("status", RID).out.splitlines()[0] == f"{RID}: by hand; in the archive: not seen"
    assert command("status", RID, "--json").facts[0]["archived"] is None


def test_syncing_it_again_changes_nothing(command: Command, place: Installation, work: Path) -> None:
    command("sync", work)
    archived = page_of(place.archived(RID))
    before = archived.stat()
    ended = command("sync", work, "--json")
    assert ended.status == 0
    assert ended.facts == [{"rid": RID, "audit": "Passed", "failure": None, "unsettled": None}]
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
    assert results[RID] == {"rid": RID, "audit": "Passed", "failure": None, "unsettled": None}
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


def test_a_work_that_has_to_wait_hides_no_other(
    command: Command, place: Installation, bagged: Bagger, work: Path
) -> None:
    (other,) = bags.unbag(bagged("W1TEST02").zip_path, work.parent, workers=2)
    place.archived(RID).parent.mkdir()
    with destination.locked(place.archived(RID)):
        ended = command("sync", work, other.path)
        assert ended.status == 3
        later, synced = ended.out.splitlines()
        assert later.startswith(f"later    {RID}: check of the work and its place: can't lock ")
        assert "another sync of this work is running; try again when it is done" in later
        assert synced == "synced   W1TEST02: audit Passed"
        first, _ = command("sync", work, other.path, "--json").facts
    assert (first["failure"], first["audit"]) == (None, None)
    assert "another sync of this work is running" in first["unsettled"]
    page_of(other.path).write_bytes(b"another page")
    assert command("sync", work, other.path).status == 1


@pytest.mark.parametrize("name", ["..", "-W1", ".W1", "W\x01"])
def test_what_can_be_no_work_is_wrong_use(command: Command, place: Installation, work: Path, name: str) -> None:
    named = "" if name == ".." else f"{work.parent}/{name}"
    for step in ("sync", "diff"):
        ended = command(step, "--", named or "..")
        assert ended.status == 2
        assert "can't be a work's RID" in ended.error
    ended = command("fixity", "--", name)
    assert ended.status == 2
    assert "can't be a work's RID" in ended.error


def test_an_archive_that_is_not_mounted_is_not_filled(command: Command, place: Installation, work: Path) -> None:
    root = place.archived(RID).parent.parent
    root.rmdir()
    ended = command("sync", work)
    assert ended.status == 2
    assert f"the archive's root {root} isn't there: is it mounted?" in ended.error
    assert not root.exists()


# --- diff --------------------------------------------------------------------------


def test_diff_of_what_the_archive_does_not_have(command: Command, place: Installation, work: Path) -> None:
    ended = command("diff", work)
    assert (ended.status, ended.out, ended.err) == (0, f"absent     {place.archived(RID)}\n", "")


def test_diff_of_what_is_equal(command: Command, place: Installation, work: Path) -> None:
    command("sync", work)
    archived = place.archived(RID)
    before = tree(archived)
    assert command("diff", work).out == f"equal      {archived}\n"
    ended = command("diff", work, "--json")
    differences = {"missing": [], "added": [], "changed": [], "unreadable": []}
    expected = {"work": str(work), "path": str(archived), "standing": "equal", "differences": differences}
    assert (ended.status, ended.facts) == (0, [expected])
    assert tree(archived) == before


def test_diff_lists_every_difference_of_the_archives_copy(command: Command, place: Installation, work: Path) -> None:
    command("sync", work)
    archived = place.archived(RID)
    missing = "images/W1TEST01-I0001/dimensions.json"
    page_of(archived).write_bytes(b"another page")
    (archived / missing).unlink()
    (archived / "images" / "new\n.txt").touch()
    ended = command("diff", work)
    assert ended.status == 1
    assert ended.out.splitlines() == [
        f"DIFFERENT  {archived}",
        f"  missing: {missing}",
        r"  added: images/new\n.txt",
        f"  changed: {page_name(archived)}",
    ]
    ended = command("diff", work, "--json")
    assert (ended.status, ended.facts[0]["standing"]) == (1, "different")
    assert ended.facts[0]["differences"]["added"] == ["images/new\n.txt"]


def test_diff_of_what_is_no_unpacked_work_hides_no_other(command: Command, place: Installation, work: Path) -> None:
    (work.parent / "W1BARE" / "images").mkdir(parents=True)
    ended = command("diff", work.parent / "W1BARE", work)
    assert ended.status == 2
    assert "has no manifest to verify it by" in ended.error
    assert ended.out == f"absent     {place.archived(RID)}\n"
    place.archived(RID).parent.parent.rmdir()
    assert "is it mounted?" in command("diff", work).error


# --- sync-options -----------------------------------------------------------------


def test_the_options_of_a_work_and_where_they_come_from(command: Command, place: Installation, work: Path) -> None:
    site = place.settings.site_config_dir / "site-sync.yml"
    site.write_text("audit: {pre: ['-T', 'NoFilesInFolder:FileSequence']}\nsync: {replace: true}")
    (work / "config").mkdir()
    (work / "config" / "sync.yml").write_text("sync: {web: false}")
    own = work / "config" / "sync.yml"
    ended = command("sync-options", work)
    assert (ended.status, ended.err) == (0, "")
    assert [line.split() for line in ended.out.splitlines()] == [
        [f"{work}:"],
        ["key", "value", "from"],
        ["audit.pre", "-T", "NoFilesInFolder:FileSequence", str(site)],
        ["audit.post", "nothing", "built-in"],
        ["sync.archive", "true", "built-in"],
        ["sync.web", "false", str(own)],
        ["sync.replace", "true", str(site)],
        ["sync.update_web", "true", "built-in"],
    ]
    (found,) = command("sync-options", work, "--json").facts
    assert found["work"] == str(work)
    assert found["options"]["audit.pre"] == {"value": ["-T", "NoFilesInFolder:FileSequence"], "from": str(site)}
    assert found["options"]["sync.web"] == {"value": False, "from": str(own)}


def test_the_options_of_works_that_bring_none(command: Command, place: Installation, work: Path) -> None:
    place.say({"sync": {"update_web": False}})
    (found,) = command("sync-options", "--json").facts
    assert found["work"] == "any work"
    assert found["options"]["sync.update_web"]["value"] is False
    assert command("sync-options").out.splitlines()[0] == "any work:"


def test_options_that_are_not_understood_hide_no_others(command: Command, place: Installation, work: Path) -> None:
    other = work.parent / "W1TEST02"
    (other / "config").mkdir(parents=True)
    (other / "config" / "sync.yml").write_text("sync: {replace: true}")
    ended = command("sync-options", other, work)
    assert ended.status == 1
    assert f"{other}/config/sync.yml: a work may not set sync.replace" in ended.error
    assert ended.out.startswith(f"{work}:\n")
    ended = command("sync-options", work.parent / "none")
    assert ended.status == 2
    assert "isn't a folder: expected an unpacked work" in ended.error


# --- fixity ------------------------------------------------------------------------


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

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.images import draw_jpeg, draw_tiff, draw_work

from glacier_sync.audit import AuditTest, Finding, ImageReaders, Outcome, Properties, WorkReport, audit_work

Audit = Callable[..., WorkReport]
Numbers = Callable[..., list[int]]


def test_a_good_work_passes_all_ten_tests(tmp_path: Path, audit: Audit) -> None:
    report = audit(draw_work(tmp_path, groups=2))
    assert [result.outcome for result in report.results] == [Outcome.PASSED] * 10
    assert report.outcome is Outcome.PASSED
    assert report.rid == "W1TEST"


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_path_that_is_no_directory_fails_every_test(tmp_path: Path, audit: Audit, kind: str) -> None:
    path = tmp_path / "W1GONE"
    if kind == "file":
        path.write_text("")
    report = audit(path)
    assert len(report.results) == 10
    assert all(result.outcome is Outcome.FAILED for result in report.results)
    assert {finding.number for result in report.results for finding in result.findings} == {101}


def test_a_file_in_the_root_is_102_unless_hidden(tmp_path: Path, audit: Audit) -> None:
    work = draw_work(tmp_path)
    (work / ".DS_Store").write_text("")
    (work / "notes.txt").write_text("")
    (result,) = audit(work, "NoFilesInFolder").results
    assert result.outcome is Outcome.FAILED
    assert [(f.number, f.path) for f in result.findings] == [(102, work / "notes.txt")]
    assert "notes.txt" in result.findings[0].message


def test_folders_in_a_group_are_one_104_and_a_103_each(tmp_path: Path, numbers: Numbers) -> None:
    work = draw_work(tmp_path, groups=2)
    (work / "archive" / "W1TEST-I0001" / "one").mkdir()
    (work / "archive" / "W1TEST-I0001" / "two").mkdir()
    (work / "images" / "W1TEST-I0002" / ".three").mkdir()
    assert numbers(work, "NoFoldersInImageGroups") == [104, 103, 103, 104, 103]


def test_what_lies_deeper_is_not_looked_at(tmp_path: Path, numbers: Numbers) -> None:
    work = draw_work(tmp_path)
    (work / "images" / "W1TEST-I0001" / "one" / "two").mkdir(parents=True)
    (work / "images" / "W1TEST-I0001" / "one" / "x.png").write_text("")
    assert numbers(work, "NoFoldersInImageGroups") == [104, 103]
    assert numbers(work, "WebImageAttributes") == []


def test_structure_2_is_not_run_and_does_not_fail(tmp_path: Path, audit: Audit) -> None:
    draw_jpeg(tmp_path / "W2" / "W2-I0001" / "archive" / "0002.jpg")
    report = audit(tmp_path / "W2")
    outcomes = [result.outcome for result in report.results]
    assert outcomes == [Outcome.PASSED] + [Outcome.NOT_RUN] * 9
    assert report.outcome is Outcome.NOT_RUN
    assert not report.failed
    assert {f.number for r in report.results for f in r.findings} == {101}


def test_a_missing_parent_hides_no_failure_in_the_other(tmp_path: Path, audit: Audit) -> None:
    draw_tiff(tmp_path / "W1" / "images" / "W1-I0001" / "I00010002.tif")
    (result,) = audit(tmp_path / "W1", "FileSequence").results
    assert [f.number for f in result.findings] == [101, 109, 105]
    assert result.outcome is Outcome.FAILED


def test_the_parents_names_are_properties(tmp_path: Path, audit: Audit) -> None:
    work = draw_work(tmp_path)
    (work / "archive").rename(work / "masters")
    (work / "images").rename(work / "web")
    defined = {"ArchiveImageGroupParent": "masters", "DerivedImageGroupParent": "web"}
    assert audit(work, **defined).outcome is Outcome.PASSED
    assert audit(work).outcome is Outcome.NOT_RUN


@pytest.mark.parametrize(
    ("limit", "expected"), [("1K", [112]), ("2K", []), ("0.001M", [112]), ("2,048", []), ("big", [113]), ("", [113])]
)
def test_file_sizes(tmp_path: Path, numbers: Numbers, limit: str, expected: list[int]) -> None:
    work = draw_work(tmp_path)
    (work / "images" / "W1TEST-I0001" / "dimensions.json").write_bytes(b"x" * 2048)
    (work / "images" / "W1TEST-I0001" / ".hidden").write_bytes(b"x" * 9999)
    (work / "archive" / "W1TEST-I0001" / "large").write_bytes(b"x" * 9999)
    assert numbers(work, "FileSizeTests", MaximumImageFileSize=limit) == expected


@pytest.mark.parametrize("name", ["I00010003.tif", "I0001-0003.tif", "i0001_0003.TIF", "I00010003.a.tif", "x.json"])
def test_good_file_names(tmp_path: Path, numbers: Numbers, name: str) -> None:
    work = draw_work(tmp_path)
    (work / "images" / "W1TEST-I0001" / name).write_bytes(b"")
    assert numbers(work, "ImageFileNameFormat") == []


@pytest.mark.parametrize("name", ["I0001003.tif", "I000100003.tif", "I00020003.tif", "I00010003", "I0001--0003.tif"])
def test_a_bad_file_name_is_119(tmp_path: Path, audit: Audit, name: str) -> None:
    work = draw_work(tmp_path)
    (work / "images" / "W1TEST-I0001" / name).write_bytes(b"")
    (result,) = audit(work, "ImageFileNameFormat").results
    assert [f.number for f in result.findings] == [119]
    assert f"images/W1TEST-I0001/{name}" in result.findings[0].message


@pytest.mark.parametrize("group", ["group", "W1TEST-", "W1TEST--I1"])
def test_a_group_whose_name_has_no_second_part_is_119(tmp_path: Path, numbers: Numbers, group: str) -> None:
    work = draw_work(tmp_path)
    draw_tiff(work / "images" / group / "0001.tif")
    assert numbers(work, "ImageFileNameFormat") == [119]


def test_a_groups_name_is_no_regular_expression(tmp_path: Path, numbers: Numbers) -> None:
    draw_tiff(tmp_path / "W1" / "images" / "W1-I.(+" / "I.(+0001.tif")
    draw_tiff(tmp_path / "W1" / "images" / "W1-I.(+" / "Ix(+0002.tif")
    assert numbers(tmp_path / "W1", "ImageFileNameFormat") == [119]


def test_links_out_of_the_work_are_not_followed(tmp_path: Path, audit: Audit) -> None:
    outside = draw_work(tmp_path, "W1OUT")
    work = draw_work(tmp_path)
    (work / "images" / "W1TEST-I0002").symlink_to(outside / "images" / "W1OUT-I0001")
    (work / "images" / "W1TEST-I0001" / "I00010003.tif").symlink_to(
        outside / "images" / "W1OUT-I0001" / "I00010001.tif"
    )
    report = audit(work)
    web = next(r for r in report.results if r.name == "Web Image Attributes")
    assert [(f.number, f.path.name) for f in web.findings] == [(114, "W1TEST-I0002"), (110, "I00010003.tif")]
    size = next(r for r in report.results if r.name == "File Size Test")
    assert [(f.number, f.path.name) for f in size.findings] == [(114, "W1TEST-I0002"), (114, "I00010003.tif")]


def test_a_parent_that_leads_out_of_the_work_fails(tmp_path: Path, audit: Audit) -> None:
    outside = draw_work(tmp_path, "W1OUT")
    work = tmp_path / "W1TEST"
    work.mkdir()
    (work / "images").symlink_to(outside / "images")
    (result,) = audit(work, "WebImageAttributes").results
    assert (result.outcome, [f.number for f in result.findings]) == (Outcome.FAILED, [114])


def test_links_inside_the_work_count_as_what_they_lead_to(tmp_path: Path, audit: Audit) -> None:
    work = draw_work(tmp_path)
    (work / "images" / "W1TEST-I0001" / "I00010003.tif").symlink_to("I00010001.tif")
    assert audit(work).outcome is Outcome.PASSED


def test_a_work_given_by_a_link_keeps_the_links_name(tmp_path: Path, audit: Audit) -> None:
    draw_work(tmp_path / "store", "W1TEST").rename(tmp_path / "store" / "blob")
    (tmp_path / "W1TEST").symlink_to(tmp_path / "store" / "blob")
    report = audit(tmp_path / "W1TEST")
    assert (report.rid, report.outcome) == ("W1TEST", Outcome.PASSED)


def test_a_link_in_circles_is_a_file_that_cannot_be_read_and_hides_no_other(tmp_path: Path, audit: Audit) -> None:
    work = draw_work(tmp_path)
    for place in (work, work / "images", work / "images" / "W1TEST-I0001"):
        (place / "I00010003.tif").symlink_to("I00010003.tif")
    (work / "images" / "W1TEST-I0001" / "I00010001.tif").unlink()
    found = {result.name: [int(f.number) for f in result.findings] for result in audit(work).results}
    assert found["No Files in Root Folder"] == [102]
    assert found["No folders allowed in Image Group folders"] == []
    assert found["File Sequence Test"] == [109, 105]
    assert found["Web Image Attributes"] == [110]
    assert found["File Size Test"] == [114]


def test_an_error_inside_a_test_is_its_failure_and_keeps_what_was_found(tmp_path: Path, readers: ImageReaders) -> None:
    found = audit_work(tmp_path / "gone", Properties.load(), readers).results[0].findings[0]

    def broken(*_: object) -> Iterator[Finding]:
        yield found
        raise OSError(5, "Input/output error", str(tmp_path / "disk"))

    (result,) = audit_work(tmp_path, Properties.load(), readers, [AuditTest("Broken", "Broken Test", broken)]).results
    assert result.outcome is Outcome.FAILED
    assert [f.number for f in result.findings] == [101, 114]
    assert result.findings[1].message.endswith("disk: Input/output error")

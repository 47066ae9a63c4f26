"""The demo's samples: the same every time, and each what it says it is."""

from __future__ import annotations

import os
import re
import time
import zipfile
from pathlib import Path

import pytest

from glacier_sync import bags
from glacier_sync.audit import ImageReaders, Properties, audit_work
from glacier_sync.demo.samples import Sample, make_samples
from glacier_sync.works import is_work

CORRUPT, FAULTY = "W1GS0023", "W1GS0064"


def contents(samples: list[Sample]) -> dict[str, bytes]:
    files = [path for sample in samples for work in sample.works for path in work.rglob("*") if path.is_file()]
    files += [sample.zip_path for sample in samples]
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in files}


def test_they_are_the_same_bytes_every_time(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At another time of another place: neither may leave a mark.
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        folder = tmp_path / "elsewhere"
        again = make_samples(folder)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [(sample.key, sample.fault) for sample in again] == [(sample.key, sample.fault) for sample in samples]
    assert contents(again) == contents(samples)


def test_no_sample_tells_when_it_was_made(samples: list[Sample]) -> None:
    for sample in samples:
        with zipfile.ZipFile(sample.zip_path) as file:
            assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0), (2025, 1, 1, 0, 0, 0)}
            assert not [name for name in file.namelist() if re.search(rb"20\d\d-\d\d-\d\d", file.read(name))]


def test_making_them_again_starts_anew(tmp_path: Path) -> None:
    folder = tmp_path / "samples"
    first = contents(make_samples(folder))
    (folder / "works" / "left over").mkdir()
    assert contents(make_samples(folder)) == first
    assert not (folder / "works" / "left over").exists()


def test_among_them_are_the_cases_that_matter(samples: list[Sample]) -> None:
    assert len(samples) == 6
    assert {sample.zip_path.name.partition(".")[0] for sample in samples if sample.fault} == {CORRUPT, FAULTY}
    assert sum(len(sample.works) == 2 for sample in samples) == 1
    assert any(" " in sample.key and "+" in sample.key and not sample.key.isascii() for sample in samples)
    assert len({sample.key for sample in samples}) == len(samples)


def test_every_bag_but_the_corrupt_one_is_valid(samples: list[Sample]) -> None:
    for sample in samples:
        (report,) = bags.verify(sample.zip_path, workers=2)
        assert report.works == tuple(work.name for work in sample.works)
        assert {"sha256", "sha512"} == set(report.algorithms)
        if report.works != (CORRUPT,):
            assert report.defects == ()


def test_the_corrupt_bag_is_a_whole_zip_with_one_altered_page(samples: list[Sample]) -> None:
    (corrupt,) = (sample for sample in samples if sample.works[0].name == CORRUPT)
    with zipfile.ZipFile(corrupt.zip_path) as file:
        assert file.testzip() is None
    (report,) = bags.verify(corrupt.zip_path, workers=2)
    assert {type(defect) for defect in report.defects} == {bags.ChecksumMismatch}
    (name,) = {os.path.basename(defect.path) for defect in report.defects}  # noqa: PTH119 - a name in a zip
    assert name.endswith("0002.tif")


def test_every_work_but_the_faulty_one_passes_its_audit(samples: list[Sample]) -> None:
    works = [work for sample in samples for work in sample.works]
    assert len(works) == 7
    with ImageReaders(1) as readers:
        for work in works:
            assert is_work(work)
            report = audit_work(work, Properties.load({}), readers)
            assert report.failed == (work.name == FAULTY)
            wrong = {str(result.outcome) for result in report.results} - {"Passed"}
            assert bool(wrong) == (work.name == FAULTY)


def test_what_the_bags_hold_are_the_works(samples: list[Sample], tmp_path: Path) -> None:
    for sample in samples:
        if sample.works[0].name != CORRUPT:
            for unbagged, work in zip(bags.unbag(sample.zip_path, tmp_path, workers=2), sample.works, strict=True):
                assert not bags.compare(
                    work, bags.expected_files(unbagged.bag_dir, work.name), workers=2, drop_cache=False
                )

"""The tests that look into images' headers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from glacier_sync.audit.image_facts import ImageFacts
from glacier_sync.audit.properties import Properties
from glacier_sync.audit.report import ErrorNumber, Finding
from glacier_sync.audit.structure import missing
from glacier_sync.audit.work_folder import WorkFolder

Defect = tuple[ErrorNumber, str]
Judge = Callable[[ImageFacts], Defect | None]

_UPRIGHT = (None, 0, 1)


def web_image_attributes(work: WorkFolder, properties: Properties) -> Iterator[Finding]:
    """Find derived images that are no readable JPEG or TIFF, and 1-bit TIFFs not fit for the web."""
    return _judge_all(work, properties.derived_parent, _web_defect)


def archive_orientation(work: WorkFolder, properties: Properties) -> Iterator[Finding]:
    """Find archive images that EXIF says are to be turned."""
    return _judge_all(work, properties.archive_parent, _orientation_judge(ErrorNumber.INVALID_ARCHIVE_EXIF))


def image_orientation(work: WorkFolder, properties: Properties) -> Iterator[Finding]:
    """Find derived images that EXIF says are to be turned."""
    return _judge_all(work, properties.derived_parent, _orientation_judge(ErrorNumber.INVALID_IMAGE_EXIF))


def archive_thumbnail(work: WorkFolder, properties: Properties) -> Iterator[Finding]:
    """Find archive images that hold a Photoshop thumbnail."""
    return _judge_all(work, properties.archive_parent, _thumbnail_judge(ErrorNumber.ARCHIVE_THUMBNAIL))


def image_thumbnail(work: WorkFolder, properties: Properties) -> Iterator[Finding]:
    """Find derived images that hold a Photoshop thumbnail."""
    return _judge_all(work, properties.derived_parent, _thumbnail_judge(ErrorNumber.IMAGE_THUMBNAIL))


def _judge_all(work: WorkFolder, name: str, judge: Judge) -> Iterator[Finding]:
    parent = work.parent(name)
    if parent is None:
        yield missing(work, name)
        return
    yield from parent.problems
    for group, file, facts in work.images(name):
        if defect := judge(facts):
            number, words = defect
            yield Finding(number, f"{group.label_of(file)} {words}", file.path)


def _web_defect(facts: ImageFacts) -> Defect | None:
    if facts.unreadable:
        return ErrorNumber.NO_IMAGE_READER, f"can't be read as JPEG or TIFF: {facts.unreadable}"
    if facts.tiff_defects:
        return ErrorNumber.INVALID_TIFF, f"is no valid 1-bit TIFF: {'; '.join(facts.tiff_defects)}"
    return None


def _orientation_judge(number: ErrorNumber) -> Judge:
    def judge(facts: ImageFacts) -> Defect | None:
        if facts.bad_metadata:
            return number, f"has EXIF metadata that can't be read: {facts.bad_metadata}"
        if facts.orientation not in _UPRIGHT:
            return number, f"has the EXIF orientation {facts.orientation!s:.20}; expected none, 0 or 1"
        return None

    return judge


def _thumbnail_judge(number: ErrorNumber) -> Judge:
    def judge(facts: ImageFacts) -> Defect | None:
        if facts.thumbnail:
            return number, "holds a Photoshop thumbnail"
        if facts.bad_metadata:
            return number, f"can't be searched for a thumbnail: {facts.bad_metadata}"
        return None

    return judge

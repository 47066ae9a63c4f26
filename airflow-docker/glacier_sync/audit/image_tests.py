"""The tests that look into images' headers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from glacier_sync.audit.error_numbers import ErrorNumber
from glacier_sync.audit.image_facts import ImageFacts
from glacier_sync.audit.properties import Properties
from glacier_sync.audit.report import Finding
from glacier_sync.audit.structure import missing
from glacier_sync.audit.work_folder import WorkFile, WorkFolder

Defect = tuple[ErrorNumber, str]
Judge = Callable[[WorkFile, ImageFacts], Defect | None]

_FORMAT_OF_EXTENSION = {".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}

# EXIF 2.32, "Orientation": what has to be done to show the image upright.
_UPRIGHT = (None, 0, 1)
_TURNED = {
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "upside down and mirrored",
    5: "turned and mirrored",
    6: "turned by 90 degrees",
    7: "turned and mirrored",
    8: "turned by 270 degrees",
}


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
        if defect := judge(file, facts):
            number, words = defect
            yield Finding(number, f"{group.label_of(file)} {words}", file.path)


def _web_defect(file: WorkFile, facts: ImageFacts) -> Defect | None:
    if facts.unreadable:
        return ErrorNumber.NO_IMAGE_READER, f"can't be read as JPEG or TIFF: {facts.unreadable}"
    if facts.tiff_defects:
        return ErrorNumber.INVALID_TIFF, f"is no valid 1-bit TIFF: {'; '.join(facts.tiff_defects)}"
    named = _FORMAT_OF_EXTENSION.get(file.path.suffix.lower(), facts.format)
    if named != facts.format:
        return ErrorNumber.NO_IMAGE_READER, f"is a {facts.format}, not the {named} that its name says"
    return None


def _orientation_judge(number: ErrorNumber) -> Judge:
    def judge(_: WorkFile, facts: ImageFacts) -> Defect | None:
        if facts.bad_metadata:
            return number, f"has EXIF metadata that can't be read: {facts.bad_metadata}"
        if facts.orientation not in _UPRIGHT:
            turned = f" ({_TURNED[facts.orientation]})" if facts.orientation in _TURNED else ""
            return number, f"has the EXIF orientation {facts.orientation}{turned}; expected none, 0 or 1"
        return None

    return judge


def _thumbnail_judge(number: ErrorNumber) -> Judge:
    def judge(_: WorkFile, facts: ImageFacts) -> Defect | None:
        if facts.thumbnail:
            return number, "holds a Photoshop thumbnail; expected none"
        if facts.bad_metadata:
            return number, f"can't be searched for a thumbnail: {facts.bad_metadata}"
        return None

    return judge

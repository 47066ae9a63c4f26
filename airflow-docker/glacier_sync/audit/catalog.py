"""The tests there are, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from glacier_sync.audit import image_tests, sequence, structure
from glacier_sync.audit.properties import Properties
from glacier_sync.audit.report import Finding
from glacier_sync.audit.work_folder import WorkFolder
from glacier_sync.errors import ConfigurationError


class UnknownTestsError(ConfigurationError):
    """None of the tests asked for exists, so nothing would be tested."""


@dataclass(frozen=True)
class AuditTest:
    """A test: its name on the command line, its name in reports, and what finds its findings."""

    short_name: str
    full_name: str
    find: Callable[[WorkFolder, Properties], Iterator[Finding]]


CATALOG = (
    AuditTest("NoFilesInFolder", "No Files in Root Folder", structure.no_files_in_root),
    AuditTest("NoFoldersInImageGroups", "No folders allowed in Image Group folders", structure.no_folders_in_groups),
    AuditTest("FileSequence", "File Sequence Test", sequence.file_sequence),
    AuditTest("WebImageAttributes", "Web Image Attributes", image_tests.web_image_attributes),
    AuditTest("FileSizeTests", "File Size Test", structure.file_sizes),
    AuditTest("EXIFArchiveTest", "Archive Valid EXIF Test", image_tests.archive_orientation),
    AuditTest("EXIFImageTest", "Image Valid EXIF Test", image_tests.image_orientation),
    AuditTest("EXIFArchiveThumbnail", "Archive EXIF Thumbnail Test", image_tests.archive_thumbnail),
    AuditTest("EXIFImageThumbnail", "Image EXIF Thumbnail Test", image_tests.image_thumbnail),
    AuditTest("ImageFileNameFormat", "Image file name format test", structure.file_names),
)


def select(names: Collection[str]) -> tuple[tuple[AuditTest, ...], tuple[str, ...]]:
    """Return the tests of these short names, in the catalog's order, and the names that are unknown.

    Raises UnknownTestsError if no name is known.
    """
    known = [test.short_name for test in CATALOG]
    unknown = tuple(name for name in names if name not in known)
    tests = tuple(test for test in CATALOG if test.short_name in names)
    if not tests:
        raise UnknownTestsError(
            f"no test is named {' or '.join(map(repr, names)) or 'that'}; expected of {', '.join(known)}"
        )
    return tests, unknown

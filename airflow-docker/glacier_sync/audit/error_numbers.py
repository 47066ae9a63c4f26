"""The audit tool's error numbers, what each means, and what is to be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class ErrorNumber(IntEnum):
    """The audit tool's error numbers; sites name them in their ErrorsAsWarning property."""

    NO_DIRECTORY = 101
    FILE_IN_ROOT = 102
    FOLDER_IN_GROUP = 103
    GROUP_HOLDS_FOLDERS = 104
    SEQUENCE_ITEM_MISSING = 105
    GROUP_FAILS_SEQUENCE = 106
    DUPLICATE_NUMBER = 107
    GROUP_HOLDS_DUPLICATES = 108
    COUNT_MISMATCH = 109
    NO_IMAGE_READER = 110
    INVALID_TIFF = 111
    FILE_TOO_BIG = 112
    INVALID_SIZE_PROPERTY = 113
    UNKNOWN = 114
    INVALID_ARCHIVE_EXIF = 115
    INVALID_IMAGE_EXIF = 116
    ARCHIVE_THUMBNAIL = 117
    IMAGE_THUMBNAIL = 118
    INVALID_FILE_NAME = 119


HEADINGS = frozenset({ErrorNumber.GROUP_HOLDS_FOLDERS, ErrorNumber.GROUP_FAILS_SEQUENCE, ErrorNumber.COUNT_MISMATCH})
"""These say that a group fails; another finding says which file is why."""

_NUMBERING = "add what is missing, or number the images from 1 on without gaps"
_FOLDERS = "move the folder out of the image group"
_ORIENTATION = "turn the image itself upright, and save it without an EXIF orientation"
_THUMBNAIL = "save the image without a thumbnail"

REMEDIES: Mapping[int, str] = MappingProxyType(
    {
        ErrorNumber.NO_DIRECTORY: "correct the path, or the names of the work's folders",
        ErrorNumber.FILE_IN_ROOT: "move the file into a folder, or delete it",
        ErrorNumber.FOLDER_IN_GROUP: _FOLDERS,
        ErrorNumber.GROUP_HOLDS_FOLDERS: _FOLDERS,
        ErrorNumber.SEQUENCE_ITEM_MISSING: _NUMBERING,
        ErrorNumber.GROUP_FAILS_SEQUENCE: _NUMBERING,
        ErrorNumber.DUPLICATE_NUMBER: "give one of the two files a number of its own, or delete it",
        ErrorNumber.GROUP_HOLDS_DUPLICATES: "give each file a number of its own",
        ErrorNumber.COUNT_MISMATCH: _NUMBERING,
        ErrorNumber.NO_IMAGE_READER: "make the image anew, as a JPEG or TIFF that is named as what it is",
        ErrorNumber.INVALID_TIFF: "save the image as a bilevel TIFF with Group 4 compression",
        ErrorNumber.FILE_TOO_BIG: "save the image smaller, or have the site raise MaximumImageFileSize",
        ErrorNumber.INVALID_SIZE_PROPERTY: "correct MaximumImageFileSize",
        ErrorNumber.UNKNOWN: "put right what the message names, and run the audit again",
        ErrorNumber.INVALID_ARCHIVE_EXIF: _ORIENTATION,
        ErrorNumber.INVALID_IMAGE_EXIF: _ORIENTATION,
        ErrorNumber.ARCHIVE_THUMBNAIL: _THUMBNAIL,
        ErrorNumber.IMAGE_THUMBNAIL: _THUMBNAIL,
        ErrorNumber.INVALID_FILE_NAME: "rename the image after its image group",
    }
)
"""What is to be done about an error, for the one who keeps the work."""

"""Bags: reading, verifying, unpacking, comparing and making them (RFC 8493, BagIt 0.93 to 1.0).

No AWS, no Airflow, no ledger. Every byte of a bag is read once.
"""

from glacier_sync.bags.comparison import Differences, ExpectedFiles, compare, expected_files, holds_work
from glacier_sync.bags.defects import (
    ChecksumMismatch,
    DamagedZip,
    Defect,
    InvalidBagError,
    InvalidDeclaration,
    InvalidTagFile,
    MissingElement,
    MissingFile,
    NotABag,
    NotAZip,
    NoWork,
    OutsideBag,
    SameName,
    SpecialFile,
    StrayFile,
    UnfetchedFile,
    UnlistedFile,
    UnsafeName,
    UnsupportedAlgorithm,
    UnsupportedEntry,
    WrongOxum,
)
from glacier_sync.bags.errors import (
    BusyError,
    FolderError,
    NoSpaceError,
    PathError,
    UnreadableError,
    WorkExistsError,
    WriteError,
)
from glacier_sync.bags.making import make_bag_zip
from glacier_sync.bags.pool import Progress
from glacier_sync.bags.unbagging import UnbaggedWork, space_needed, unbag
from glacier_sync.bags.verification import BagReport, verify

__all__ = [
    "BagReport",
    "BusyError",
    "ChecksumMismatch",
    "DamagedZip",
    "Defect",
    "Differences",
    "ExpectedFiles",
    "FolderError",
    "InvalidBagError",
    "InvalidDeclaration",
    "InvalidTagFile",
    "MissingElement",
    "MissingFile",
    "NoSpaceError",
    "NoWork",
    "NotABag",
    "NotAZip",
    "OutsideBag",
    "PathError",
    "Progress",
    "SameName",
    "SpecialFile",
    "StrayFile",
    "UnbaggedWork",
    "UnfetchedFile",
    "UnlistedFile",
    "UnreadableError",
    "UnsafeName",
    "UnsupportedAlgorithm",
    "UnsupportedEntry",
    "WorkExistsError",
    "WriteError",
    "WrongOxum",
    "compare",
    "expected_files",
    "holds_work",
    "make_bag_zip",
    "space_needed",
    "unbag",
    "verify",
]

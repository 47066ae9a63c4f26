"""Ours as the others are: with what it writes left to the kernel, not flushed to the disk.

The others return before their files are on the disk, so that only this can be
compared with them; what flushing costs is the difference to ours as it is.
"""

from __future__ import annotations

from ctypes.util import find_library

from tests.bench.model import Environment

WITHOUT_FLUSHING: Environment = {"LD_PRELOAD": find_library("eatmydata") or ""}
NO_LIBRARY = "" if find_library("eatmydata") else "libeatmydata isn't there: install Debian's package libeatmydata1"

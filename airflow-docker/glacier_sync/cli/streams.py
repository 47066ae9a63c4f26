"""What a command stands on before it begins: its standard streams, and names of files in UTF-8."""

from __future__ import annotations

import os
import sys

_STANDARD_ERROR = 2


def open_standard_streams() -> None:
    """Open those of the standard streams that the caller has closed, on nothing.

    A file that is opened later would get the number of one, and be taken for it by
    every process that is started.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        os.set_inheritable(fd, True)  # noqa: FBT003 - it takes no keyword
    os.close(fd)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process


def require_utf8() -> None:
    """Start anew, once, where Python takes the names of files for another encoding than that of manifests."""
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - this very program

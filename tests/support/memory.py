"""How much memory a program takes."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

_SAMPLE_SECONDS = 0.02


def peak_memory(*command: str | Path) -> int:
    """Run a program that must succeed; return the most bytes that it and its children had at once.

    What several of them share counts once.
    """
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            # One that has just ended has no memory any more.
            with suppress(psutil.Error):
                all_of_them = [root, *root.children(recursive=True)]
                peak = max(peak, sum(each.memory_full_info().pss for each in all_of_them))
            time.sleep(_SAMPLE_SECONDS)
    assert process.returncode == 0
    return peak

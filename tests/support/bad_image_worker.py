"""A process that reads images as the audit's does, and that some images' names do harm to."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from glacier_sync.audit import image_worker
from glacier_sync.audit.image_facts import ImageFacts
from glacier_sync.audit.image_headers import examine


def examine_or_suffer(path: Path) -> ImageFacts:
    """Return an image's facts, unless its name says what to do instead."""
    if path.name.startswith("crash"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.name.startswith("hang"):
        time.sleep(60)
    if path.name.startswith("leave"):
        sys.exit(3)
    if path.name.startswith("killed") and not path.with_suffix(".told").exists():
        if path.name.startswith("killed once"):
            path.with_suffix(".told").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return examine(path)


if __name__ == "__main__":
    image_worker.main(examine_or_suffer)

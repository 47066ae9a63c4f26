"""The process that reads images for an audit: paths come in, each one's facts go out.

It is a process of its own so that whatever an image does to Pillow (a crash, a
loop, gigabytes) is done to this process, and several of them use several cores
wherever they are started, also where multiprocessing isn't possible.

Standard input: paths, each ended by a zero byte. Standard output: an empty line
when it is ready, then a line of JSON for each path.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from glacier_sync.audit.image_facts import ImageFacts
from glacier_sync.audit.image_headers import examine

_MOST_MEMORY = 256 * 1024**2


def main(read: Callable[[Path], ImageFacts] = examine) -> None:
    """Answer paths until there are no more."""
    # Ctrl-C goes to the whole group; whoever started this process ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = sys.stdout.buffer
    answers.write(b"\n")
    answers.flush()
    for path in _paths():
        answers.write(read(path).as_line())
        answers.flush()


def _paths() -> Iterator[Path]:
    rest = b""
    while block := os.read(sys.stdin.fileno(), 65536):
        *paths, rest = (rest + block).split(b"\0")
        yield from (Path(os.fsdecode(path)) for path in paths)


if __name__ == "__main__":
    main()

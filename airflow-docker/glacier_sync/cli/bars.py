"""How far a command has come: bars on a terminal, lines elsewhere, both on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from glacier_sync.cli import output
from glacier_sync.progress import Progress, ProgressLines


@contextmanager
def progress_shown() -> Iterator[Callable[[str], Progress]]:
    """Give a maker of progress callbacks, each with its title."""
    if not sys.stderr.isatty():
        yield _lines
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    # What goes to a file or a pipe must not end up among the bars.
    to_terminal = sys.stdout.isatty()
    with Bars(*columns, console=Console(stderr=True), transient=True, redirect_stdout=to_terminal) as bars:

        def bar(title: str) -> Progress:
            task = bars.add_task(output.shown(title), total=None)
            return lambda done, in_all: bars.update(task, completed=done, total=in_all)

        yield bar


def _lines(title: str) -> Progress:
    return ProgressLines(lambda text: output.line(f"{title}: {text}", error=True))

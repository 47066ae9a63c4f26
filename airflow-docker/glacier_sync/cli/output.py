"""How facts are printed: one JSON document, or lines and tables for a person."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from glacier_sync.errors import GlacierSyncError
from glacier_sync.pipeline.context import PacedProgress

log = logging.getLogger(__name__)

Json = Annotated[bool, typer.Option("--json", help="Print the facts as one JSON document.")]
Advance = Callable[[int, int], None]

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it: 128 and SIGINT's number."""

_LINE_EVERY = timedelta(seconds=30)
_ANY_WIDTH = 1_000_000


def print_json(facts: Any) -> None:
    """Print facts as one JSON document; names that aren't UTF-8 keep their bytes, escaped."""
    json.dump(facts, sys.stdout, default=_plain, indent=2)
    sys.stdout.write("\n")
    sys.stdout.flush()


def line(text: str, *, error: bool = False) -> None:
    """Print one line, as ``shown`` shows it."""
    stream = sys.stderr if error else sys.stdout
    stream.write(shown(text) + "\n")
    stream.flush()


def shown(text: str) -> str:
    """Return text with control characters other than tabs, and bytes that aren't UTF-8, escaped."""
    return "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def tell_interrupted() -> None:
    """Say that Ctrl-C has ended the command, and leave the terminal as it was."""
    Console(stderr=True).show_cursor()
    line("glacier-sync: interrupted; run it again to go on", error=True)


class LogLines(logging.Handler):
    """Shows what is logged on standard error: one line for each text, without traceback, and no text twice."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        text = record.getMessage()
        if text not in self._told:
            self._told.add(text)
            line(f"glacier-sync: {text}", error=True)


class Errors:
    """The errors of a command that goes on with its next argument after one."""

    def __init__(self) -> None:
        self._found: list[GlacierSyncError] = []

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell the error that the block ends with, and keep it for the exit status."""
        try:
            yield
        except GlacierSyncError as error:
            log.debug("what was met:", exc_info=True)
            line(f"glacier-sync: {error.message}", error=True)
            self._found.append(error)

    def exit_status(self, *, failed: bool) -> int:
        """Return 1 if something failed for good, else what the errors say, else 0."""
        statuses = {error.exit_status for error in self._found}
        return 1 if failed or 1 in statuses else max(statuses, default=0)

    def __bool__(self) -> bool:
        return bool(self._found)


def local(moment: datetime) -> str:
    """Return a moment as the machine's local time, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def table(*headings: str) -> Table:
    """Return an empty table with these headings."""
    return Table(*headings, box=None, pad_edge=False, header_style="bold")


def print_table(rows: Table) -> None:
    """Print a table, as wide as the terminal, or a line for each row elsewhere."""
    on_terminal = sys.stdout.isatty()
    console = Console(width=None if on_terminal else _ANY_WIDTH, markup=False, emoji=False, highlight=False)
    if on_terminal:
        console.print(rows)
        return
    with console.capture() as capture:
        console.print(rows)
    for row in capture.get().splitlines():
        line(row.rstrip())


@contextmanager
def progress_shown() -> Iterator[Callable[[str], Advance]]:
    """Give a maker of progress callbacks: bars on a terminal, lines elsewhere, both on standard error."""
    if not sys.stderr.isatty():
        yield lambda title: PacedProgress(_lines(title), _LINE_EVERY)
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
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=to_terminal) as bars:

        def bar(title: str) -> Advance:
            task = bars.add_task(shown(title), total=None)
            return lambda done, in_all: bars.update(task, completed=done, total=in_all)

        yield bar


def _lines(title: str) -> Advance:
    def show(done: int, in_all: int) -> None:
        line(f"{title}: {done / 2**20:,.0f} of {in_all / 2**20:,.0f} MiB", error=True)

    return show


def _plain(fact: Any) -> Any:
    if dataclasses.is_dataclass(fact) and not isinstance(fact, type):
        return {field.name: getattr(fact, field.name) for field in dataclasses.fields(fact)}
    if isinstance(fact, datetime):
        return fact.isoformat()
    if isinstance(fact, Path | Enum):
        return str(fact)
    if isinstance(fact, Mapping):
        return dict(fact)
    if isinstance(fact, set | frozenset | tuple):
        return list(fact)
    raise TypeError(f"{type(fact).__name__} can't be printed as JSON")

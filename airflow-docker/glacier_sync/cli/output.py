"""How facts are printed: one JSON document, or lines and tables for a person."""

from __future__ import annotations

import dataclasses
import json
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

from glacier_sync.pipeline.context import PacedProgress

Json = Annotated[bool, typer.Option("--json", help="Print the facts as one JSON document.")]
Advance = Callable[[int, int], None]

_LINE_EVERY = timedelta(seconds=30)


def print_json(facts: Any) -> None:
    """Print facts as one JSON document; names that aren't UTF-8 keep their bytes, escaped."""
    json.dump(facts, sys.stdout, default=_plain, indent=2)
    sys.stdout.write("\n")


def line(text: str, *, error: bool = False) -> None:
    """Print one line; control characters, and bytes that aren't UTF-8, are shown escaped."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    stream = sys.stderr if error else sys.stdout
    stream.write(shown + "\n")
    stream.flush()


def local(moment: datetime) -> str:
    """Return a moment as the machine's local time, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def table(*headings: str) -> Table:
    """Return an empty table with these headings."""
    return Table(*headings, box=None, pad_edge=False, header_style="bold")


def print_table(rows: Table) -> None:
    """Print a table, as wide as the terminal, or as wide as it needs to be elsewhere."""
    console = Console(width=None if sys.stdout.isatty() else 200, soft_wrap=False)
    console.print(rows)


@contextmanager
def progress_shown() -> Iterator[Callable[[str], Advance]]:
    """Give a maker of progress callbacks: bars on a terminal, lines elsewhere, both on standard error."""
    if not sys.stderr.isatty():
        yield lambda title: PacedProgress(_lines(title), _LINE_EVERY)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def bar(title: str) -> Advance:
            task = bars.add_task(title, total=None)
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

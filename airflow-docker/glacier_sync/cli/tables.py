"""Tables on a terminal, and a line for each row elsewhere."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from glacier_sync.cli import output

_ANY_WIDTH = 1_000_000


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
        output.line(row.rstrip())

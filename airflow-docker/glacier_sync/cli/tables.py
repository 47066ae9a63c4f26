"""Tables on a terminal, and a line for each row elsewhere."""

from __future__ import annotations

import sys
from io import StringIO

from rich.console import Console
from rich.table import Table

from glacier_sync.cli import output

_ANY_WIDTH = 1_000_000


def table(*headings: str) -> Table:
    """Return an empty table with these headings."""
    return Table(*headings, box=None, pad_edge=False, header_style="bold")


def print_table(rows: Table) -> None:
    """Print a table, as wide as the terminal, or a line for each row elsewhere."""
    if sys.stdout.isatty():
        Console(markup=False, emoji=False, highlight=False).print(rows)
        return
    text = StringIO()
    Console(file=text, width=_ANY_WIDTH, markup=False, emoji=False, highlight=False).print(rows)
    for row in text.getvalue().splitlines():
        output.line(row.rstrip())

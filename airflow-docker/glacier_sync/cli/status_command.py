"""``status``: where works stand. It is called often, so it imports little."""

from __future__ import annotations

from typing import Annotated

import typer

from glacier_sync.cli import output, standing
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Ledger
from glacier_sync.settings import load_settings


def status(
    work: Annotated[str | None, typer.Argument(help="A work's RID, or an object's key.", show_default=False)] = None,
    json: output.Json = False,
) -> int:
    """Tell where works stand, and why.

    Without a work: a line for each object. With one: its whole history, with what
    was done by hand.

    Example: glacier-sync status W1NLM4700
    """
    with Ledger.open(load_settings()) as ledger:
        items = ledger.find(work) if work else ledger.objects()
        remarks = ledger.remarks(work) if work else []
        if work and not items and not remarks:
            raise ConfigurationError(f"the ledger doesn't know {work!r}: expected a work's RID or an object's key")
        if json:
            found = [standing.facts(ledger, item, history=work is not None) for item in items]
            output.print_json([*([{"name": work, "events": remarks}] if remarks else []), *found])
        elif work:
            standing.print_remarks(work, remarks)
            for item in items:
                standing.print_history(ledger, item)
        else:
            standing.print_overview(items)
    return 0

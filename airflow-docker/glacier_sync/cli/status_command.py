"""``status``: where works stand. It is called often, so it imports little."""

from __future__ import annotations

from typing import Annotated

import typer

from glacier_sync.cli import output, standing
from glacier_sync.cli.configured import configured
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Ledger
from glacier_sync.settings import Settings
from glacier_sync.works import InvalidRidError, archive_path


def status(
    work: Annotated[str | None, typer.Argument(help="A work's RID, or an object's key.", show_default=False)] = None,
    json: output.Json = False,
) -> int:
    """Tell where works stand, and why.

    Without a work: a line for each object. With one: its whole history, with what
    was done by hand.

    Example: glacier-sync status W1NLM4700
    """
    settings = configured()
    with Ledger.open(settings) as ledger:
        items = ledger.objects() if work is None else ledger.find(work)
        remarks = [] if work is None else ledger.remarks(work)
        if work is not None and not items and not remarks:
            raise _unknown(settings, work)
        if json:
            found = [standing.facts(ledger, item, history=work is not None) for item in items]
            output.print_json([*([{"name": work, "events": remarks}] if remarks else []), *found])
        elif work is not None:
            standing.print_remarks(work, remarks)
            for item in items:
                standing.print_history(ledger, item)
        else:
            standing.print_overview(items, ledger.lapses())
    return 0


def _unknown(settings: Settings, name: str) -> ConfigurationError:
    """Return the error for a name that the ledger doesn't know; a work can be in the archive all the same."""
    unknown = f"the ledger doesn't know {name!r}"
    expected = "expected a work's RID or an object's key"
    try:
        place = archive_path(settings.archive_parent, name)
        if place.is_dir():
            return ConfigurationError(
                f"{unknown}, but the archive has {place}, which came another way: expected a work that was restored "
                f"or synced here; look at it with glacier-sync audit {name}"
            )
        if place.parent.parent.is_dir():
            return ConfigurationError(f"{unknown}, and the archive has no {place}: {expected}; correct the name")
    except (InvalidRidError, OSError):
        # No work can be named so, or the archive is away: nothing can be told of it.
        pass
    return ConfigurationError(f"{unknown}: {expected}; correct the name")

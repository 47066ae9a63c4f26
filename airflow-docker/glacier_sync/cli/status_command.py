"""``status``: where works stand. It is called often, so it imports little."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glacier_sync.cli import output, standing
from glacier_sync.cli.configured import configured
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Ledger
from glacier_sync.pipeline.named import objects_named
from glacier_sync.settings import Settings
from glacier_sync.works import InvalidRidError, archive_path

Work = Annotated[
    str | None, typer.Argument(help="A work's RID, an object's key, or its number as '#12'.", show_default=False)
]


def status(
    work: Work = None,
    json: output.Json = False,
) -> int:
    """Tell where works stand, and why.

    Without a work: a line for each object. With one: its whole history, with what
    was done by hand.

    Example: glacier-sync status W1NLM4700
    """
    settings = configured()
    with Ledger.open(settings) as ledger:
        items = ledger.objects() if work is None else objects_named(ledger, work)
        remarks = [] if work is None else ledger.remarks(work)
        if work is not None and not items and not remarks:
            raise _unknown(settings, work)
        archived = _archived(settings, work) if work is not None and remarks else None
        if json:
            found = [standing.facts(ledger, item, history=work is not None) for item in items]
            by_hand = [{"name": work, "archived": archived, "events": remarks}] if remarks else []
            output.print_json([*by_hand, *found])
        elif work is not None:
            standing.print_remarks(work, remarks, archived)
            for item in items:
                standing.print_history(ledger, item)
        else:
            standing.print_overview(items, ledger.lapses())
    return 0


def _unknown(settings: Settings, name: str) -> ConfigurationError:
    """Return the error for a name that the ledger doesn't know; a work can be in the archive all the same."""
    unknown = f"the ledger doesn't know {name!r}"
    expected = "expected a work's RID, an object's key, or its number as #12"
    if archived := _archived(settings, name):
        return ConfigurationError(
            f"{unknown}, but the archive has {archived}, which came another way: expected a work that was restored "
            f"or synced here; look at it with glacier-sync audit {name}"
        )
    place = _place(settings, name)
    if place and _is_there(place.parent.parent):
        return ConfigurationError(f"{unknown}, and the archive has no {place}: {expected}; correct the name")
    return ConfigurationError(f"{unknown}: {expected}; correct the name")


def _archived(settings: Settings, name: str) -> Path | None:
    """Return a work's place in the archive, if it is seen there."""
    place = _place(settings, name)
    return place if place and _is_there(place) else None


def _place(settings: Settings, name: str) -> Path | None:
    try:
        return archive_path(settings.archive_parent, name)
    except InvalidRidError:
        return None


def _is_there(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:
        # The archive is away: nothing can be told of it.
        return False

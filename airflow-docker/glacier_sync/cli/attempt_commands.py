"""``retry`` and ``forget``: what an operator decides about works that have failed."""

from __future__ import annotations

from typing import Annotated

import typer

from glacier_sync.cli import output
from glacier_sync.cli.configured import configured
from glacier_sync.ledger import Ledger, Run
from glacier_sync.pipeline import attempts
from glacier_sync.pipeline.report import report

Works = Annotated[
    list[str], typer.Argument(help="Works' RIDs, objects' keys, or objects' numbers, as '#12'.", show_default=False)
]


def retry(works: Works, json: output.Json = False) -> int:
    """Try anew what has failed: the next run takes it up from the download on.

    Of each key the newest version is meant, and by a number (see `status`) one
    object. What has been synced meanwhile, or is on its way, is refused, and nothing
    is changed then. `status` keeps the history of every attempt.

    Example: glacier-sync retry W1NLM4700
    """
    with Ledger.open(configured()) as ledger:
        items = attempts.retry(ledger, works, Run.by_hand())
    if json:
        output.print_json([report(item) for item in items])
    for item in () if json else items:
        output.line(f"attempt {item.attempt}  {item.key}: {item.phase}, a later run takes it up")
    return 0


def forget(
    works: Works,
    reason: Annotated[str, typer.Option("--reason", help="Why it is hopeless; it is recorded.", show_default=False)],
    json: output.Json = False,
) -> int:
    """Take what is hopeless off the list of what is to be done; its history stays.

    All versions that aren't synced are meant, and by a number (see `status`) one
    object. It is recorded who did it, when and why. `retry` puts it back on the list.

    Example: glacier-sync forget W1NLM4700 --reason "the disc is lost, ticket 812"
    """
    with Ledger.open(configured()) as ledger:
        items = attempts.forget(ledger, works, Run.by_hand(), reason)
    if json:
        output.print_json([report(item) for item in items])
    for item in () if json else items:
        output.line(f"forgotten  {item.key}")
    return 0

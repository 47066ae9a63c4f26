"""``sync``, ``fixity``, ``diff`` and ``sync-options``: steps by hand, and what they would do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from glacier_sync.cli import output, tables
from glacier_sync.cli.bars import progress_shown
from glacier_sync.cli.configured import configured
from glacier_sync.cli.paths import given_path
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Ledger
from glacier_sync.pipeline import destination
from glacier_sync.pipeline.by_hand import ByHand, require_unpacked
from glacier_sync.pipeline.destination import Destination, Standing
from glacier_sync.pipeline.fixity import FixityReport
from glacier_sync.pipeline.judging import WorkResult
from glacier_sync.sync import SyncOptions, load_options, site_options
from glacier_sync.works import given_rid

Folders = Annotated[list[Path], typer.Argument(help="Unpacked works: paths.", parser=given_path, show_default=False)]


def sync(works: Folders, json: output.Json = False) -> int:
    """Audit and sync unpacked works into the archive, as the DAG does.

    What one work meets keeps no other from its result. Exit status 3: nothing
    failed, and something is to be tried again later. The ledger records it.

    Example: glacier-sync unbag W1.bag.zip --to staging && glacier-sync sync staging/W1
    """
    with _by_hand() as by_hand:
        results = by_hand.sync(works)
    if json:
        output.print_json([_result_facts(result) for result in results])
    for result in () if json else results:
        output.line(_in_a_line(result))
    statuses = {result.unsettled.exit_status for result in results if result.unsettled}
    return 1 if any(result.failure for result in results) else max(statuses, default=0)


def _result_facts(result: WorkResult) -> dict[str, Any]:
    unsettled = result.unsettled.message if result.unsettled else None
    return {"rid": result.rid, "audit": result.audit, "failure": result.failure, "unsettled": unsettled}


def _in_a_line(result: WorkResult) -> str:
    if result.failure:
        return f"FAILED   {result.failure}"
    return f"later    {result.unsettled}" if result.unsettled else f"synced   {result.rid}: audit {result.audit}"


def fixity(
    works: Annotated[list[str], typer.Argument(help="Works: RIDs, or paths.", show_default=False)],
    json: output.Json = False,
) -> int:
    """Compare archived works with their bags' manifests; every difference is listed.

    The ledger records it.

    Example: glacier-sync fixity W1NLM4700
    """
    reports: list[FixityReport] = []
    errors = output.Errors()
    with _by_hand() as by_hand:
        for work in works:
            with errors.told():
                found = by_hand.fixity(work)
                reports.append(found)
                for text in () if json else _fixity_lines(found):
                    output.line(text)
    if json:
        output.print_json([_fixity_facts(found) for found in reports])
    return errors.exit_status(failed=not all(found.intact for found in reports))


def _fixity_lines(found: FixityReport) -> list[str]:
    if found.intact:
        return [f"intact     {found.rid}: {found.path}"]
    return [f"DIFFERENT  {found.rid}: {found.path}", *(f"  {line}" for line in destination.lines(found.differences))]


def _fixity_facts(found: FixityReport) -> dict[str, Any]:
    return {"work": found.rid, "path": found.path, "intact": found.intact, "differences": found.differences}


def diff(works: Folders, json: output.Json = False) -> int:
    """Compare unpacked works with what the archive has in their place, and change nothing.

    Exit status 1: the archive has a different one, which a sync would refuse, or
    replace if the site has set sync.replace. Missing and added files are the
    archive's.

    Example: glacier-sync diff staging/W1NLM4700
    """
    settings = configured()
    found: dict[str, Destination] = {}
    errors = output.Errors()
    with progress_shown() as progress:
        for work in (work.absolute() for work in works):
            with errors.told():
                given_rid(work.name)
                require_unpacked(work)
                found[str(work)] = destination.examine(settings, work, progress=progress(work.name))
                for text in () if json else _diff_lines(found[str(work)]):
                    output.line(text)
    if json:
        output.print_json([_diff_facts(work, examined) for work, examined in found.items()])
    return errors.exit_status(failed=any(place.standing is Standing.DIFFERENT for place in found.values()))


def _diff_lines(found: Destination) -> list[str]:
    standing = "DIFFERENT" if found.standing is Standing.DIFFERENT else str(found.standing)
    return [f"{standing:10} {found.path}", *(f"  {line}" for line in destination.lines(found.differences))]


def _diff_facts(work: str, found: Destination) -> dict[str, Any]:
    return {"work": work, "path": found.path, "standing": found.standing, "differences": found.differences}


def sync_options(
    works: Annotated[
        list[Path] | None,
        typer.Argument(help="Unpacked works: paths. None: any without options of its own.", parser=given_path),
    ] = None,
    json: output.Json = False,
) -> int:
    """Print the options of audit and sync, and where each comes from.

    Example: glacier-sync sync-options staging/W1NLM4700
    """
    settings = configured()
    options: dict[str, SyncOptions] = {}
    errors = output.Errors()
    for work in works or []:
        with errors.told():
            if not work.is_dir():
                raise ConfigurationError(f"{work} isn't a folder: expected an unpacked work; correct the path")
            options[str(work)] = load_options(work.absolute(), settings.site_config_dir)
    if not works:
        options["any work"] = site_options(settings.site_config_dir)
    if json:
        output.print_json([{"work": work, "options": _options_facts(found)} for work, found in options.items()])
    for title, found in () if json else options.items():
        output.line(f"{title}:")
        _print_options(found)
    return errors.exit_status(failed=False)


def _options_facts(options: SyncOptions) -> dict[str, Any]:
    return {key: {"value": options.value(key), "from": origin} for key, origin in options.origin.items()}


def _print_options(options: SyncOptions) -> None:
    rows = tables.table("key", "value", "from")
    for key, origin in options.origin.items():
        value = options.value(key)
        text = str(value).lower() if isinstance(value, bool) else " ".join(value) or "nothing"
        rows.add_row(*map(output.shown, (key, text, origin)))
    tables.print_table(rows)


@contextmanager
def _by_hand() -> Iterator[ByHand]:
    settings = configured()
    settings.make_home()
    with Ledger.open(settings) as ledger, progress_shown() as progress:
        yield ByHand(settings, ledger, datetime.now(UTC), progress)

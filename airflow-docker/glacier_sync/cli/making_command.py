"""``bag``: zipped bags of works, as they are deposited."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from glacier_sync import bags
from glacier_sync.cli import output
from glacier_sync.cli.bars import progress_shown
from glacier_sync.cli.paths import given_path
from glacier_sync.errors import ConfigurationError
from glacier_sync.works import BAG_SUFFIX, given_rid


def bag(
    works: Annotated[list[Path], typer.Argument(help="Works: directories.", parser=given_path, show_default=False)],
    to: Annotated[
        Path, typer.Option("--to", help="The folder that the zips are put in.", parser=given_path, show_default=False)
    ],
    json: output.Json = False,
) -> int:
    """Make a zipped bag of each work: <Work>.bag.zip; print the works with their zips.

    The same work makes the same bytes, whenever and wherever. A zip that is there
    already stays as it is, and must be the same bag.

    Example: glacier-sync bag /mnt/Archive0/00/W1NLM4700 --to /mnt/deposit
    """
    if not to.is_dir():
        raise ConfigurationError(f"{to} isn't there: expected a folder to put the zips in; make it first")
    # "." has a name too, and a link its own.
    folders = [Path(os.path.abspath(work)) for work in works]  # noqa: PTH100 - resolve would follow a link
    for folder in folders:
        _require_name(folder.name)
    made: list[bags.MadeBag] = []
    errors = output.Errors()
    with progress_shown() as progress:
        for folder in folders:
            with errors.told():
                zip_path = to / f"{folder.name}{BAG_SUFFIX}.zip"
                found = bags.make_bag_zip([folder], zip_path, progress=progress(folder.name))
                made.append(found)
                if not json:
                    _print(found)
    if json:
        output.print_json(made)
    return errors.exit_status(failed=bool(made and errors))


def _require_name(name: str) -> None:
    if "." in given_rid(name):
        raise ConfigurationError(
            f"{name} can't be told from its bag's name: expected a work's name without a dot; rename the work"
        )


def _print(found: bags.MadeBag) -> None:
    (work,) = found.works
    output.line(f"{work}\t{found.path}" + ("" if found.made else "\tthe same was there already"))

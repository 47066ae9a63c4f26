"""``verify`` and ``unbag``: bags on this machine, without ledger or AWS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from glacier_sync import bags
from glacier_sync.cli import output
from glacier_sync.cli.bars import progress_shown
from glacier_sync.cli.configured import configured
from glacier_sync.cli.paths import given_path
from glacier_sync.errors import ConfigurationError

Paths = Annotated[list[Path], typer.Argument(help="Bags: directories or zips.", parser=given_path, show_default=False)]


def verify(paths: Paths, json: output.Json = False) -> int:
    """Check bags, directories or zips, without unpacking: every defect found is listed.

    Example: glacier-sync verify W1NLM4700.bag.zip W2.bag
    """
    settings = configured()
    for path in paths:
        _require(path)
    reports: list[bags.BagReport] = []
    errors = output.Errors()
    with progress_shown() as progress:
        for path in paths:
            with errors.told():
                found = bags.verify(
                    path,
                    workers=settings.workers,
                    progress=progress(path.name),
                    warnings_as_errors=settings.warnings_as_errors,
                )
                reports += found
                for report in () if json else found:
                    _print_report(report)
    if json:
        output.print_json([bags.report_facts(report) for report in reports])
    return errors.exit_status(failed=any(report.defects for report in reports))


def unbag(
    zips: Annotated[list[Path], typer.Argument(help="Zipped bags.", parser=given_path, show_default=False)],
    to: Annotated[
        Path, typer.Option("--to", help="The folder that the works are put in.", parser=given_path, show_default=False)
    ],
    plain: Annotated[bool, typer.Option("--plain", help="Take zips of works without a bag too, unproven.")] = False,
    json: output.Json = False,
) -> int:
    """Unpack zipped bags, verified; print the works with their paths.

    An invalid bag leaves nothing behind, and the others are unpacked all the same.

    Example: glacier-sync unbag W1NLM4700.bag.zip --to /mnt/staging
    """
    settings = configured()
    for path in zips:
        _require(path)
    if not (_exists(to) and to.is_dir()):
        raise ConfigurationError(f"{to} isn't there: expected a folder to unpack to; make it first")
    works: list[bags.UnbaggedWork] = []
    errors = output.Errors()
    with progress_shown() as progress:
        for path in zips:
            with _all_told(errors):
                found = bags.unbag(
                    path,
                    to,
                    workers=settings.workers,
                    progress=progress(path.name),
                    warnings_as_errors=settings.warnings_as_errors,
                    plain=plain,
                )
                works += found
                for work in () if json else found:
                    output.line(f"{work.rid}\t{work.path}")
                    if not work.proven:
                        output.line(f"glacier-sync: {work.rid} isn't proven: it came without a bag", error=True)
                for warning in () if json else dict.fromkeys(w for work in found for w in work.warnings):
                    output.line(f"glacier-sync: warning: {warning}", error=True)
    if json:
        output.print_json([bags.work_facts(work) for work in works])
    return errors.exit_status(failed=bool(works and errors))


@contextmanager
def _all_told(errors: output.Errors) -> Iterator[None]:
    """Tell an error as ``errors`` does, and of an invalid bag every defect."""
    further: tuple[bags.Defect, ...] = ()
    with errors.told():
        try:
            yield
        except bags.InvalidBagError as error:
            further = error.further_defects
            raise
    for defect in further:
        output.line(f"  {defect}", error=True)


def _require(path: Path) -> None:
    if not _exists(path):
        raise ConfigurationError(f"{path} doesn't exist: expected a bag, a directory or a zip; correct the path")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be looked at ({error.strerror}): expected a path that this user may read; correct it"
        ) from error


def _print_report(report: bags.BagReport) -> None:
    if report.defects:
        output.line(f"INVALID  {report.path}: bag {report.name}: {bags.number_of(report.defects)} defect(s)")
    else:
        works = f"works: {', '.join(report.works)}" if report.works else "it holds no work"
        output.line(
            f"valid    {report.path}: bag {report.name}: {works}; {report.files:,} files, "
            f"{report.bytes:,} bytes, {', '.join(sorted(report.algorithms))}"
        )
    for defect in report.defects:
        output.line(f"  {defect}")
    for warning in report.warnings:
        output.line(f"  warning: {warning}")

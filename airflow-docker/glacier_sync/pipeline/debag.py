"""The stage ``debag_downloads``: a zip of bags to verified works in the working folder.

A zip called ``*.bag.zip`` has to hold bags. Any other may hold works without one:
they are recorded as not proven.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from glacier_sync import bags
from glacier_sync.errors import PermanentError, TransientError
from glacier_sync.ledger import LedgerObject, Phase, Way, WorkFacts
from glacier_sync.pipeline import watched, working
from glacier_sync.pipeline.archive import require_archive
from glacier_sync.pipeline.context import Context
from glacier_sync.pipeline.outcome import Done
from glacier_sync.pipeline.room import require_possible
from glacier_sync.pipeline.stage import Stage
from glacier_sync.works import BAG_SUFFIX

_LISTED = 20


class InvalidDownloadError(PermanentError):
    """The object isn't a valid zip of bags with works."""


class DownloadMissingError(TransientError):
    """The zip isn't on this disk: another host downloaded it, or somebody removed it."""


def _debag(context: Context, item: LedgerObject) -> Done:
    settings = context.settings
    if item.phase is Phase.DEBAGGED and working.unbagged_works(settings, item):
        return Done(f"{item.key} is unbagged already")
    zip_path = working.zip_path(settings, item)
    if not zip_path.exists():
        raise DownloadMissingError(
            f"{zip_path} isn't there: expected the zip of {item.key}; the next run fetches it again"
        )
    require_archive(context, item)
    folder = working.unbagged_dir(settings, item)
    folder.mkdir(parents=True, exist_ok=True)
    works = _unbagged(context, item, zip_path, folder)
    if item.way is Way.FOLDER:
        watched.require_unchanged(item)
    context.ledger.set_works(item.id, context.run, [WorkFacts(work.rid, work.files, work.bytes) for work in works])
    if item.phase is not Phase.DEBAGGED:
        context.ledger.advance(
            item.id,
            context.run,
            Phase.DEBAGGED,
            _in_short(works),
            {
                "files": sum(work.files for work in works),
                "bytes": sum(work.bytes for work in works),
                "proven": all(work.proven for work in works),
                **_warnings(works),
            },
        )
    return Done(f"{item.key} is unbagged", {"works": [work.rid for work in works]})


def _unbagged(context: Context, item: LedgerObject, zip_path: Path, folder: Path) -> Sequence[bags.UnbaggedWork]:
    settings = context.settings
    try:
        return bags.unbag(
            zip_path,
            folder,
            workers=settings.workers,
            progress=context.progress(DEBAG.name, item.id),
            keep_free=settings.keep_free_mib * working.MIB,
            replace=True,
            warnings_as_errors=settings.warnings_as_errors,
            plain=not _must_be_bag(item),
        )
    except bags.NoSpaceError as error:
        if error.needed is not None:
            require_possible(context, item, error.needed)
        raise
    except bags.InvalidBagError as error:
        if item.way is Way.FOLDER:
            watched.require_unchanged(item)
        kind = "bag" if _must_be_bag(item) else "zip of works"
        listing = _write_report(working.kept_dir(settings, item), error)
        files = dict.fromkeys(map(_in_words, error.defects))
        more = f", and {len(files) - 1} more" if len(files) > 1 else ""
        raise InvalidDownloadError(
            f"{item.key} isn't a valid {kind}: {next(iter(files))}{more}; all is listed in {listing}; "
            f"replace the {kind} by a whole one and {_again(item)}",
            cause="\n".join(map(str, error.defects[:_LISTED])),
        ) from error


def _must_be_bag(item: LedgerObject) -> bool:
    return item.key.endswith(f"{BAG_SUFFIX}.zip")


def _in_short(works: Sequence[bags.UnbaggedWork]) -> str:
    names = ", ".join(work.rid for work in works)
    if all(work.proven for work in works):
        return f"verified and unbagged: {names}"
    return f"unzipped: {names}; not proven: there is no bag, only the zip's own checksums"


def _again(item: LedgerObject) -> str:
    return f"put that into {item.bucket}" if item.way is Way.FOLDER else "restore that"


def _warnings(works: Sequence[bags.UnbaggedWork]) -> dict[str, object]:
    """Return the works' warnings as details of an event: how many, and the first."""
    warnings = list(dict.fromkeys(str(warning) for work in works for warning in work.warnings))
    return {"warnings": len(warnings), "first_warnings": warnings[:_LISTED]} if warnings else {}


def _write_report(folder: Path, error: bags.InvalidBagError) -> Path:
    """Keep an invalid bag's report, as JSON and as text; return the text's path."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = json.dumps(bags.error_facts(error), indent=2)
    (folder / "defects.json").write_text(f"{facts}\n", encoding="utf-8")
    listing = folder / "defects.txt"
    listing.write_text(bags.error_text(error), encoding="utf-8", errors="backslashreplace")
    return listing


def _in_words(defect: bags.Defect) -> str:
    if isinstance(defect, bags.ChecksumMismatch):
        return f"{PurePosixPath(defect.path).name} isn't the file that was put into the bag (its checksum differs)"
    return str(defect)


DEBAG = Stage("debag_downloads", _debag)

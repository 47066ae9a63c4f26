"""The stage ``download_from_messages``: S3 to a verified zip in the working folder."""

from __future__ import annotations

from pathlib import Path

from glacier_sync.aws import Download, ObjectFacts, ObjectStore, RestoreExpiredError
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import LedgerObject, Phase
from glacier_sync.pipeline import working
from glacier_sync.pipeline.archive import require_archive
from glacier_sync.pipeline.context import Context
from glacier_sync.pipeline.outcome import Done, Waiting
from glacier_sync.pipeline.restore import await_copy
from glacier_sync.pipeline.room import require_space
from glacier_sync.pipeline.stage import Stage
from glacier_sync.settings import IntakeQueue, load_intake


def _download(context: Context, item: LedgerObject) -> Done | Waiting:
    settings = context.settings
    working.prepare(settings)
    target = working.zip_path(settings, item)
    if item.phase is Phase.DEBAGGED and working.unbagged_works(settings, item):
        return Done(f"{item.key} is unbagged already")
    if item.phase is not Phase.RESTORED and target.exists():
        return Done(f"{item.key} is downloaded already")
    require_archive(context, item)
    queue = _queue_of(settings.intake, item, load_intake(settings.intake))
    store = ObjectStore.open(queue.region, queue.profile)
    download = _fetch(context, store, item, target)
    if download is None:
        return await_copy(context, queue, store, item, _head(store, item))
    size = download.path.stat().st_size
    facts = {"bytes": size, "verified by": download.verified, "not checked": download.unverified}
    if item.phase is Phase.RESTORED:
        message = f"{size:,} bytes downloaded, verified by {', '.join(download.verified) or 'their number'}"
        context.ledger.advance(item.id, context.run, Phase.DOWNLOADED, message, facts)
    else:
        context.ledger.note(item.id, context.run, f"downloaded again, {size:,} bytes: it wasn't on this disk", facts)
    return Done(f"{item.key} is downloaded")


def _fetch(context: Context, store: ObjectStore, item: LedgerObject, target: Path) -> Download | None:
    """Return the download, or None if the object has no restored copy (any more)."""
    settings = context.settings
    facts = _head(store, item)
    if not facts.readable:
        return None
    target.parent.mkdir(exist_ok=True)
    require_space(context, item, facts.size)
    try:
        return store.download(
            facts,
            target,
            streams=settings.download_streams,
            part_size=settings.download_part_mib * working.MIB,
            progress=context.progress(DOWNLOAD.name, item.id),
        )
    except RestoreExpiredError:
        return None


def _head(store: ObjectStore, item: LedgerObject) -> ObjectFacts:
    return store.head(item.bucket, item.key, item.version_id, etag=item.etag)


def _queue_of(path: Path, item: LedgerObject, queues: tuple[IntakeQueue, ...]) -> IntakeQueue:
    for queue in queues:
        if queue.name == item.queue:
            return queue
    raise ConfigurationError(
        f"{path} has no queue named {item.queue!r}, from which {item.key} came: "
        "its region and credentials are needed; put the queue back, or rename it there"
    )


DOWNLOAD = Stage("download_from_messages", _download)

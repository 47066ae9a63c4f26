"""The stage ``download_from_messages``: S3 to a verified zip in the working folder."""

from __future__ import annotations

from glacier_sync.aws import ObjectStore
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import LedgerObject, Phase
from glacier_sync.pipeline import working
from glacier_sync.pipeline.context import Context
from glacier_sync.pipeline.outcome import Done
from glacier_sync.pipeline.stage import Stage
from glacier_sync.settings import IntakeQueue, load_intake


def _download(context: Context, item: LedgerObject) -> Done:
    settings = context.settings
    working.prepare(settings)
    target = working.zip_path(settings, item)
    if item.phase is Phase.DEBAGGED and working.unbagged_works(settings, item):
        return Done(f"{item.key} is unbagged already")
    if not target.exists():
        _fetch(context, item)
    if item.phase is Phase.RESTORED:
        size = target.stat().st_size
        context.ledger.advance(
            item.id, context.run, Phase.DOWNLOADED, f"{size:,} bytes downloaded and verified", {"bytes": size}
        )
    return Done(f"{item.key} is downloaded")


def _fetch(context: Context, item: LedgerObject) -> None:
    settings = context.settings
    queue = _queue_of(settings.intake, item, load_intake(settings.intake))
    store = ObjectStore.open(queue.region, queue.profile)
    facts = store.head(item.bucket, item.key, item.version_id, etag=item.etag)
    target = working.zip_path(settings, item)
    target.parent.mkdir(exist_ok=True)
    working.require_space(settings, item, facts.size)
    store.download(
        facts,
        target,
        streams=settings.download_streams,
        part_size=settings.download_part_mib * working.MIB,
        progress=context.progress(DOWNLOAD.name, item.id),
    )


def _queue_of(path: object, item: LedgerObject, queues: tuple[IntakeQueue, ...]) -> IntakeQueue:
    for queue in queues:
        if queue.name == item.queue:
            return queue
    raise ConfigurationError(
        f"{path} has no queue named {item.queue!r}, from which {item.key} came: "
        "its region and credentials are needed; put the queue back, or rename it there"
    )


DOWNLOAD = Stage("download_from_messages", _download)

"""The archive, looked at before anything is written to the working folder for it."""

from __future__ import annotations

from glacier_sync.ledger import LedgerObject
from glacier_sync.pipeline import destination
from glacier_sync.pipeline.context import Context
from glacier_sync.sync import site_options


def require_archive(context: Context, item: LedgerObject) -> None:
    """Check that an object's works could be archived now, as far as they are known before it is unpacked.

    What waits for an archive that is away would take the room of what could go on.
    Raises what says that the archive, or what the site wants of it, can't be used now.
    """
    if not site_options(context.settings.site_config_dir).archive:
        return
    key_only = [item.rid] if item.rid else []
    for rid in [work.rid for work in item.works] or key_only:
        destination.require_writable_root(context.settings, rid)

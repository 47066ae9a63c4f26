"""The sync: what a site and a work want of it, and the bash that does it."""

from glacier_sync.sync.environment import bash_environment, starting_environment
from glacier_sync.sync.options import (
    SiteOptionsError,
    SyncOptions,
    WorkOptionsError,
    load_options,
    may_replace,
    site_options,
)
from glacier_sync.sync.script import (
    REFUSED,
    STOPPED,
    TRY_AGAIN_LATER,
    WorkSync,
    failure_line,
    machine_trouble,
    sync_script,
    work_listing,
    work_log,
)

__all__ = [
    "REFUSED",
    "STOPPED",
    "TRY_AGAIN_LATER",
    "SiteOptionsError",
    "SyncOptions",
    "WorkOptionsError",
    "WorkSync",
    "bash_environment",
    "failure_line",
    "load_options",
    "machine_trouble",
    "may_replace",
    "site_options",
    "starting_environment",
    "sync_script",
    "work_listing",
    "work_log",
]

"""The stages in order: what each DAG task and each command calls."""

from glacier_sync.ledger import Run
from glacier_sync.pipeline.context import Context, opened
from glacier_sync.pipeline.outcome import Done, Failed, Outcome, RetryLater, Waiting
from glacier_sync.pipeline.simulation import SimulatedFailures, simulated_failures
from glacier_sync.pipeline.tasks import (
    clear_retention_folder,
    debag_downloads,
    download_from_messages,
    feed_watched_folder,
    get_restored_object_messages,
    get_watched_files,
    judge_sync,
    plan_sync,
    record_failed_sync,
    synced_works,
    take_in_files,
)
from glacier_sync.settings import Settings, load_settings

__all__ = [
    "Context",
    "Done",
    "Failed",
    "Outcome",
    "RetryLater",
    "Run",
    "Settings",
    "SimulatedFailures",
    "Waiting",
    "clear_retention_folder",
    "debag_downloads",
    "download_from_messages",
    "feed_watched_folder",
    "get_restored_object_messages",
    "get_watched_files",
    "judge_sync",
    "load_settings",
    "opened",
    "plan_sync",
    "record_failed_sync",
    "simulated_failures",
    "synced_works",
    "take_in_files",
]

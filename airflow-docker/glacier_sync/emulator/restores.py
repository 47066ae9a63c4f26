"""Restores of archived objects, as Glacier does them: a while later, and told by an event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import Any
from urllib.parse import quote_plus

from moto.core.utils import iso_8601_datetime_with_milliseconds
from moto.moto_api import state_manager
from moto.s3 import notifications
from moto.s3.models import FakeBucket, FakeKey, s3_backends
from moto.s3.notifications import S3NotificationEvent

ONGOING = "IN_PROGRESS"
RESTORED = "RESTORED"

_MODEL = "s3::keyrestore"
_NEVER = 2**62


class Restores:
    """Completes the restores of one emulator, each ``delay`` seconds after it was asked for."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._stopped = Event()
        self._asked: SimpleQueue[tuple[float, FakeKey] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="restores", daemon=True)

    def start(self) -> None:
        """Begin. Moto's own clockwork, which moves with each look at an object, is put out of work."""
        state_manager.set_transition(_MODEL, {"progression": "manual", "times": _NEVER})
        self._thread.start()

    def stop(self) -> None:
        """End; restores that aren't done stay so."""
        self._stopped.set()
        self._asked.put(None)
        self._thread.join()

    def ask(self, key: FakeKey, days: int) -> int:
        """Start a restore, or move an expiry; returns the HTTP status that S3 answers with."""
        if key.status == ONGOING:
            return 409
        first = key.status != RESTORED
        key.set_expiry(_expiry(days))
        if first:
            key.status = ONGOING
            _announce(key, S3NotificationEvent.OBJECT_RESTORE_POST_EVENT)
            self._asked.put((monotonic() + self._delay, key))
        return 202 if first else 200

    def _work(self) -> None:
        # All take equally long, so they end in the order they were asked for.
        while (asked := self._asked.get()) is not None:
            due, key = asked
            if self._stopped.wait(max(0.0, due - monotonic())):
                return
            if not key.disposed:
                key.status = RESTORED
                _announce(key, S3NotificationEvent.OBJECT_RESTORE_COMPLETED_EVENT)


def _expiry(days: int) -> datetime:
    """Return when a copy asked for now expires: the next midnight, UTC, after so many days; naive, as moto has it."""
    end = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=days)
    midnight = end.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if midnight == end else midnight + timedelta(days=1)


def _bucket(key: FakeKey) -> FakeBucket:
    bucket: FakeBucket = s3_backends[key.account_id][key.partition].get_bucket(str(key.bucket_name))
    return bucket


def _announce(key: FakeKey, event: S3NotificationEvent) -> None:
    notifications.send_event(key.account_id, event, _bucket(key), key)


def event_record(event_name: str, bucket: FakeBucket, key: FakeKey, notification_id: str) -> dict[str, Any]:
    """Return the body of an event as S3 sends it (Amazon S3 User Guide, "Event message structure")."""
    item: dict[str, Any] = {
        "key": quote_plus(key.name, safe="/"),
        "size": key.size,
        "eTag": key.etag.strip('"'),
        "sequencer": f"{int(key.last_modified.timestamp() * 1000):018X}",
    }
    if key.version_id != "null":
        item["versionId"] = key.version_id
    record: dict[str, Any] = {
        "eventVersion": "2.3",
        "eventSource": "aws:s3",
        "awsRegion": bucket.region_name,
        "eventTime": iso_8601_datetime_with_milliseconds(),
        "eventName": event_name.removeprefix("s3:"),
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": notification_id,
            "bucket": {"name": bucket.name, "arn": bucket.arn},
            "object": item,
        },
    }
    if event_name == S3NotificationEvent.OBJECT_RESTORE_COMPLETED_EVENT and key._expiry is not None:
        record["glacierEventData"] = {
            "restoreEventData": {
                "lifecycleRestorationExpiryTime": iso_8601_datetime_with_milliseconds(key._expiry),
                "lifecycleRestoreStorageClass": key.storage_class,
            }
        }
    return {"Records": [record]}

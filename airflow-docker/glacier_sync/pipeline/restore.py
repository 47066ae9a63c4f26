"""An object that can't be read because it has no restored copy: it waits for one, or it fails."""

from __future__ import annotations

from glacier_sync.aws import ObjectFacts, ObjectStore, RestoreExpiredError, RestoreRequest
from glacier_sync.errors import TransientError
from glacier_sync.ledger import LedgerObject
from glacier_sync.pipeline import leftovers
from glacier_sync.pipeline.context import Context
from glacier_sync.pipeline.outcome import Waiting
from glacier_sync.settings import IntakeQueue

_CREATED = "ObjectCreated:"


class RestoredMeanwhileError(TransientError):
    """The object got a restored copy while it was seen to that it gets one."""


def await_copy(
    context: Context, queue: IntakeQueue, store: ObjectStore, item: LedgerObject, facts: ObjectFacts
) -> Waiting:
    """See to it that an object's next attempt begins when its restore is announced.

    A new restore is asked for where ``intake.yml`` allows it, and only for an
    object that was restored before: one that was put into an archived storage
    class isn't restored because it is there. Raises RestoreExpiredError if there
    is nothing to wait for, RestoredMeanwhileError, and what S3 raises.
    """
    requested = False
    if facts.restore is not None and facts.restore.ongoing:
        reason = f"{item.key} is being restored"
    elif item.event_name.startswith(_CREATED):
        reason = f"{item.key} was put into the storage class {facts.storage_class} and isn't restored"
    else:
        reason, requested = _requested(queue, store, item, facts), True
    message = f"{reason}: it waits until that is announced"
    if not context.ledger.await_restore(
        item.id, context.run, message, known_expiry=item.restore_expiry, requested=requested
    ):
        raise RestoredMeanwhileError(f"{item.key} was announced once more meanwhile: it is downloaded now")
    leftovers.clear(context, item)
    return Waiting(message)


def _requested(queue: IntakeQueue, store: ObjectStore, item: LedgerObject, facts: ObjectFacts) -> str:
    until = f"{item.restore_expiry:%Y-%m-%d %H:%M} UTC" if item.restore_expiry else "an unknown time"
    if queue.restore is None:
        raise RestoreExpiredError(
            f"can't download {facts.url}: it is archived and the copy has expired; request its restore, whose event "
            f"begins a new attempt, or allow the queue {queue.name} to do that with 'restore' in intake.yml and retry",
            cause=f"storage class {facts.storage_class}, announced as restored until {until}",
        )
    terms = queue.restore
    answer = store.request_restore(item.bucket, item.key, item.version_id, days=terms.days, tier=terms.tier)
    if answer is RestoreRequest.ALREADY_RESTORED:
        raise RestoredMeanwhileError(f"{item.key} has a restored copy again: it is downloaded now")
    return (
        f"{item.key} was restored until {until}, and a new restore is requested ({terms.tier}, for {terms.days} days)"
    )

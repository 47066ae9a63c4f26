"""Objects without a restored copy: what is waited for, what is asked for, and what fails."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from moto.core.utils import utcnow
from moto.s3.models import FakeKey, s3_backends
from tests.support.aws_actions import allowing, calls
from tests.support.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.support.ledger import announced
from tests.support.pipeline import Bag, Bagger, Installation, is_archived, message, messages_left, queue_entry, record

from glacier_sync import pipeline
from glacier_sync.aws.policy import policy
from glacier_sync.ledger import Phase, Run
from glacier_sync.pipeline import Done, Failed, RetryLater, Waiting
from glacier_sync.settings import load_intake

FIRST = Run.of_dag_run("dag", "first")
ACCOUNT = "123456789012"
EXPIRED = "2026-03-02T00:00:00.000Z"
ALLOWED = {"restore": {"days": 7, "tier": "Bulk"}}


@pytest.fixture
def allowed(place: Installation) -> Installation:
    """A site that may ask for restores."""
    place.read_queues(queue_entry(place.site, **ALLOWED))
    return place


@pytest.fixture
def proxy(place: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with fault_proxy(place.site.url) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


def stored(place: Installation, bag: Bag) -> FakeKey:
    """Return what the emulator has of a bag."""
    key = s3_backends[ACCOUNT]["aws"].get_object(place.site.bucket, bag.key)
    assert isinstance(key, FakeKey)
    return key


def archive(place: Installation, bag: Bag, *, event: str = "ObjectRestore:Completed") -> int:
    """Announce a bag of which S3 has no readable copy, and claim it; return the object's number."""
    place.site.client.put_archived(bag.zip_path, place.site.bucket, bag.key)
    expiry = EXPIRED if event == "ObjectRestore:Completed" else None
    place.site.send(message(record(place.site, bag.key, expiry=expiry, eventName=event)))
    claims, _ = pipeline.get_restored_object_messages(place.context(FIRST))
    return int(claims[-1]["object"])


def restore_requests(proxy: FaultProxy) -> list[str]:
    return [path for method, path, _ in proxy.requests if method == "POST" and "?restore" in path]


def eventually_announced(place: Installation) -> None:
    """Wait for the emulator's restore, which takes it a moment."""
    for _ in itertools.takewhile(lambda _: not messages_left(place.site), range(10**6)):
        pass


def test_an_expired_copy_is_requested_anew_where_the_site_allows_it(
    allowed: Installation, bag: Bagger, proxy: FaultProxy
) -> None:
    made = bag("W1TEST01")
    number = archive(allowed, made)
    outcome = pipeline.download_from_messages(allowed.context(FIRST), number)
    assert outcome == Waiting(
        f"{made.key} was restored until 2026-03-02 00:00 UTC, and a new restore is requested "
        "(Bulk, for 7 days): it waits until that is announced"
    )
    assert len(restore_requests(proxy)) == 1
    item = allowed.ledger.object(number)
    assert (item.phase, item.attempt, item.claimed_by, item.failure_reason) == (Phase.REQUESTED, 2, None, None)
    assert item.restore_requested_on
    assert allowed.working_data() == []
    eventually_announced(allowed)
    allowed.run()
    assert allowed.ledger.object(number).phase is Phase.SYNCED
    assert is_archived(allowed, made.works[0])
    assert len(allowed.ledger.objects()) == 1


def test_an_expired_copy_fails_in_words_where_the_site_does_not(
    place: Installation, bag: Bagger, proxy: FaultProxy
) -> None:
    number = archive(place, bag("W1TEST01"))
    outcome = pipeline.download_from_messages(place.context(FIRST), number)
    assert isinstance(outcome, Failed)
    assert "it is archived and the copy has expired; request its restore, whose event begins a new" in outcome.reason
    assert "allow the queue test to do that with 'restore' in intake.yml and retry" in outcome.reason
    assert outcome.cause == "storage class GLACIER, announced as restored until 2026-03-02 00:00 UTC"
    assert restore_requests(proxy) == []


def test_a_copy_that_expires_while_it_is_read_is_requested_anew(
    allowed: Installation, bag: Bagger, proxy: FaultProxy
) -> None:
    made = bag("W1TEST01")
    number = archive(allowed, made)
    allowed.site.client.request_restore(allowed.site.bucket, made.key)
    eventually_announced(allowed)

    def expire() -> None:
        key = stored(allowed, made)
        key.set_expiry(None)
        key.status = None

    proxy.faults.append(Fault(on="GET", first=expire))
    outcome = pipeline.download_from_messages(allowed.context(FIRST), number)
    assert isinstance(outcome, Waiting)
    assert len(restore_requests(proxy)) == 1
    assert allowed.working_data() == []


@pytest.mark.parametrize("event", ["ObjectCreated:Put", "ObjectRestore:Completed"])
def test_what_is_being_restored_is_waited_for_and_not_asked_for_again(
    allowed: Installation, bag: Bagger, proxy: FaultProxy, event: str
) -> None:
    made = bag("W1TEST01")
    number = archive(allowed, made, event=event)
    key = stored(allowed, made)
    key.status, key._expiry = "IN_PROGRESS", utcnow() + timedelta(days=7)
    outcome = pipeline.download_from_messages(allowed.context(FIRST), number)
    assert outcome == Waiting(f"{made.key} is being restored: it waits until that is announced")
    assert restore_requests(proxy) == []


def test_what_is_put_into_an_archived_class_waits_and_is_never_asked_for(
    allowed: Installation, bag: Bagger, proxy: FaultProxy
) -> None:
    made = bag("W1TEST01")
    number = archive(allowed, made, event="ObjectCreated:CompleteMultipartUpload")
    outcome = pipeline.download_from_messages(allowed.context(FIRST), number)
    assert outcome == Waiting(
        f"{made.key} was put into the storage class GLACIER and isn't restored: it waits until that is announced"
    )
    assert restore_requests(proxy) == []
    item = allowed.ledger.object(number)
    assert (item.phase, item.restore_requested_on) == (Phase.REQUESTED, None)
    assert pipeline.download_from_messages(allowed.context(FIRST), number) == Waiting(
        f"{made.key} waits until its restore is announced"
    )
    allowed.site.client.request_restore(allowed.site.bucket, made.key)
    eventually_announced(allowed)
    allowed.run()
    assert allowed.ledger.object(number).phase is Phase.SYNCED


LATER = "2026-03-05T08:00:00.000Z"


def upload(place: Installation, bag: Bag, time: str = LATER) -> None:
    """Put a bag where it can be read at once, and announce that."""
    place.site.put(bag.key, bag.zip_path.read_bytes())
    place.site.send(message(record(place.site, bag.key, expiry=None, eventName="ObjectCreated:Put", eventTime=time)))


def test_what_waits_in_an_archived_class_is_taken_when_it_is_put_into_another(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01")
    number = archive(place, made, event="ObjectCreated:Put")
    assert isinstance(pipeline.download_from_messages(place.context(FIRST), number), Waiting)
    upload(place, made)
    assert list(place.run().outcomes) == [number]
    assert place.ledger.object(number).phase is Phase.SYNCED


def test_what_was_deleted_and_is_uploaded_again_as_advised_is_taken(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01")
    upload(place, made, "2026-03-02T08:00:00.000Z")
    place.site.client.s3.delete_object(Bucket=place.site.bucket, Key=made.key)
    (outcome,) = place.run().outcomes.values()
    assert isinstance(outcome, Failed)
    assert outcome.reason.endswith("upload it again")
    upload(place, made)
    assert [type(outcome) for outcome in place.run().outcomes.values()] == [Done]
    assert messages_left(place.site) == 0


def test_a_retry_of_what_was_forgotten_while_it_waited_looks_by_itself(place: Installation, bag: Bagger) -> None:
    made = bag("W1TEST01")
    number = archive(place, made, event="ObjectCreated:Put")
    for _ in range(2):
        assert isinstance(pipeline.download_from_messages(place.context(FIRST), number), Waiting)
        place.ledger.forget([number], Run.by_hand(), "restored by mistake")
        place.ledger.retry([number], Run.by_hand())
    place.site.put(made.key, made.zip_path.read_bytes())
    assert [type(outcome) for outcome in place.run().outcomes.values()] == [Done]


def test_a_restore_that_was_announced_meanwhile_is_taken_at_once(
    allowed: Installation, bag: Bagger, proxy: FaultProxy
) -> None:
    made = bag("W1TEST01")
    number = archive(allowed, made)
    etag, now = allowed.ledger.object(number).etag, datetime.now(UTC)
    anew = announced(made.key, bucket=allowed.site.bucket, etag=etag, event_time=now, expiry=now + timedelta(days=7))
    proxy.faults.append(Fault(on="POST", first=lambda: allowed.ledger.record("test", "anew", [anew], [])))
    outcome = pipeline.download_from_messages(allowed.context(FIRST), number)
    assert outcome == RetryLater(f"{made.key} was announced once more meanwhile: it is downloaded now")
    item = allowed.ledger.object(number)
    assert (item.phase, item.attempt, item.claimed_by) == (Phase.RESTORED, 1, FIRST.name)


def test_the_policy_allows_restores_where_the_site_does(allowed: Installation, bag: Bagger, proxy: FaultProxy) -> None:
    number = archive(allowed, bag("W1TEST01"))
    pipeline.download_from_messages(allowed.context(FIRST), number)
    asked, granted = calls(proxy), policy(load_intake(allowed.settings.intake))
    assert "s3:RestoreObject" in {call.action for call in asked}
    assert [call for call in asked if not allowing(granted, call)] == []
    allowed.read_queues(queue_entry(allowed.site))
    assert "RestoreObject" not in json.dumps(policy(load_intake(allowed.settings.intake)))


def test_a_retry_of_what_has_expired_asks_for_its_restore(allowed: Installation, bag: Bagger) -> None:
    number = archive(allowed, bag("W1TEST01"))
    allowed.ledger.fail(number, FIRST, "the copy has expired", "")
    allowed.ledger.retry([number], Run.by_hand())
    (outcome,) = allowed.run().outcomes.values()
    assert isinstance(outcome, Waiting)
    assert allowed.ledger.object(number).attempt == 3
    eventually_announced(allowed)
    assert {type(outcome) for outcome in allowed.run().outcomes.values()} == {Done}

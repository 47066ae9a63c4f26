"""What the pipeline asks of Amazon is what the printed policy allows: nothing missing, nothing unused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.support.aws_actions import Call, allowing, call_of, granted
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.pipeline import Bagger, Installation, add_page, message, queue_entry

from glacier_sync.aws.policy import policy
from glacier_sync.pipeline import Done
from glacier_sync.settings import load_intake

# Its last two digits put it beside the others in the archive of the tests.
RID, VERSIONED = "W1TEST01", "W1TEST02"


@pytest.fixture
def proxy(place: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with fault_proxy(place.site.url) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


def calls(proxy: FaultProxy) -> set[Call]:
    requests = zip(proxy.requests, proxy.headers, strict=True)
    return {call_of(method, path, headers) for (method, path, _), headers in requests}


def restore_versioned(place: Installation, bag: Bagger) -> None:
    """Announce an object of a bucket that keeps versions."""
    made, bucket = bag(VERSIONED), place.site.bucket
    place.site.client.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    announced = place.store(made, made.key)
    head = place.site.client.s3.head_object(Bucket=bucket, Key=made.key)
    announced["s3"]["object"]["versionId"] = head["VersionId"]
    place.site.send(message(announced))


def test_the_pipeline_needs_what_the_policy_allows_and_nothing_else(
    place: Installation, bag: Bagger, proxy: FaultProxy
) -> None:
    web = "s3://web-images/Works"
    place.site.client.s3.create_bucket(
        Bucket="web-images", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"}
    )
    place.say({"sync": {"replace": True}})
    # The second one lacks a file of the first: it is deleted from the web.
    for made in (bag(RID, change=add_page), bag(RID)):
        place.restored(made, f"{made.works[0].name}/{made.zip_path.parent.name}/{RID}.bag.zip")
        assert {type(outcome) for outcome in place.run(web_parent=web).outcomes.values()} == {Done}
    restore_versioned(place, bag)
    assert {type(outcome) for outcome in place.run(web_parent=web).outcomes.values()} == {Done}

    allowed = policy(load_intake(place.settings.intake), web_parent=web, deletes_web=True)
    # What tells a missing object from a forbidden one is a permission without a request of its own.
    telling = Call("s3:ListBucket", f"arn:aws:s3:::{place.site.bucket}")
    by_call = {call: allowing(allowed, call) for call in {*calls(proxy), telling}}
    assert [call for call, statements in by_call.items() if not statements] == []
    used = {grant for statements in by_call.values() for grant in statements}
    assert granted(allowed) - used == set()


def test_a_queue_by_its_url_is_not_looked_up(place: Installation, proxy: FaultProxy) -> None:
    url = place.site.client.sqs.get_queue_url(QueueName=place.site.queue_name)["QueueUrl"]
    place.read_queues(queue_entry(place.site, queue=url.replace(place.site.url, proxy.url)))
    place.run()
    (queue,) = load_intake(place.settings.intake)
    assert "sqs:GetQueueUrl" not in json.dumps(policy([replace(queue, queue=url)]))
    assert calls(proxy) == {Call("sqs:ReceiveMessage", "arn:aws:sqs:ap-northeast-2")}

"""What the pipeline asks of Amazon is what the printed policy allows: nothing missing, nothing unused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.aws import REGION
from tests.support.aws_actions import ACCOUNT, Call, allowing, calls, calls_of, granted
from tests.support.fault_proxy import Fault, FaultProxy, fault_proxy
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


@pytest.fixture
def uploading_in_parts(place: Installation, tmp_path: Path) -> Path:
    """A folder of scripts whose rclone uploads in parts what it would upload so only if it were large."""
    scripts = tmp_path / "bin"
    scripts.mkdir()
    for script in place.settings.bin_dir.iterdir():
        (scripts / script.name).symlink_to(script)
    rclone = scripts / "rclone"
    rclone.write_text(f'#!/bin/sh\nexec {shutil.which("rclone")} --s3-upload-cutoff 0 "$@"\n')
    rclone.chmod(0o755)
    return scripts


def keep_versions(place: Installation, *buckets: str) -> None:
    for bucket in buckets:
        place.site.client.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def restore_versioned(place: Installation, bag: Bagger) -> None:
    """Announce an object of a bucket that keeps versions."""
    made, bucket = bag(VERSIONED), place.site.bucket
    announced = place.store(made, made.key)
    head = place.site.client.s3.head_object(Bucket=bucket, Key=made.key)
    announced["s3"]["object"]["versionId"] = head["VersionId"]
    place.site.send(message(announced))


@pytest.mark.needs("rclone", "rsync")
def test_the_pipeline_needs_what_the_policy_allows_and_nothing_else(
    place: Installation, bag: Bagger, proxy: FaultProxy, uploading_in_parts: Path
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
    keep_versions(place, place.site.bucket, "web-images")
    restore_versioned(place, bag)
    # What can't be uploaded in parts is ended; rclone begins it anew.
    proxy.faults.append(Fault(on="partNumber=1", status=403, code="AccessDenied", passed=False))
    tally = place.run(web_parent=web, bin_dir=uploading_in_parts)
    assert {type(outcome) for outcome in tally.outcomes.values()} == {Done}

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
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{place.site.queue_name}"
    assert calls(proxy) == {Call("sqs:ReceiveMessage", arn)}


@pytest.mark.parametrize(
    ("method", "path", "headers", "asked"),
    [
        ("GET", "/b?list-type=2&prefix=a%2F", {}, {"s3:ListBucket b"}),
        ("GET", "/b?location", {}, {"s3:GetBucketLocation b"}),
        ("GET", "/b/a%20b/c?versionId=1", {}, {"s3:GetObjectVersion b/a b/c"}),
        ("GET", "/b/k?attributes", {}, {"s3:GetObject b/k", "s3:GetObjectAttributes b/k"}),
        ("GET", "/b/k?uploadId=1", {}, {"s3:ListMultipartUploadParts b/k"}),
        ("PUT", "/b/k?acl", {}, {"s3:PutObjectAcl b/k"}),
        ("PUT", "/b/k?partNumber=1&uploadId=1", {}, {"s3:PutObject b/k"}),
        ("POST", "/b/k?uploads=", {"x-amz-acl": "private"}, {"s3:PutObject b/k", "s3:PutObjectAcl b/k"}),
        ("PUT", "/b/k", {"x-amz-copy-source": "/c/k%20l"}, {"s3:PutObject b/k", "s3:GetObject c/k l"}),
        ("DELETE", "/b/k?uploadId=1", {}, {"s3:AbortMultipartUpload b/k"}),
    ],
)
def test_a_request_is_held_against_the_permissions_that_it_takes(
    method: str, path: str, headers: dict[str, str], asked: set[str]
) -> None:
    arn = "arn:aws:s3:::"
    assert {f"{call.action} {call.resource.removeprefix(arn)}" for call in calls_of(method, path, headers)} == asked


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("PUT", "/b", {}),
        ("POST", "/b?delete", {}),
        ("GET", "/b?policy", {}),
        ("GET", "/b/k?torrent", {}),
        ("PUT", "/b/k", {"x-amz-grant-read": "id=1"}),
    ],
)
def test_a_request_that_is_not_known_is_not_taken_for_allowed(method: str, path: str, headers: dict[str, str]) -> None:
    with pytest.raises(LookupError):
        list(calls_of(method, path, headers))

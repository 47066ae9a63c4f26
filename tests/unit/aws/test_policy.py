from __future__ import annotations

import json
from dataclasses import replace

import pytest

from glacier_sync.aws.policy import Policy, policy
from glacier_sync.settings import IntakeQueue

NLM = IntakeQueue(
    name="nlm",
    queue="NlmReadyToIntake",
    region="ap-northeast-2",
    profile="ap_northeast",
    buckets=("glacier.staging.nlm.bdrc.org",),
    events=("ObjectRestore:Completed",),
    delete_rejected=False,
)


def actions(found: Policy) -> dict[str, list[str]]:
    return {statement["Sid"]: statement["Action"] for statement in found["Statement"]}


def resources(found: Policy) -> dict[str, list[str]]:
    return {statement["Sid"]: statement["Resource"] for statement in found["Statement"]}


def test_a_queue_by_its_name_is_looked_up() -> None:
    found = policy([NLM])
    assert "sqs:GetQueueUrl" in actions(found)["ReceiveNlm"]
    assert resources(found)["ReceiveNlm"] == ["arn:aws:sqs:ap-northeast-2:*:NlmReadyToIntake"]


def test_a_queue_by_its_url_is_not_and_its_account_is_known() -> None:
    url = "https://sqs.ap-northeast-2.amazonaws.com/123456789012/NlmReadyToIntake"
    found = policy([replace(NLM, queue=url)])
    assert "sqs:GetQueueUrl" not in actions(found)["ReceiveNlm"]
    assert resources(found)["ReceiveNlm"] == ["arn:aws:sqs:ap-northeast-2:123456789012:NlmReadyToIntake"]


def test_objects_and_buckets_are_named_apart() -> None:
    found = resources(policy([NLM]))
    assert found["ListNlm"] == ["arn:aws:s3:::glacier.staging.nlm.bdrc.org"]
    assert found["ReadNlm"] == ["arn:aws:s3:::glacier.staging.nlm.bdrc.org/*"]


@pytest.mark.parametrize(
    ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("moon-1", "aws")]
)
def test_arns_are_of_the_regions_partition(region: str, partition: str) -> None:
    for found in resources(policy([replace(NLM, region=region)])).values():
        assert found[0].split(":")[1] == partition
    for found in resources(policy([], web_parent="s3://web/Works", web_region=region)).values():
        assert found[0].split(":")[1] == partition


def test_every_statement_has_an_id_of_its_own() -> None:
    queues = [NLM, replace(NLM, name="fpl 2-a")]
    found = policy(queues, web_parent="s3://web.bdrc.org/Works")
    sids = [statement["Sid"] for statement in found["Statement"]]
    assert len(set(sids)) == len(sids) == 8
    assert all(sid.isalnum() for sid in sids)
    json.dumps(found)


@pytest.mark.parametrize(
    ("parent", "objects"),
    [("s3://web/Works/", "arn:aws:s3:::web/Works/*"), ("s3://web", "arn:aws:s3:::web/*")],
)
def test_web_images_are_written_below_their_parent_only(parent: str, objects: str) -> None:
    found = policy([], web_parent=parent)
    assert resources(found) == {"ListWeb": ["arn:aws:s3:::web"], "WriteWeb": [objects]}


def test_only_a_replacing_sync_may_delete() -> None:
    kept = json.dumps(policy([NLM], web_parent="s3://web"))
    assert "Delete" not in kept.replace("sqs:DeleteMessage", "")
    assert "s3:DeleteObject" in actions(policy([], web_parent="s3://web", deletes_web=True))["WriteWeb"]


def test_names_that_differ_in_signs_alone_have_statements_of_their_own() -> None:
    queues = [replace(NLM, name=name) for name in ("nlm-1", "nlm 1", "nlm1", "nlm-1 2", "web")]
    found = policy(queues, web_parent="s3://web.org/Works")
    sids = [statement["Sid"] for statement in found["Statement"]]
    assert len(sids) == 5 * 3 + 2
    assert len(set(sids)) == len(sids)
    assert sids[0:7:3] == ["ReceiveNlm1", "ReceiveNlm12", "ReceiveNlm13"]
    assert all(sid.isalnum() for sid in sids)

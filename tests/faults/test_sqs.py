"""SQS in trouble while the pipeline runs: each object arrives once, whatever becomes of its messages."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.faults import invariants
from tests.faults.conftest import Note
from tests.faults.scene import Scene, Scenes
from tests.faults.trouble import Trouble
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.pipeline import Bagger, message, messages_left, queue_entry, record, show_again
from tests.support.ports import closed_port

from glacier_sync.pipeline import Done
from glacier_sync.pipeline.run import Tally

RECEIVE, DELETE, HIDE = "SQS.ReceiveMessage", "SQS.DeleteMessageBatch", "SQS.ChangeMessageVisibilityBatch"


@pytest.fixture
def scene(scenes: Scenes, proxy: FaultProxy, bag: Bagger) -> Iterator[Scene]:
    """A bag that is announced, and that a run with nothing in its way syncs."""
    made = bag("W1TEST01")
    scenes.store(made)
    with scenes.scene(made) as made_scene:
        yield made_scene


def run(scene: Scene) -> Tally:
    """Run the pipeline, when messages that were received and not deleted are shown again."""
    show_again(scene.place.site)
    return scene.place.run()


def refused(code: str) -> bytes:
    return json.dumps({"Failed": [{"Id": "0", "Code": code, "SenderFault": False}]}).encode()


NOT_RECEIVED = [
    Trouble(
        "SQS: throttled", {"on": RECEIVE, "status": 400, "code": "RequestThrottled", "passed": False}, "can't read"
    ),
    Trouble("SQS: 500 InternalError", {"on": RECEIVE, "status": 500, "passed": False}, "can't read"),
    Trouble("SQS: received messages don't arrive", {"on": RECEIVE, "keep": 0, "reset": True}, "or broke off"),
    Trouble("SQS: messages can't be hidden for longer", {"on": HIDE, "status": 500}, "can't hide messages"),
]
NOT_DELETED = [
    Trouble("SQS: a deletion's answer is lost", {"on": DELETE, "keep": 0, "reset": True}),
    # Each refusal is tried again once.
    Trouble(
        "SQS: a batch is deleted in part", {"on": DELETE, "body": refused("InternalError"), "passed": False}, times=2
    ),
    Trouble(
        "SQS: receipt handles have expired",
        {"on": DELETE, "body": refused("ReceiptHandleIsInvalid"), "passed": False},
        times=2,
    ),
]


@pytest.mark.parametrize("trouble", NOT_RECEIVED, ids=str)
def test_messages_that_cannot_be_received(scene: Scene, proxy: FaultProxy, note: Note, trouble: Trouble) -> None:
    proxy.faults.extend(trouble.faults())
    tally = run(scene)
    assert not proxy.faults
    assert [trouble.says in str(problem) for problem in tally.problems] == [True]
    assert not tally.outcomes
    assert messages_left(scene.place.site) == 1
    run(scene)
    note(trouble.kind, invariants.in_the_end(scene))


@pytest.mark.parametrize("trouble", NOT_DELETED, ids=str)
def test_messages_that_cannot_be_deleted(scene: Scene, proxy: FaultProxy, note: Note, trouble: Trouble) -> None:
    scene.place.site.send(message(record(scene.place.site, scene.bags[0].key)))
    proxy.faults.extend(trouble.faults())
    assert [type(outcome) for outcome in run(scene).outcomes.values()] == [Done]
    assert not proxy.faults
    run(scene)
    note(trouble.kind, invariants.in_the_end(scene))


def test_messages_that_come_twice(scene: Scene, note: Note) -> None:
    site = scene.place.site
    again = message(record(site, scene.bags[0].key))
    site.send(again, again)
    assert [type(outcome) for outcome in run(scene).outcomes.values()] == [Done]
    site.send(again)
    assert not run(scene).outcomes
    note("SQS: a message comes twice", invariants.in_the_end(scene), 3)


def test_messages_out_of_order(scene: Scene, note: Note) -> None:
    """The request after its completion, an expiry of an earlier copy after the next restore."""
    site, key = scene.place.site, scene.bags[0].key
    events = ["ObjectRestore:Post", "ObjectRestore:Delete"]
    site.send(*(message(record(site, key, expiry=None, eventName=name)) for name in events))
    scene.place.read_queues(queue_entry(site, events=["ObjectRestore:*"]))
    run(scene)
    note("SQS: messages come out of order", invariants.in_the_end(scene), len(events))


def test_a_poisoned_message(scene: Scene, note: Note) -> None:
    site = scene.place.site
    dead = site.client.sqs.create_queue(QueueName=f"dead-{site.queue_name}")["QueueUrl"]
    arn = site.client.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})}
    site.client.sqs.set_queue_attributes(QueueUrl=scene.queue_url, Attributes=policy)
    site.send("no JSON at all", "[" * 100_000, json.dumps({"Records": [{"eventVersion": "9.0"}]}))
    run(scene)
    assert messages_left(site) == 3
    run(scene)
    bodies = {
        found["Body"][:20]
        for found in site.client.sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10)["Messages"]
    }
    rejected = [event for event in scene.place.ledger.events() if event.kind == "message_rejected"]
    assert {event.details["body"][:20] for event in rejected} == bodies
    assert len(bodies) == 3
    note("SQS: poisoned messages, to the dead-letter queue", invariants.in_the_end(scene), 3)


def test_a_queue_that_is_deleted_meanwhile(scene: Scene, proxy: FaultProxy, note: Note) -> None:
    site = scene.place.site
    url = scene.queue_url
    proxy.faults.append(Fault(on=DELETE, first=lambda: site.client.sqs.delete_queue(QueueUrl=url)))
    tally = run(scene)
    assert ["there is no such queue" in str(problem) for problem in tally.problems] == [True]
    assert [type(outcome) for outcome in tally.outcomes.values()] == [Done]
    site.client.sqs.create_queue(QueueName=site.queue_name)
    note("SQS: the queue is deleted", invariants.in_the_end(scene))


def test_a_service_that_is_away(scene: Scene, note: Note, monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_port() as port, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        tally = scene.place.run()
    assert ["doesn't answer" in str(problem) for problem in tally.problems] == [True]
    run(scene)
    note("SQS and S3 are away", invariants.in_the_end(scene))

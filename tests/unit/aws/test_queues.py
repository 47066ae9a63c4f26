import json
from dataclasses import replace

import pytest
from tests.support.aws import Site
from tests.support.fault_proxy import Fault, every_request, fault_proxy
from tests.support.ports import closed_port

from glacier_sync import events
from glacier_sync.aws import (
    AccessDeniedError,
    Queue,
    QueueRefusedError,
    QueueUnavailableError,
    ReceivedMessage,
    ServiceUnavailableError,
)


def left(aws: Site) -> int:
    """How many messages the queue has, hidden ones too."""
    url = aws.client.sqs.get_queue_url(QueueName=aws.queue_name)["QueueUrl"]
    attributes = aws.client.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return sum(
        int(attributes[name]) for name in ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    )


def bodies(messages: list[ReceivedMessage]) -> list[str]:
    return sorted(message.body for message in messages)


def test_messages_are_received_ten_at_a_time_and_deleted(aws: Site) -> None:
    aws.send(*(f"{number:02}" for number in range(12)))
    queue = aws.queue
    first = queue.receive(0)
    second = queue.receive(0)
    assert (len(first), len(second)) == (10, 2)
    assert bodies(first + second) == [f"{number:02}" for number in range(12)]
    assert left(aws) == 12
    queue.delete(first + second)
    assert left(aws) == 0
    queue.delete([])
    queue.extend_visibility([], 0)


def test_what_is_not_deleted_comes_again(aws: Site) -> None:
    aws.send("one", "two", "three")
    queue = aws.queue
    received = queue.receive(0)
    queue.delete([message for message in received if message.body == "two"])
    assert queue.receive(0) == []
    queue.extend_visibility([message for message in received if message.body != "two"], 0)
    assert bodies(queue.receive(0)) == ["one", "three"]


def test_a_longer_visibility_keeps_a_message_hidden(aws: Site) -> None:
    aws.send("one")
    queue = aws.queue
    received = queue.receive(0)
    queue.extend_visibility(received, 0)
    again = queue.receive(0)
    queue.extend_visibility(again, 3600)
    assert queue.receive(0) == []


def test_a_message_deleted_twice_is_no_error(aws: Site) -> None:
    aws.send("one")
    queue = aws.queue
    received = queue.receive(0)
    queue.delete(received)
    queue.delete(received)


def test_a_deletion_that_fails_in_part_is_an_error_and_deletes_the_rest(aws: Site) -> None:
    aws.send("good")
    queue = aws.queue
    [good] = queue.receive(0)
    foreign = ReceivedMessage("foreign", "x", "no receipt of this queue")
    with pytest.raises(QueueRefusedError, match="refused for 1 of 2 messages, which will be delivered again") as raised:
        queue.delete([foreign, good])
    assert raised.value.cause.startswith("message foreign: ReceiptHandleIsInvalid")
    with pytest.raises(QueueRefusedError, match="can't hide messages of queue"):
        queue.extend_visibility([foreign], 30)
    assert left(aws) == 0


def test_a_deletion_that_fails_once_is_tried_again(aws: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.send("one", "two")
    failed = {"Successful": [{"Id": "0"}], "Failed": [{"Id": "1", "Code": "InternalError", "SenderFault": False}]}
    with fault_proxy(aws.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        queue = aws.queue
        received = queue.receive(0)
        proxy.hits = lambda _, headers: headers.get("x-amz-target") == "AmazonSQS.DeleteMessageBatch"
        proxy.faults.append(Fault(body=json.dumps(failed).encode()))
        before = len(proxy.requests)
        queue.delete(received)
        assert len(proxy.requests) - before == 2
        # The first answer was the proxy's: had it been the queue's, one message would be left.
        assert left(aws) == 0


def test_a_poisoned_message_neither_stops_nor_loses_the_others(aws: Site) -> None:
    sqs = aws.client.sqs
    dead = sqs.create_queue(QueueName=f"dead-{aws.queue_name}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    url = sqs.get_queue_url(QueueName=aws.queue_name)["QueueUrl"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": redrive})
    aws.send("\N{SKULL} not JSON", json.dumps({"Event": "s3:TestEvent"}))
    queue = aws.queue
    poisoned = []
    for message in queue.receive(0):
        try:
            events.parse(message.body)
        except events.InvalidMessageError:
            poisoned.append(message)
        else:
            queue.delete([message])
    queue.extend_visibility(poisoned, 0)
    assert queue.receive(0) == []
    buried = Queue.open(replace(aws.intake, queue=dead)).receive(0)
    assert bodies(buried) == ["\N{SKULL} not JSON"]


def test_a_queue_can_be_named_by_its_url(aws: Site) -> None:
    aws.send("one")
    url = aws.client.sqs.get_queue_url(QueueName=aws.queue_name)["QueueUrl"]
    assert bodies(Queue.open(replace(aws.intake, queue=url)).receive(0)) == ["one"]


def test_a_queue_that_does_not_exist(aws: Site) -> None:
    with pytest.raises(QueueUnavailableError) as raised:
        Queue.open(replace(aws.intake, queue="nowhere"))
    assert raised.value.message == (
        "can't find queue nowhere: there is no such queue in ap-northeast-2 for boto3's default credentials; "
        "correct queue, region or profile in intake.yml, or create the queue"
    )


def test_a_queue_that_goes_away(aws: Site) -> None:
    queue = aws.queue
    aws.client.sqs.delete_queue(QueueUrl=aws.client.sqs.get_queue_url(QueueName=aws.queue_name)["QueueUrl"])
    with pytest.raises(QueueUnavailableError, match=f"can't read queue {aws.queue_name}: there is no such queue"):
        queue.receive(0)


def test_no_permission_to_look_a_queue_up(aws: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    denied = {"__type": "com.amazonaws.sqs#AccessDeniedException", "message": "not yours"}
    with fault_proxy(aws.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.hits = every_request
        proxy.faults.append(Fault(status=403, body=json.dumps(denied).encode()))
        with pytest.raises(AccessDeniedError, match=r"grant sqs:GetQueueUrl \(or give the queue's URL in intake.yml\)"):
            Queue.open(aws.intake)


def test_a_service_that_is_away(aws: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with closed_port() as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(ServiceUnavailableError, match=f"can't find queue {aws.queue_name} for now") as raised:
            Queue.open(aws.intake)
    assert f"http://127.0.0.1:{port}" in raised.value.cause

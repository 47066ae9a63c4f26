"""Queues: receive messages, keep them hidden, delete them when the ledger has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glacier_sync.aws.errors import QueueRefusedError, Request, translated
from glacier_sync.aws.sessions import sqs_client
from glacier_sync.settings import IntakeQueue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# The most messages that one call may name (SQS Developer Guide, "Batch actions").
_BATCH = 10

_Call = Callable[[list[dict[str, Any]]], Mapping[str, Any]]


@dataclass(frozen=True)
class ReceivedMessage:
    """A message as received; its receipt handle is what deletes or hides it."""

    id: str
    body: str
    receipt_handle: str


class Queue:
    """One queue. Nothing is deleted but by ``delete``: commit what a message says first."""

    def __init__(self, client: SQSClient, url: str, intake: IntakeQueue) -> None:
        self._client = client
        self._url = url
        self._intake = intake

    @classmethod
    def open(cls, intake: IntakeQueue) -> Queue:
        """Return the queue of an entry of ``intake.yml``.

        A queue given by its URL needs no permission to look it up. Raises
        CredentialsError, AccessDeniedError, QueueUnavailableError or
        ServiceUnavailableError.
        """
        client = sqs_client(intake.region, intake.profile)
        if "://" in intake.queue:
            return cls(client, intake.queue, intake)
        needs = "sqs:GetQueueUrl (or give the queue's URL in intake.yml)"
        with translated(_request(intake, "find", needs)):
            url = client.get_queue_url(QueueName=intake.queue)["QueueUrl"]
        return cls(client, url, intake)

    def receive(self, wait_seconds: int) -> list[ReceivedMessage]:
        """Return up to ten messages, waiting up to 20 seconds for the first.

        They stay hidden for the queue's visibility timeout; a message that is
        not deleted by then is delivered again.
        """
        with translated(self._request("read", "sqs:ReceiveMessage")):
            answer = self._client.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=_BATCH, WaitTimeSeconds=wait_seconds
            )
        return [
            ReceivedMessage(message["MessageId"], message["Body"], message["ReceiptHandle"])
            for message in answer.get("Messages", [])
        ]

    def delete(self, messages: Sequence[ReceivedMessage]) -> None:
        """Delete messages.

        Raises QueueRefusedError if the queue keeps one after a second try: it
        will be delivered again, which the ledger tells from a new one.
        """

        def call(entries: list[dict[str, Any]]) -> Mapping[str, Any]:
            return self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)  # type: ignore[arg-type] # entries are built by name

        self._for_each("delete from", "sqs:DeleteMessage", call, messages, {})

    def extend_visibility(self, messages: Sequence[ReceivedMessage], seconds: int) -> None:
        """Keep messages hidden for ``seconds`` from now (at most 12 hours in all); 0 shows them again.

        Raises QueueRefusedError as ``delete`` does.
        """

        def call(entries: list[dict[str, Any]]) -> Mapping[str, Any]:
            return self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)  # type: ignore[arg-type] # entries are built by name

        setting = {"VisibilityTimeout": seconds}
        self._for_each("hide messages of", "sqs:ChangeMessageVisibility", call, messages, setting)

    def _for_each(
        self, doing: str, needs: str, call: _Call, messages: Sequence[ReceivedMessage], setting: Mapping[str, Any]
    ) -> None:
        failures: list[str] = []
        for start in range(0, len(messages), _BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": message.receipt_handle, **setting}
                for number, message in enumerate(messages[start : start + _BATCH])
            ]
            with translated(self._request(doing, needs)):
                failed = {failure["Id"] for failure in call(entries).get("Failed", [])}
                again = [entry for entry in entries if entry["Id"] in failed]
                still = call(again).get("Failed", []) if again else []
            failures += [
                f"message {messages[start + int(failure['Id'])].id}: {failure['Code']} {failure.get('Message', '')}"
                for failure in still
            ]
        if failures:
            raise QueueRefusedError(
                f"can't {doing} queue {self._intake.queue}: refused for {len(failures)} of {len(messages)} messages, "
                "which will be delivered again; nothing is lost, they are recognised then",
                cause="; ".join(failures),
            )

    def _request(self, doing: str, needs: str) -> Request:
        return _request(self._intake, doing, needs)


def _request(intake: IntakeQueue, doing: str, needs: str) -> Request:
    return Request(f"{doing} queue {intake.queue}", needs, intake.region, intake.profile)

"""The least that credentials have to allow, as an IAM policy.

Sources: the IAM User Guide, "IAM JSON policy elements"; the Service Authorization
Reference, "Actions, resources, and condition keys for Amazon S3" and "… for Amazon SQS".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError
from botocore.session import Session

from glacier_sync.settings import IntakeQueue

Policy = dict[str, Any]

_VERSION = "2012-10-17"
_USUAL_PARTITION = "aws"
_USUAL_REGION = "us-east-1"


def policy(
    queues: Iterable[IntakeQueue], *, web_parent: str = "", web_region: str = _USUAL_REGION, deletes_web: bool = False
) -> Policy:
    """Return what reading these queues, and writing web images, needs and no more.

    ``web_parent`` is ``s3://bucket/prefix``, or empty where no images are synced, and
    ``web_region`` the bucket's; ``deletes_web`` if a sync may replace a work's images.
    """
    statements = [statement for queue in queues for statement in _intake(queue)]
    if web_parent:
        statements += _web(web_parent.removeprefix("s3://"), _partition(web_region), deletes=deletes_web)
    return {"Version": _VERSION, "Statement": _named_apart(statements)}


def _named_apart(statements: Iterable[Policy]) -> list[Policy]:
    """Number the ids that occur again, as of the queues ``nlm-1`` and ``nlm 1``: IAM takes each once in a policy."""
    named: dict[str, Policy] = {}
    for statement in statements:
        sid, number = statement["Sid"], 1
        while sid in named:
            number += 1
            sid = f"{statement['Sid']}{number}"
        named[sid] = {**statement, "Sid": sid}
    return list(named.values())


def _intake(queue: IntakeQueue) -> list[Policy]:
    partition, name = _partition(queue.region), _identifier(queue.name)
    receive = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"]
    if "://" not in queue.queue:
        receive.insert(2, "sqs:GetQueueUrl")
    read = ["s3:GetObject", "s3:GetObjectVersion", *(["s3:RestoreObject"] if queue.restore else [])]
    buckets = [f"arn:{partition}:s3:::{bucket}" for bucket in queue.buckets]
    return [
        _statement(f"Receive{name}", receive, [_queue_arn(partition, queue)]),
        # Without it a missing object is told as a forbidden one.
        _statement(f"List{name}", ["s3:ListBucket"], buckets),
        _statement(f"Read{name}", read, [f"{bucket}/*" for bucket in buckets]),
    ]


def _web(place: str, partition: str, *, deletes: bool) -> list[Policy]:
    bucket, _, prefix = place.rstrip("/").partition("/")
    arn = f"arn:{partition}:s3:::{bucket}"
    # rclone names an access control list with each image, looks in a bucket with versions at the
    # one that it has written, and ends what it couldn't upload in parts.
    read = ["s3:GetObject", "s3:GetObjectVersion"]
    write = ["s3:AbortMultipartUpload", *read, "s3:PutObject", "s3:PutObjectAcl"]
    if deletes:
        write.insert(1, "s3:DeleteObject")
    return [
        _statement("ListWeb", ["s3:ListBucket"], [arn]),
        _statement("WriteWeb", write, [f"{arn}/{prefix}/*" if prefix else f"{arn}/*"]),
    ]


def _statement(sid: str, actions: Sequence[str], resources: Sequence[str]) -> Policy:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}


def _queue_arn(partition: str, queue: IntakeQueue) -> str:
    account, name = "*", queue.queue
    if "://" in queue.queue:
        *_, account, name = urlsplit(queue.queue).path.split("/")
    return f"arn:{partition}:sqs:{queue.region}:{account or '*'}:{name}"


def _partition(region: str) -> str:
    try:
        return Session().get_partition_for_region(region)
    except BotoCoreError:
        return _USUAL_PARTITION


def _identifier(name: str) -> str:
    """Return a name as the letters and digits that a statement's id may have."""
    return "".join(word.capitalize() for word in re.findall(r"[A-Za-z0-9]+", name))

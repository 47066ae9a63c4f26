"""Requests to S3 and SQS in the terms of IAM: the actions, and the resources that they are done to.

Sources: the Amazon S3 User Guide, "Required permissions for Amazon S3 API operations"; the
Service Authorization Reference. What isn't listed here is no request that a test may take for allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.fault_proxy import FaultProxy

ACCOUNT = "123456789012"

# Parts of a request's query that ask for no other permission.
_PLAIN = {"x-id", "partNumber"}
_OF_LISTS = {
    *("continuation-token", "delimiter", "encoding-type", "fetch-owner", "list-type"),
    *("marker", "max-keys", "prefix", "start-after"),
}

# By method and subresources.
_BUCKET_ACTIONS = {
    ("GET", ""): ["ListBucket"],
    ("HEAD", ""): ["ListBucket"],
    ("GET", "location"): ["GetBucketLocation"],
    ("GET", "uploads"): ["ListBucketMultipartUploads"],
    ("GET", "versioning"): ["GetBucketVersioning"],
    ("GET", "versions"): ["ListBucketVersions"],
}
_OBJECT_ACTIONS = {
    ("DELETE", ""): ["DeleteObject"],
    ("DELETE", "uploadId"): ["AbortMultipartUpload"],
    ("DELETE", "versionId"): ["DeleteObjectVersion"],
    ("GET", ""): ["GetObject"],
    ("GET", "acl"): ["GetObjectAcl"],
    ("GET", "attributes"): ["GetObject", "GetObjectAttributes"],
    ("GET", "tagging"): ["GetObjectTagging"],
    ("GET", "uploadId"): ["ListMultipartUploadParts"],
    ("GET", "versionId"): ["GetObjectVersion"],
    ("HEAD", ""): ["GetObject"],
    ("HEAD", "versionId"): ["GetObjectVersion"],
    ("POST", "restore"): ["RestoreObject"],
    ("POST", "restore versionId"): ["RestoreObject"],
    ("POST", "uploadId"): ["PutObject"],
    ("POST", "uploads"): ["PutObject"],
    ("PUT", ""): ["PutObject"],
    ("PUT", "acl"): ["PutObjectAcl"],
    ("PUT", "tagging"): ["PutObjectTagging"],
    ("PUT", "uploadId"): ["PutObject"],
}
_HEADERS_ACTIONS = {"x-amz-acl": "PutObjectAcl", "x-amz-tagging": "PutObjectTagging"}
_PLAIN_HEADERS = re.compile(
    r"x-amz-(date|content-sha256|checksum-.+|sdk-checksum-algorithm|decoded-content-length|trailer|meta-.+|user-agent)"
)


@dataclass(frozen=True)
class Call:
    """One action that somebody's credentials had to allow."""

    action: str
    resource: str


def calls(proxy: FaultProxy) -> set[Call]:
    """Return all that the requests which a proxy has passed on ask for. Raises LookupError for one that isn't known."""
    asked = zip(proxy.requests, proxy.headers, proxy.queries, strict=True)
    return {call for (method, path, _), headers, body in asked for call in calls_of(method, path, headers, body)}


def calls_of(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Iterator[Call]:
    """Return what a request asks for (headers' names in lower case). Raises LookupError if it isn't known."""
    if target := headers.get("x-amz-target"):
        yield _queue_call(target.partition(".")[2], headers, json.loads(body))
        return
    parts = urlsplit(path)
    bucket, _, key = unquote(parts.path).removeprefix("/").partition("/")
    asked = set(parse_qs(parts.query, keep_blank_values=True)) - _PLAIN
    if not key:
        asked -= _OF_LISTS
    known = _OBJECT_ACTIONS if key else _BUCKET_ACTIONS if bucket else {}
    arn = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
    for action in known[method, " ".join(sorted(asked))]:
        yield Call(f"s3:{action}", arn)
    for name in headers:
        if name == "x-amz-copy-source":
            source, _, version = unquote(headers[name]).removeprefix("/").partition("?versionId=")
            yield Call(f"s3:GetObject{'Version' if version else ''}", f"arn:aws:s3:::{source}")
        elif name.startswith("x-amz-") and not _PLAIN_HEADERS.fullmatch(name):
            yield Call(f"s3:{_HEADERS_ACTIONS[name]}", arn)


def _queue_call(operation: str, headers: Mapping[str, str], asked: Mapping[str, Any]) -> Call:
    region = headers["authorization"].partition("Credential=")[2].split("/")[2]
    account, name = ACCOUNT, asked.get("QueueName", "")
    if operation != "GetQueueUrl":
        _, account, name = urlsplit(asked["QueueUrl"]).path.split("/")
    return Call(f"sqs:{operation.removesuffix('Batch')}", f"arn:aws:sqs:{region}:{account}:{name}")


def allowing(policy: Mapping[str, Any], call: Call) -> list[tuple[str, str]]:
    """Return the statements' ids that allow a call, each with the action."""
    return [
        (statement["Sid"], call.action)
        for statement in policy["Statement"]
        if call.action in statement["Action"] and any(fnmatchcase(call.resource, arn) for arn in statement["Resource"])
    ]


def granted(policy: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return all that a policy allows: statements' ids with actions."""
    return {(statement["Sid"], action) for statement in policy["Statement"] for action in statement["Action"]}

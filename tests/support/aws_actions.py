"""Requests to S3 and SQS in the terms of IAM: the action, and the resource that it is done to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.aws import REGION

_OBJECT_ACTIONS = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}


@dataclass(frozen=True)
class Call:
    """One action that somebody's credentials had to allow."""

    action: str
    resource: str


def call_of(method: str, path: str, headers: Mapping[str, str]) -> Call:
    """Return what a request asks for (the Service Authorization Reference's names)."""
    if target := headers.get("x-amz-target"):
        operation = target.partition(".")[2].removesuffix("Batch")
        return Call(f"sqs:{operation}", f"arn:aws:sqs:{REGION}")
    parts = urlsplit(path)
    query = parse_qs(parts.query, keep_blank_values=True)
    bucket, _, key = unquote(parts.path).strip("/").partition("/")
    if not key:
        action = "DeleteObject" if method == "POST" and "delete" in query else "ListBucket"
        return Call(f"s3:{action}", f"arn:aws:s3:::{bucket}" + ("/*" if action == "DeleteObject" else ""))
    posted = "RestoreObject" if "restore" in query else "PutObject"
    action = posted if method == "POST" else _OBJECT_ACTIONS[method]
    version = "Version" if "versionId" in query and action == "GetObject" else ""
    return Call(f"s3:{action}{version}", f"arn:aws:s3:::{bucket}/{key}")


def allowing(policy: Mapping[str, Any], call: Call) -> list[tuple[str, str]]:
    """Return the statements' ids that allow a call, each with the action."""
    return [
        (statement["Sid"], call.action)
        for statement in policy["Statement"]
        if call.action in statement["Action"] and any(_covers(arn, call.resource) for arn in statement["Resource"])
    ]


def granted(policy: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return all that a policy allows: statements' ids with actions."""
    return {(statement["Sid"], action) for statement in policy["Statement"] for action in statement["Action"]}


def _covers(pattern: str, resource: str) -> bool:
    # A queue's request names it in its body; the region is what its address tells.
    return pattern.startswith(f"{resource}:") if ":sqs:" in resource else fnmatchcase(resource, pattern)

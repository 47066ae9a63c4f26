"""Message bodies of the queues → restored objects. Pure: no network, no clock, no state.

Understood are S3's event notifications (Amazon S3 User Guide, "Event message
structure"), bare or inside an SNS notification, EventBridge's events of S3
("Object Restore Completed" and the like), and ``s3:TestEvent``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from glacier_sync.errors import PermanentError, one_line

_MAJOR_VERSION = "2"
_PROBLEMS_TOLD = 5
_CHARACTERS_TOLD = 80
# In bytes of UTF-8 (Amazon S3 User Guide, "Naming Amazon S3 objects", "General purpose buckets
# naming rules"; 255 is of buckets before 2018). A version's id is as long as a key at most.
_LONGEST_TEXT = 1024
_LONGEST_BUCKET = 255
_LARGEST_SIZE = 2**63 - 1
_YEARS = range(1970, 3000)

_EVENT_NAMES = {
    "Object Restore Initiated": "ObjectRestore:Post",
    "Object Restore Completed": "ObjectRestore:Completed",
    "Object Restore Expired": "ObjectRestore:Delete",
    "Object Deleted": "ObjectRemoved:Delete",
}
_CREATION_NAMES = {
    "PutObject": "ObjectCreated:Put",
    "POST Object": "ObjectCreated:Post",
    "CopyObject": "ObjectCreated:Copy",
    "CompleteMultipartUpload": "ObjectCreated:CompleteMultipartUpload",
}


class InvalidMessageError(PermanentError):
    """A message of which nothing at all is understood."""


@dataclass(frozen=True)
class RestoredObject:
    """An object as an event announces it.

    ``key`` is decoded, ``etag`` without quotes, ``size`` in bytes, times are
    aware and in UTC. ``event_name`` is S3's (``ObjectRestore:Completed``),
    whichever way the event came. ``etag`` is empty only for an event that
    announces no readable object, a deletion for instance.
    """

    bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int | None
    event_name: str
    event_time: datetime | None
    restore_expiry: datetime | None
    region: str | None


@dataclass(frozen=True)
class UnwantedObject:
    """An object that a queue announces and that isn't wanted from it; why, in one line."""

    object: RestoredObject
    reason: str


@dataclass(frozen=True)
class ParsedMessage:
    """What a message says: the objects, and a line for each record that isn't understood."""

    objects: tuple[RestoredObject, ...]
    problems: tuple[str, ...] = ()


class _RecordError(ValueError):
    """A record that isn't understood: what was found, what was expected."""


def parse(body: str) -> ParsedMessage:
    """Read a message's body.

    A record that isn't understood becomes a problem and leaves the others
    alone; S3's test event holds no object. Raises InvalidMessageError if
    nothing at all is understood.
    """
    document = _document(body)
    if document.get("Type") == "Notification":
        document = _document(_notification(document))
    if document.get("Event") == "s3:TestEvent":
        return ParsedMessage(())
    if "detail-type" in document:
        parsed = _collect([document], _from_event_bridge)
    else:
        parsed = _collect(_records(document), _from_s3)
    if not parsed.objects:
        raise InvalidMessageError(_invalid(few(parsed.problems)))
    return parsed


def few(problems: Sequence[str]) -> str:
    """Word the first of a message's problems: it can hold thousands of records."""
    more = f"; and {len(problems) - _PROBLEMS_TOLD} more" if len(problems) > _PROBLEMS_TOLD else ""
    return "; ".join(problems[:_PROBLEMS_TOLD]) + more


def select(
    objects: Iterable[RestoredObject], buckets: Collection[str], events: Collection[str]
) -> tuple[tuple[RestoredObject, ...], tuple[UnwantedObject, ...]]:
    """Divide objects into those that a queue is read for and the others.

    ``events`` are event names; ``*`` at the end of one stands for anything,
    and S3's own spelling with ``s3:`` in front serves as well.
    """
    wanted: list[RestoredObject] = []
    unwanted: list[UnwantedObject] = []
    for announced in objects:
        if announced.bucket not in buckets:
            reason = f"bucket {_told(announced.bucket)} isn't one of this queue's: {', '.join(sorted(buckets))}"
        elif not any(_matches(announced.event_name, pattern) for pattern in events):
            reason = f"event {_told(announced.event_name)} isn't one of this queue's: {', '.join(sorted(events))}"
        else:
            wanted.append(announced)
            continue
        unwanted.append(UnwantedObject(announced, reason))
    return tuple(wanted), tuple(unwanted)


def _matches(event_name: str, pattern: str) -> bool:
    pattern = pattern.removeprefix("s3:")
    if pattern.endswith("*"):
        return event_name.startswith(pattern[:-1])
    return event_name == pattern


def _collect(records: Iterable[Any], read: Callable[[Any], RestoredObject]) -> ParsedMessage:
    objects: list[RestoredObject] = []
    problems: list[str] = []
    for number, record in enumerate(records, 1):
        try:
            objects.append(read(record))
        except _RecordError as error:
            problems.append(f"record {number}: {error}")
    return ParsedMessage(tuple(objects), tuple(problems))


def _document(body: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except RecursionError:
        raise InvalidMessageError(_invalid("JSON nested too deep to be an event")) from None
    except ValueError as error:
        raise InvalidMessageError(_invalid("no valid JSON"), cause=str(error)) from error
    if not isinstance(document, dict):
        raise InvalidMessageError(_invalid(f"a JSON {_kind(document)} instead of an object"))
    return document


def _notification(document: dict[str, Any]) -> str:
    message = document.get("Message")
    if not isinstance(message, str):
        raise InvalidMessageError(_invalid(f"an SNS notification whose Message is {_kind(message)}, no text"))
    return message


def _records(document: dict[str, Any]) -> list[Any]:
    records = document.get("Records")
    if not isinstance(records, list) or not records:
        found = "an empty list" if records == [] else _kind(records)
        raise InvalidMessageError(_invalid(f"an object whose Records is {found}, no list of events"))
    return records


def _invalid(found: str) -> str:
    return (
        f"the message is no event of S3: found {found}; look at its body, and at what else sends messages to the queue"
    )


def _from_s3(record: Any) -> RestoredObject:
    version = _text(record, "eventVersion")
    if version.split(".")[0] != _MAJOR_VERSION:
        raise _RecordError(f"event version {_quoted(version)}, expected {_MAJOR_VERSION}.x")
    source = _optional_text(record, "eventSource")
    if source not in (None, "aws:s3"):
        raise _RecordError(f"an event of {_quoted(source)}, expected one of 'aws:s3'")
    event_name = _text(record, "eventName").removeprefix("s3:")
    s3 = _mapping(record, "s3")
    item = _mapping(s3, "object")
    restored = _optional_mapping(_optional_mapping(record, "glacierEventData"), "restoreEventData")
    return RestoredObject(
        bucket=_bucket(_mapping(s3, "bucket")),
        key=_decoded(_raw_text(item, "key")),
        version_id=_version_id(item, "versionId"),
        etag=_etag(item, ("eTag",), event_name),
        size=_size(item),
        event_name=event_name,
        event_time=_time(record, "eventTime"),
        restore_expiry=_time(restored, "lifecycleRestorationExpiryTime"),
        region=_optional_text(record, "awsRegion"),
    )


def _from_event_bridge(event: dict[str, Any]) -> RestoredObject:
    source = _text(event, "source")
    if source != "aws.s3":
        raise _RecordError(f"an event of {_quoted(source)}, expected one of 'aws.s3'")
    detail = _mapping(event, "detail")
    item = _mapping(detail, "object")
    event_name = _event_name(_text(event, "detail-type"), detail)
    return RestoredObject(
        bucket=_bucket(_mapping(detail, "bucket")),
        key=_text(item, "key"),
        version_id=_version_id(item, "version-id"),
        etag=_etag(item, ("etag", "eTag"), event_name),
        size=_size(item),
        event_name=event_name,
        event_time=_time(event, "time"),
        restore_expiry=_time(detail, "restore-expiry-time"),
        region=_optional_text(event, "region"),
    )


def _event_name(detail_type: str, detail: Mapping[str, Any]) -> str:
    if detail_type == "Object Created":
        reason = _optional_text(detail, "reason") or ""
        return _CREATION_NAMES.get(reason, f"ObjectCreated:{reason or 'Put'}")
    return _EVENT_NAMES.get(detail_type, detail_type)


def _bucket(holder: Mapping[str, Any]) -> str:
    return _storable("name", _raw_text(holder, "name"), longest=_LONGEST_BUCKET)


def _decoded(key: str) -> str:
    # Form encoding, undone exactly once: a key may hold a literal "+" or "%41".
    try:
        return _storable("key", unquote_plus(key, errors="strict"))
    except UnicodeDecodeError:
        raise _RecordError(f"key {_quoted(key)} isn't UTF-8, form-encoded") from None


def _etag(item: Mapping[str, Any], names: tuple[str, ...], event_name: str) -> str:
    etag = next((_sendable(name, _text(item, name)) for name in names if name in item), "").strip('"')
    if not etag and event_name.startswith(("ObjectCreated:", "ObjectRestore:Completed")):
        raise _RecordError(f"no {names[0]}, which {_told(event_name)} must have")
    return etag


def _version_id(item: Mapping[str, Any], name: str) -> str | None:
    version_id = _optional_text(item, name)
    return None if version_id is None else _sendable(name, version_id)


def _size(item: Mapping[str, Any]) -> int | None:
    size = item.get("size")
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= _LARGEST_SIZE:
        raise _RecordError(f"size is {_kind(size)}, expected bytes from 0 to 2**63-1")
    return size


def _time(holder: Mapping[str, Any], name: str) -> datetime | None:
    text = _optional_text(holder, name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None and moment.year in _YEARS:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _RecordError(f"{name} is {_quoted(text)}, expected a time such as 2024-04-12T00:00:00.000Z")


def _mapping(holder: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(holder, dict):
        raise _RecordError(f"{_kind(holder)}, expected an object with {name}")
    value = holder.get(name)
    if not isinstance(value, dict):
        raise _RecordError(f"{name} is {_kind(value)}, expected an object")
    return value


def _optional_mapping(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return {} if holder.get(name) is None else _mapping(holder, name)


def _text(holder: Any, name: str) -> str:
    return _storable(name, _raw_text(holder, name))


def _raw_text(holder: Any, name: str) -> str:
    if not isinstance(holder, dict):
        raise _RecordError(f"{_kind(holder)}, expected an object with {name}")
    value = holder.get(name)
    if not isinstance(value, str) or not value:
        raise _RecordError(f"{name} is {_kind(value)}, expected text")
    return value


def _optional_text(holder: Mapping[str, Any], name: str) -> str | None:
    return _text(holder, name) if holder.get(name) not in (None, "") else None


def _storable(name: str, text: str, *, longest: int = _LONGEST_TEXT) -> str:
    # A NUL or half a surrogate pair is valid JSON, but no database's text.
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise _RecordError(f"{name} {_quoted(text)} holds a NUL or half a character")
    if (size := len(text.encode())) > longest:
        raise _RecordError(f"{name} {_quoted(text)} has {size} bytes, expected at most {longest}")
    return text


def _sendable(name: str, text: str) -> str:
    # It becomes a part of requests, an ETag one of their headers.
    if not (text.isascii() and text.isprintable()):
        raise _RecordError(f"{name} {_quoted(text)} holds other characters than printable ASCII")
    return text


def _told(text: str) -> str:
    """Return a value as a line shows it: printable, and the beginning alone of a long one."""
    return one_line(text[:_CHARACTERS_TOLD]) + ("…" if len(text) > _CHARACTERS_TOLD else "")


def _quoted(text: str) -> str:
    return repr(text[:_CHARACTERS_TOLD]) + ("…" if len(text) > _CHARACTERS_TOLD else "")


def _kind(value: Any) -> str:
    if value is None:
        return "missing"
    if value == "":
        return "empty"
    names = {bool: "boolean", int: "number", float: "number", str: "text", list: "list", dict: "object"}
    return names[type(value)]

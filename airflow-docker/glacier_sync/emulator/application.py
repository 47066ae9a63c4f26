"""Moto's S3 and SQS, made to behave as Glacier does where moto doesn't.

Ours are: restores that complete by themselves, events as S3 words them, ranges
that cost no more than they hold, parts with their object's ETag, and composite
checksums with their part count.
"""

from __future__ import annotations

import re
import socket
from typing import Any

from moto.backends import SERVICE_NAMES
from moto.core.utils import convert_to_flask_response, iso_8601_datetime_with_milliseconds
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3 import notifications
from moto.s3.exceptions import InvalidObjectState, MalformedXML, MissingKey, MissingVersion
from moto.s3.models import FakeKey
from moto.s3.responses import S3Response
from moto.s3.utils import ARCHIVE_STORAGE_CLASSES
from werkzeug import serving
from werkzeug.datastructures import Headers
from werkzeug.serving import BaseWSGIServer

from glacier_sync.emulator.restores import Restores, event_record

_Answer = tuple[int, dict[str, Any], str | bytes]

_IN_PROGRESS = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>RestoreAlreadyInProgress</Code>'
    b"<Message>Object restore is already in progress</Message></Error>"
)


def make_server(listener: socket.socket, restores: Restores) -> BaseWSGIServer:
    """Return a server at a listening socket."""
    # The one thing of moto's that is replaced in place: how an event reads.
    notifications._get_s3_event = event_record
    notifications._get_test_event = _test_event
    host, port = listener.getsockname()[:2]
    return serving.make_server(
        host, port, _application(restores), threaded=True, request_handler=_QuietHandler, fd=listener.fileno()
    )


def _application(restores: Restores) -> DomainDispatcherApplication:
    class Response(_ArchiveResponse):
        pass

    Response.restores = restores

    def create(service: SERVICE_NAMES) -> Any:
        app = create_backend_app(service)
        if service == "s3":
            for view in app.view_functions.values():
                if isinstance(view, convert_to_flask_response):
                    view.callback = getattr(Response, view.callback.__name__)
        return app

    return DomainDispatcherApplication(create)


class _QuietHandler(MotoRequestHandler):
    # An answer's head and body are written apart; Nagle's algorithm would hold the body back.
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing of requests; errors are still logged."""


class _ArchiveResponse(S3Response):
    restores: Restores

    @staticmethod
    def subdomain_based_buckets(request: Any) -> bool:  # noqa: ARG004 - moto's signature
        """Take every address for one with the bucket in its path, whatever this machine is called."""
        return False

    def get_object(self) -> _Answer:
        """Answer a range by reading that range only."""
        key, not_modified = self._get_key()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        start = int(asked[1]) if asked else key.size
        end = min(int(asked[2] or key.size) if asked else 0, key.size - 1)
        if not_modified or start > end:
            answer: _Answer = super().get_object()
            return answer
        with key.lock:
            key._value_buffer.seek(start)
            content = key._value_buffer.read(end + 1 - start)
        headers = {
            **key.response_dict,
            **key.metadata,
            "accept-ranges": "bytes",
            "content-range": f"bytes {start}-{end}/{key.size}",
            "content-length": str(len(content)),
        }
        return 206, headers, content

    def head_object(self, bucket_name: str, query: dict[str, Any], key_name: str, headers: Any) -> _Answer:
        """Answer for a part with its object's ETag, for a composite checksum with its part count."""
        whole = self.backend.get_object(bucket_name, key_name, version_id=query.get("versionId", [None])[0])
        if whole is None or "partNumber" not in query:
            status, found, body = super().head_object(bucket_name, query, key_name, headers)
        elif headers.get("If-Match", whole.etag) != whole.etag:
            return 412, {}, ""
        else:
            unpinned: Any = Headers(headers)
            unpinned.remove("If-Match")
            status, found, body = super().head_object(bucket_name, query, key_name, unpinned)
            found |= {name: value for name, value in whole.response_dict.items() if name != "content-length"}
        if whole is not None and whole.checksum_type == "COMPOSITE":
            name = f"x-amz-checksum-{str(whole.checksum_algorithm).lower()}"
            if name in found:
                found[name] = f"{whole.checksum_value}-{whole.checksum_parts}"
                found["x-amz-checksum-type"] = whole.checksum_type
        return status, found, body

    def _key_response_post(
        self, request: Any, body: bytes, bucket_name: str, query: dict[str, Any], key_name: str
    ) -> _Answer:
        if "restore" not in query:
            answer: _Answer = super()._key_response_post(request, body, bucket_name, query, key_name)
            return answer
        self._set_action("KEY", "POST", query)
        key = self._archived(bucket_name, key_name, query.get("versionId", [None])[0])
        days = re.search(rb"<Days>([1-9]\d*)</Days>", body)
        if days is None:
            raise MalformedXML
        status = self.restores.ask(key, int(days[1]))
        return status, {}, _IN_PROGRESS if status == 409 else b""

    def _archived(self, bucket_name: str, key_name: str, version_id: str | None) -> FakeKey:
        key = self.backend.get_object(bucket_name, key_name, version_id=version_id)
        if key is None:
            raise MissingVersion if version_id else MissingKey(key=key_name)
        if key.storage_class not in ARCHIVE_STORAGE_CLASSES:
            raise InvalidObjectState(storage_class=key.storage_class)
        return key


def _test_event(bucket_name: str) -> dict[str, Any]:
    return {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": iso_8601_datetime_with_milliseconds(),
        "Bucket": bucket_name,
        "RequestId": "EMULATOR",
        "HostId": "emulator",
    }

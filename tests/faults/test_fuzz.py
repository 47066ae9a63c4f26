"""Any message and any sync.yml is understood or refused in one line. The corpus holds what is worth remembering."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_sync import events
from glacier_sync.sync import SyncOptions, WorkOptionsError, load_options

CORPUS = Path(__file__).parent / "corpus"
EVENTS = sorted((CORPUS / "events").iterdir())
OPTIONS = sorted((CORPUS / "options").iterdir())

PIECES = [
    *("sync:", " web:", " replace:", " true", "audit:", " pre:", "&a", "*a", "!!", "1e9"),
    *(" [", "]", "{", "}", "\n", "  ", "'", "|", "?", "-", "\0", "é"),
]
RECORD = {
    "eventVersion": "2.1",
    "eventName": "ObjectRestore:Completed",
    "s3": {"bucket": {"name": "nlm"}, "object": {"key": "W1.bag.zip", "eTag": "e"}},
}
PLACES = [("bucket", "name"), ("object", "key"), ("object", "eTag"), ("object", "versionId")]
yaml_texts = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text()


# What is told of one record quotes 80 characters, each of which may be escaped.
MOST_OF_A_RECORD = 1000


def require_understood_or_refused(body: str) -> None:
    try:
        parsed = events.parse(body)
        _, unwanted = events.select(parsed.objects, ["nlm"], ["ObjectRestore:Completed"])
        told, most = [*parsed.problems, *(refused.reason for refused in unwanted)], MOST_OF_A_RECORD
    except events.InvalidMessageError as error:
        told, most = [error.message], 6 * MOST_OF_A_RECORD
    assert all(line.isprintable() and len(line) < most for line in told)


def require_options_or_refusal(content: bytes) -> None:
    options, refusal = SyncOptions(), ""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "W1" / "config" / "sync.yml"
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        try:
            options = load_options(file.parents[1], Path(folder))
        except WorkOptionsError as error:
            refusal = error.message
    assert refusal.isprintable()
    assert (options.replace, options.archive, options.audit_pre) == (False, True, ())


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_messages_of_the_corpus(path: Path) -> None:
    require_understood_or_refused(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: path.stem)
def test_options_of_the_corpus(path: Path) -> None:
    require_options_or_refusal(path.read_bytes())


@given(st.sampled_from(EVENTS), st.data())
def test_messages_cut_and_mended_anywhere(path: Path, data: st.DataObject) -> None:
    body = path.read_text(encoding="utf-8")
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(body))] * 2)))
    require_understood_or_refused(body[:start] + data.draw(st.text(max_size=5)) + body[end:])


@given(st.sampled_from(["eventVersion", "eventSource", "eventName", "eventTime", "awsRegion", *PLACES]), st.data())
def test_messages_with_any_text_in_any_place(place: str | tuple[str, str], data: st.DataObject) -> None:
    text = data.draw(st.text(min_size=1)) * data.draw(st.sampled_from([1, 100, 10_000]))
    record = json.loads(json.dumps(RECORD))
    if isinstance(place, tuple):
        record["s3"][place[0]][place[1]] = text
    else:
        record[place] = text
    require_understood_or_refused(json.dumps({"Records": [record]}))
    require_understood_or_refused(json.dumps({"Records": [RECORD, record]}))


@given(yaml_texts)
def test_any_options(text: str) -> None:
    require_options_or_refusal(text.encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=200))
def test_options_of_any_bytes(content: bytes) -> None:
    require_options_or_refusal(content)

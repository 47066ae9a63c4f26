"""Any message and any sync.yml is understood or refused in one line. The corpus holds what is worth remembering."""

from __future__ import annotations

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
yaml_texts = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text()


def require_understood_or_refused(body: str) -> None:
    refusal = ""
    try:
        events.parse(body)
    except events.InvalidMessageError as error:
        refusal = error.message
    assert refusal.isprintable()


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


@given(yaml_texts)
def test_any_options(text: str) -> None:
    require_options_or_refusal(text.encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=200))
def test_options_of_any_bytes(content: bytes) -> None:
    require_options_or_refusal(content)

"""Hostile names, messages and options, end to end: told in words, shown harmlessly, and nothing else touched."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from tests.faults import invariants
from tests.faults.conftest import Note
from tests.faults.scene import Scene, Scenes
from tests.support.pipeline import Bagger, message, messages_left, record

COMMAND = Path(sys.executable).parent / "glacier-sync"
# All but tabs and line ends, which a terminal acts upon.
RAW_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")
CANARY = "canary"
KEYS = [
    f"Archive0/01/$(touch {CANARY})/W1TEST01.`touch {CANARY}`;touch {CANARY};.bag.zip",
    "a\tb/W1TEST02.\x1b]0;title\x07\x1b[31m.bag.zip",
    "=cmd|'/c calc'!A1/W1TEST03.'\"{{ 7 * 7 }}{% raw %}.bag.zip",
    f"{'long/' * 200}W1TEST04.{'x' * 7}.bag.zip",
    "-rf/--delete/W1TEST05.\N{RIGHT-TO-LEFT OVERRIDE}gpj.bag.zip",
    # Longer than a file's name may be, and as long as S3 lets a key be.
    f"a/W1TEST06.{'x' * 300}.bag.zip",
    f"{'ཀ' * 200}/W1TEST07.{'ཁ' * 135}x.bag.zip",
]
# No object can have them here; one that says so is announced all the same.
ABSENT_KEYS = [
    "a\nW1TEST09: synced\n.bag.zip",
    "../../../../W1TEST06.bag.zip",
    "/etc/W1TEST07.bag.zip",
    "a/..",
    "W1TEST08\\..\\..\\.bag.zip",
]
BOMBS = [
    '{"Records": ' * 20_000,
    '{"Records": [{"eventVersion": ' + "9" * 100_000 + "}]}",
    '{"Records": [{"eventVersion": "2.1", "s3": {"object": {"size": 1e400}}}]}',
    '{"Type": "Notification", "Message": "{\\"Type\\": \\"Notification\\", \\"Message\\": \\"[]\\"}"}',
    '{"Records": [' + ",".join(["[]"] * 50_000) + "]}",
    "\ufeff" + "\0" * 1000,
]
# It would set a terminal's title, empty the screen and forge a line.
DRAWING_NAME = "ObjectCreated:\x1b]0;pwned\x07\x1b[2J\nglacier-sync: all is well"
OPTIONS = {
    "sync: {replace: true}": "a work may not set sync.replace",
    "sync: {archive: false}": "a work may not set sync.archive",
    "audit: {pre: ['-T', 'FileSequence']}": "a work may not set audit.pre",
    "work_may_set: [sync.replace]": "unknown key 'work_may_set'",
    "a: &a [x]\nb: [*a, *a]": "aliases aren't allowed",
    "!!python/object/apply:os.system ['touch canary']": "tags aren't allowed",
    "[" * 5000: "nested too deeply",
}


PARTS = {"archive", "config", "data", "ledger", "logs"}


@pytest.fixture
def scene(scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A site whose runs work in a folder where a canary would be seen."""
    monkeypatch.chdir(tmp_path)
    with scenes.scene() as made:
        yield made
        assert not list(tmp_path.rglob(CANARY))
        assert not list(made.place.home.rglob(CANARY))
        assert {path.name for path in made.place.home.iterdir()} <= PARTS


def shown(scene: Scene, *words: str) -> bytes:
    """Return all that a command shows."""
    done = subprocess.run([COMMAND, *words], env=scene.environment, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout + done.stderr


def require_harmless(*texts: bytes) -> None:
    for text in texts:
        assert not RAW_CONTROL.search(text), text


def logged(scene: Scene) -> list[bytes]:
    found = [path.read_bytes() for path in (scene.place.home / "logs").rglob("*") if path.is_file()]
    assert found
    return found


def test_names_that_mean_something_elsewhere(scene: Scene, bag: Bagger, note: Note) -> None:
    """To a shell, a terminal, a table, a template, a program that takes options."""
    hostile = [f"$(touch {CANARY}).jpg", "\x1b[2J.jpg", "a\nb.jpg", "=1+1.jpg", "-rf"]

    def add(work: Path) -> None:
        for name in hostile:
            (work / "images" / name).write_text(name)

    bagged = [bag(f"W1TEST{number:02}", change=add) for number in range(1, len(KEYS) + 1)]
    for made, key in zip(bagged, KEYS, strict=True):
        scene.place.restored(made, key)
    told = shown(scene, "run")
    assert {item.phase for item in scene.place.ledger.objects()} == {"synced"}
    for made in bagged:
        copied = {path.name for path in (scene.place.archived(made.works[0].name) / "images").iterdir()}
        assert set(hostile) <= copied
    require_harmless(told, shown(scene, "status"), shown(scene, "status", "--json"), *logged(scene))
    note("hostile keys and names", invariants.in_the_end(scene), len(KEYS) * (1 + len(hostile)))


def test_keys_that_lead_elsewhere(scene: Scene, bag: Bagger, note: Note) -> None:
    made = bag("W1TEST01")
    scene.place.store(made, made.key)
    for key in ABSENT_KEYS:
        found = record(scene.place.site, made.key)
        found["s3"]["object"]["key"] = quote_plus(key)
        scene.place.site.send(message(found))
    told = shown(scene, "run")
    items = scene.place.ledger.objects()
    assert {item.key for item in items} == set(ABSENT_KEYS)
    assert {item.phase for item in items} == {"failed"}
    assert all(item.failure_reason for item in items)
    assert scene.place.working_data() == []
    require_harmless(told, shown(scene, "status"))
    note("keys that lead out of the folder", invariants.in_the_end(scene), len(ABSENT_KEYS))


def bombs_beside(good: dict[str, Any]) -> list[str]:
    """Return messages with a good record and one that isn't."""
    bucket, key, drawing = (json.loads(json.dumps(good)) for _ in range(3))
    bucket["s3"]["bucket"]["name"] = "b" * 100_000
    key["s3"]["object"]["key"] = "k" * 200_000
    drawing["eventName"] = DRAWING_NAME
    del drawing["s3"]["object"]["eTag"]
    return [message(good, bad) for bad in (bucket, key, drawing, {**good, "eventVersion": "9" * 200_000})]


def test_bombs_among_the_messages(scene: Scene, scenes: Scenes, bag: Bagger, note: Note) -> None:
    made = bag("W1TEST01")
    scenes.store(made)
    bombs = [*BOMBS, *bombs_beside(record(scene.place.site, made.key))]
    scene.place.site.send(*bombs)
    scene.announce(made)
    told = shown(scene, "--debug", "run")
    rejected = [event for event in scene.place.ledger.events() if event.kind == "message_rejected"]
    assert len(rejected) == messages_left(scene.place.site) == len(bombs)
    assert all(event.message.isprintable() and len(event.message) < 1000 for event in rejected)
    require_harmless(told, shown(scene, "status"), *logged(scene))
    assert max(map(len, told.splitlines())) < 2000
    assert b"\nglacier-sync: all is well" not in told
    scene.place.site.client.sqs.purge_queue(QueueUrl=scene.queue_url)
    note("bombs among the messages", invariants.in_the_end(scene), len(bombs))


def test_works_that_bring_options(scene: Scene, bag: Bagger, note: Note) -> None:
    """More than they may: each fails in words, and what the archive has stays as it is."""
    for number, text in enumerate(OPTIONS, 1):

        def bring(work: Path, text: str = text) -> None:
            (work / "config").mkdir()
            (work / "config" / "sync.yml").write_text(text)

        made = bag(f"W1TEST{number:02}", change=bring)
        scene.place.restored(made)
    shown(scene, "run")
    reasons = {item.rid: item.failure_reason or "" for item in scene.place.ledger.objects()}
    for number, said in enumerate(OPTIONS.values(), 1):
        assert said in reasons[f"W1TEST{number:02}"]
    assert not [path for path in (scene.place.home / "archive").rglob("*") if path.is_file()]
    note("works that bring options that they may not", invariants.in_the_end(scene), len(OPTIONS))

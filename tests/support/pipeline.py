"""A whole site for tests of the pipeline: settings, queue, ledger, archive, and bags that are restored."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote_plus

import psutil
import pytest
import yaml
from moto.sqs.models import sqs_backends
from tests.support.aws import REGION, Site
from tests.support.images import draw_work
from tests.support.processes import PROCESSES

from glacier_sync import bags, pipeline
from glacier_sync.ledger import Ledger, LedgerObject, Run
from glacier_sync.pipeline import Outcome, feeder, sync
from glacier_sync.pipeline import run as pipeline_run
from glacier_sync.settings import Settings, load_settings
from glacier_sync.works import archive_path, staging_key

STAMP = datetime(2026, 3, 1, 12, tzinfo=UTC)
EXPIRY = "2026-03-09T00:00:00.000Z"

ACCOUNT = "123456789012"

INNERMOST = "sources/" + 1000 * "d/" + "innermost.txt"

_names = itertools.count(1)


@dataclass(frozen=True)
class Bag:
    """A zipped bag, the works that were put into it, and the key it is stored under."""

    zip_path: Path
    works: tuple[Path, ...]

    @property
    def key(self) -> str:
        return staging_key(self.works[0].name)


@dataclass
class Bagger:
    """Makes bags of small drawn works; those that nothing is changed in are made once."""

    folder: Path
    known: dict[tuple[str, ...], Bag] = field(default_factory=dict)

    def __call__(self, *rids: str, change: Callable[[Path], object] | None = None, images: int = 1) -> Bag:
        """Return a bag of works; ``change`` is done to the last of them before it is bagged."""
        if change is None and images == 1 and rids in self.known:
            return self.known[rids]
        folder = self.folder / str(next(_names))
        works = tuple(draw_work(folder / "works", rid, images=images) for rid in rids)
        if change:
            change(works[-1])
        zip_path = folder / f"{rids[0]}.bag.zip"
        bags.make_bag_zip(works, zip_path)
        bag = Bag(zip_path, works)
        if change is None and images == 1:
            self.known[rids] = bag
        return bag


@dataclass(frozen=True)
class Installation:
    """Everything that the pipeline works on, below one folder; its ledger is open."""

    site: Site
    home: Path
    settings: Settings
    ledger: Ledger

    def context(self, run: Run | None = None, *, last_try: bool = False, **changed: Any) -> pipeline.Context:
        """Return a run's view, with some settings changed."""
        return pipeline.Context(
            settings=self.settings.model_copy(update=changed),
            ledger=self.ledger,
            run=run or Run.of_this_process(),
            logical_date=STAMP,
            last_try=last_try,
            progress=lambda _stage, _number: _say_nothing,
        )

    def run(self, **changed: Any) -> pipeline_run.Tally:
        """Do what ``glacier-sync run`` does, in this process."""
        return pipeline_run.run(self.context(last_try=True, **changed), _say_nothing)

    def restored(self, bag: Bag, key: str | None = None) -> str:
        """Store a bag as a restored object and announce it; return its key."""
        key = key or bag.key
        self.site.send(message(self.store(bag, key)))
        return key

    def store(self, bag: Bag, key: str) -> dict[str, Any]:
        """Store a bag; return the record that announces its restore."""
        self.site.put(key, bag.zip_path.read_bytes())
        return record(self.site, key)

    def claimed(self, bag: Bag, run: Run | None = None) -> int:
        """Announce a bag and claim it; return the object's number."""
        self.restored(bag)
        claims, problems = pipeline.get_restored_object_messages(self.context(run))
        assert problems == []
        return int(claims[-1]["object"])

    def debagged(self, bag: Bag, run: Run | None = None) -> int:
        """Bring a bag as far as its sync; return the object's number."""
        number = self.claimed(bag, run)
        for stage in (pipeline.download_from_messages, pipeline.debag_downloads):
            outcome = stage(self.context(run), number)
            assert isinstance(outcome, pipeline.Done), outcome
        return number

    def settled(self, bag: Bag) -> tuple[Outcome, LedgerObject]:
        """Bring a bag to its end; return the last outcome and what the ledger says."""
        number = self.debagged(bag)
        outcome = sync.sync(self.context(), number)
        return outcome, self.ledger.object(number)

    def planned(self, number: int) -> str:
        """Return the bash of an object's sync."""
        outcome = pipeline.plan_sync(self.context(), number)
        assert isinstance(outcome, pipeline.Done), outcome
        return str(outcome.facts["script"])

    def synced(self, bag: Bag) -> LedgerObject:
        """Bring a bag into the archive."""
        self.restored(bag)
        self.run()
        item = self.ledger.objects()[-1]
        assert item.phase == "synced", item.failure_reason
        return item

    def archived(self, rid: str) -> Path:
        return archive_path(self.settings.archive_parent, rid)

    def say(self, site_file: Mapping[str, Any]) -> None:
        """Write the site's options of audit and sync."""
        (self.settings.site_config_dir / "site-sync.yml").write_text(yaml.safe_dump(dict(site_file)))

    def read_queues(self, *queues: Mapping[str, Any]) -> None:
        """Write ``intake.yml``."""
        self.settings.intake.write_text(yaml.safe_dump({"queues": [dict(queue) for queue in queues]}))

    def working_data(self) -> list[str]:
        """Return the names of all that is in the working folders."""
        folders = (self.settings.download_dir, self.settings.work_dir)
        return sorted(str(path.relative_to(self.settings.data_dir)) for f in folders for path in f.rglob("*"))

    def kinds(self, number: int | None = None) -> list[str]:
        """Return the kinds of an object's events, in order."""
        return [event.kind for event in self.ledger.events(number)]


def _say_nothing(*_: object) -> None:
    """Take what a test doesn't look at."""


@contextmanager
def installation(site: Site, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """Set up a site in a folder, in the environment too, for the processes that a test starts."""
    for name in [name for name in os.environ if name.startswith("GLACIER_SYNC_")]:
        monkeypatch.delenv(name)
    values = {
        "HOME": home,
        "INTAKE": home / "config" / "intake.yml",
        "SITE_CONFIG_DIR": home / "config",
        "SQS_WAIT_SECONDS": 0,
        "KEEP_FREE_MIB": 0,
        "WORKERS": 2,
    }
    for name, value in values.items():
        monkeypatch.setenv(f"GLACIER_SYNC_{name}", str(value))
    (home / "config").mkdir(parents=True)
    settings = load_settings()
    for part in range(4):
        Path(f"{settings.archive_parent}{part}").mkdir(parents=True)
    with Ledger.open(settings) as ledger:
        made = Installation(site, home, settings, ledger)
        made.read_queues(queue_entry(site))
        yield made


def queue_entry(site: Site, **changed: Any) -> dict[str, Any]:
    """Return a site's queue as an entry of ``intake.yml``."""
    return {
        "name": "test",
        "queue": site.queue_name,
        "region": REGION,
        "buckets": [site.bucket],
        **changed,
    }


def record(site: Site, key: str, *, expiry: str | None = EXPIRY, **changed: Any) -> dict[str, Any]:
    """Return S3's record of a stored object, as it announces a restore."""
    head = site.client.s3.head_object(Bucket=site.bucket, Key=key)
    found: dict[str, Any] = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": "2026-03-02T08:00:00.000Z",
        "eventName": "ObjectRestore:Completed",
        "s3": {
            "bucket": {"name": site.bucket},
            "object": {
                "key": quote_plus(key, safe="/"),
                "size": head["ContentLength"],
                "eTag": head["ETag"].strip('"'),
            },
        },
        **changed,
    }
    if expiry:
        found["glacierEventData"] = {"restoreEventData": {"lifecycleRestorationExpiryTime": expiry}}
    return found


def message(*records: Mapping[str, Any]) -> str:
    """Return records as S3 sends them to a queue."""
    return json.dumps({"Records": records})


def messages_left(site: Site) -> int:
    """Return how many messages a queue has, hidden ones too."""
    return len(sqs_backends[ACCOUNT][REGION].queues[site.queue_name]._messages)


def show_again(site: Site) -> None:
    """Let the time pass for which received messages are hidden."""
    for hidden in sqs_backends[ACCOUNT][REGION].queues[site.queue_name]._messages:
        hidden.visible_at = 0


class Vanishing(Event):
    """What holds a request in the proxy whose sender is killed: released, it is forgotten, not passed on."""

    def wait(self, timeout: float | None = None) -> bool:
        super().wait(timeout)
        raise ConnectionAbortedError("the sender was killed")


def nest(work: Path) -> None:
    """Give a work a thousand folders one in the other, with a file in the innermost."""
    folder = work
    for name in INNERMOST.split("/")[:-1]:
        folder /= name
        folder.mkdir()
    (work / INNERMOST).write_text("here", encoding="ascii")


def change_page(folder: Path) -> None:
    """Alter one page of a work."""
    page = next(folder.rglob("*.jpg"))
    page.write_bytes(page.read_bytes() + b"\0")


def add_page(folder: Path) -> None:
    """Give a work a file that others lack."""
    (folder / "images" / "added.txt").write_text("added")


def tree(folder: Path, *, without: Sequence[str] = ()) -> dict[str, str]:
    """Return the files below a folder with their digests."""
    files = (path for path in folder.rglob("*") if path.is_file())
    names = {str(path.relative_to(folder)): path for path in files}
    return {name: _digest(path) for name, path in names.items() if not name.startswith(tuple(without))}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_archived(place: Installation, work: Path) -> bool:
    """Tell whether a work stands in the archive exactly as it was bagged."""
    return tree(place.archived(work.name), without=[f"{work.name}.bag/"]) == tree(work)


def start_run() -> Any:
    """Start a process that does what ``glacier-sync run`` does; it leads a group of its own."""
    process = PROCESSES.Process(target=run_in_group, args=(dict(os.environ),), daemon=True)
    process.start()
    return process


def kill(process: Any, *, with_children: bool) -> None:
    """Kill a run at once; what it started goes on unless it is killed too."""
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    if with_children:
        end_children(process)
    process.join()
    if with_children:
        _wait_until_gone(process.pid)


def _wait_until_gone(group: int) -> None:
    """Wait for the end of what was killed: until then it holds its locks."""
    until = time.monotonic() + 60
    while any(_lives(process, group) for process in psutil.process_iter()) and time.monotonic() < until:
        time.sleep(0.01)


def _lives(process: psutil.Process, group: int) -> bool:
    with suppress(ProcessLookupError, psutil.Error):
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    return False


def end_children(process: Any) -> None:
    """Kill what is left of a run's process group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def run_in_group(environment: Mapping[str, str]) -> None:
    """Do what ``glacier-sync run`` does, in this process, as the leader of a new group; feed it first, if told to."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    settings = load_settings()
    with Ledger.open(settings) as ledger:
        context = pipeline.Context(
            settings=settings,
            ledger=ledger,
            run=Run.of_this_process(),
            logical_date=datetime.now(UTC),
            last_try=True,
            progress=lambda _stage, _number: _say_nothing,
        )
        if settings.incoming_dir:
            feeder.feed(context)
        pipeline_run.run(context, _say_nothing)

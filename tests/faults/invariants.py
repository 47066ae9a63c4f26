"""What holds after every fault: nothing lost, nothing twice, nothing unverified, nothing left behind."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.scene import Scene
from tests.support.pipeline import Bag, is_archived, messages_left, tree

from glacier_sync.ledger import LedgerObject, Phase
from glacier_sync.pipeline import fixity

ONCE = ("downloaded", "debagged", "synced")


@dataclass
class Findings:
    """What doesn't hold, in words, by the promise that is broken."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    unverified: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.duplicated or self.unverified or self.left)

    def add(self, other: Findings) -> None:
        self.lost += other.lost
        self.duplicated += other.duplicated
        self.unverified += other.unverified
        self.left += other.left


def at_any_time(scene: Scene) -> Findings:
    """Judge what must hold at every instant.

    No message and no original is lost, what has its name in the archive is whole, or a
    mixture of whole files where it replaces an earlier one, and nothing lies where the
    archive isn't mounted.
    """
    found = Findings()
    if scene.incoming_dir:
        found.lost += [f"{bag.zip_path.name} isn't whole any more" for bag in scene.bags if not scene.originals(bag)]
    else:
        found.lost += _lost_messages(scene)
    found.unverified += [
        f"{work.name} has its name in the archive, and isn't whole"
        for bag in scene.bags
        for work in bag.works
        if scene.place.archived(work.name).exists() and not _is_whole(scene, work)
    ]
    if scene.archive_away.exists():
        found.left += [f"{path} where the archive isn't mounted" for path in _files(scene.archive_root)]
    return found


def in_the_end(scene: Scene, *, hopeless: bool = False, restores: int = 1, standing: Collection[str] = ()) -> Findings:
    """Judge what must hold when all that was announced has been worked on.

    Every good bag is synced; a ``hopeless`` one has failed, with a reason. None was
    restored more than ``restores`` times. Beside what is synced, works that are ``standing``
    may be in the archive.
    """
    place, found = scene.place, Findings()
    items = place.ledger.objects()
    for bag in scene.bags:
        own = [item for item in items if item.key == scene.key_of(bag)]
        if not own:
            found.lost.append(f"{bag.key} isn't in the ledger")
        if len(own) > 1:
            found.duplicated.append(f"{bag.key} is {len(own)} times in the ledger")
        for item in own:
            if hopeless:
                _judge_failed(scene, item, found)
            else:
                _judge_synced(scene, bag, item, found, restores)
    if messages_left(place.site):
        found.lost.append(f"{messages_left(place.site)} messages are still in the queue")
    if scene.incoming_dir:
        _judge_folders(scene, found)
    found.add(nothing_left(scene, standing))
    return found


def nothing_left(scene: Scene, standing: Collection[str] = ()) -> Findings:
    """Judge that there is nothing but what is synced or ``standing``: no working data, no half copy, no lock."""
    place = scene.place
    synced = {*standing} | {
        work.rid for item in place.ledger.objects() for work in item.works if item.phase is Phase.SYNCED
    }
    working = [f"{name} in the working folder" for name in place.working_data()]
    return Findings(left=working + [f"{path} in the archive" for path in _archived(scene) if path.name not in synced])


def _is_whole(scene: Scene, work: Path) -> bool:
    if work.name not in scene.earlier:
        return is_archived(scene.place, work)
    found = tree(scene.place.archived(work.name), without=[f"{work.name}.bag/"])
    before = tree(scene.earlier[work.name])
    return before.keys() <= found.keys() and found.items() <= before.items() | tree(work).items()


def _lost_messages(scene: Scene) -> Iterator[str]:
    waiting = messages_left(scene.place.site)
    recorded = {item.key for item in scene.place.ledger.objects()}
    if waiting < len({bag.key for bag in scene.bags} - recorded):
        yield f"{waiting} messages in the queue, and only {sorted(recorded)} in the ledger"


def _judge_folders(scene: Scene, found: Findings) -> None:
    """Each original is in the retention folder, once, and nothing else is in it nor in the others."""
    originals = [path for bag in scene.bags for path in scene.originals(bag)]
    kept = scene.place.settings.retention_dir
    assert kept is not None
    found.left += [f"{path}" for path in (*scene.fed_files(), *_files(kept)) if path not in originals]
    found.left += [f"{path} is for the feeder" for path in kept.glob("*.new")]
    found.lost += [f"{bag.zip_path.name} isn't kept" for bag in scene.bags if not scene.originals(bag)]
    found.duplicated += [f"{path}" for bag in scene.bags for path in scene.originals(bag)[1:]]


def _judge_failed(scene: Scene, item: LedgerObject, found: Findings) -> None:
    if item.phase is not Phase.FAILED or not item.failure_reason:
        found.lost.append(f"{item.key} is {item.phase}: {item.failure_reason}")
    if (times := scene.place.kinds(item.id).count("failed")) > 1:
        found.duplicated.append(f"{item.key} failed {times} times")
    if item.claimed_by:
        found.left.append(f"{item.key} is still claimed by {item.claimed_by}")


def _judge_synced(scene: Scene, bag: Bag, item: LedgerObject, found: Findings, restores: int) -> None:
    place = scene.place
    if item.phase is not Phase.SYNCED:
        found.lost.append(f"{item.key} is {item.phase}: {place.ledger.events(item.id)[-1].message}")
        return
    kinds = place.kinds(item.id)
    found.duplicated += [f"{item.key} was {kinds.count(kind)} times {kind}" for kind in ONCE if kinds.count(kind) != 1]
    if not 1 <= kinds.count("restored") <= restores:
        found.duplicated.append(f"{item.key} was {kinds.count('restored')} times restored")
    if item.claimed_by:
        found.left.append(f"{item.key} is still claimed by {item.claimed_by}")
    found.add(archived(scene, bag))


def archived(scene: Scene, bag: Bag) -> Findings:
    """Judge that the archive has a bag's works, as the bag's manifest says."""
    place, found = scene.place, Findings()
    for work in bag.works:
        if not place.archived(work.name).is_dir():
            found.lost.append(f"{work.name} isn't in the archive")
        elif not is_archived(place, work) or not fixity.check(place.settings, place.ledger, work.name).intact:
            found.unverified.append(f"{work.name} in the archive isn't what the bag holds")
    return found


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if not path.is_dir())


def _archived(scene: Scene) -> Iterator[Path]:
    parent = scene.place.settings.archive_parent
    for part in range(4):
        yield from Path(f"{parent}{part}").glob("*/*")

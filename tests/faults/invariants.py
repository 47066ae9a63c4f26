"""What holds after every fault: nothing lost, nothing twice, nothing unverified, nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.scene import Scene
from tests.support.pipeline import Bag, is_archived, messages_left

from glacier_sync.ledger import LedgerObject, Phase
from glacier_sync.pipeline import fixity

_ONCE = ("restored", "downloaded", "debagged", "synced")


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
    """Judge what must hold at every instant: no message is lost, and what has its name in the archive is whole."""
    found = Findings()
    waiting = messages_left(scene.place.site)
    recorded = {item.key for item in scene.place.ledger.objects()}
    if waiting < len({bag.key for bag in scene.bags} - recorded):
        found.lost.append(f"{waiting} messages in the queue, and only {sorted(recorded)} in the ledger")
    found.unverified += [
        f"{work.name} has its name in the archive, and isn't whole"
        for bag in scene.bags
        for work in bag.works
        if scene.place.archived(work.name).exists() and not is_archived(scene.place, work)
    ]
    return found


def in_the_end(scene: Scene, *, hopeless: bool = False) -> Findings:
    """Judge what must hold when all that was announced has been worked on.

    Every good bag is synced; a ``hopeless`` one has failed, with a reason.
    """
    place, found = scene.place, Findings()
    items = place.ledger.objects()
    for bag in scene.bags:
        own = [item for item in items if item.key == bag.key]
        if not own:
            found.lost.append(f"{bag.key} isn't in the ledger")
        if len(own) > 1:
            found.duplicated.append(f"{bag.key} is {len(own)} times in the ledger")
        for item in own:
            if hopeless:
                _judge_failed(item, found)
            else:
                _judge_synced(scene, bag, item, found)
    if messages_left(place.site):
        found.lost.append(f"{messages_left(place.site)} messages are still in the queue")
    synced = {work.rid for item in items for work in item.works if item.phase is Phase.SYNCED}
    found.left += [f"{name} in the working folder" for name in place.working_data()]
    found.left += [f"{path} in the archive" for path in _archived(scene) if path.name not in synced]
    return found


def _judge_failed(item: LedgerObject, found: Findings) -> None:
    if item.phase is not Phase.FAILED or not item.failure_reason:
        found.lost.append(f"{item.key} is {item.phase}: {item.failure_reason}")


def _judge_synced(scene: Scene, bag: Bag, item: LedgerObject, found: Findings) -> None:
    place = scene.place
    if item.phase is not Phase.SYNCED:
        found.lost.append(f"{item.key} is {item.phase}: {place.ledger.events(item.id)[-1].message}")
        return
    kinds = place.kinds(item.id)
    found.duplicated += [f"{item.key} was {kinds.count(kind)} times {kind}" for kind in _ONCE if kinds.count(kind) != 1]
    if item.claimed_by:
        found.left.append(f"{item.key} is still claimed by {item.claimed_by}")
    for work in bag.works:
        if not place.archived(work.name).is_dir():
            found.lost.append(f"{work.name} isn't in the archive")
        elif not is_archived(place, work) or not fixity.check(place.settings, place.ledger, work.name).intact:
            found.unverified.append(f"{work.name} in the archive isn't what the bag holds")


def _archived(scene: Scene) -> Iterator[Path]:
    parent = scene.place.settings.archive_parent
    for part in range(4):
        yield from Path(f"{parent}{part}").glob("*/*")

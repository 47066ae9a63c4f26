"""Two objects of one work: the one that was announced last stays in the archive, in whatever order they come."""

from __future__ import annotations

from tests.support.pipeline import Bag, Bagger, Installation, change_page, is_archived, message, record

from glacier_sync.pipeline import Done, Failed

RID = "W1TEST01"


def announce(place: Installation, bag: Bag, key: str, *, minute: int, day: int) -> None:
    """Announce a restored object at a minute; its copy expires on a day."""
    place.site.put(key, bag.zip_path.read_bytes())
    expiry, moment = f"2026-03-{day:02}T00:00:00.000Z", f"2026-03-02T08:{minute:02}:00.000Z"
    place.site.send(message(record(place.site, key, expiry=expiry, eventTime=moment)))


def test_an_older_object_replaces_no_newer_one(place: Installation, bag: Bagger) -> None:
    place.say({"sync": {"replace": True}})
    older, newer = bag(RID), bag(RID, change=change_page)
    announce(place, newer, f"newer/{RID}.bag.zip", minute=9, day=9)
    assert [type(outcome) for outcome in place.run().outcomes.values()] == [Done]
    announce(place, older, f"older/{RID}.bag.zip", minute=1, day=20)
    (outcome,) = place.run().outcomes.values()
    assert isinstance(outcome, Failed)
    assert outcome.reason == (
        f"{RID}: the archive's different copy at {place.archived(RID)} is newer, of object 1 (newer/{RID}.bag.zip): "
        f"1 changed (archive/{RID}-I0001/I00010001.jpg); forget this one, or have it restored once more if it is the "
        "right one"
    )
    assert is_archived(place, newer.works[0])
    assert place.working_data() == []


def test_what_is_restored_once_more_is_the_newest_again(place: Installation, bag: Bagger) -> None:
    place.say({"sync": {"replace": True}})
    first, second = bag(RID), bag(RID, change=change_page)
    for minute, made in enumerate([first, second, first]):
        announce(place, made, f"{made.zip_path.parent.name}/{RID}.bag.zip", minute=minute, day=9 + minute)
        assert [type(outcome) for outcome in place.run().outcomes.values()] == [Done]
        assert is_archived(place, made.works[0])

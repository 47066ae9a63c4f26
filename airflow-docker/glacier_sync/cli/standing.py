"""Where objects and works stand, for a person."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glacier_sync.cli import output, tables
from glacier_sync.ledger import Ledger, LedgerEvent, LedgerObject, LedgerWork, Phase
from glacier_sync.pipeline.report import ObjectReport, report


def facts(ledger: Ledger, item: LedgerObject, *, history: bool) -> dict[str, Any]:
    """Return an object's facts, with its events if its history is wanted."""
    found = {field.name: getattr(report(item), field.name) for field in dataclasses.fields(ObjectReport)}
    return {**found, "events": ledger.events(item.id)} if history else found


def print_overview(items: Sequence[LedgerObject], lapses: Mapping[int, int]) -> None:
    """Print a line for each object; ``lapses`` are the ledger's."""
    if not items:
        output.line("no restored object was announced yet")
        return
    rows = tables.table("object", "works", "phase", "since", "where, or why not")
    for item in items:
        found = report(item)
        since = output.local(item.update_time)
        told = found.reason or "; ".join(filter(None, [_progress(item), _lapsed(item, lapses)])) or _places(found)
        cells = (str(found.id), found.name, _standing(found), since, told)
        rows.add_row(*map(output.shown, cells))
    tables.print_table(rows)


def print_history(ledger: Ledger, item: LedgerObject) -> None:
    """Print all that the ledger knows of an object."""
    found = report(item)
    until = f" until {output.local(item.lease_until)} unless renewed" if item.lease_until else ""
    claimed = f", claimed by {found.claimed_by}{until}" if found.claimed_by else ""
    output.line(f"{found.name}: {_standing(found)}{claimed}")
    output.line(f"  s3://{found.bucket}/{found.key} (queue {found.queue}, attempt {found.attempt})")
    if item.progress:
        output.line(f"  {_progress(item)}, told at {output.local(item.progress.time)}")
    if lapsed := _lapsed(item, ledger.lapses()):
        output.line(f"  {lapsed}")
    if found.forgotten:
        gone = found.forgotten
        output.line(f"  forgotten by {gone.by} at {output.local(gone.on)}: {gone.reason}")
    if found.reason:
        output.line(f"  reason: {found.reason}")
    if found.cause:
        output.line(f"  cause: {found.cause}")
    for work in found.works:
        output.line(f"  work {work.rid}: {work.phase}, {work.files:,} files, {work.bytes:,} bytes")
        output.line(f"    audit: {work.audit or 'not yet'}; in the archive: {_place(work) or 'not yet'}")
        if work.reason:
            output.line(f"    reason: {work.reason}")
    _print_events(ledger.events(item.id))


def print_remarks(work: str, remarks: Sequence[LedgerEvent], archived: Path | None) -> None:
    """Print what was done with a work by hand that no object held, if anything was, and where the archive has it."""
    if remarks:
        output.line(f"{work}: by hand; in the archive: {archived or 'not seen'}")
        _print_events(remarks)


def _print_events(events: Sequence[LedgerEvent]) -> None:
    for event in events:
        output.line(f"  {output.local(event.time)}  {event.kind}: {event.message}")


def _standing(found: ObjectReport) -> str:
    return "forgotten" if found.forgotten else str(found.phase)


def _progress(item: LedgerObject) -> str:
    return f"{item.progress.stage}: {item.progress.pace}" if item.progress else ""


def _lapsed(item: LedgerObject, lapses: Mapping[int, int]) -> str:
    count = lapses.get(item.id, 0)
    if not count or item.phase.is_terminal:
        return ""
    times = "once" if count == 1 else f"{count} times"
    return f"its process ended without a word {times} since it last came on: see to the machine and its memory"


def _places(found: ObjectReport) -> str:
    return ", ".join(place for work in found.works if (place := _place(work)))


def _place(work: LedgerWork) -> str | None:
    return work.destination if work.phase is Phase.SYNCED else None

"""What was found in bags, in the form that JSON takes: for programs, and for the logs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from glacier_sync.bags.defects import Defect, InvalidBagError
from glacier_sync.bags.unbagging import UnbaggedWork
from glacier_sync.bags.verification import BagReport


def defect_facts(defect: Defect) -> dict[str, str | None]:
    """Return a defect or a warning; what it doesn't have is None."""
    return {
        "kind": type(defect).__name__,
        "path": defect.path,
        "algorithm": getattr(defect, "algorithm", None),
        "expected": getattr(defect, "expected", None),
        "found": getattr(defect, "found", None),
        "message": str(defect),
    }


def report_facts(report: BagReport) -> dict[str, Any]:
    """Return what verifying a bag found."""
    return {
        "path": str(report.path),
        "bag": report.name,
        "valid": not report.defects,
        "works": list(report.works),
        "files": report.files,
        "bytes": report.bytes,
        "algorithms": list(report.algorithms),
        "defects": _all(report.defects),
        "warnings": _all(report.warnings),
    }


def work_facts(work: UnbaggedWork) -> dict[str, Any]:
    """Return a work that was unpacked."""
    return {
        "rid": work.rid,
        "path": str(work.path),
        "bag_dir": str(work.bag_dir),
        "files": work.files,
        "bytes": work.bytes,
        "proven": work.proven,
        "warnings": _all(work.warnings),
    }


def error_facts(error: InvalidBagError) -> dict[str, Any]:
    """Return why a bag, or a zip of bags, is invalid: every defect, and the warnings."""
    return {
        "path": str(error.path),
        "valid": False,
        "defects": _all(error.defects),
        "warnings": _all(error.warnings),
    }


def error_text(error: InvalidBagError) -> str:
    """Return the same for a person: a line for each defect, and for each warning."""
    return "".join(
        [*(f"{defect}\n" for defect in error.defects), *(f"warning: {warning}\n" for warning in error.warnings)]
    )


def _all(defects: Iterable[Defect]) -> list[dict[str, str | None]]:
    return [defect_facts(defect) for defect in defects]

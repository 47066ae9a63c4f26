"""The file sequence test: an image group's files count from 1 without gap or repetition."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import partial
from itertools import islice

from glacier_sync.audit.error_numbers import ErrorNumber
from glacier_sync.audit.properties import Properties
from glacier_sync.audit.report import Finding
from glacier_sync.audit.structure import in_each_group
from glacier_sync.audit.work_folder import ImageGroup, WorkFolder

# All gaps that numbers of four digits can leave; more digits could leave a billion.
_MOST_GAPS = 9999


def file_sequence(work: WorkFolder, properties: Properties) -> Iterator[Finding]:
    """Find what breaks the sequence in the image groups of both parents."""
    check = partial(check_group, length=properties.sequence_length)
    return in_each_group(work, (properties.archive_parent, properties.derived_parent), check)


def missing_numbers(numbers: Collection[int]) -> Iterator[int]:
    """Return what ``numbers`` lack between 1 and the highest of them, in order."""
    expected = 1
    for number in sorted(numbers):
        yield from range(expected, number)
        expected = number + 1


def check_group(group: ImageGroup, length: int) -> Iterator[Finding]:
    """Find what breaks one group's sequence; ``length`` is the most digits a number has."""
    first_of: dict[int, str] = {}
    broken: list[Finding] = []
    for file in group.images:
        digits = _trailing_digits(file.name, length)
        if not digits:
            message = f"{group.label_of(file)} has no image number; expected up to {length} digits at its name's end"
            broken.append(Finding(ErrorNumber.SEQUENCE_ITEM_MISSING, message, file.path))
            continue
        first = first_of.setdefault(int(digits), file.name)
        if first != file.name:
            message = (
                f"{group.label} has image {int(digits):0{length}d} twice: {first} and {file.name}; expected it once"
            )
            broken.append(Finding(ErrorNumber.DUPLICATE_NUMBER, message, file.path))
    if broken:
        message = f"{group.label} is no sequence of numbered images"
        yield Finding(ErrorNumber.GROUP_FAILS_SEQUENCE, message, group.path)
    yield from broken
    yield from _gaps(group, first_of.keys(), length)


def _trailing_digits(name: str, length: int) -> str:
    match = re.search(rf"[0-9]{{1,{length}}}\Z", name.rpartition(".")[0] or name)
    return match[0] if match else ""


def _gaps(group: ImageGroup, numbers: Collection[int], length: int) -> Iterator[Finding]:
    highest = max(numbers, default=0)
    # An image 0000 (a colour card, say) must not make up for a lost one.
    count = sum(1 for number in numbers if number > 0)
    if highest == count:
        return
    message = f"{group.label} has {count} images that are numbered up to {highest}; expected {highest}"
    yield Finding(ErrorNumber.COUNT_MISMATCH, message, group.path)
    for number in islice(missing_numbers(numbers), _MOST_GAPS):
        message = f"{group.label} lacks image {number:0{length}d} (of {highest})"
        yield Finding(ErrorNumber.SEQUENCE_ITEM_MISSING, message, group.path)
    if (more := highest - count - _MOST_GAPS) > 0:
        yield Finding(ErrorNumber.SEQUENCE_ITEM_MISSING, f"{group.label} lacks {more} more", group.path)

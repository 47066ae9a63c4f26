"""Downloads: several ranges at once, resumable, verified before the file gets its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from glacier_sync.aws.checksums import (
    CRC64NVME,
    MD5,
    Checksum,
    Digests,
    can_combine,
    can_compute,
    combined,
    digest_of,
    is_strong,
)
from glacier_sync.aws.errors import CorruptDownloadError
from glacier_sync.aws.facts import ObjectFacts
from glacier_sync.aws.layout import Span, plan, spans_of, uniform_sizes
from glacier_sync.aws.partfile import PartFile, disk_errors, journal_path, part_path
from glacier_sync.aws.ranges import PIECE_PROOF, RangeReader, hash_span
from glacier_sync.aws.source import Source
from glacier_sync.progress import Progress

_PROGRESS_SECONDS = 0.5
# Below this a range costs more to ask for than to bring.
_SMALLEST_RANGE = 8 * 2**20


@dataclass(frozen=True)
class Download:
    """A finished download.

    ``verified`` names what its content was checked against, ``unverified``
    what S3 states beside that and wasn't checked; ``reused`` is how many
    bytes an earlier try had brought.
    """

    path: Path
    verified: tuple[str, ...]
    unverified: tuple[str, ...]
    reused: int


@dataclass(frozen=True)
class _Content:
    """How an object's content is checked: ``parts`` are where its parts are, if that is known."""

    facts: ObjectFacts
    parts: tuple[Span, ...]

    @property
    def checkable(self) -> tuple[Checksum, ...]:
        """What to check: all that can be, but for MD5 where CRC64NVME proves the same at a fortieth of its cost."""
        found = [
            checksum
            for checksum in self.facts.checksums
            if can_compute(checksum.algorithm) and (checksum.parts is None or self.parts)
        ]
        cheaper = any(checksum.algorithm == CRC64NVME for checksum in found)
        return tuple(checksum for checksum in found if not (cheaper and checksum.algorithm == MD5))

    def spans(self, checksum: Checksum) -> tuple[Span, ...]:
        return (Span(0, self.facts.size),) if checksum.parts is None else self.parts


@dataclass(frozen=True)
class _Verdict:
    checked: tuple[Checksum, ...]
    wrong: tuple[str, ...]


def download(source: Source, to: Path, *, streams: int, range_size: int, progress: Progress | None = None) -> Download:
    """Bring an object to ``to``; see ``ObjectStore.download``, which translates botocore's errors."""
    facts = source.facts
    report = progress or _silent
    content = _Content(facts, _parts(source, streams))
    with disk_errors(to):
        if (verdict := _judge_existing(content, to)) is not None:
            if not part_path(to).exists():
                journal_path(to).unlink(missing_ok=True)
            report(facts.size, facts.size)
            return _result(to, facts, verdict, reused=facts.size)
    identity = {
        "bucket": facts.bucket,
        "key": facts.key,
        "version_id": facts.version_id,
        "etag": facts.etag,
        "size": facts.size,
    }
    with PartFile(to, identity, facts.size) as part:
        with disk_errors(to):
            # Each stream gets a share of a small object.
            share = max(-(-facts.size // streams), _SMALLEST_RANGE)
            reader = _reader(source, content, part, min(range_size, share))
            _run(reader, streams, lambda done: report(done, facts.size))
            verdict = _verify(source, content, part.descriptor, reader.known, streams)
        if verdict.wrong:
            part.discard()
            raise CorruptDownloadError(
                f"{facts.url} arrived damaged: {verdict.wrong[0]}; what arrived is removed, try again (if it recurs, "
                "look for what changes bytes on the way, else the object itself is damaged: upload it again)",
                cause="; ".join(verdict.wrong),
            )
        part.publish()
    return _result(to, facts, verdict, reused=reader.reused)


def _silent(done: int, total: int) -> None:
    del done, total


def _parts(source: Source, streams: int) -> tuple[Span, ...]:
    facts = source.facts
    if not facts.parts or not facts.part_size:
        return ()
    sizes = uniform_sizes(facts.size, facts.part_size)
    return spans_of(sizes if len(sizes) == facts.parts else source.part_sizes(streams))


def _reader(source: Source, content: _Content, part: PartFile, range_size: int) -> RangeReader:
    ranges = plan(content.facts.size, content.parts, range_size)
    pieces = tuple(piece for each in ranges for piece in each.pieces)
    # One proves a resumed range; the others come along where they cost no second reading.
    algorithms = {
        PIECE_PROOF,
        *(
            each.algorithm
            for each in content.checkable
            if content.spans(each) == pieces or (each.parts is None and can_combine(each.algorithm))
        ),
    }
    return RangeReader(source, part, ranges, algorithms)


def _run(reader: RangeReader, streams: int, report: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(streams, thread_name_prefix="download") as pool:
        pending = {pool.submit(reader.work) for _ in range(streams)}
        try:
            while pending:
                done, pending = wait(pending, timeout=_PROGRESS_SECONDS, return_when=FIRST_EXCEPTION)
                for worker in done:
                    worker.result()
                report(reader.received)
        finally:
            reader.stop()


def _judge_existing(content: _Content, path: Path) -> _Verdict | None:
    """Return the verdict on a file that a download finished before a kill, if it is proved to be the object."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        if os.fstat(descriptor).st_size != content.facts.size:
            return None
        verdict = _judge(content, descriptor, {}, streams=1)
    finally:
        os.close(descriptor)
    return verdict if verdict.checked and not verdict.wrong else None


def _verify(
    source: Source, content: _Content, descriptor: int, known: Mapping[Span, Digests], streams: int
) -> _Verdict:
    verdict = _judge(content, descriptor, known, streams)
    if not verdict.wrong or not any(checksum.parts for checksum in verdict.checked):
        return verdict
    # Parts may have several sizes that only look as if all were the first one's.
    actual = spans_of(source.part_sizes(streams))
    return verdict if actual == content.parts else _judge(_Content(content.facts, actual), descriptor, known, streams)


def _judge(content: _Content, descriptor: int, known: Mapping[Span, Digests], streams: int) -> _Verdict:
    """Check by the digests that are known; if they aren't enough for a proof, read the file for the others."""
    found = {each: digest for each in content.checkable if (digest := _derived(content, each, known)) is not None}
    if not any(is_strong(checksum.algorithm) for checksum in found):
        found |= _read(content, descriptor, [each for each in content.checkable if each not in found], streams)
    checked = tuple(checksum for checksum in content.checkable if checksum in found)
    wrong = tuple(
        f"{checksum}: expected {checksum.value.hex()}, found {found[checksum].hex()}"
        for checksum in checked
        if found[checksum] != checksum.value
    )
    return _Verdict(checked, wrong)


def _derived(content: _Content, checksum: Checksum, known: Mapping[Span, Digests]) -> bytes | None:
    """Return what a checksum comes to, if that follows from the pieces whose digests are known."""
    algorithm = checksum.algorithm
    spans = content.spans(checksum)
    if all(algorithm in known.get(span, {}) for span in spans):
        return digest_of(checksum, [known[span] for span in spans])
    pieces = sorted(span for span, digests in known.items() if algorithm in digests)
    if checksum.parts is not None or not can_combine(algorithm) or not _cover(pieces, content.facts.size):
        return None
    return combined(algorithm, [(known[span][algorithm], span.end - span.start) for span in pieces])


def _cover(spans: Sequence[Span], size: int) -> bool:
    """Tell whether spans, in order, are all of an object, each byte once."""
    borders = [0, *(span.end for span in spans)]
    return borders[-1] == size and all(span.start == end for span, end in zip(spans, borders, strict=False))


def _read(content: _Content, descriptor: int, checksums: Sequence[Checksum], streams: int) -> dict[Checksum, bytes]:
    """Return what checksums come to by reading the file, several spans at once."""
    spans = dict.fromkeys(span for checksum in checksums for span in content.spans(checksum))
    algorithms = {checksum.algorithm for checksum in checksums}
    with ThreadPoolExecutor(streams) as pool:
        digests = pool.map(lambda span: hash_span(descriptor, span, algorithms), spans)
        known = dict(zip(spans, digests, strict=True))
    return {each: digest_of(each, [known[span] for span in content.spans(each)]) for each in checksums}


def _result(path: Path, facts: ObjectFacts, verdict: _Verdict, *, reused: int) -> Download:
    return Download(
        path=path,
        verified=tuple(str(checksum) for checksum in verdict.checked),
        unverified=tuple(str(checksum) for checksum in facts.checksums if checksum not in verdict.checked),
        reused=reused,
    )

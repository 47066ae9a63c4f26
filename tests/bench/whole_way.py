"""The whole way: from an object in S3 to verified files in their place."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.contenders import boto3_transfer, libraries, our_bags
from tests.bench.data import LARGE, MANY, SMALL, Bag, bag_of, emptied
from tests.bench.downloading import KEY, environment_for, our_download, rclone
from tests.bench.model import OURS, UNFLUSHED, Comparison, Contender, Goal, Scale, call, command, lacking
from tests.bench.on_bags import extract_with_7zz, sha512sum
from tests.bench.server import BUCKET, ServedObject, crc64nvme, multipart_etag, served
from tests.bench.unflushed import NO_LIBRARY, WITHOUT_FLUSHING

OBVIOUS = "boto3, zipfile, bagit-python, rsync"
PEERS = "rclone, 7zz, sha512sum on all cores, rename"
_UPLOADED_PART = 8 * 2**20


def whole_way(scale: Scale) -> Iterator[Comparison]:
    """Compare the whole way for each shape."""
    for shape in (MANY, LARGE, SMALL):
        with bag_of(scale, shape) as bag:
            size = min(_UPLOADED_PART, bag.zip.stat().st_size)
            proof = crc64nvme(bag.zip)
            with served(ServedObject(bag.zip, KEY, size, multipart_etag(bag.zip, size), proof)) as url:
                yield Comparison(
                    f"From the object to files in place, {shape.title(scale)}",
                    tuple(_contenders(scale, bag, url)),
                    base=UNFLUSHED,
                    goals=(
                        Goal("at least 4 times as fast as the obvious way", 1 / 4, (OBVIOUS,)),
                        Goal("never slower than the best peers", 1, (PEERS,)),
                    ),
                )


def _contenders(scale: Scale, bag: Bag, url: str) -> Iterator[Contender]:
    folder = bag.folder / "way"
    downloaded, unpacked, archive = folder / KEY, folder / "unpacked", folder / "archive"
    unpacked_bag = unpacked / KEY.removesuffix(".zip")
    work = unpacked_bag / "data" / "W1"
    environment = environment_for(url, scale.folder)

    def before() -> None:
        emptied(folder)
        unpacked.mkdir()
        archive.mkdir()

    yield Contender(
        OBVIOUS,
        (
            call(boto3_transfer.default, environment, bucket=BUCKET, key=KEY, to=downloaded),
            call(libraries.extract, zip_path=downloaded, to=unpacked),
            call(libraries.validate, bag=unpacked_bag, processes=1),
            command("rsync", "-a", work, archive),
        ),
        before,
        lacking("rsync", "rsync"),
    )
    yield Contender(
        PEERS,
        (
            rclone(url, downloaded, environment),
            extract_with_7zz(downloaded, unpacked),
            sha512sum(unpacked_bag, scale.workers),
            command("mv", work, archive),
        ),
        before,
        lacking("rclone", "rclone") or lacking("7zz", "7zip"),
    )
    for name, flushing, missing in ((OURS, {}, ""), (UNFLUSHED, WITHOUT_FLUSHING, NO_LIBRARY)):
        steps = (
            our_download(downloaded, {**environment, **flushing}),
            call(our_bags.unbag, flushing, zip_path=downloaded, to=archive, workers=scale.workers),
        )
        yield Contender(name, steps, before, missing)

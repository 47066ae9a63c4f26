from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.support.images import bilevel_tags, draw_jpeg, draw_tiff, draw_work, photoshop_thumbnail, write_tiff

from glacier_sync.audit import Outcome, WorkReport
from glacier_sync.audit.image_facts import ImageFacts
from glacier_sync.audit.image_headers import examine

Audit = Callable[..., WorkReport]
GROUP = "W1TEST-I0001"


@pytest.mark.parametrize(("mode", "compression"), [("1", "group4"), ("L", "jpeg"), ("RGB", "tiff_lzw"), ("RGB", None)])
def test_readable_tiffs(tmp_path: Path, mode: str, compression: str | None) -> None:
    facts = examine(draw_tiff(tmp_path / "a.tif", mode=mode, compression=compression))
    assert facts == ImageFacts("TIFF")


def test_a_tiff_named_as_a_jpeg_is_110_but_other_names_say_nothing(tmp_path: Path, audit: Audit) -> None:
    work = draw_work(tmp_path)
    for name in ("I00010003.JPG", "I00010004.image", "I00010005.TIFF"):
        draw_tiff(work / "images" / GROUP / name)
    (result,) = audit(work, "WebImageAttributes").results
    assert [f.number for f in result.findings] == [110]
    assert result.findings[0].message.endswith("I00010003.JPG is a TIFF, not the JPEG that its name says")


def test_a_tiff_of_many_pages_is_judged_by_its_first(tmp_path: Path) -> None:
    bilevel, colour = Image.new("1", (16, 16)), Image.new("RGB", (16, 16))
    bilevel.save(tmp_path / "a.tif", save_all=True, append_images=[colour] * 50)
    colour.save(tmp_path / "b.tif", save_all=True, append_images=[bilevel] * 50)
    assert examine(tmp_path / "a.tif").tiff_defects
    assert examine(tmp_path / "b.tif") == ImageFacts("TIFF")


def test_a_big_tiff_is_read(tmp_path: Path) -> None:
    Image.new("L", (16, 16)).save(tmp_path / "a.tif", big_tiff=True)
    assert (tmp_path / "a.tif").read_bytes().startswith(b"II+\0")
    assert examine(tmp_path / "a.tif") == ImageFacts("TIFF")
    (tmp_path / "b.tif").write_bytes(b"MM\0+\0\x08\0\0" + b"\0" * 99)
    assert "big-endian" in (examine(tmp_path / "b.tif").unreadable or "")


@pytest.mark.parametrize("appended", [2, 5000, 4095, 4096, 200_000])
def test_a_camera_may_append_to_its_jpegs(tmp_path: Path, appended: int) -> None:
    path = draw_jpeg(tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes() + b"\0" * appended)
    assert examine(path) == ImageFacts("JPEG")


def test_an_end_marker_across_two_blocks_is_found(tmp_path: Path) -> None:
    path = draw_jpeg(tmp_path / "a.jpg")
    content = path.read_bytes()
    start_of_scan = content.index(b"\xff\xda") + 2
    scan = start_of_scan + int.from_bytes(content[start_of_scan : start_of_scan + 2], "big")
    path.write_bytes(content[:scan] + b"\0" * (1024**2 - 1) + b"\xff\xd9" + b"\0" * 5000)
    assert examine(path) == ImageFacts("JPEG")


def test_only_images_of_1_bit_in_all_are_held_to_their_rules(tmp_path: Path) -> None:
    assert examine(write_tiff(tmp_path / "a.tif", [*bilevel_tags(), (277, 4, 1, 3)])).tiff_defects == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"compression": 5}, "compression is LZW, not CCITT T.6 (Group 4)"),
        ({"compression": 3}, "compression is CCITT Group 3, not"),
        ({"photometric": 3, "compression": 4}, "neither bilevel nor gray (photometric interpretation 3)"),
    ],
)
def test_defects_of_1_bit_tiffs(tmp_path: Path, change: dict[str, int], reason: str) -> None:
    facts = examine(write_tiff(tmp_path / "a.tif", bilevel_tags(**change)))
    assert len(facts.tiff_defects) == 1
    assert reason in facts.tiff_defects[0]


@pytest.mark.parametrize("photometric", [0, 1])
def test_bilevel_group_4_has_no_defect(tmp_path: Path, photometric: int) -> None:
    path = write_tiff(tmp_path / "a.tif", bilevel_tags(photometric=photometric, compression=4))
    assert examine(path) == ImageFacts("TIFF")


def test_a_tiff_without_bits_per_sample_is_1_bit_deep(tmp_path: Path) -> None:
    tags = [tag for tag in bilevel_tags() if tag[0] != 258]
    assert examine(write_tiff(tmp_path / "a.tif", tags)).tiff_defects


def test_a_1_bit_tiff_that_is_not_for_the_web_is_111_with_the_reasons(tmp_path: Path, audit: Audit) -> None:
    work = draw_work(tmp_path)
    draw_tiff(work / "images" / GROUP / "I00010003.tif", compression="packbits")
    (result,) = audit(work, "WebImageAttributes").results
    assert [f.number for f in result.findings] == [111]
    assert f"images/{GROUP}/I00010003.tif" in result.findings[0].message
    assert "PackBits" in result.findings[0].message


def png(path: Path) -> None:
    Image.new("L", (8, 8)).save(path, format="PNG")


def bomb(path: Path) -> None:
    draw_jpeg(path)
    content = bytearray(path.read_bytes())
    size = content.index(b"\xff\xc0") + 5
    content[size : size + 4] = struct.pack(">HH", 65500, 65500)
    path.write_bytes(content)


def tiff_bomb(path: Path) -> None:
    write_tiff(path, bilevel_tags(compression=4, width=60000, height=60000))


def cut_jpeg(path: Path) -> None:
    draw_jpeg(path, size=(64, 64))
    path.write_bytes(path.read_bytes()[:-20])


def cut_tiff(path: Path) -> None:
    write_tiff(path, bilevel_tags(compression=4, length=4000))


def tiff_without_pixels(path: Path) -> None:
    write_tiff(path, [tag for tag in bilevel_tags(compression=4) if tag[0] != 273])


def tiff_without_directory(path: Path) -> None:
    path.write_bytes(b"II*\0" + struct.pack("<I", 4000))


def tiff_in_a_circle(path: Path) -> None:
    draw_tiff(path)
    content = path.read_bytes()
    (first,) = struct.unpack_from("<L", content, 4)
    (tags,) = struct.unpack_from("<H", content, first)
    link = first + 2 + 12 * tags
    path.write_bytes(content[:link] + struct.pack("<L", first) + content[link + 4 :])


def tiff_whose_second_page_is_gone(path: Path) -> None:
    second = Image.new("1", (16, 16))
    Image.new("1", (16, 16)).save(path, format="TIFF", compression="group4", save_all=True, append_images=[second])
    content = path.read_bytes()
    (first,) = struct.unpack_from("<L", content, 4)
    (tags,) = struct.unpack_from("<H", content, first)
    (next_page,) = struct.unpack_from("<L", content, first + 2 + 12 * tags)
    path.write_bytes(content[: next_page + 20])


def endless_jpeg(path: Path) -> None:
    path.write_bytes(b"\xff\xd8" + b"\xff" * 300_000)


def tiff_with_a_tag_too_long(path: Path) -> None:
    write_tiff(path, [*bilevel_tags(compression=4), (34377, 7, 4_000_000_000, 8)])


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (png, "neither JPEG nor TIFF but PNG"),
        (lambda path: path.write_text("not an image"), "neither JPEG nor TIFF"),
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_bytes(b"\xff\xd8\xff"), ""),
        (lambda path: path.symlink_to("nothing"), "symbolic link to nothing that can be read"),
        (bomb, "65500 x 65500 pixels"),
        (tiff_bomb, "60000 x 60000 pixels"),
        (cut_jpeg, "cut short"),
        (cut_tiff, "cut short"),
        (tiff_without_directory, ""),
        (tiff_without_pixels, ""),
        (endless_jpeg, "never ends"),
        (tiff_in_a_circle, "its pages are linked in a circle"),
        (tiff_whose_second_page_is_gone, "it is cut short: its page 2 is missing"),
        (draw_jpeg, "is a JPEG, not the TIFF that its name says"),
        (tiff_with_a_tag_too_long, "Tag data larger than file"),
    ],
)
def test_what_cannot_be_read_is_110_with_the_files_name(
    tmp_path: Path, audit: Audit, draw: Callable[[Path], object], reason: str
) -> None:
    work = draw_work(tmp_path)
    path = work / "images" / GROUP / "I00010003.tif"
    draw(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (result,) = audit(work, "WebImageAttributes").results
    assert [(f.number, f.path) for f in result.findings] == [(110, path)]
    assert f"images/{GROUP}/I00010003.tif" in result.findings[0].message
    assert reason in result.findings[0].message
    assert "\n" not in result.findings[0].message


@pytest.mark.parametrize(("parent", "test", "number"), [("archive", "Archive", 115), ("images", "Image", 116)])
@pytest.mark.parametrize("draw", [draw_jpeg, partial(draw_tiff, compression=None)])
@pytest.mark.parametrize(("orientation", "bad"), [(None, False), (0, False), (1, False), (2, True), (6, True)])
def test_orientation(
    *,
    tmp_path: Path,
    audit: Audit,
    parent: str,
    test: str,
    number: int,
    draw: Callable[..., Path],
    orientation: int | None,
    bad: bool,
) -> None:
    work = draw_work(tmp_path)
    draw(work / parent / GROUP / "I00010003.x", orientation=orientation)
    (result,) = audit(work, f"EXIF{test}Test", ErrorsAsWarning="").results
    assert [f.number for f in result.findings] == ([number] if bad else [])
    if bad:
        assert f"orientation {orientation}" in result.findings[0].message


@pytest.mark.parametrize(("parent", "test", "number"), [("archive", "Archive", 115), ("images", "Image", 116)])
def test_unreadable_metadata(tmp_path: Path, audit: Audit, parent: str, test: str, number: int) -> None:
    work = draw_work(tmp_path)
    path = draw_jpeg(work / parent / GROUP / "I00010003.jpg", orientation=1)
    path.write_bytes(path.read_bytes().replace(b"Exif\0\0MM\0*", b"Exif\0\0no tiff"[:10]))
    (work / parent / GROUP / "I00010004.jpg").write_bytes(b"\xff\xd8 damaged")
    (result,) = audit(work, f"EXIF{test}Test", ErrorsAsWarning="").results
    assert [(f.number, f.path.name) for f in result.findings] == [
        (number, "I00010003.jpg"),
        (number, "I00010004.jpg"),
    ]


def test_an_exif_block_cut_short_is_unreadable_metadata(tmp_path: Path) -> None:
    path = draw_jpeg(tmp_path / "a.jpg", orientation=1)
    content = path.read_bytes()
    start = content.index(b"MM\0*") + 4
    path.write_bytes(content[:start] + struct.pack(">I", 4000) + content[start + 4 :])
    assert "damaged" in (examine(path).bad_metadata or "")


def test_images_without_metadata_of_other_formats_have_no_bad_metadata(tmp_path: Path) -> None:
    png(tmp_path / "a.png")
    assert examine(tmp_path / "a.png").bad_metadata is None


@pytest.mark.parametrize(("parent", "test", "number"), [("archive", "Archive", 117), ("images", "Image", 118)])
@pytest.mark.parametrize("draw", [draw_jpeg, draw_tiff])
def test_thumbnails(
    *, tmp_path: Path, audit: Audit, parent: str, test: str, number: int, draw: Callable[..., Path]
) -> None:
    work = draw_work(tmp_path)
    draw(work / parent / GROUP / "I00010003.x", thumbnail=True)
    (result,) = audit(work, f"EXIF{test}Thumbnail", ErrorsAsWarning="").results
    assert [f.number for f in result.findings] == [number]


def test_an_image_that_cannot_be_searched_for_a_thumbnail_does_not_pass(tmp_path: Path, audit: Audit) -> None:
    work = draw_work(tmp_path)
    (work / "images" / GROUP / "I00010003.jpg").write_bytes(b"\xff\xd8 damaged")
    (result,) = audit(work, "EXIFImageThumbnail").results
    assert [f.number for f in result.findings] == [118]


def test_photoshop_resources_without_a_thumbnail(tmp_path: Path) -> None:
    caption = photoshop_thumbnail().replace(b"\x04\x0c", b"\x04\x25")
    pixels = b"\0" * 32 + caption
    tags = [*bilevel_tags(compression=4), (34377, 7, len(caption), 40)]
    assert examine(write_tiff(tmp_path / "a.tif", tags, pixels)) == ImageFacts("TIFF")


def test_warnings_are_those_of_the_image_and_settings_are_left_as_they_were(tmp_path: Path) -> None:
    good, bad = draw_tiff(tmp_path / "good.tif"), tmp_path / "bad.tif"
    tiff_with_a_tag_too_long(bad)
    before = (warnings.showwarning, list(warnings.filters))
    assert [bool(examine(path).unreadable) for path in (good, bad, good, bad)] == [False, True, False, True]
    assert (warnings.showwarning, list(warnings.filters)) == before


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_stops_the_audit(tmp_path: Path, data: st.DataObject) -> None:
    draw = data.draw(st.sampled_from([draw_jpeg, draw_tiff]))
    path = draw(tmp_path / "a", orientation=1, thumbnail=True)
    content = bytearray(path.read_bytes())
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8)
    ):
        content[place] = value
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert isinstance(examine(path), ImageFacts)


def test_errors_as_warning_and_the_worst_finding_decide(tmp_path: Path, audit: Audit) -> None:
    work = draw_work(tmp_path)
    draw_tiff(work / "images" / GROUP / "I00010003.tif", compression="packbits")
    assert audit(work, "WebImageAttributes", ErrorsAsWarning="111").outcome is Outcome.WARNINGS
    (work / "images" / GROUP / "I00010000.tif").write_text("not an image")
    assert audit(work, "WebImageAttributes", ErrorsAsWarning="111").outcome is Outcome.FAILED
    assert audit(work, "WebImageAttributes", ErrorsAsWarning="111, 110").outcome is Outcome.WARNINGS


def test_archive_exif_and_thumbnails_are_warnings_unless_told_otherwise(tmp_path: Path, audit: Audit) -> None:
    work = draw_work(tmp_path)
    draw_jpeg(work / "archive" / GROUP / "I00010003.jpg", orientation=6, thumbnail=True)
    assert audit(work).outcome is Outcome.WARNINGS
    assert audit(work, ErrorsAsWarning="").outcome is Outcome.FAILED

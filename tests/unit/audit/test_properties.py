from __future__ import annotations

from pathlib import Path

import pytest

from glacier_sync.audit import InvalidPropertyError, Properties
from glacier_sync.audit.properties import parse_definitions, parse_properties, parse_size

USER = ".config/bdrc/auditTool/user.properties"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults() -> None:
    properties = Properties.load()
    assert properties.maximum_size == "400K"
    assert (properties.archive_parent, properties.derived_parent) == ("archive", "images")
    assert properties.errors_as_warning == {115, 117}
    assert properties.sequence_length == 4
    assert {entry.origin for entry in properties.entries} == {"default"}
    assert properties.warnings == ()


def test_the_users_file_wins_over_defaults_and_definitions_win_over_both(home: Path) -> None:
    path = write(home / USER, "MaximumImageFileSize=2200K\nErrorsAsWarning=111,115\nArchiveImageGroupParent=masters\n")
    properties = Properties.load({"ErrorsAsWarning": "112"})
    assert properties.maximum_size == "2200K"
    assert properties.archive_parent == "masters"
    assert properties.errors_as_warning == {112}
    origins = {entry.name: entry.origin for entry in properties.entries}
    assert origins["MaximumImageFileSize"] == str(path)
    assert origins["ErrorsAsWarning"] == "command line"
    assert origins["DerivedImageGroupParent"] == "default"


@pytest.mark.parametrize("absolute", [True, False])
def test_another_users_file_can_be_named(home: Path, absolute: bool) -> None:
    write(home / USER, "ErrorsAsWarning=111")
    other = write(home / "other.properties", "MaximumImageFileSize=1M")
    properties = Properties.load({"UserConfigPath": str(other) if absolute else "other.properties"})
    assert (properties.maximum_size, properties.errors_as_warning) == ("1M", {115, 117})


def test_a_users_file_that_is_named_must_exist(home: Path) -> None:
    with pytest.raises(InvalidPropertyError, match=r"gone\.properties"):
        Properties.load({"UserConfigPath": "gone.properties"})


def test_a_users_file_that_cannot_be_read_is_an_error(home: Path) -> None:
    (home / USER).mkdir(parents=True)
    with pytest.raises(InvalidPropertyError, match=r"user\.properties can't be read"):
        Properties.load()


def test_unknown_properties_are_told(home: Path) -> None:
    path = write(home / USER, "MaximumImageFilesize=1K")
    (warning,) = Properties.load().warnings
    assert "MaximumImageFilesize" in warning
    assert str(path) in warning


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ErrorsAsWarning", "11x"),
        ("ErrorsAsWarning", "-115"),
        ("ArchiveImageGroupParent", ""),
        ("ArchiveImageGroupParent", ".."),
        ("DerivedImageGroupParent", "../elsewhere"),
        ("FileSequence.SequenceLength", "0"),
        ("FileSequence.SequenceLength", "10"),
        ("FileSequence.SequenceLength", "four"),
    ],
)
def test_a_bad_value_names_property_and_place(name: str, value: str) -> None:
    with pytest.raises(InvalidPropertyError) as caught:
        Properties.load({name: value})
    assert name in caught.value.message
    assert repr(value) in caught.value.message
    assert "command line" in caught.value.message


def test_no_error_is_a_warning_if_the_list_is_empty() -> None:
    assert Properties.load({"ErrorsAsWarning": ""}).errors_as_warning == frozenset()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("400K", 409600),
        ("2200K", 2252800),
        ("2,200k", 2252800),
        ("1M", 1048576),
        ("1.5 G", 1610612736),
        ("0.0001K", 0),
        (" 17 ", 17),
        ("", None),
        ("K", None),
        ("-1K", None),
        ("1KB", None),
        ("1T", None),
        ("1e3", None),
        ("9" * 5000, None),
    ],
)
def test_sizes(text: str, size: int | None) -> None:
    assert parse_size(text) == size


def test_definitions() -> None:
    defined = parse_definitions(["A=1:B=2,3", "A=4", "C=", "D=x=y"])
    assert defined == {"A": "4", "B": "2,3", "C": "", "D": "x=y"}


@pytest.mark.parametrize("argument", ["", "A", "A=1:B", "=1", "A=1:"])
def test_bad_definitions(argument: str) -> None:
    with pytest.raises(InvalidPropertyError, match="property=value"):
        parse_definitions([argument])


def test_the_format_of_java_properties() -> None:
    text = "\n".join(
        [
            "# comment",
            "  ! comment \\",
            "",
            "a=1",
            "b : 2",
            "  c   three words  ",
            "d=1,\\",
            "    2,\\",
            "    3",
            "e\\=f=\\u0f00\\t.",
            "path=c\\:\\\\x\\\\",
            "empty",
            "a.b=last\\",
        ]
    )
    assert parse_properties(text) == {
        "a": "1",
        "b": "2",
        "c": "three words",
        "d": "1,2,3",
        "e=f": "ༀ\t.",
        "path": "c:\\x\\",
        "empty": "",
        "a.b": "last",
    }


def test_the_production_example_is_understood(home: Path) -> None:
    example = Path(__file__).parents[3] / "config" / "bdrc" / "auditTool" / "user.properties"
    write(home / USER, example.read_text(encoding="utf-8"))
    properties = Properties.load()
    assert parse_size(properties.maximum_size) == 2200 * 1024
    assert properties.errors_as_warning == {110, 111, 115, 116, 117, 118, 119}
    assert properties.warnings == ()

"""sync.yml: where it is looked for, how it is merged, what it may say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.rights import ordinary_rights

from glacier_sync.errors import ConfigurationError, PermanentError
from glacier_sync.sync import SiteOptionsError, SyncOptions, WorkOptionsError, load_options, site_options

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "staging" / "W1"
    (folder / "config").mkdir(parents=True)
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def values(options: SyncOptions) -> tuple[object, ...]:
    return (
        options.audit_pre,
        options.audit_post,
        options.archive,
        options.web,
        options.replace,
        options.update_web,
    )


def test_without_files_the_built_in_defaults_hold(work: Path, site: Path) -> None:
    options = load_options(work, site)
    assert values(options) == ((), (), True, True, False, True)
    assert set(options.origin.values()) == {"built-in"}
    assert set(options.origin) == {
        "audit.pre",
        "audit.post",
        "sync.archive",
        "sync.web",
        "sync.replace",
        "sync.update_web",
    }


def test_the_example_says_what_is_built_in(work: Path, site: Path) -> None:
    example = load_options(work, PROJECT / "config")
    assert values(example) == values(load_options(work, site))
    # Not just an empty file: it sets every key, and says what a work may set.
    assert set(example.origin.values()) == {str(PROJECT / "config" / "site-sync.yml")}
    write(work / "config" / "sync.yml", "sync: {replace: true}")
    with pytest.raises(WorkOptionsError) as by_example:
        load_options(work, PROJECT / "config")
    with pytest.raises(WorkOptionsError) as built_in:
        load_options(work, site)
    assert by_example.value.message == built_in.value.message


@pytest.mark.parametrize("name", ["site-sync.yml", "bdrc/site-sync.yml"])
def test_the_sites_file_is_merged_over_the_defaults(work: Path, site: Path, name: str) -> None:
    path = write(site / name, "audit:\n  pre: ['-T', 'a:b']\nsync:\n  replace: true\n")
    options = load_options(work, site)
    assert values(options) == (("-T", "a:b"), (), True, True, True, True)
    assert options.origin["audit.pre"] == options.origin["sync.replace"] == str(path)
    assert options.origin["audit.post"] == options.origin["sync.web"] == "built-in"


def test_the_works_file_goes_before_the_sites(work: Path, site: Path) -> None:
    write(site / "site-sync.yml", "sync: {update_web: false, web: true}")
    path = write(work / "config" / "sync.yml", "sync: {web: false}")
    options = load_options(work, site)
    # Merged over the defaults, not over the site's.
    assert values(options) == ((), (), True, False, False, True)
    assert options.origin["sync.web"] == str(path)
    assert options.origin["sync.update_web"] == "built-in"


def test_what_a_work_may_not_set_stays_the_sites(work: Path, site: Path) -> None:
    site_file = write(site / "site-sync.yml", "audit: {pre: ['-T', 'x']}\nsync: {web: false}")
    write(work / "config" / "sync.yml", "sync: {update_web: false}")
    options = load_options(work, site)
    assert options.audit_pre == ("-T", "x")
    assert options.origin["audit.pre"] == str(site_file)
    assert (options.web, options.update_web) == (True, False)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("sync: {replace: true}", "sync.replace"),
        ("audit: {pre: ['-T', 'x']}", "audit.pre"),
        ("audit: {post: []}", "audit.post"),
        ("sync: {archive: false}", "sync.archive"),
    ],
)
def test_a_work_may_not_decide_how_it_is_judged(work: Path, site: Path, text: str, key: str) -> None:
    path = write(work / "config" / "sync.yml", text)
    with pytest.raises(WorkOptionsError) as caught:
        load_options(work, site)
    assert str(path) in caught.value.message
    assert f"may not set {key} (allowed: sync.update_web, sync.web)" in caught.value.message
    write(site / "site-sync.yml", f"work_may_set: ['{key}']")
    assert load_options(work, site).origin[key] == str(path)


def test_a_site_can_forbid_works_everything(work: Path, site: Path) -> None:
    write(site / "site-sync.yml", "work_may_set: []")
    write(work / "config" / "sync.yml", "sync: {web: false}")
    with pytest.raises(WorkOptionsError, match=r"may not set sync\.web \(allowed: nothing\)"):
        load_options(work, site)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "audit:\n  # pre: []\nsync:\n"])
def test_a_file_with_nothing_but_comments_changes_nothing(work: Path, site: Path, text: str) -> None:
    write(site / "site-sync.yml", text)
    write(work / "config" / "sync.yml", text)
    assert values(load_options(work, site)) == ((), (), True, True, False, True)


WRONG = [
    ("- a", "expected a mapping with the keys audit, sync"),
    ("sink: {}", "unknown key 'sink' (allowed: audit, sync"),
    ("sync: {arkive: true}", "unknown key 'sync.arkive' (allowed under sync: archive, web, replace, update_web)"),
    ("audit: {}\n? [a]\n: b", "expected each key once, as plain text, found a list or mapping as a key"),
    ("sync: [web]", "under 'sync' a mapping with the keys archive, web, replace, update_web, found list"),
    ("sync: {web: 'yes'}", "'sync.web': expected true or false, found 'yes'"),
    ("sync: {web: 1}", "'sync.web': expected true or false, found 1"),
    ("sync: {web: }", "'sync.web': expected true or false, found None"),
    ("audit: {pre: -T}", "'audit.pre': expected a list of words"),
    ("audit: {pre: [1]}", "'audit.pre': expected a list of words"),
    ("audit: {pre: ['-T x']}", "'audit.pre': expected each word as an item of its own, without spaces"),
    ("audit: {pre: ['']}", "'audit.pre': expected each word as an item of its own, without spaces"),
    ("audit: {pre: ['-Q']}", "'audit.pre': expected options for an audit, which -Q, -v, -h prevent, found ['-Q']"),
    ("audit: {post: ['-T', 'x', '-vQ']}", "'audit.post': expected options for an audit, which -Q, -v, -h prevent"),
    ("audit: {post: ['--help']}", "'audit.post': expected options for an audit, which -Q, -v, -h prevent"),
    ('audit: {pre: ["a\\nb"]}', "'audit.pre': expected a list of words"),
    ("sync: {web: true}\nsync: {}", "line 2: expected each key once, as plain text, found 'sync' again"),
    ("sync: &a {web: true}\naudit: *a", "aliases aren't allowed"),
    ("sync: &a [*a]", "aliases aren't allowed"),
    ("sync: !!python/object/apply:os.getcwd []", "line 1: tags aren't allowed: expected a plain value, found 'tag:"),
    ("sync: {web: !!bool maybe}", "tags aren't allowed"),
    ("sync: {!!bool x: true}", "tags aren't allowed"),
    ("sync: {web: !!timestamp x}", "tags aren't allowed"),
    ("sync: !!map [1]", "tags aren't allowed"),
    ('sync: {web: !!int ""}', "tags aren't allowed"),
    ("sync: {web: ! true}", "tags aren't allowed"),
    (f"sync: {{web: !{'x' * 9000} true}}", "tags aren't allowed"),
    ("sync: {1: true}", "line 1: expected each key once, as plain text, found '1', which isn't text in YAML"),
    (f"? 0x{'f' * 5000}\n: true", "found '0xffff"),
    (f"sync: {{web: 0x{'f' * 5000}}}", "'sync.web': expected true or false, found a number too long to be shown"),
    (f"sync: {{web: {'1:' * 300}1.0}}", "is no valid YAML"),
    (f"sync: {{web: {'a' * 9000}}}", "'sync.web': expected true or false, found 'aaaa"),
    (f"? {'a' * 9000}\n: true", "unknown key 'aaaa"),
    (f"sync:\n  ? {'a' * 9000}\n  : true", "unknown key 'sync.aaaa"),
    ("sync: {web", "is no valid YAML"),
    ("sync: 2024-99-99", "is no valid YAML"),
    ("[" * 30_000, "is nested too deeply"),
    ("# " + "x" * 70_000, "expected at most 65536 bytes"),
]


@pytest.mark.parametrize(("text", "expected"), WRONG)
def test_what_is_wrong_is_named(work: Path, site: Path, text: str, expected: str) -> None:
    site_file = write(site / "site-sync.yml", text)
    with pytest.raises(SiteOptionsError) as of_site:
        load_options(work, site)
    site_file.unlink()
    work_file = write(work / "config" / "sync.yml", text)
    with pytest.raises(WorkOptionsError) as of_work:
        load_options(work, site)
    for error, path in [(of_site.value, site_file), (of_work.value, work_file)]:
        assert error.message.startswith(f"{path}: ")
        assert expected in error.message
        assert "\n" not in error.message
        assert len(error.message) < len(str(path)) + 400
    assert isinstance(of_site.value, ConfigurationError)
    assert isinstance(of_work.value, PermanentError)


def test_a_file_that_is_no_text_is_named(work: Path, site: Path) -> None:
    (site / "site-sync.yml").write_bytes(b"sync: \xff\xfe")
    with pytest.raises(SiteOptionsError, match="is no valid YAML"):
        load_options(work, site)


@pytest.mark.parametrize(
    "text", ["work_may_set: sync.web", "work_may_set: [web]", "work_may_set: [[]]", "work_may_set: 0x" + "f" * 5000]
)
def test_work_may_set_lists_keys(work: Path, site: Path, text: str) -> None:
    write(site / "site-sync.yml", text)
    with pytest.raises(SiteOptionsError, match=r"'work_may_set': expected a list of keys out of audit\.pre, "):
        load_options(work, site)


def test_a_work_can_not_say_what_works_may_set(work: Path, site: Path) -> None:
    write(work / "config" / "sync.yml", "work_may_set: [sync.replace]\nsync: {replace: true}")
    with pytest.raises(WorkOptionsError, match=r"unknown key 'work_may_set' \(allowed: audit, sync\)"):
        load_options(work, site)


@pytest.mark.parametrize("linked", ["config/sync.yml", "config"])
def test_a_works_file_is_not_read_through_a_link(work: Path, site: Path, tmp_path: Path, linked: str) -> None:
    write(tmp_path / "outside" / "sync.yml", "sync: {web: false}")
    (work / "config").rmdir()
    target = tmp_path / "outside" / "sync.yml" if linked.endswith("yml") else tmp_path / "outside"
    (work / linked).parent.mkdir(exist_ok=True)
    (work / linked).symlink_to(target)
    with pytest.raises(WorkOptionsError, match="leads out of the work"):
        load_options(work, site)


def test_a_folder_or_a_pipe_is_no_works_file(work: Path, site: Path) -> None:
    os.mkfifo(work / "config" / "sync.yml")
    with pytest.raises(WorkOptionsError, match="expected a file"):
        load_options(work, site)


def test_a_site_folder_that_is_not_there_is_no_site_without_rules(work: Path, site: Path) -> None:
    for look in (lambda: load_options(work, site / "elsewhere"), lambda: site_options(site / "elsewhere")):
        with pytest.raises(SiteOptionsError, match="elsewhere isn't there: expected the site's configuration folder"):
            look()


def test_a_site_folder_that_can_not_be_read_is_named(work: Path, site: Path) -> None:
    site.chmod(0)
    try:
        with ordinary_rights(), pytest.raises(SiteOptionsError, match="GLACIER_SYNC_SITE_CONFIG_DIR"):
            load_options(work, site)
    finally:
        site.chmod(0o700)


def test_the_sites_options_without_a_work(tmp_path: Path) -> None:
    assert site_options(tmp_path) == load_options(tmp_path / "work", tmp_path)
    (tmp_path / "site-sync.yml").write_text("sync: {replace: true}\n")
    assert site_options(tmp_path).replace
    assert site_options(tmp_path) == load_options(tmp_path / "work", tmp_path)

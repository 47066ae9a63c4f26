"""The documents tell what is so: commands, options, settings, links, names."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from packaging.version import Version
from typer.core import TyperGroup
from typer.main import get_command

import glacier_sync
from glacier_sync import errors
from glacier_sync.cli.app import HELP, application
from glacier_sync.cli.commands import commands
from glacier_sync.demo.__main__ import app as demo_app
from glacier_sync.pipeline.destination import UPDATE_STOPPED
from glacier_sync.settings import IntakeQueue, Settings, load_intake
from glacier_sync.sync import SyncOptions, load_options

PROJECT = Path(__file__).parents[2]
PACKAGE = Path(glacier_sync.__file__).parent
DOCUMENTS = [*(PROJECT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")), *PROJECT.glob("docs/*.md")]
COMMANDS = {command.name: command.load() for command in commands()}

# Files of a work, of a bag or of a site, which a clone doesn't have.
BAG_FILES = {"bagit.txt", "bag-info.txt", "package-info.txt", "fetch.txt", "defects.txt"}
ELSEWHERE = {"sync.yml", "config/sync.yml", *BAG_FILES}


def names(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def text_of(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document, re.MULTILINE | re.DOTALL)


def section(document: str, heading: str) -> str:
    return document.partition(f"\n{heading}\n")[2].partition("\n## ")[0]


def shown_commands() -> dict[str, list[str]]:
    """Every command that a document shows, in words, without variables that are set for it."""
    found = {}
    for document in DOCUMENTS:
        for block in blocks(document.read_text(encoding="utf-8"), "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                for part in re.split(r"&&|&(?= *$)", line):
                    words = shlex.split(part.strip().removeprefix("("), comments=True)
                    words = [word.removesuffix(")") for word in words]
                    while words and (words[0] == "sudo" or re.match(r"[A-Z_]+=", words[0])):
                        words = words[1:]
                    if words:
                        found[f"{document.name}: {' '.join(words)}"] = words
    return found


def parse(group: TyperGroup, words: list[str]) -> None:
    """Read a command's options and arguments without doing anything; raises typer.TyperException."""
    context = group.make_context("command", words[:1], resilient_parsing=True)
    command = group.get_command(context, words[0])
    assert command is not None, f"there is no command {words[0]}"
    if "--help" not in words:
        command.make_context(words[0], words[1:])


@pytest.mark.parametrize("words", shown_commands().values(), ids=shown_commands().keys())
def test_the_commands_that_are_shown_exist_and_take_their_options(words: list[str]) -> None:
    program, arguments = words[0], words[1:]
    if program == "docker":
        if "glacier-sync" in arguments:
            parse(application(), arguments[arguments.index("glacier-sync") + 1 :])
    elif program.startswith(".venv/bin/"):
        _require_in_environment(program.removeprefix(".venv/bin/"), arguments)
    elif program.startswith(("./", "bin/")):
        assert (PROJECT / program).stat().st_mode & 0o111
        if program != "./run-tests.sh":
            options = {word for word in arguments if re.fullmatch(r"--?[a-z-]+", word)}
            assert options <= _known_words(program)
        if program == "./local-airflow.sh":
            assert {word for word in arguments if word.islower()} <= _known_words(program)
    else:
        assert program in {"cd", "export"}, f"nobody checks {program}"


def _require_in_environment(name: str, arguments: list[str]) -> None:
    assert (Path(sys.executable).parent / name).exists()
    if name == "glacier-sync":
        parse(application(), arguments)
    elif name == "python" and arguments[:2] == ["-m", "glacier_sync.demo"]:
        parse(get_command(demo_app), arguments[2:])
    elif name == "python":
        assert (PROJECT / arguments[0]).is_file()


def _known_words(script: str) -> set[str]:
    usage = subprocess.run([PROJECT / script, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"[\w-]+", usage))


def test_the_readme_lists_every_command() -> None:
    table = section(text_of("README.md"), "## The commands")
    rows = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    assert {row.split()[0] for row in rows} == set(COMMANDS)
    for row in rows:
        for option in re.findall(r"--[a-z-]+", row):
            assert any(option in param.opts for param in COMMANDS[row.split()[0]].params)


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_commands_in_the_text_exist(document: Path) -> None:
    found = re.findall(r"`(?:\.venv/bin/)?glacier-sync ([a-z][a-z-]*)", document.read_text(encoding="utf-8"))
    assert set(found) <= set(COMMANDS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_no_command_that_is_shown_has_a_secret_among_its_arguments(document: Path) -> None:
    # Everybody on the host can read the arguments of a program.
    for before in re.findall(r"`([^`]*)\$\((?:sudo )?cat \S*secrets/", document.read_text(encoding="utf-8")):
        assert "<<<" in before


def sources() -> str:
    """The texts of the programs, those that are written in several parts in one."""
    code = [*PACKAGE.rglob("*.py"), *PROJECT.glob("*.sh"), *PROJECT.glob("bin/*.sh")]
    text = re.sub(r'"\s+f?"', "", "".join(path.read_text(encoding="utf-8") for path in code))
    return text.replace("{destination.UPDATE_STOPPED}", UPDATE_STOPPED)


@pytest.mark.parametrize("document", ["docs/operations.md", "docs/sync.md"])
def test_the_messages_that_are_quoted_are_the_programs(document: str) -> None:
    code = sources()
    rows = re.findall(r"^\| (.+?) \| ", text_of(document).partition("| what you see |")[2], re.MULTILINE)
    quoted = [message for row in rows for message in re.findall('"(.+?)"', re.sub("`.*?`", "", row))]
    assert quoted
    for part in {part.strip() for message in quoted for part in message.split("…")}:
        assert part in code, part


def test_every_exit_status_is_documented() -> None:
    kinds = [errors.ConfigurationError, errors.TransientError, errors.PermanentError]
    statuses = {0, *(kind.exit_status for kind in kinds)}
    for text in (section(text_of("README.md"), "## The commands"), HELP):
        told = " ".join(text.split()).partition("Exit status: ")[2].partition(".")[0]
        assert {int(status) for status in re.findall(r"(?:^|; )(\d) ", told)} == statuses


@pytest.fixture
def defaults(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Each setting's default, as docs/settings.md words it."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"GLACIER_SYNC_{name.upper()}", raising=False)
        monkeypatch.delenv(f"GLACIER_SYNC_{name.upper()}_FILE", raising=False)
    monkeypatch.setenv("GLACIER_SYNC_HOME", "/state")
    settings = Settings()
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    values["ledger_url"] = settings.ledger_url.get_secret_value()
    worded = {
        name.upper(): f"{value:g}" if isinstance(value, float) else "empty" if value in {None, ""} else str(value)
        for name, value in values.items()
    }
    found = {
        name: value.replace(f"{PROJECT}/", "").replace("/state", "<state>", 1) if "/" in value else value
        for name, value in worded.items()
    }
    return {**found, "HOME": "~/.local/state/glacier-sync", "WORKERS": "number of cores, at most 4"}


def test_every_setting_is_documented_with_its_default(defaults: dict[str, str]) -> None:
    table = text_of("docs/settings.md").partition("\n## ")[0]
    documented = {}
    for variables, default in re.findall(r"^\| (`[A-Z].+?) \|.*\| (.+?) \|$", table, re.MULTILINE):
        named = re.findall(r"`([A-Z_]+)`", variables)
        given = default.split(", ") if len(named) > 1 else [default]
        documented |= dict(zip(named, [value.strip("`") for value in given], strict=True))
    assert documented == defaults


def test_the_home_folder_is_where_the_document_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GLACIER_SYNC_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings().home == tmp_path / ".local" / "state" / "glacier-sync"


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_settings_in_the_text_exist(document: Path) -> None:
    known = {f"GLACIER_SYNC_{name.upper()}{suffix}" for name in Settings.model_fields for suffix in ("", "_FILE")}
    scripts = "".join(path.read_text(encoding="utf-8") for path in [*PROJECT.glob("*.sh"), *PROJECT.glob("bin/*.sh")])
    known |= set(re.findall(r"\bGLACIER_SYNC_[A-Z_]+[A-Z]", scripts))
    assert set(re.findall(r"\bGLACIER_SYNC_[A-Z_]+\b(?!…)", document.read_text(encoding="utf-8"))) <= known


def test_the_intake_yml_that_is_shown_has_every_key(tmp_path: Path) -> None:
    (shown,) = blocks(text_of("docs/settings.md"), "yaml")
    path = tmp_path / "intake.yml"
    path.write_text(shown, encoding="utf-8")
    (queue,) = load_intake(path)
    assert (queue.name, queue.profile) == ("nlm", "ap_northeast")
    assert set(re.findall(r"^ {2,}(?:- )?(\w+):", shown, re.MULTILINE)) == {field.name for field in fields(IntakeQueue)}


def headings(document: Path) -> set[str]:
    found = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", document.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        assert target.is_file(), link
        assert not anchor or anchor in headings(target), link


def test_every_document_is_reached_from_the_readme() -> None:
    linked = {(PROJECT / link).resolve() for link in re.findall(r"\]\(([^)#]+)", text_of("README.md"))}
    assert {document for document in DOCUMENTS if document.name != "README.md"} <= linked


def test_the_picture_shows_the_tasks_of_the_dag_in_their_order() -> None:
    (picture,) = blocks(text_of("README.md"), "mermaid")
    files = ("dags/glacier_staging_to_sync.py", "glacier_sync/pipeline/dag_tasks.py")
    tasks = [
        node.name
        for file in files
        for node in ast.parse(text_of(f"airflow-docker/{file}")).body
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(by).startswith("task") for by in node.decorator_list)
    ]
    assert len(tasks) == 4
    assert re.findall(r"\w+\[(\w+)\]", picture) == tasks
    assert "sqs_scheduled_dag" in text_of("README.md")


def test_the_changelog_agrees_with_the_version() -> None:
    found = re.findall(r"^## (?:\[?(\d[^\] ]*)\]?.*|(Unreleased))$", text_of("CHANGELOG.md"), re.MULTILINE)
    released = [Version(number) for number, _ in found if number]
    assert released == sorted(released, reverse=True)
    if found[0][1]:
        assert all(version < Version(glacier_sync.__version__) for version in released)
    else:
        assert released[0] == Version(glacier_sync.__version__)
    listed = re.findall(r"`glacier-sync (.+?)`; ", text_of("CHANGELOG.md").replace("\n  ", " "))
    assert set(re.findall(r"[\w-]+", " ".join(listed))) - {"and"} == set(COMMANDS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_the_files_that_are_named_exist(document: Path) -> None:
    named = re.findall(r"`([\w./-]+\.(?:py|sh|md|yml|txt|lock|toml))`", document.read_text(encoding="utf-8"))
    for name in set(named) - ELSEWHERE:
        places = [PROJECT, PROJECT / "config", PROJECT / "bin", PROJECT / "airflow-docker", PACKAGE]
        # A deployment's .config is made of the clone's config.
        assert any((place / name.removeprefix(".config/")).is_file() for place in places), name


def test_the_layout_that_is_shown_is_the_projects() -> None:
    (layout,) = blocks(section(text_of("CONTRIBUTING.md"), "## The layout"), "")
    parent = PROJECT
    for indent, name in re.findall(r"^( *)([\w./-]+)(?:  |$)", layout, re.MULTILINE):
        path = (parent if indent else PROJECT) / name
        assert path.exists(), name
        if not indent:
            parent = path


def test_every_room_is_told() -> None:
    table = section(text_of("CONTRIBUTING.md"), "## The rooms of `glacier_sync`")
    rooms = {path.stem for path in PACKAGE.iterdir() if path.stem[0] not in "_."}
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == rooms


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_the_tests_that_are_named_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text):
        assert f"\ndef {name}(" in text_of(path), f"{path} has no {name}"
    for path, title in re.findall(r'`(tests/[\w/]+\.bats)`: "(.+?)"', text):
        assert f'\n@test "{title}" {{' in text_of(path), f"{path} has no {title!r}"


def test_every_status_of_the_sync_is_documented() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", section(text_of("docs/sync.md"), "## The steps"), re.MULTILINE)
    usage = subprocess.run([PROJECT / "bin/syncOneWork.sh", "-h"], capture_output=True, text=True, check=True).stdout
    told = re.findall(r"^ +(\d+)  \S", usage, re.MULTILINE)
    assert [status for status, _ in rows] == told
    scripts = "".join(text_of(f"bin/{name}.sh") for name in ("syncOneWork", "_sync_archive", "_sync_web"))
    assigned = re.findall(r"^readonly (.+=\d.*)$", scripts, re.MULTILINE)
    assert {"0", *re.findall(r"=(\d+)", " ".join(assigned))} == set(told)
    steps = dict(re.findall(r"begin \"\$(\w+)\" ['\"](.+?)['\"]$", scripts, re.MULTILINE))
    numbers = dict(re.findall(r"(\w+)=(\d+)", " ".join(assigned)))
    # A check that is kept from its work ends with 75, one that finds something with its own.
    named = {numbers[name]: step for name, step in steps.items() if name not in {"COMMAND_MISSING", "TRY_AGAIN_LATER"}}
    named[numbers["REFUSED"]] = steps["TRY_AGAIN_LATER"]
    assert {status: step for status, step in rows if status in named} == named


def test_every_option_of_sync_yml_is_documented_with_its_default(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| `(.+?)` \|", text_of("docs/sync.md"), re.MULTILINE)
    built_in = SyncOptions()
    known = load_options(tmp_path / "work", tmp_path).origin
    worded = {key: "[]" if built_in.value(key) == () else str(built_in.value(key)).lower() for key in known}
    assert dict(rows) == worded
    may_set = re.search(r"`(sync\.\w+)` and `(sync\.\w+)` if it lists nothing", text_of("docs/sync.md"))
    assert may_set
    (in_example,) = re.findall(r"^work_may_set: (.*)$", text_of("config/site-sync.yml"), re.MULTILINE)
    assert set(may_set.groups()) == set(re.findall(r'"(.+?)"', in_example))

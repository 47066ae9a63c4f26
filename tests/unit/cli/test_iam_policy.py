"""``iam-policy``: by profile, and with what web images need."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tests.unit.cli.conftest import Command

NLM = {"name": "nlm", "queue": "NlmReadyToIntake", "region": "ap-northeast-2", "profile": "ap", "buckets": ["nlm.org"]}
LOCAL = {"name": "local", "queue": "Local", "region": "us-east-1", "buckets": ["local.org"]}


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    intake = tmp_path / "intake.yml"
    intake.write_text(yaml.safe_dump({"queues": [NLM, LOCAL]}))
    monkeypatch.setenv("GLACIER_SYNC_INTAKE", str(intake))
    monkeypatch.setenv("GLACIER_SYNC_SITE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("GLACIER_SYNC_WEB_PARENT", "s3://web.org/Works")
    return tmp_path


def test_all_of_it(command: Command, site: Path) -> None:
    done = command("iam-policy")
    assert done.status == 0
    assert ids(done.out) == [
        "ReceiveNlm",
        "ListNlm",
        "ReadNlm",
        "ReceiveLocal",
        "ListLocal",
        "ReadLocal",
        "ListWeb",
        "WriteWeb",
    ]
    assert "s3:DeleteObject" not in done.out


@pytest.mark.parametrize("rule", ["sync: {replace: true}", "work_may_set: [sync.replace, sync.web]"])
def test_deleting_from_the_web_where_works_are_replaced_or_may_ask_for_it(
    command: Command, site: Path, rule: str
) -> None:
    (site / "site-sync.yml").write_text(f"{rule}\n")
    assert "s3:DeleteObject" in command("iam-policy").out


def test_the_web_images_are_in_the_partition_of_amazons_own_region(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "cn-north-1")
    assert '"arn:aws-cn:s3:::web.org/Works/*"' in command("iam-policy").out


def test_one_profile(command: Command) -> None:
    assert ids(command("iam-policy", "--profile", "ap").out) == ["ReceiveNlm", "ListNlm", "ReadNlm"]


def test_the_default_profile_writes_the_web_images(command: Command) -> None:
    out = command("iam-policy", "--profile", "default").out
    assert ids(out) == ["ReceiveLocal", "ListLocal", "ReadLocal", "ListWeb", "WriteWeb"]


def test_a_profile_that_nobody_uses(command: Command) -> None:
    done = command("iam-policy", "--profile", "nobody")
    assert done.status == 2
    assert "intake.yml uses the profile 'nobody': expected one of its profiles, or 'default'" in done.err


def ids(printed: str) -> list[str]:
    return [statement["Sid"] for statement in json.loads(printed)["Statement"]]

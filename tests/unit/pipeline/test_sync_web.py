"""The images of works on their way to the web, as the pipeline sends them."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.fault_proxy import fault_proxy
from tests.support.pipeline import Bagger, Installation, is_archived, message, record, tree

from glacier_sync import pipeline
from glacier_sync.ledger import Ledger, Run
from glacier_sync.pipeline import Done, RetryLater, sync, work_sync

pytestmark = [pytest.mark.needs("rsync"), pytest.mark.needs("rclone")]

RID = "W1TEST01"
ONE = Run.of_dag_run("dag", "one")
TWO = Run.of_dag_run("dag", "two")


def test_images_go_to_the_web(place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "ap-northeast-2")
    made = bag(RID)
    place.restored(made)
    (outcome,) = place.run(web_parent=f"s3://{place.site.bucket}/web").outcomes.values()
    assert isinstance(outcome, Done), outcome
    listed = place.site.client.s3.list_objects_v2(Bucket=place.site.bucket, Prefix="web/")["Contents"]
    images = made.works[0] / "images"
    on_web = {
        item["Key"]: place.site.client.s3.get_object(Bucket=place.site.bucket, Key=item["Key"])["Body"].read()
        for item in listed
    }
    assert on_web == {f"web/{RID}/images/{name}": (images / name).read_bytes() for name in tree(images)}
    assert is_archived(place, made.works[0])


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
@pytest.mark.parametrize("starts", ["glacier-sync run", "the DAG"])
def test_rclone_asks_the_proxy_that_boto3_asks(
    place: Installation, bag: Bagger, monkeypatch: pytest.MonkeyPatch, variable: str, starts: str
) -> None:
    """The name of the web's host leads nowhere."""
    number = place.debagged(bag(RID))
    with fault_proxy(place.site.url) as proxy:
        monkeypatch.setenv(variable, proxy.url.replace("//", "//someone:a-word@"))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://web.invalid")
        to_web = place.context(web_parent=f"s3://{place.site.bucket}/web")
        outcome = sync.plan(to_web, number)
        assert isinstance(outcome, Done)
        script = outcome.facts["script"]
        assert "a-word" not in script
        if starts == "the DAG":
            # Airflow starts it with nothing but that; keys are in a file.
            keys = place.home / "credentials"
            keys.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
            script = f"export AWS_SHARED_CREDENTIALS_FILE={keys}\n{script}"
            done = subprocess.run(
                ["bash", "-c", script], env={"SHLVL": "1"}, capture_output=True, text=True, check=True
            )
            last_line = done.stdout.rstrip("\n").rpartition("\n")[2]
        else:
            last_line = work_sync.run_script(script)
    assert json.loads(last_line)["statuses"] == [0]
    written = {path for method, path, _ in proxy.requests if method == "PUT"}
    to = f"http://web.invalid/{place.site.bucket}/web/{RID}/images/"
    assert written
    assert {path[: len(to)] for path in written} == {to}
    passwords = {headers.get("proxy-authorization") for headers in proxy.headers}
    assert passwords == {None if starts == "the DAG" else "Basic c29tZW9uZTphLXdvcmQ="}


FAILING_RCLONE = """#!/usr/bin/env bash
PATH=${PATH#*:}
[[ $1 == copy ]] || exec rclone "$@"
rclone --exclude '*.tif' "$@"
%s
"""


@pytest.mark.parametrize("end", ["exit 1", 'kill -KILL "$PPID"'])
def test_a_first_copy_that_was_stopped_is_gone_on_with(place: Installation, bag: Bagger, end: str) -> None:
    """Though the site has web copies that exist left as they are."""
    place.say({"sync": {"update_web": False}})
    commands = place.home / "bin"
    shutil.copytree(place.settings.bin_dir, commands)
    (commands / "rclone").write_text(FAILING_RCLONE % end)
    (commands / "rclone").chmod(0o755)
    made, web = bag(RID), f"s3://{place.site.bucket}/web"
    number = place.debagged(made)
    assert isinstance(sync.sync(place.context(bin_dir=commands, web_parent=web), number), RetryLater)
    images = tree(made.works[0] / "images")
    assert 0 < len(on_web(place)) < len(images)
    assert isinstance(sync.sync(place.context(web_parent=web), number), Done)
    assert on_web(place) == images.keys()


WAITING_RCLONE = """#!/usr/bin/env bash
PATH=${PATH#*:}
[[ $1 == copy ]] || exec rclone "$@"
touch %(home)s/begun
until [[ -e %(home)s/go ]]; do sleep 0.1; done
exec rclone "$@"
"""


def test_a_run_that_loses_its_claim_writes_over_no_newer_images(place: Installation, bag: Bagger) -> None:
    """Where nothing goes to the archive, whose lock would keep the others away; its own process was stopped."""
    place.say({"sync": {"archive": False}})
    commands = place.home / "bin"
    shutil.copytree(place.settings.bin_dir, commands)
    (commands / "rclone").write_text(WAITING_RCLONE % {"home": place.home})
    (commands / "rclone").chmod(0o755)
    older, newer = bag(RID), bag(RID, change=change_image)
    web = f"s3://{place.site.bucket}/web"
    lease = timedelta(seconds=3)
    with Ledger(place.settings.ledger_url.get_secret_value(), lease=lease) as ledger, ThreadPoolExecutor() as pool:
        short = replace(place, ledger=ledger)
        number = short.debagged(older, ONE)
        planned = sync.plan(short.context(ONE, bin_dir=commands, web_parent=web, lease_minutes=0.05), number)
        assert isinstance(planned, Done)
        running = pool.submit(work_sync.run_script, planned.facts["script"])
        while not (place.home / "begun").exists():
            time.sleep(0.05)
        time.sleep(lease.total_seconds() + 0.1)
        place.site.put(newer.key, newer.zip_path.read_bytes())
        sooner: dict[str, Any] = {"expiry": "2026-03-05T00:00:00.000Z", "eventTime": "2026-03-03T08:00:00.000Z"}
        place.site.send(message(record(place.site, newer.key, **sooner)))
        claims, _ = pipeline.get_restored_object_messages(short.context(TWO, max_objects_per_run=1))
        (later,) = [claim["object"] for claim in claims]
        for stage in (pipeline.download_from_messages, pipeline.debag_downloads, sync.sync):
            assert isinstance(stage(short.context(TWO, web_parent=web), later), Done)
        (place.home / "go").touch()
        assert json.loads(running.result())["statuses"] == [75]
    (image,) = (key for key in on_web(place) if key.endswith(".tif"))
    found = place.site.client.s3.get_object(Bucket=place.site.bucket, Key=f"web/{RID}/images/{image}")["Body"].read()
    assert found == (newer.works[0] / "images" / image).read_bytes()


def change_image(work: Path) -> None:
    page = next(work.rglob("*.tif"))
    page.write_bytes(page.read_bytes() + b"\0")


def on_web(place: Installation) -> set[str]:
    prefix = f"web/{RID}/images/"
    listed = place.site.client.s3.list_objects_v2(Bucket=place.site.bucket, Prefix=prefix).get("Contents", [])
    return {item["Key"].removeprefix(prefix) for item in listed}

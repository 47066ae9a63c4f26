"""intake.yml: what is read, and what a mistake is told."""

from pathlib import Path

import pytest

from glacier_sync.errors import ConfigurationError
from glacier_sync.settings import IntakeQueue, RestoreTerms, load_intake

CONFIG = Path(__file__).parents[3] / "config"

GOOD = """
queues:
  - name: nlm
    queue: NlmReadyToIntake
    region: ap-northeast-2
    profile: ap_northeast
    buckets: [glacier.staging.nlm.bdrc.org]
"""


def test_a_queue_is_read_with_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "intake.yml"
    path.write_text(GOOD)
    assert load_intake(path) == (
        IntakeQueue(
            name="nlm",
            queue="NlmReadyToIntake",
            region="ap-northeast-2",
            profile="ap_northeast",
            buckets=("glacier.staging.nlm.bdrc.org",),
            events=("ObjectRestore:Completed", "ObjectCreated:*"),
            delete_rejected=False,
            restore=None,
        ),
    )


@pytest.mark.parametrize(
    "url",
    ["https://sqs.ap-northeast-2.amazonaws.com/123456789012/NlmReadyToIntake", "http://127.0.0.1:5005/1/a-queue.fifo"],
)
def test_a_queue_may_be_given_by_its_url(tmp_path: Path, url: str) -> None:
    path = tmp_path / "intake.yml"
    path.write_text(GOOD.replace("NlmReadyToIntake", url))
    assert [queue.queue for queue in load_intake(path)] == [url]


@pytest.mark.parametrize("path", ["", "/", "/Q", "/123456789012/", "/123456789012/Q/", "/1/2/Q", "/123456789012/Q?a"])
def test_a_url_that_names_no_account_and_queue_is_told(tmp_path: Path, path: str) -> None:
    intake, url = tmp_path / "intake.yml", f"https://queue.example{path}"
    intake.write_text(GOOD.replace("NlmReadyToIntake", url))
    with pytest.raises(ConfigurationError) as caught:
        load_intake(intake)
    assert f"queues.0.queue is '{url}', expected a queue's name, or a URL that ends with its acc" in str(caught.value)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("{days: 7, tier: Standard}", RestoreTerms(7, "Standard")),
        ("{days: 1}", RestoreTerms(1, "Bulk")),
        ("null", None),
    ],
)
def test_restores_are_allowed_for_some_days_at_some_speed(
    tmp_path: Path, terms: str, expected: RestoreTerms | None
) -> None:
    path = tmp_path / "intake.yml"
    path.write_text(f"{GOOD}    restore: {terms}\n")
    assert [queue.restore for queue in load_intake(path)] == [expected]


@pytest.mark.parametrize("name", ["intake.yml", "intake-production.yml"])
def test_the_files_that_are_shipped_are_valid(name: str) -> None:
    assert load_intake(CONFIG / name)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("queues: [", "no valid YAML"),
        ("- a", "expected a mapping with the key 'queues', found list"),
        ("", "expected a mapping with the key 'queues', found NoneType"),
        ("queues: []", "queues is [], expected a list that isn't empty"),
        ("queues: [a]", "queues.0 is 'a', expected a mapping"),
        ("queus: []", "unknown key 'queus' (allowed: queues)"),
        (GOOD.replace("region: ap-northeast-2", "regoin: x"), "unknown key 'queues.0.regoin' (allowed: name, queue"),
        (GOOD.replace("    region: ap-northeast-2\n", ""), "the key 'queues.0.region' is missing"),
        (GOOD.replace("name: nlm", "name: 7"), "queues.0.name is 7, expected a text, in quotes"),
        (
            GOOD.replace("[glacier.staging.nlm.bdrc.org]", "[]"),
            "queues.0.buckets is [], expected a list that isn't empty",
        ),
        (
            GOOD.replace("[glacier.staging.nlm.bdrc.org]", "[' ']"),
            "queues.0.buckets.0 is ' ', expected a text that isn't",
        ),
        (GOOD.replace("[glacier.staging.nlm.bdrc.org]", "b"), "queues.0.buckets is 'b', expected a list"),
        (f"{GOOD}    delete_rejected: 1\n", "queues.0.delete_rejected is 1, expected true or false"),
        (f"{GOOD}    restore: true\n", "queues.0.restore is True, expected a mapping"),
        (f"{GOOD}    restore: {{days: week}}\n", "queues.0.restore.days is 'week', expected a whole number"),
        (f"{GOOD}    restore: {{}}\n", "the key 'queues.0.restore.days' is missing"),
        (f"{GOOD}    restore: {{days: 0}}\n", "queues.0.restore.days is 0, expected 1 or more"),
        (
            f"{GOOD}    restore: {{days: 7, tier: Slow}}\n",
            "queues.0.restore.tier is 'Slow', expected 'Standard', 'Bulk' or 'Expedited'; correct it",
        ),
        (f"{GOOD}    restore: {{day: 7}}\n", "unknown key 'queues.0.restore.day' (allowed: days, tier)"),
        (GOOD + GOOD.replace("queues:\n", "").lstrip("\n"), "the name 'nlm' stands for two queues"),
        (GOOD.replace("name: nlm", "name: watched folder"), "'watched folder' stands for what comes from no queue"),
    ],
)
def test_a_mistake_is_told_with_file_and_key(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "intake.yml"
    path.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        load_intake(path)
    assert str(caught.value).startswith(str(path))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="GLACIER_SYNC_INTAKE"):
        load_intake(tmp_path / "intake.yml")


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "intake.yml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="no valid YAML"):
        load_intake(path)

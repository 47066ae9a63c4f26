"""Failures on purpose: asked for, allowed or refused, and what they look like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.pipeline import Bagger, Installation

from glacier_sync import pipeline
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Phase, Run
from glacier_sync.pipeline import Done, Failed, Outcome, RetryLater, simulated_failures
from glacier_sync.pipeline.simulation import SimulatedFailures, SimulatedPermanentError

FIRST = Run.of_dag_run("dag", "first")
TOLD = "download_from_messages is told to fail by this run's simulate_failures: nothing is wrong; run it without"


def downloaded(place: Installation, bag: Bagger, asked: dict[str, Any]) -> tuple[int, Outcome]:
    number = place.claimed(bag("W1TEST01"), FIRST)
    settings = place.settings.model_copy(update={"allow_simulated_failures": True})
    context = replace(place.context(FIRST), simulated=simulated_failures(settings, asked))
    return number, pipeline.download_from_messages(context, number)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("failed", Failed(TOLD, "SimulatedPermanentError")),
        ("retry", RetryLater(TOLD)),
        (
            "unknown",
            RetryLater("download_from_messages met an error that isn't known", f"SimulatedUnknownError: {TOLD}"),
        ),
    ],
)
def test_a_stage_fails_as_it_is_told(place: Installation, bag: Bagger, outcome: str, expected: Outcome) -> None:
    asked = {"stage": "download_from_messages", "rate": 1, "outcome": outcome}
    number, found = downloaded(place, bag, asked)
    assert found == expected
    assert place.ledger.object(number).phase is (Phase.FAILED if outcome == "failed" else Phase.RESTORED)
    assert place.working_data() == []


@pytest.mark.parametrize("asked", [{"stage": "debag_downloads", "rate": 1}, {"stage": "sync_debagged", "rate": 0}])
def test_other_stages_go_on(place: Installation, bag: Bagger, asked: dict[str, Any]) -> None:
    assert isinstance(downloaded(place, bag, asked)[1], Done)


def test_the_rate_chooses_objects_for_the_whole_run() -> None:
    half = SimulatedFailures(stage="sync_debagged", rate=0.5)

    def chosen() -> set[int]:
        return {number for number in range(1000) if fails(half, number)}

    assert 400 < len(chosen()) < 600
    assert chosen() == chosen()


def fails(simulated: SimulatedFailures, number: int) -> bool:
    try:
        simulated.strike("sync_debagged", FIRST, number)
    except SimulatedPermanentError:
        return True
    return False


def test_it_is_refused_unless_it_is_allowed(place: Installation) -> None:
    assert simulated_failures(place.settings, None) is None
    with pytest.raises(ConfigurationError, match="GLACIER_SYNC_ALLOW_SIMULATED_FAILURES doesn't allow it here"):
        simulated_failures(place.settings, {"stage": "sync_debagged", "rate": 0})


def test_it_is_refused_in_production_whatever_is_allowed(place: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = place.settings.model_copy(update={"allow_simulated_failures": True})
    asked = {"stage": "sync_debagged", "rate": 0}
    monkeypatch.setenv("DEPLOYMENT", "dev")
    assert simulated_failures(allowed, asked)
    monkeypatch.setenv("DEPLOYMENT", "prod")
    assert simulated_failures(allowed, None) is None
    with pytest.raises(ConfigurationError, match="in a deployment for production"):
        simulated_failures(allowed, asked)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"stage": "audit", "rate": 1}, "stage is 'audit', expected 'download_from_messages', 'take_in_files'"),
        ({"stage": "sync_debagged"}, "the key 'rate' is missing"),
        ({"stage": "sync_debagged", "rate": 2}, "rate is 2, expected 1 or less"),
        (
            {"stage": "sync_debagged", "rate": 1, "outcome": "lost"},
            "outcome is 'lost', expected 'failed', 'retry' or 'unknown'",
        ),
        ({"stage": "sync_debagged", "rate": 1, "often": True}, "unknown key 'often' (allowed: stage, rate, outcome)"),
    ],
)
def test_what_is_not_understood_is_told(place: Installation, asked: dict[str, Any], said: str) -> None:
    allowed = place.settings.model_copy(update={"allow_simulated_failures": True})
    with pytest.raises(ConfigurationError, match="simulate_failures isn't understood: ") as caught:
        simulated_failures(allowed, asked)
    assert said in caught.value.message

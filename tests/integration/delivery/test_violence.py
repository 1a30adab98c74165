"""Kill -9 the deliverer over one backlog, short form: lost 0, doubled 0 (the full form: docs/performance.md)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import postgres as pg
import pytest

ROOT = Path(__file__).resolve().parents[3]
KILLS, EVENTS = 6, 1_500


def violence(*plan: str) -> dict[str, Any]:
    """The verdict of `python -m tests.integration.delivery.violence`, as the manual says to call it."""
    size = ("--kills", str(KILLS), "--events", str(EVENTS), "--evictions", "1")
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.delivery.violence", "--json", *size, *plan],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.stdout, done.stderr
    verdict: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode == 0) == verdict["exact"]
    return verdict


def assert_exact_after_violence(verdict: dict[str, Any]) -> None:
    """Nothing lost or doubled, and enough has happened for that to mean something."""
    assert verdict["kills"] == KILLS
    assert verdict["kills_in_mid_flight"] > 0
    assert verdict["faults"]["drop_after"] > 0
    assert verdict["faults"]["http_500"] > 0
    assert verdict["tokens_evicted"] > 0
    assert verdict["result_codes"]["10054"] > 0, "no lost answer was ever asked for again"
    assert (verdict["lost"], verdict["doubled"]) == (0, 0)
    assert verdict["states"] == {"delivered": EVENTS}
    assert verdict["exact"]


@pytest.mark.slow
def test_a_deliverer_killed_again_and_again_neither_loses_nor_doubles_an_event_on_sqlite() -> None:
    assert_exact_after_violence(violence("--database", "sqlite", "--deliverers", "2"))


@pytest.mark.slow
def test_what_a_platform_that_remembers_ids_on_sight_has_lost_is_unconfirmed_and_never_delivered() -> None:
    verdict = violence("--database", "sqlite", "--repeat", "seen", "--lost", "0.02")
    assert verdict["faults"]["lost"] > 0
    assert verdict["lost"] > 0, "nothing was tried"
    assert (verdict["believed"], verdict["doubled"], verdict["two_request_ids"]) == (0, 0, 0)
    assert verdict["states"]["unconfirmed"] >= verdict["lost"]
    assert verdict["states"]["unconfirmed"] + verdict["states"]["delivered"] == EVENTS
    assert verdict["exact"]


@pytest.mark.slow
def test_neither_do_kills_and_a_crash_of_the_database_on_postgresql(postgres: pg.Cluster) -> None:
    verdict = violence("--database", "postgresql", "--restarts", "1")
    assert verdict["restarts"] == 1
    assert_exact_after_violence(verdict)

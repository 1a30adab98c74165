"""What 10054 proves, on platforms that remember request ids on sight or on acceptance, through the command line."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from card_usage.delivery.calibration import judge
from card_usage.delivery.platform_memory import Known, LearnedBy, MemoryObserver, host_of, learn, read
from card_usage.ledger.database import Ledger
from card_usage.platform.outcome import Answer, Memory
from desk import SPAN, Desk, opened
from forked_cli import CommandLine
from platform_sandbox import Config

NOW = datetime(2026, 3, 3, 1, tzinfo=UTC)
WHERE = {"host": "platform.example", "app_id": "app"}
HOSPITAL = ("--hospital", "demo_hospital")


@contextmanager
def at_a_desk(tmp_path: Path, command_line: CommandLine, repeat: str, **config: Any) -> Iterator[Desk]:
    with opened(tmp_path, command_line, platform=Config(repeat=repeat, **config), uses=100) as desk:
        assert desk.run("ledger", "migrate").returncode == 0
        yield desk


def ask(desk: Desk, query: str) -> list[Any]:
    with sqlite3.connect(desk.environment["CARD_USAGE_LEDGER_URL"].partition("///")[2]) as ledger:
        return ledger.execute(query).fetchall()


def states(desk: Desk) -> Counter[str]:
    return Counter(
        dict(ask(desk, "select status, count(*) from event where status not in ('quarantined', 'voided') group by 1"))
    )


def believed(desk: Desk) -> set[str]:
    """Request ids of what the ledger calls delivered, and the platform does not have."""
    delivered = {request_id for (request_id,) in ask(desk, "select request_id from event where status = 'delivered'")}
    return delivered - {record.request_id for record in desk.sandbox.accepted()}


@pytest.mark.parametrize(
    ("repeat", "memory"), [("accepted", "on_acceptance"), ("seen", "on_sight"), ("gate", "on_sight")]
)
def test_a_calibration_shows_what_the_platform_remembers_and_reports_nothing(
    tmp_path: Path, command_line: CommandLine, repeat: str, memory: str
) -> None:
    with at_a_desk(tmp_path, command_line, repeat) as desk:
        for _ in range(2):
            told = desk.json("platform", "calibrate", *HOSPITAL)
            assert told["memory"]["known"] == memory
        assert desk.sandbox.accepted() == []
        assert ask(desk, "select memory, learned_by from platform_memory") == [(memory, "calibration")]


def test_a_calibration_of_a_hospital_not_yet_live_counts_its_calls_and_stays_within_the_quota(
    tmp_path: Path, command_line: CommandLine
) -> None:
    limits = {"not_live": frozenset({"10086"}), "quota": 6}
    with at_a_desk(tmp_path, command_line, "accepted", **limits) as desk:
        toml = Path(desk.home / "hospitals")
        toml.mkdir()
        text = (Path(__file__).parents[3] / "include/hospitals/demo_hospital.toml").read_text(encoding="utf-8")
        settings = re.sub(r"daily_quota = \d+", "daily_quota = 6", text.replace("live = true", "live = false"))
        (toml / "demo_hospital.toml").write_text(settings, encoding="utf-8")
        desk.environment["CARD_USAGE_HOSPITALS"] = str(toml)
        assert desk.json("platform", "calibrate", *HOSPITAL)["memory"]["known"] == "on_acceptance"
        done = desk.run("platform", "calibrate", *HOSPITAL, "--json")
        assert done.returncode == 1
        assert "own count" in done.stdout
        assert desk.sandbox.counts()["result_codes"].get("10034", 0) == 0


def test_a_calibration_that_shows_nothing_says_what_was_answered(tmp_path: Path, command_line: CommandLine) -> None:
    with at_a_desk(tmp_path, command_line, "accepted") as desk:
        desk.sandbox.faults(outage=True)
        done = desk.run("platform", "calibrate", *HOSPITAL, "--json")
        assert done.returncode == 1
        assert "http 503" in json.loads(done.stdout)["answers"]
        assert ask(desk, "select count(*) from platform_memory") == [(0,)]


@pytest.mark.parametrize("calibrated", [True, False])
def test_what_a_platform_that_remembers_on_sight_lost_is_unconfirmed_and_no_repeated_run_is_settled(
    tmp_path: Path, command_line: CommandLine, calibrated: bool
) -> None:
    with at_a_desk(tmp_path, command_line, "seen", seed=3) as desk:
        desk.json("stage", *SPAN)
        if calibrated:
            desk.json("platform", "calibrate", *HOSPITAL)
        desk.sandbox.faults(lost=0.05, lost_503=0.05)
        assert desk.run("deliver", *SPAN, "--json").returncode == 1
        desk.sandbox.calm()
        for _ in range(2):
            done = desk.run("deliver", *SPAN, "--json")
            assert done.returncode == 1
            assert json.loads(done.stdout)["deliver"]["unconfirmed"] == states(desk)["unconfirmed"] > 0
        assert states(desk).keys() == {"delivered", "unconfirmed"}
        assert states(desk)["delivered"] == len(desk.sandbox.accepted())
        assert believed(desk) == set()


def test_tokens_lost_at_a_gate_that_remembers_ids_leave_nothing_behind(
    tmp_path: Path, command_line: CommandLine
) -> None:
    with at_a_desk(tmp_path, command_line, "gate") as desk:
        desk.json("stage", *SPAN)
        desk.sandbox.faults(evict_every=40)
        assert desk.json("deliver", *SPAN)["settled"] is True
        assert desk.sandbox.counts()["result_codes"]["21004"] > 0
        assert "10054" not in desk.sandbox.counts()["result_codes"]
        assert states(desk) == {"delivered": len(desk.sandbox.accepted())}
        assert believed(desk) == set()
        assert ask(desk, "select count(*) > 0 from event where generation > 0") == [(1,)]


def test_where_ids_are_remembered_on_acceptance_a_lost_token_keeps_the_id(
    tmp_path: Path, command_line: CommandLine
) -> None:
    with at_a_desk(tmp_path, command_line, "accepted") as desk:
        desk.json("stage", *SPAN)
        desk.json("platform", "calibrate", *HOSPITAL)
        desk.sandbox.faults(evict_every=40)
        assert desk.json("deliver", *SPAN)["settled"] is True
        assert desk.sandbox.counts()["result_codes"]["21004"] > 2
        assert ask(desk, "select max(generation) from event") == [(0,)]
        # The ledger is lost: what is staged again has the same ids, and converges.
        desk.environment["CARD_USAGE_LEDGER_URL"] += ".new"
        before = len(desk.sandbox.accepted())
        assert desk.run("ledger", "migrate").returncode == 0
        desk.json("stage", *SPAN)
        desk.json("platform", "calibrate", *HOSPITAL)
        assert desk.json("deliver", *SPAN)["settled"] is True
        assert len(desk.sandbox.accepted()) == before == states(desk)["delivered"]


@pytest.mark.parametrize("fault", ["gateway_403", "gateway_429", "gateway_503"])
@pytest.mark.parametrize("change", ["UPDATE SF_BRXXK SET hzxm = hzxm || '改'", "UPDATE SF_BRJSK SET jlzt = 1"])
def test_a_gateways_status_after_the_backend_accepted_doubles_nothing_whatever_the_his_does_then(
    tmp_path: Path, command_line: CommandLine, fault: str, change: str
) -> None:
    with at_a_desk(tmp_path, command_line, "accepted") as desk:
        desk.json("stage", *SPAN)
        desk.json("platform", "calibrate", *HOSPITAL)
        # By itself a run would go on for minutes; it must not outlive the fault.
        desk.sandbox.faults(**{fault: 1.0})
        _killed(desk)
        once = len(desk.sandbox.accepted())
        assert once > 0
        assert states(desk)["delivered"] == 0
        desk.sandbox.calm()
        with sqlite3.connect(desk.home / "his.db") as his:
            his.execute(change)
        desk.json("stage", *SPAN)
        assert desk.run("resume", *HOSPITAL).returncode == 0
        desk.json("deliver", *SPAN)
        assert believed(desk) == set()
        assert states(desk)["delivered"] == len(desk.sandbox.accepted())
        assert states(desk)["unknown"] == states(desk)["unconfirmed"] == 0


def _killed(desk: Desk) -> None:
    """A deliverer that is killed once the platform has accepted some."""
    process = subprocess.Popen(
        desk.command("deliver", *SPAN), env=desk.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while len(desk.sandbox.accepted()) < 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait(timeout=30)


def test_what_was_observed_outweighs_what_a_calibration_shows(ledger: Ledger) -> None:
    with ledger.write() as connection:

        def learned(memory: Memory, by: LearnedBy, *, anew: bool = False) -> Known:
            return learn(connection, memory, **WHERE, by=by, now=NOW, anew=anew)

        assert read(connection, **WHERE) == Known(Memory.UNKNOWN)
        assert learned(Memory.ON_ACCEPTANCE, LearnedBy.CALIBRATION).memory is Memory.ON_ACCEPTANCE
        assert learned(Memory.ON_SIGHT, LearnedBy.OBSERVATION).memory is Memory.ON_SIGHT
        observed = Known(Memory.ON_SIGHT, LearnedBy.OBSERVATION, NOW)
        assert learned(Memory.ON_ACCEPTANCE, LearnedBy.CALIBRATION) == observed == read(connection, **WHERE)
        assert learned(Memory.ON_ACCEPTANCE, LearnedBy.CALIBRATION, anew=True).memory is Memory.ON_ACCEPTANCE
        assert read(connection, host="another.example", app_id="app") == Known(Memory.UNKNOWN)
        assert read(connection, host="platform.example", app_id="another") == Known(Memory.UNKNOWN)


def test_a_run_learns_from_10054_after_a_failure_but_not_on_a_ledger_that_was_rebuilt() -> None:
    calibrated = Known(Memory.ON_ACCEPTANCE, LearnedBy.CALIBRATION, NOW)

    def observer() -> MemoryObserver:
        made = MemoryObserver(Known(Memory.UNKNOWN))
        made.refresh(calibrated)
        return made

    learning = observer()
    learning.observe([Answer.NO_ANSWER, Answer.BUSY], Answer.REPEATED)
    assert (learning.memory, learning.observed) == (Memory.ON_ACCEPTANCE, False)
    learning.observe([Answer.BUSY], Answer.REPEATED)
    assert (learning.memory, learning.observed) == (Memory.ON_SIGHT, True)
    learning.refresh(calibrated)
    assert learning.memory is Memory.ON_SIGHT, "what is not yet written is not forgotten"
    rebuilt = observer()
    rebuilt.observe([], Answer.REPEATED)
    rebuilt.observe([Answer.BUSY], Answer.REPEATED)
    assert (rebuilt.memory, rebuilt.observed) == (Memory.ON_ACCEPTANCE, False)


@pytest.mark.parametrize(
    ("pairs", "shown"),
    [
        (["token repeated", "refused refused"], Memory.ON_SIGHT),
        (["token token", "refused repeated"], Memory.ON_SIGHT),
        (["token token", "refused refused"], Memory.ON_ACCEPTANCE),
        (["no_answer no_answer", "refused refused"], Memory.ON_ACCEPTANCE),
        (["no_answer repeated", "no_answer repeated"], None),
        (["token token", "accepted repeated"], None),
        (["token token", "misconfigured misconfigured"], None),
        (["token token", "busy refused"], None),
        (["token token", "repeated repeated"], None),
        (["token token"], None),
        (["quota quota"], None),
    ],
)
def test_pairs_of_answers_show_what_they_prove_and_no_more(pairs: list[str], shown: Memory | None) -> None:
    assert judge([tuple(map(Answer, pair.split())) for pair in pairs]) is shown  # type: ignore[misc]


def test_a_platform_is_known_by_its_address_without_the_scheme() -> None:
    assert host_of("https://platform.example:8443/gateway") == "platform.example:8443/gateway"

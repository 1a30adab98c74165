"""The tasks of an upgrade: dry first, bounded, within the day's quota, and red only for what holds them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from card_usage.cli.main import main
from card_usage.ledger.schema import upgrade_record
from card_usage_airflow import upgrading
from card_usage_airflow.run_notes import note_of_upgrade
from card_usage_airflow.task_context import open_context
from card_usage_airflow.upgrading import UpgradeStopped
from region import Region, region
from sqlalchemy import func, select
from upgrading import HOSPITAL, environment_of, good_patients, put_patients


@pytest.fixture
def here() -> Iterator[Region]:
    with region(clock_is_real=True) as opened:
        yield opened


def place(here: Region, home: Path, monkeypatch: pytest.MonkeyPatch, **files: Any) -> dict[str, str]:
    environment = environment_of(here, home, upgrade="patients_a_batch = 5", **files)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    put_patients(home, *good_patients(23), (90, "11010119900307001", "13800000001"))
    return environment


def send(calls: int | None = None, hours: float = 1) -> dict[str, int]:
    with open_context(HOSPITAL) as context:
        return upgrading.send_patients(context, calls=calls, hours=hours)


def test_a_preview_says_who_and_how_long_and_changes_nothing(
    here: Region, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(here, tmp_path, monkeypatch, platform="live = false\ndaily_quota = 2")
    with open_context(HOSPITAL) as context:
        counts = upgrading.preview_upgrade(context, from_his=True)
        with context.ledger.read() as connection:
            assert connection.scalar(select(func.count()).select_from(upgrade_record)) == 0
    assert counts == {"rows": 24, "good": 23, "quarantined": 1, "patients at most": 23, "batches": 5, "days": 3}
    assert here.sandbox.counts()["calls"] == 0


def test_runs_are_bounded_and_the_next_one_goes_on(
    here: Region, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place(here, tmp_path, monkeypatch)
    caplog.set_level(logging.INFO)
    with open_context(HOSPITAL) as context:
        read = upgrading.read_patients(context)
    assert (read["rows"], read["new"], read["quarantined"]) == (24, 23, 1)
    first = send(calls=2)
    assert (first["calls"], first["registered"], first["left"]) == (2, 10, 13)
    assert note_of_upgrade(first).startswith("已注册 10，未通过 0，待注册 13")
    assert send(hours=1e-9)["calls"] == 0
    assert send() == {"calls": 3, "registered": 23, "left": 0}
    assert here.sandbox.counts()["cards"] == 23
    assert "110101199003" not in caplog.text
    assert "张示范" not in caplog.text


def test_a_used_up_quota_ends_a_run_without_failing_it(
    here: Region, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(here, tmp_path, monkeypatch, platform="live = false\ndaily_quota = 2")
    with open_context(HOSPITAL) as context:
        upgrading.read_patients(context)
    sent = send()
    assert (sent["calls"], sent["registered"], sent["left"]) == (3, 10, 13)  # the third was not made
    assert here.sandbox.counts()["cards"] == 10


def test_a_pause_fails_the_task_which_is_tried_again(
    here: Region, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = place(here, tmp_path, monkeypatch)
    with open_context(HOSPITAL) as context:
        upgrading.read_patients(context)
    assert main(["pause", "--hospital", HOSPITAL, "--reason", "night"], environment) == 0
    with pytest.raises(UpgradeStopped, match="23 patients are left"):
        send()

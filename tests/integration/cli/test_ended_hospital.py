"""A hospital that has ended: nothing later is read, scheduled or missed; its past can be repeated and stays shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from card_usage.files.shipped import SHIPPED
from desk import DAY, SPAN, Desk, one_line, opened, span
from forked_cli import CommandLine

LAST = DAY + timedelta(days=1)


@pytest.fixture
def desk(tmp_path: Path, command_line: CommandLine) -> Iterator[Desk]:
    """Three days in the HIS, of which the hospital reports two."""
    with opened(tmp_path, command_line, uses=300, days=3) as made:
        folder = tmp_path / "hospitals"
        folder.mkdir()
        text = (SHIPPED / "hospitals" / "demo_hospital.toml").read_text(encoding="utf-8")
        ended = text.replace("[his]", f"end = {LAST}\n\n[his]", 1)
        (folder / "demo_hospital.toml").write_text(ended, encoding="utf-8")
        made.environment |= {"CARD_USAGE_HOSPITALS": str(folder), "CARD_USAGE_ALIASES": str(SHIPPED / "code_aliases")}
        yield made


def incidents(desk: Desk) -> set[str]:
    desk.run("alerts", "send")
    listed = json.loads(desk.run("incidents", "--days", "1", "--json").stdout)["incidents"]
    return {incident["cause"] for incident in listed}


def test_days_after_the_last_are_left_out_and_alone_refused_in_one_line(desk: Desk) -> None:
    done = desk.json("run", *span(DAY, 3))
    assert done["settled"] is True
    assert [day["window"] for day in done["check"]["days"]] == [str(DAY), str(LAST)]
    assert {feed["day"] for feed in done["reconcile"]["feeds"]} == {str(DAY), str(LAST)}
    sent = desk.sandbox.counts()["accepted"]
    later = span(LAST + timedelta(days=1), 1)
    for verb in ("run", "stage", "check", "deliver", "reconcile", "report", "preview"):
        refused = desk.run(verb, *later)
        assert refused.returncode == 2
        assert f"demo_hospital ended with {LAST}" in one_line(refused)
    assert desk.json("run", *SPAN)["settled"] is True
    assert desk.sandbox.counts()["accepted"] == sent


def test_nothing_is_missed_after_the_last_day_and_its_past_stays(desk: Desk) -> None:
    desk.json("run", *SPAN)
    assert incidents(desk) == set()
    marks = desk.json("verified", "--hospital", "demo_hospital")
    assert f"the hospital ended with {LAST}" in json.dumps(marks)
    fleet = desk.run("report-fleet", "--day", str(LAST + timedelta(days=9)), "--language", "en")
    assert fleet.returncode == 0
    figures = json.loads(next((desk.home / "reports" / "_fleet").rglob("*.json")).read_text(encoding="utf-8"))
    (listed,) = figures["hospitals"]
    assert (listed["level"], listed["end"], listed["open_days"]) == ("empty", str(LAST), 0)
    assert figures["levels"]["absent"] == 0
    assert sum(day["delivered"] or 0 for day in figures["trend"]) == desk.sandbox.counts()["accepted"]


def test_without_an_end_the_same_is_missed(desk: Desk) -> None:
    desk.environment.pop("CARD_USAGE_HOSPITALS")
    desk.json("run", *SPAN)
    assert "report_late" in incidents(desk)


def test_hospital_check_says_so_and_looks_at_the_last_days(desk: Desk) -> None:
    found = json.loads(desk.run("hospital", "check", "demo_hospital", "--json").stdout)["checks"]
    says = {(one["check"], one["feed"]): one for one in found}
    assert str(LAST) in says["end", None]["says"]
    assert says["rows", "registration"]["state"] == "ok"
    assert not {"freshness", "volume"} & {check for check, _ in says}

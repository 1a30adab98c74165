"""Real runs: scheduler, executor, tasks as processes, a HIS and a platform, in the order of an operator's day.

The tests build on each other's runs (a day must be reported before it can be again), so they run in file order.
"""

from __future__ import annotations

import json
import re
import sqlite3
import urllib.request
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from card_usage.ledger.schema import event
from card_usage.ledger.scope import BACKFILL, LIVE
from card_usage.windows import local
from sqlalchemy import select, text

DEMO = "report_card_usage__demo_hospital"


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest) -> None:
    """A scheduler takes its time."""
    request.node.add_marker(pytest.mark.timeout(300))


def ledger_days(fleet: Any) -> dict[date, Counter[str]]:
    """States by day."""
    days: dict[date, Counter[str]] = {}
    with fleet.ledger.read() as connection:
        for day, status in connection.execute(select(event.c.day, event.c.status)):
            days.setdefault(day, Counter())[status] += 1
    return days


def expected_states(fleet: Any, day: date) -> dict[str, int]:
    """What the demo HIS was made to give: delivered, voided, quarantined."""
    outcomes: Counter[str] = Counter()
    for by_outcome in fleet.expected[day].outcomes.values():
        for outcome, rows in by_outcome.items():
            outcomes[{"clean": "delivered", "voided": "voided"}.get(outcome, "quarantined")] += rows
    return {status: rows for status, rows in outcomes.items() if rows}


def backfills(fleet: Any) -> list[dict[str, Any]]:
    """The DAG's backfills as the REST interface shows them."""
    return list(fleet.airflow.ask(f"/backfills?dag_id={DEMO}")["backfills"])


def test_the_scheduler_reports_the_last_complete_day_to_the_row(fleet: Any) -> None:
    fleet.unpause(DEMO)
    # Unpausing makes the scheduled run of yesterday by itself.
    fleet.until(lambda: fleet.runs(DEMO), "the scheduler has made a run")
    (run_id,) = fleet.runs(DEMO)
    assert run_id == f"scheduled__{fleet.days[-1]}"
    assert fleet.finished(DEMO, {run_id})[run_id]["state"] == "success"
    assert ledger_days(fleet) == {fleet.days[-1]: expected_states(fleet, fleet.days[-1])}
    steps = {"wait", "stage", "check", "deliver", "reconcile", "warehouse", "publish"}
    assert set(fleet.states(DEMO, run_id)) == steps | {"approve", "deliver_approved", "report_approved"}
    assert list((fleet.home / "reports").rglob("*.html"))
    assert list((fleet.home / "reports" / "warehouse").rglob("demo_hospital.parquet"))
    states = expected_states(fleet, fleet.days[-1])
    noted = f"{states['delivered']:,} delivered, {states['quarantined']:,} waiting, 0 differences"
    assert fleet.runs(DEMO)[run_id]["note"].endswith(noted)


def test_a_runs_page_leads_to_what_the_run_has_written(fleet: Any) -> None:
    (run_id,) = fleet.runs(DEMO)
    page = page_of(fleet, f"/card-usage/runs/{DEMO}/{quote(run_id)}")
    names = re.findall(r'href="/card-usage/files/([^"]+)"', page)
    day = fleet.days[-1]
    assert f"demo_hospital/{day}/card-usage-{day}.html" in names
    assert {name.rpartition(".")[2] for name in names} >= {"html", "json", "xlsx"}
    for name in names:
        assert (fleet.home / "reports" / name).is_file()
    assert 'class="verdict' in page_of(fleet, f"/card-usage/files/{names[0]}")


def test_the_task_that_reports_leads_to_its_newest_page_and_tells_the_asset_of_all(fleet: Any) -> None:
    (run_id,) = fleet.runs(DEMO)
    links = fleet.airflow.ask(f"/dags/{DEMO}/dagRuns/{quote(run_id)}/taskInstances/publish/links")["extra_links"]
    newest = f"demo_hospital/{fleet.days[-1]}/card-usage-{fleet.days[-1]}.html"
    assert links == {"用卡报告": f"/card-usage/files/{newest}"}
    assert 'class="verdict' in page_of(fleet, links["用卡报告"])
    told = [
        one for one in fleet.airflow.ask("/assets/events?limit=100")["asset_events"] if one["source_dag_id"] == DEMO
    ]
    assert {one["source_task_id"] for one in told} == {"publish"}
    assert newest in told[0]["extra"]["files"]


def test_the_morning_writes_months_and_the_page_of_all_hospitals(fleet: Any) -> None:
    fleet.unpause("publish_card_usage")
    run_id, state = fleet.triggered("publish_card_usage", day=fleet.days[-1].isoformat())
    assert state == "success"
    written = {path.name for path in (fleet.home / "reports").rglob("card-usage-*")}
    day = fleet.days[-1]
    assert {f"card-usage-fleet-{day}.{kind}" for kind in ("html", "json", "xlsx", "mail.html")} <= written
    assert f"card-usage-{day:%Y-%m}.html" in written
    assert f"card-usage-fleet-{day}.html" in page_of(fleet, f"/card-usage/runs/publish_card_usage/{quote(run_id)}")
    page = (fleet.home / "reports" / "_fleet" / str(day) / f"card-usage-fleet-{day}.json").read_text(encoding="utf-8")
    found = {one["id"]: one["level"] for one in json.loads(page)["hospitals"]}
    assert found["demo_hospital"] in ("explained", "complete")
    assert found["refused_hospital"] == "absent"


def page_of(fleet: Any, path: str) -> str:
    """A page of the UI, logged in."""
    fleet.airflow.ask("/version")
    request = urllib.request.Request(fleet.airflow.url + path)  # noqa: S310 - always http to 127.0.0.1
    request.add_header("Authorization", f"Bearer {fleet.airflow._token}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        return str(answer.read().decode())


def test_the_same_day_again_sends_nothing(fleet: Any) -> None:
    calls = fleet.calls()
    run_id, state = fleet.triggered(DEMO, day=fleet.days[-1].isoformat())
    assert run_id.startswith(f"manual__{fleet.days[-1]}__")
    assert state == "success"
    assert fleet.calls() == calls


def test_runs_by_hand_are_named_by_their_day_however_they_are_started(fleet: Any) -> None:
    before, day = set(fleet.runs(DEMO)), fleet.days[-1]
    # As the form sends it: with the present as the logical date, and with the day chosen or left empty.
    for conf in ({"day": day.isoformat()}, {"day": None}):
        now = datetime.now(UTC).isoformat()
        fleet.airflow.ask(f"/dags/{DEMO}/dagRuns", {"logical_date": now, "conf": conf})
    fleet.airflow.run("dags", "trigger", DEMO, "--conf", json.dumps({"day": day.isoformat()}))
    made = set(fleet.runs(DEMO)) - before
    assert len(made) == 3
    assert {run["state"] for run in fleet.finished(DEMO, made).values()} == {"success"}
    assert {run_id.rpartition("__")[0] for run_id in made} == {f"manual__{day}"}


def test_a_backfill_of_three_dates_is_exactly_those_three_local_days(fleet: Any) -> None:
    before = set(fleet.runs(DEMO))
    first, last = fleet.days[0], fleet.days[2]
    fleet.airflow.run("backfill", "create", "--dag-id", DEMO, "--from-date", f"{first}", "--to-date", f"{last}")
    fleet.until(lambda: len(set(fleet.runs(DEMO)) - before) >= 3, "three runs of the backfill")
    made = set(fleet.runs(DEMO)) - before
    assert made == {f"backfill__{day}" for day in fleet.days[:3]}
    assert {run["state"] for run in fleet.finished(DEMO, made).values()} == {"success"}
    assert ledger_days(fleet) == {day: expected_states(fleet, day) for day in fleet.days}
    with fleet.ledger.read() as connection:
        lanes = {(day, lane) for day, lane in connection.execute(select(event.c.day, event.c.lane).distinct())}
    assert lanes == {(day, LIVE if day == fleet.days[-1] else BACKFILL) for day in fleet.days}
    assert fleet.sandbox.counts()["doubled"] == 0


def test_a_second_backfill_of_the_same_dates_runs_again_and_sends_nothing(fleet: Any) -> None:
    before, calls = fleet.runs(DEMO), fleet.calls()
    fleet.until(lambda: all(one["completed_at"] for one in backfills(fleet)), "the first backfill is over")
    number = fleet.airflow.backfill(DEMO, fleet.days[0], fleet.days[2], reprocess_behavior="completed")
    fleet.until(lambda: fleet.airflow.ask(f"/backfills/{number}")["completed_at"], "the second backfill is over")
    after = fleet.finished(DEMO, set(before))
    assert fleet.runs(DEMO).keys() == before.keys()
    again = {run_id for run_id, run in after.items() if run["start_date"] != before[run_id]["start_date"]}
    assert {local(datetime.fromisoformat(after[one]["logical_date"])).date() for one in again} == set(fleet.days[:3])
    assert fleet.calls() == calls


def test_the_morning_count_finds_every_day_clean(fleet: Any) -> None:
    fleet.unpause("reconcile_card_usage")
    calls = fleet.calls()
    run_id, _ = fleet.triggered("reconcile_card_usage", days=4)
    log = fleet.log("reconcile_card_usage", run_id, "recount")
    assert "demo_hospital" in log
    assert fleet.calls() == calls
    with fleet.ledger.read() as connection:
        rows = connection.execute(text("select day, sum(remainder) from reconciliation group by day")).all()
    assert len(rows) >= len(fleet.days)
    assert all(remainder == 0 for _, remainder in rows)


def test_a_redelivery_runs_dry_unless_told_otherwise(fleet: Any) -> None:
    fleet.unpause("redeliver_card_usage")
    day = fleet.days[0].isoformat()
    calls = fleet.calls()
    conf = {"hospital": "demo_hospital", "from": day}
    _, state = fleet.triggered("redeliver_card_usage", **conf)
    assert state == "success"
    assert fleet.calls() == calls


def test_a_platform_that_refuses_us_fails_the_run_at_once_and_says_why(fleet: Any) -> None:
    dag = "report_card_usage__refused_hospital"
    fleet.unpause(dag)
    fleet.until(lambda: fleet.runs(dag), "a run")
    (run_id,) = fleet.runs(dag)
    assert fleet.finished(dag, {run_id})[run_id]["state"] == "failed"
    log = fleet.log(dag, run_id, "deliver")
    assert "21006" in log
    assert "check appId, appSecret" in log
    assert "up_for_retry" not in fleet.states(dag, run_id)["deliver"]


def test_a_his_that_lost_a_column_fails_before_anything_is_staged_and_names_it(fleet: Any) -> None:
    dag = "report_card_usage__old_hospital"
    fleet.unpause(dag)
    fleet.until(lambda: fleet.runs(dag), "a run")
    (run_id,) = fleet.runs(dag)
    assert fleet.finished(dag, {run_id})[run_id]["state"] == "failed"
    assert "sfzh" in fleet.log(dag, run_id, "stage")
    with fleet.ledger.read() as connection:
        assert connection.scalar(text("select count(*) from event where hospital = 'old_hospital'")) == 0


@pytest.mark.timeout(900)
def test_a_failed_run_is_told_once(fleet: Any) -> None:
    """Of the hospitals whose runs failed above."""
    fleet.unpause("alert_card_usage")

    def told() -> list[str]:
        return [payload["markdown"]["content"] for _, payload in fleet.chat.posts]

    def of_old_run() -> list[str]:
        return [text for text in told() if "流程运行失败" in text and "report_card_usage__old_hospital" in text]

    # Its sweep is made every five minutes.
    fleet.until(of_old_run, "the failed run is told", 400)
    assert len(of_old_run()) == 1

    def of_refused() -> list[str]:
        return [text for text in told() if "21006" in text]

    fleet.until(of_refused, "the refused hospital is told", 400)  # perhaps by the next sweep, on a busy machine
    refused = of_refused()
    assert len(refused) == 1
    assert "已停止上报" in refused[0]
    with fleet.ledger.read() as connection:
        found = connection.execute(text("select hospital, cause from incident order by id")).all()
    assert ("refused_hospital", "misconfiguration") in found
    assert ("refused_hospital", "dag_failed") not in found, "it is explained by what is set up wrong"


def test_no_patient_is_in_a_log_an_xcom_a_rendered_field_a_report_or_the_ledgers_file(
    fleet: Any, tmp_path: Path
) -> None:
    places = fleet.assert_no_patient_anywhere(tmp_path)
    assert any("task_id=deliver" in str(path) for path in places)
    with sqlite3.connect(fleet.home / "airflow" / "airflow.db") as metadata:
        tables = {row[0] for row in metadata.execute("select name from sqlite_master where type = 'table'")}
    assert {"xcom", "rendered_task_instance_fields"} <= tables

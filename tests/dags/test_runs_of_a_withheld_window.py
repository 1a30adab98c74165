"""A real run that the gate holds: it asks, waits without a worker, is answered over the REST interface, and delivers.

The tests build on each other, in file order.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from card_usage.config.hospital import load_hospital
from card_usage.ledger.code_decisions import standing
from card_usage.ledger.decisions import Actor, recorded
from card_usage.ledger.schema import event, verdict
from card_usage.quality.approval import record_decision, verdicts_of
from card_usage.quality.verdicts import First, StoredVerdict
from card_usage.windows import day_window
from sqlalchemy import create_engine, select, text

DAG = "report_card_usage__held_hospital"
DEMO = "report_card_usage__demo_hospital"
CLEAN = {"payment", "dispensing", "examination", "laboratory"}


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest) -> None:
    """A scheduler takes its time."""
    request.node.add_marker(pytest.mark.timeout(400))


def of_held(fleet: Any) -> Counter[tuple[str, str]]:
    """Feeds and states of the hospital's events."""
    with fleet.ledger.read() as connection:
        rows = connection.execute(select(event.c.feed, event.c.status).where(event.c.hospital == "held_hospital"))
        return Counter((feed, status) for feed, status in rows)


def the_run(fleet: Any) -> str:
    (run_id,) = fleet.runs(DAG)
    return str(run_id)


def form(fleet: Any, run_id: str) -> dict[str, Any]:
    (found,) = fleet.airflow.ask(f"/dags/{DAG}/dagRuns/{run_id}/hitlDetails")["hitl_details"]
    return dict(found)


def test_a_withheld_window_waits_for_a_person_and_the_report_does_not_wait(fleet: Any) -> None:
    fleet.unpause(DAG)
    fleet.until(lambda: fleet.runs(DAG), "a run")
    run_id = the_run(fleet)
    waits = "deferred"
    fleet.until(lambda: fleet.states(DAG, run_id).get("approve") == {waits}, "the form is there", 240)
    fleet.until(lambda: fleet.states(DAG, run_id)["publish"] == {"success"}, "the report is written", 240)
    assert fleet.states(DAG, run_id)["deliver"] == {"skipped"}
    assert not [feed for feed, status in of_held(fleet) if status not in ("ready", "quarantined", "voided")]

    # Nobody works for it: no slot of the pool is taken.
    def slots() -> int:
        pool = fleet.airflow.ask("/pools/default_pool")
        return int(pool["running_slots"] + pool["queued_slots"])

    fleet.until(lambda: slots() == 0, "every other task has ended, and the form takes no slot", 240)
    assert fleet.states(DAG, run_id)["approve"] == {waits}


def test_the_form_says_why_how_many_what_each_answer_does_and_until_when(fleet: Any) -> None:
    asked = form(fleet, the_run(fleet))
    assert asked["options"] == ["全部放行", "只放行不受影响的业务", "不放行"]
    assert asked["defaults"] == ["不放行"]
    assert "质检未放行" in asked["subject"]
    body = asked["body"]
    for said in (
        "的记录被隔离",
        "科室没有对照到标准科室",
        "挂号 |",
        "受影响",
        "收费、取药",
        "20",
        "逾期按“不放行”处理",
    ):
        assert said in body or said == "收费、取药", said
    his = create_engine(f"sqlite:///{fleet.home}/his.db")
    with his.connect() as connection:
        people = connection.execute(text("select hzxm, sfzh from SF_BRXXK")).all()
    his.dispose()
    numbers = {number.strip() for _, number in people if number and len(number.strip()) >= 15}
    assert len(numbers) > 100
    assert not [number for number in numbers if number in body]


def test_meanwhile_other_hospitals_report(fleet: Any) -> None:
    fleet.unpause(DEMO)
    _, state = fleet.triggered(DEMO, day=fleet.days[-1].isoformat())
    assert state == "success"
    assert fleet.states(DAG, the_run(fleet))["approve"] == {"deferred"}


def test_the_answer_goes_into_the_ledger_and_the_clean_part_to_the_platform(fleet: Any) -> None:
    run_id = the_run(fleet)
    before, calls = of_held(fleet), fleet.calls()
    answer = {"chosen_options": ["只放行不受影响的业务"], "params_input": {}}
    fleet.airflow.ask(f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/approve/0/hitlDetails", answer, "PATCH")
    assert fleet.finished(DAG, {run_id})[run_id]["state"] == "success"
    assert fleet.states(DAG, run_id)["report_approved"] == {"success"}
    with fleet.ledger.read() as connection:
        rows = connection.execute(select(verdict).where(verdict.c.hospital == "held_hospital")).all()
    assert [(row.verdict, row.decision, row.decided_by) for row in rows] == [("hold", "clean", "admin")]
    assert rows[0].decided_at is not None
    after = of_held(fleet)
    due = {feed: before[feed, "ready"] for feed in CLEAN}
    assert {feed: after[feed, "delivered"] for feed in CLEAN} == due
    assert fleet.calls() - calls == sum(due.values())
    assert after["registration", "delivered"] == 0
    assert after["registration", "ready"] == before["registration", "ready"]


def page(fleet: Any, path: str, *, token: str = "") -> tuple[int, str, str]:
    """Status, content policy and body of a page of the UI's server."""
    connection = HTTPConnection("127.0.0.1", fleet.airflow.port, timeout=60)
    headers = {"Cookie": f"_token={token}"} if token else {}
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode("utf-8", "replace")
    return answer.status, answer.headers.get("Content-Security-Policy", ""), body


def test_reports_and_quality_pages_are_behind_airflows_login(fleet: Any) -> None:
    day = fleet.days[-1].isoformat()
    quality = f"/card-usage/files/held_hospital/{day}/quality-{day}.html"
    for path in ("/card-usage/", quality, "/card-usage/files/held_hospital/x.html"):
        assert page(fleet, path)[0] == 401, path
        assert page(fleet, path, token="forged")[0] in (401, 403), path
    fleet.airflow.ask("/version")
    token = fleet.airflow._token
    status, policy, listed = page(fleet, "/card-usage/", token=token)
    assert (status, "default-src 'none'" in policy) == (200, True)
    assert quality in listed
    assert "质检明细" in listed
    status, policy, told = page(fleet, quality, token=token)
    assert (status, "default-src 'none'" in policy) == (200, True)
    assert "暂缓，等待人工确认" in told
    assert "Great Expectations" in told
    report = f"/card-usage/files/held_hospital/{day}/card-usage-{day}.html"
    assert page(fleet, report, token=token)[0] == 200


def test_no_page_leads_out_of_the_reports(fleet: Any) -> None:
    fleet.airflow.ask("/version")
    token = fleet.airflow._token
    (fleet.home / "reports" / ".hidden.html").write_text("secret", encoding="utf-8")
    for name in (
        "../ledger.db",
        "%2e%2e/ledger.db",
        "..%2fledger.db",
        "held_hospital/..%2f..%2fhospitals/held_hospital.toml",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "..%5cledger.db",
        ".hidden.html",
        "held_hospital/",
        "",
        "held_hospital%00.html",
        "../hospitals/held_hospital.html",
    ):
        status, _, body = page(fleet, f"/card-usage/files/{name}", token=token)
        assert status in (400, 404), name
        assert "secret" not in body


def test_a_form_closes_by_itself_once_somebody_has_decided_elsewhere(fleet: Any) -> None:
    """By command line here; a day that was mended and checked again closes it the same way."""
    day = fleet.days[0]
    run_id = fleet.airflow.trigger(DAG, {"day": day.isoformat()})
    fleet.until(lambda: fleet.states(DAG, run_id).get("approve") == {"deferred"}, "the form is there", 240)
    ready, calls = of_held(fleet), fleet.calls()
    (given,) = verdicts_of(fleet.ledger, "held_hospital", day_window(day))
    by, now = Actor("at the desk", "cli"), datetime.now(UTC)
    hospital = load_hospital(fleet.home / "hospitals", "held_hospital")
    assert record_decision(fleet.ledger, hospital, given, "released", by, now=now) == "decided"
    assert fleet.finished(DAG, {run_id})[run_id]["state"] == "success"
    states = fleet.states(DAG, run_id)
    assert (states["approve"], states["deliver_approved"]) == ({"success"}, {"success"})
    assert fleet.calls() - calls == sum(events for (_, status), events in ready.items() if status == "ready") - (
        sum(events for (_, status), events in of_held(fleet).items() if status == "ready")
    )
    assert fleet.calls() > calls
    open_forms = fleet.airflow.ask("/dags/~/dagRuns/~/hitlDetails?response_received=false&state=deferred")
    assert open_forms["hitl_details"] == []


def test_where_two_people_are_asked_for_the_form_opens_again_until_another_one_agrees(fleet: Any) -> None:
    file = fleet.home / "hospitals" / "held_hospital.toml"
    told = file.read_text(encoding="utf-8")
    file.write_text(told.replace("[gate]\n", "[gate]\nsecond_person_above = 0.05\n"), encoding="utf-8")
    try:
        day, calls = fleet.days[1], fleet.calls()
        run_id = fleet.airflow.trigger(DAG, {"day": day.isoformat()})
        path = f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/approve/0/hitlDetails"

        answer = {"chosen_options": ["全部放行"], "params_input": {}}

        def stored() -> StoredVerdict:
            (found,) = verdicts_of(fleet.ledger, "held_hospital", day_window(day))
            return found

        def answered() -> bool:
            """Whether the form is open; it is answered then, by somebody who needs some seconds to read it. Airflow
            loses an answer that is there before its scheduler knows of the form, and opens it once more.
            """
            if fleet.states(DAG, run_id).get("approve") != {"deferred"} or form(fleet, run_id)["response_received"]:
                return False
            time.sleep(4)
            fleet.airflow.ask(path, answer, "PATCH")
            return True

        fleet.until(lambda: fleet.states(DAG, run_id).get("approve") == {"deferred"}, "the form is there", 240)
        fleet.until(lambda: stored().first is not None or (answered() and False), "one has answered", 240)
        assert "两位不同的登录用户" in form(fleet, run_id)["body"]
        fleet.until(answered, "the form is open again", 240)
        assert (stored().decision, stored().first) == (None, First(decision="released", by="admin"))
        fleet.until(lambda: not form(fleet, run_id)["response_received"], "the same one is not enough", 240)
        assert stored().first == First(decision="released", by="admin")
        assert fleet.calls() == calls
        with fleet.airflow.logged_in("deputy"):
            fleet.until(lambda: stored().decision is not None or (answered() and False), "another one agrees", 240)
        assert fleet.finished(DAG, {run_id})[run_id]["state"] == "success"
        assert fleet.calls() > calls
        assert (stored().decision, stored().decided_by) == ("released", "admin, deputy")
        with fleet.ledger.read() as connection:
            later, first = [row for row in recorded(connection, "held_hospital") if row.subject == str(day)]
        assert [(row.actor, row.channel, row.new) for row in (first, later)] == [
            ("admin", "form", "released (1/2)"),
            ("deputy", "form", "released"),
        ]
    finally:
        file.write_text(told, encoding="utf-8")


def test_one_alias_typed_into_the_form_releases_its_events_and_sends_them_without_the_his(fleet: Any) -> None:
    """Dry first; then for good, with the HIS left alone; and again, which sends nothing."""
    redeliver = "redeliver_card_usage"
    fleet.unpause(redeliver)
    day = fleet.days[-1].isoformat()
    before, calls = of_held(fleet), fleet.calls()
    conf = {
        "hospital": "held_hospital",
        "from": day,
        "to": day,
        "reread": False,
        "aliases": ["department:18010=2000", "department:11020=0302", "department:14010=0700", "department:13010=0501"],
    }
    run_id, state = fleet.triggered(redeliver, **conf)
    assert (state, fleet.calls(), of_held(fleet)) == ("success", calls, before)
    told = fleet.log(redeliver, run_id, "preview")
    assert "department '18010'" in told
    assert "mending would release" in told
    assert not (fleet.home / "code_aliases" / "held_hospital" / "department.csv").exists()
    run_id, state = fleet.triggered(redeliver, **conf, dry_run=False)
    assert state == "success"
    assert fleet.states(redeliver, run_id)["stage"] == {"skipped"}
    # In the ledger, where every worker sees them; this worker's files are as they were.
    assert not (fleet.home / "code_aliases" / "held_hospital" / "department.csv").exists()
    with fleet.ledger.read() as connection:
        decided = {(one.local, one.standard, one.by) for one in standing(connection, "held_hospital")}
    names = {("11020", "0302"), ("13010", "0501"), ("14010", "0700"), ("18010", "2000")}
    assert decided == {(*name, "admin") for name in names}
    after = of_held(fleet)
    released = before["registration", "quarantined"] - after["registration", "quarantined"]
    assert released > 20
    # The window passes now, so what was withheld goes with what was released.
    sent = released + before["registration", "ready"]
    assert after["registration", "delivered"] - before["registration", "delivered"] == sent
    assert fleet.calls() - calls == sent
    fleet.triggered(redeliver, **conf, dry_run=False)
    assert fleet.calls() - calls == sent


def test_an_alias_that_leads_nowhere_fails_in_the_dry_run_and_says_what_to_do(fleet: Any) -> None:
    day = fleet.days[-1].isoformat()
    conf = {"hospital": "held_hospital", "from": day, "to": day, "aliases": ["department:77=301"]}
    run_id, state = fleet.triggered("redeliver_card_usage", **conf)
    assert state == "failed"
    log = fleet.log("redeliver_card_usage", run_id, "preview")
    assert "0301" in log
    assert "前面的 0" in log


def test_no_patient_is_in_a_form_its_answer_or_what_airflow_keeps_of_them(fleet: Any, tmp_path: Path) -> None:
    """Behind every run of this file: the forms that were asked and answered, what was typed into a trigger's form, and
    the mended events' previews."""
    fleet.assert_no_patient_anywhere(tmp_path)
    with sqlite3.connect(tmp_path / "copy" / "airflow" / "airflow.db") as metadata:
        forms = metadata.execute("select subject, body, chosen_options from hitl_detail").fetchall()
        typed = metadata.execute("select conf from dag_run where dag_id = 'redeliver_card_usage'").fetchall()
        triggers = {row[1] for row in metadata.execute("pragma table_info(trigger)")}
    metadata.close()
    assert [subject for subject, _, chosen in forms if "质检未放行" in subject and chosen]
    assert len(typed) >= 4
    assert "kwargs" in triggers, "what a waiting task is kept by lies in the same file"

"""What the earlier release has left goes on in the new code to its end: nothing is lost, nothing is said twice.

The tests build on each other, in file order. Run by `make test-upgrade`, and not with the others: an environment is
made for the earlier release, and two Airflows run one after the other.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from upgrade.installation import HOSPITALS, Installation, Rows, importable, report_dag

# Two Airflows one after the other, and an environment for the earlier release.
pytestmark = pytest.mark.timeout(3600)

SETTLED = {"delivered", "quarantined", "voided"}
A_NAME = re.compile(r"\bcard_usage(?:_airflow)?(?:\.[A-Za-z_]\w*)+")
# Texts of files, not names: DAG files are read anew, and a log is history.
NOT_LOOKED_AT = {"dag_code", "log", "import_error"}


def test_the_earlier_release_has_left_every_state_that_an_upgrade_meets(before: Installation) -> None:
    query = "SELECT dag_id, task_id, state FROM task_instance WHERE state IN ('deferred', 'awaiting_input')"
    assert sorted(before.metadata(query)) == [
        (report_dag("held"), "approve", "awaiting_input"),
        (report_dag("late"), "wait", "deferred"),
    ]
    assert before.metadata("SELECT count(*) FROM hitl_detail WHERE responded_at IS NULL") == [(1,)]
    assert len(before.metadata("SELECT id FROM deadline WHERE NOT missed")) >= 1
    sealed, unknown, in_flight, ready, reported = (str(day) for day in before.days)
    steady = before.events("steady")
    expected = {(unknown, "unknown"), (in_flight, "in_flight"), (ready, "ready")}
    expected |= {(day, "delivered") for day in (sealed, unknown, in_flight, reported)}
    assert expected <= set(steady)
    assert {"held", "ready", "delivered"} <= set(before.states_of("rationed"))
    assert {"ready", "quarantined"} <= set(before.states_of("held")) <= {"ready", "quarantined", "voided"}
    assert not before.states_of("late")
    assert before.ledger("SELECT count(*) FROM deliverer WHERE ended_at IS NULL") == [(1,)]
    holds = before.ledger("SELECT hospital, kind FROM hold ORDER BY hospital")
    assert holds == [("*", "drain"), ("rationed", "quota"), ("refused", "misconfigured")]
    causes = before.ledger("SELECT hospital, cause FROM incident WHERE closed_at IS NULL")
    assert {("refused", "misconfiguration"), ("held", "gate_held")} <= set(causes)
    assert before.ledger("SELECT DISTINCT status FROM outbox") == [("waiting",)]
    assert before.chat.posts == []
    assert before.ledger("SELECT day, link FROM evidence") == [(sealed, before.head)]


def test_whatever_the_databases_name_by_its_module_is_there_in_the_new_code(before: Installation) -> None:
    """Classes of triggers, timetables, links and callbacks: whoever moves one of them leaves something at its old
    place, or says in the upgrade notes what must have ended before."""
    named: dict[str, set[str]] = {}
    for place in ("airflow/airflow.db", "ledger.db"):
        with closing(sqlite3.connect(f"file:{before.home / place}?mode=ro", uri=True)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in set(tables) - NOT_LOOKED_AT:
                for row in connection.execute(f'SELECT * FROM "{table}"'):
                    for said in row:
                        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
                        for name in A_NAME.findall(text) if isinstance(text, str) else ():
                            named.setdefault(name, set()).add(table)
    print(json.dumps({name: sorted(tables) for name, tables in sorted(named.items())}, indent=1))
    assert "trigger" in named["card_usage_airflow.triggers.ReplicaPasses"]
    assert "callback" in named["card_usage_airflow.alerting.look_now"]
    missing = importable(before.new, set(named))
    assert not missing, {name: (why, sorted(named[name])) for name, why in missing.items()}


def test_migrating_leaves_every_event_as_it_was(migrated: tuple[Installation, Rows, Rows]) -> None:
    _, had, has = migrated
    assert len(had) > 400
    assert has == had


def test_the_command_line_reads_what_the_earlier_release_wrote(migrated: tuple[Installation, Rows, Rows]) -> None:
    made, _, _ = migrated
    told = made.new.run(made.settings, "incidents", code=1)
    assert "refused" in told
    assert "held" in told
    (waiting,) = made.new.told(made.settings, "decide", *made.of_day("held", made.days[-1]), code=1)["decide"]
    assert waiting["verdict"] == "hold"
    assert waiting["why"]
    assert made.ledger("SELECT result_code FROM hold WHERE kind = 'misconfigured'") == [(21006,)]
    marks = made.new.told(made.settings, "verified", "--hospital", "steady")["verified"]
    assert {mark["verified_through"] for mark in marks} == {f"{made.days[1]} 00:00"}


def test_deadlines_that_passed_meanwhile_are_told_by_the_new_code(after: Installation) -> None:
    query = (
        "SELECT dag_run.dag_id, callback.state FROM deadline JOIN callback ON callback.id = deadline.callback_id "
        "JOIN dag_run ON dag_run.id = deadline.dagrun_id WHERE deadline.missed"
    )
    told = {(report_dag(hospital), "success") for hospital in ("late", "held", "refused")}
    after.until(lambda: set(after.metadata(query)) == told, "the deadlines' callbacks have run")


def test_the_deferred_run_goes_on_waiting_and_then_to_its_end(after: Installation) -> None:
    dag = report_dag("late")
    run_id = after.scheduled_run("late")
    claimed = "SELECT count(*) FROM trigger WHERE triggerer_id IN (SELECT id FROM job WHERE state = 'running')"
    after.until(lambda: after.metadata(claimed) == [(1,)], "the new triggerer has taken the trigger over")
    assert after.states(dag, run_id)["wait"] == {"deferred"}
    midnight = datetime.combine(after.days[-1] + timedelta(days=1), datetime.min.time())
    after.beat(midnight + timedelta(minutes=10))
    assert after.ended(dag, run_id) == "success"
    assert after.states_of("late")["delivered"] > 0
    assert set(after.states_of("late")) <= SETTLED


def test_the_form_that_the_earlier_release_made_can_be_answered(after: Installation) -> None:
    dag = report_dag("held")
    run_id = after.scheduled_run("held")
    assert after.states(dag, run_id)["approve"] == {"awaiting_input"}
    due = after.states_of("held")["ready"]
    (form,) = after.running.ask(f"/dags/{dag}/dagRuns/{run_id}/hitlDetails")["hitl_details"]
    answer = {"chosen_options": form["options"][:1], "params_input": {}}
    after.running.ask(f"/dags/{dag}/dagRuns/{run_id}/taskInstances/approve/0/hitlDetails", answer, "PATCH")
    assert after.ended(dag, run_id) == "success"
    assert after.states(dag, run_id)["report_approved"] == {"success"}
    decided = after.ledger("SELECT decision, decided_by FROM verdict WHERE hospital = 'held'")
    assert decided == [("released", "admin")]
    assert after.states_of("held")["delivered"] == due
    assert set(after.states_of("held")) <= SETTLED


def test_what_was_ready_unknown_and_left_in_flight_by_the_dead_is_delivered(after: Installation) -> None:
    first, last = after.days[1], after.days[3]
    waiting = sum(count for (_, status), count in after.events("steady").items() if status not in SETTLED)
    delivered = after.states_of("steady")["delivered"]
    conf = {"hospital": "steady", "from": first.isoformat(), "to": last.isoformat(), "dry_run": False}
    assert after.triggered("redeliver_card_usage", **conf) == "success"
    assert set(after.states_of("steady")) <= SETTLED
    assert after.states_of("steady")["delivered"] == delivered + waiting
    assert after.ledger("SELECT count(*) FROM deliverer WHERE ended_at IS NULL") == [(0,)]


def test_what_the_earlier_release_quarantined_is_mended_from_the_ledger(after: Installation) -> None:
    """The rows that it sealed are opened and judged again; the HIS is not asked."""
    had = after.states_of("held")
    aliases = ["department:18010=2000", "department:11020=0302", "department:14010=0700", "department:13010=0501"]
    day = after.days[-1].isoformat()
    conf = {"hospital": "held", "from": day, "to": day, "dry_run": False, "reread": False, "aliases": aliases}
    assert after.triggered("redeliver_card_usage", **conf) == "success"
    has = after.states_of("held")
    released = had["quarantined"] - has["quarantined"]
    assert released > 0
    assert has["delivered"] == had["delivered"] + released
    assert set(has) <= SETTLED


def test_what_the_quota_held_goes_the_next_day(after: Installation) -> None:
    after.new.run(after.settings, "resume", "--hospital", "rationed")
    run_id = after.scheduled_run("rationed")
    after.clear(report_dag("rationed"), run_id, "deliver")
    assert after.ended(report_dag("rationed"), run_id) == "success"
    assert set(after.states_of("rationed")) <= SETTLED


def test_a_refused_run_goes_on_when_its_cause_is_mended_and_the_incidents_close(after: Installation) -> None:
    after.new.run(after.settings, "resume", "--hospital", "refused")
    run_id = after.scheduled_run("refused")
    after.clear(report_dag("refused"), run_id, "deliver")
    assert after.ended(report_dag("refused"), run_id) == "success"
    assert set(after.states_of("refused")) <= SETTLED
    opened = "SELECT cause FROM incident WHERE hospital IN ('refused', 'held') AND closed_at IS NULL"
    assert after.triggered("alert_card_usage") == "success"
    assert not {("misconfiguration",), ("gate_held",), ("dag_failed",)} & set(after.ledger(opened))
    assert after.ledger("SELECT count(*) FROM hold") == [(0,)]
    after.new.run(after.settings, "incidents", "--days", "1")


def test_messages_that_waited_for_their_channel_are_sent_once(after: Installation) -> None:
    (sent,) = after.ledger("SELECT count(*) FROM outbox WHERE status = 'sent'")
    assert after.ledger("SELECT count(*) FROM outbox WHERE status <> 'sent'") == [(0,)]
    assert len(after.chat.posts) == sent[0] > 0


def test_a_run_of_the_earlier_release_is_shown_and_can_be_run_again(after: Installation) -> None:
    dag = report_dag("steady")
    run_id = after.scheduled_run("steady")
    before = after.accepted()
    page = page_of(after, f"/card-usage/runs/{dag}/{quote(run_id)}")
    day = after.days[-1]
    assert f"/card-usage/files/steady/{day}/card-usage-{day}.html" in page
    assert "card-usage" in page_of(after, "/card-usage/")
    after.clear(dag, run_id)
    assert after.ended(dag, run_id) == "success"
    assert after.accepted() == before


def test_months_and_the_page_of_all_hospitals_are_made_from_what_was_counted_before(after: Installation) -> None:
    day = after.days[-1]
    assert after.triggered("publish_card_usage", day=day.isoformat()) == "success"
    folder = after.home / "reports" / "_fleet" / str(day)
    page = json.loads((folder / f"card-usage-fleet-{day}.json").read_text(encoding="utf-8"))
    assert {one["id"] for one in page["hospitals"]} == set(HOSPITALS)


def test_every_row_read_again_is_the_one_that_was_read_before(after: Installation) -> None:
    """Keys, digests and mapping are what they were: another digest would call each row changed."""
    for day in after.days:
        staged = after.new.told(after.settings, "stage", *after.of_day("steady", day))["stage"]
        assert sum(feed["read"] for feed in staged) > 0
        assert sum(feed["new"] + feed["changed"] for feed in staged) == 0, day


def test_a_statement_imported_before_still_agrees_and_a_new_one_is_weighed(after: Installation) -> None:
    sealed, other = after.days[:2]
    assert after.ledger("SELECT day FROM statement") == [(str(sealed),)]
    after.new.run(after.settings, "statement", "import", after.statement_of("steady", other))
    for day in (sealed, other):
        after.new.run(after.settings, "reconcile", *after.of_day("steady", day))
        counted = "SELECT DISTINCT clean, remainder FROM reconciliation WHERE hospital = 'steady' AND day = ?"
        assert after.ledger(counted, str(day)) == [(1, 0)]


def test_the_chain_of_evidence_holds_and_grows(after: Installation) -> None:
    verify = ("evidence", "verify", "--hospital", "steady", "--head", after.head)
    assert after.new.told(after.settings, *verify)["evidence"]["links"] == 1
    for day in after.days[1:]:
        after.new.run(after.settings, "reconcile", *after.of_day("steady", day))
    made = after.new.told(after.settings, "evidence", "make", "--hospital", "steady")["evidence"]
    assert [link["day"] for link in made] == [str(day) for day in after.days[1:]]
    found = after.new.told(after.settings, *verify)["evidence"]
    assert (found["sound"], found["links"], found["rows"]) == (True, len(after.days), [])


def test_the_platform_has_everything_once(after: Installation) -> None:
    accepted = after.accepted()
    assert not [digest for digest, times in Counter(digest for _, digest in accepted).items() if times > 1]
    assert len({request_id for request_id, _ in accepted}) == len(accepted)
    delivered = after.ledger("SELECT request_id FROM event WHERE status = 'delivered'")
    assert {request_id for (request_id,) in delivered} == {request_id for request_id, _ in accepted}
    assert {status for hospital in HOSPITALS for status in after.states_of(hospital)} <= SETTLED


def page_of(made: Installation, path: str) -> str:
    """A page of the UI, logged in."""
    made.running.ask("/version")
    request = Request(made.running.url + path)  # noqa: S310 - always http to 127.0.0.1
    request.add_header("Authorization", f"Bearer {made.running._token}")
    with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
        return str(answer.read().decode())

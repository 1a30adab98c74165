"""The earlier release brings an installation into every state that an upgrade meets, and stops; the new code goes on.

What an operator does is done here as docs/production.md says, "Upgrades". What only time does (a night, a deadline)
is written into the databases while nothing runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from receivers import webhook
from upgrade.installation import HOSPITALS, NUMBERS, Installation, Rows, prepared, present_text, report_dag
from upgrade.release import ROOT, current, released

EVENTS = "SELECT key, request_id, generation, status, digest, attempts, sealed FROM event ORDER BY key"


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """What the earlier release has left, everything stopped."""
    with webhook() as chat:
        chat.down = True
        made = prepared(tmp_path_factory.mktemp("upgrade"), released(ROOT / "var" / "releases"), current(), chat)
        leave_behind(made)
        chat.down = False
        time_passes(made)
        yield made


def leave_behind(made: Installation) -> None:
    """The earlier release at work, until it is drained and stopped."""
    with made.platform_runs(not_live=frozenset({NUMBERS["rationed"]})), made.airflow_of(made.old) as airflow:
        seal_a_day(made, made.days[0])
        airflow.start(made.children_that_run)
        work_of_days(made)
        leave_days_open(made, *made.days[1:4])
        assert made.triggered("alert_card_usage") == "success"
        airflow.components["scheduler"].stop()
        made.old.run(made.settings, "drain", "--all", "--reason", "upgrade")


def work_of_days(made: Installation) -> None:
    """Each hospital's run of yesterday, as far as it gets."""
    for hospital in HOSPITALS:
        made.unpause(report_dag(hospital))
    runs = {hospital: made.scheduled_run(hospital) for hospital in HOSPITALS}
    for hospital, state in (("steady", "success"), ("rationed", "success"), ("refused", "failed")):
        assert made.ended(report_dag(hospital), runs[hospital]) == state, hospital
    made.until(lambda: made.states(report_dag("late"), runs["late"])["wait"] == {"deferred"}, "late waits")
    waits = {"approve": {"awaiting_input"}, "publish": {"success"}}
    made.until(lambda: waits.items() <= made.states(report_dag("held"), runs["held"]).items(), "held waits")


def seal_a_day(made: Installation, sealed: date) -> None:
    """The first day of `steady`: delivered, reconciled with the platform's statement, reported, sealed."""
    old, settings, day = made.old, made.settings, made.of_day("steady", sealed)
    for verb in ("stage", "check", "deliver"):
        old.run(settings, verb, *day)
    old.run(settings, "statement", "import", made.statement_of("steady", sealed))
    for verb in ("reconcile", "report"):
        old.run(settings, verb, *day)
    made.head = old.told(settings, "evidence", "make", "--hospital", "steady")["evidence"][0]["head"]


def leave_days_open(made: Installation, unknown: date, in_flight: date, ready: date) -> None:
    """Days of `steady`: two whose deliverers were killed, one that nobody has sent yet."""
    for day in (unknown, in_flight, ready):
        for verb in ("stage", "check"):
            made.old.run(made.settings, verb, *made.of_day("steady", day))
    made.kill_a_delivery(made.old, unknown, after=20)
    # The second one finds the first one dead: what that one had under way is unknown then, not in flight.
    made.kill_a_delivery(made.old, in_flight, after=20)


def time_passes(made: Installation) -> None:
    """The night, for what the quota held; the pause of a channel; the hour by which reports must be there."""
    made.change("ledger.db", "UPDATE channel SET next_try_at = NULL")
    made.change("ledger.db", "UPDATE outbox SET next_try_at = created_at")
    made.change("ledger.db", "UPDATE event SET due_at = staged_at WHERE hospital = 'rationed' AND status = 'held'")
    made.change("airflow/airflow.db", "UPDATE deadline SET deadline_time = ? WHERE NOT missed", present_text())


@pytest.fixture(scope="session")
def migrated(before: Installation) -> Iterator[tuple[Installation, Rows, Rows]]:
    """The new code over the same databases, migrated and not yet started; all events before and after migrating."""
    had = before.ledger(EVENTS)
    before.secret_of_refused = "app-secret"
    with before.platform_runs():
        before.new.run(before.settings, "ledger", "migrate")
        with before.airflow_of(before.new):
            yield before, had, before.ledger(EVENTS)


@pytest.fixture(scope="session")
def after(migrated: tuple[Installation, Rows, Rows]) -> Installation:
    """The new code, running."""
    made, _, _ = migrated
    made.new.run(made.settings, "platform", "calibrate", "--hospital", "steady")
    made.new.run(made.settings, "resume", "--all")
    made.running.start(made.children_that_run)
    return made

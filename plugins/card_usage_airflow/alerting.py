"""Alerting: update incidents and send messages from a task; channels are Airflow connections."""

from __future__ import annotations

import logging

from airflow.sdk.configuration import conf
from card_usage.errors import CardUsageError

from card_usage_airflow import task_context
from card_usage_airflow.runs import present
from card_usage_airflow.task_context import connection_of

log = logging.getLogger(__name__)


def look_and_send(made_good: str | None = None) -> dict[str, object]:
    """Update the incidents of every hospital, then send due messages; returns counts.

    `made_good`: the DAG that calls this; it works, so its earlier failed runs are resolved. Raises the errors of
    settings and ledger. A channel that is down is no failure: its messages wait in the outbox.
    """
    from card_usage.alerts.incident_store import run_succeeded
    from card_usage.alerts.sweep import Team, sweep_all
    from card_usage.code_mapping.workbench import gaps_workbook
    from card_usage.ledger.database import open_ledger
    from card_usage.notifications.dispatch import dispatch

    settings = task_context.settings()
    address = settings.airflow_url or (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    team = Team(channels=settings.team_channels, airflow=address)
    ledger = open_ledger(settings.ledger_url, settings.keyring)
    try:
        if made_good is not None:
            with ledger.write() as connection:
                run_succeeded(connection, dag_id=made_good, run_id="scheduled__")
        workbook = gaps_workbook(settings)
        swept = sweep_all(ledger, settings.hospitals, team, now=present(), gaps_workbook=workbook)
        log.info("incidents: %s", ", ".join(f"{count} {name}" for name, count in swept.summary().items()))
        posted = dispatch(ledger, connection_of, now=present())
    finally:
        ledger.close()
    log.info("messages: %d sent, %d tries failed, %d expired", posted.sent, posted.failed, posted.expired)
    for name, mailboxes in posted.dead.items():
        log.warning("channel %s: sent, but refused by %s", name, mailboxes)
    for problem in posted.down.values():
        log.warning("%s", problem)
    return {**swept.summary(), "sent": posted.sent, "failed": posted.failed, "expired": posted.expired}


def look_now(context: object = None, **_: object) -> None:
    """Called for a missed deadline of a run that version 0.1.0 has queued: Airflow keeps this name with the run.

    Updates the incidents at once. Runs of later versions have no deadline alert.
    """
    try:
        look_and_send()
    except CardUsageError as problem:
        log.error("deadline missed, and the incidents could not be updated: %s", problem)

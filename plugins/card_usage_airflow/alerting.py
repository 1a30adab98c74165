"""Alerting: update incidents and send messages from a task; channels are Airflow connections.

Deadlines of stored runs name `look_now` by its path: do not move it.
"""

from __future__ import annotations

import logging
import os
from datetime import timedelta

# Public, but forgotten in the stub of airflow.sdk.
from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback  # type: ignore[attr-defined]
from airflow.sdk.configuration import conf
from card_usage.config.hospital import Hospital
from card_usage.errors import CardUsageError

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
    from card_usage.config.settings import Settings
    from card_usage.ledger.database import open_ledger
    from card_usage.notifications.dispatch import dispatch

    settings = Settings.from_environment(os.environ)
    address = settings.airflow_url or (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    team = Team(channels=settings.team_channels, airflow=address)
    ledger = open_ledger(settings.ledger_url, settings.keyring)
    try:
        if made_good is not None:
            with ledger.write() as connection:
                run_succeeded(connection, dag_id=made_good, run_id="scheduled__")
        swept = sweep_all(ledger, settings.hospitals, team, now=present())
        log.info("incidents: %s", ", ".join(f"{count} {name}" for name, count in swept.summary().items()))
        posted = dispatch(ledger, connection_of, now=present())
    finally:
        ledger.close()
    log.info("messages: %d sent, %d tries failed, %d expired", posted.sent, posted.failed, posted.expired)
    for problem in posted.down.values():
        log.warning("%s", problem)
    return {**swept.summary(), "sent": posted.sent, "failed": posted.failed, "expired": posted.expired}


def report_deadline(hospital: Hospital) -> DeadlineAlert:
    """Reports are due at `report_by`, counted from when the run was queued: midnight for a daily run."""
    by = hospital.alerts.report_by
    late = timedelta(hours=by.hour, minutes=by.minute, seconds=by.second)
    return DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, late, SyncCallback(look_now), name="report")


def look_now(context: object = None, **_: object) -> None:
    """Called for a missed deadline: update incidents at once, instead of with the next run of the alerting DAG."""
    try:
        look_and_send()
    except CardUsageError as problem:
        log.error("deadline missed, and the sweep could not be made: %s", problem)

"""The sweep and the dispatch as a task uses them: Airflow's connections are channels, its base URL is in every link."""

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
    """Look at every hospital, then send what waits; returns counts. `made_good`: a DAG that works, since it is running.

    Raises the errors of settings and ledger. A channel that is down is no failure: its messages wait.
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
    """The report must be there by `report_by`: so long after the run was queued, which for a daily one is midnight."""
    by = hospital.alerts.report_by
    late = timedelta(hours=by.hour, minutes=by.minute, seconds=by.second)
    return DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, late, SyncCallback(look_now), name="report")


def look_now(context: object = None, **_: object) -> None:
    """For a deadline that was missed: the sweep at once, and not with its next run. It finds by itself what is late."""
    try:
        look_and_send()
    except CardUsageError as problem:
        log.error("deadline missed, and the sweep could not be made: %s", problem)

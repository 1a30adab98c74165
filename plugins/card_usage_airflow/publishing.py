"""Publishing: monthly reports, the page of all hospitals and the morning mail, as tasks write and send them."""

from __future__ import annotations

import logging
from datetime import date

from airflow.sdk.configuration import conf

from card_usage_airflow import task_context
from card_usage_airflow.runs import present
from card_usage_airflow.steps import record_written
from card_usage_airflow.web_app import FILES

log = logging.getLogger(__name__)


def publish_months(hospital_id: str, months: list[date]) -> list[str]:
    """Write one hospital's reports of these months, up to its last; returns the names of the files."""
    from card_usage.report.publish import publish_month_of

    with task_context.open_context(hospital_id) as context:
        reported = [month for month in months if not context.hospital.has_ended(month.replace(day=1))]
        names = [name for month in reported for name in publish_month_of(context, month, now=present())]
        for name in names:
            log.info("report %s", context.settings.store.location(name))
    record_written(names)
    return names


def publish_fleet(day: date, *, send: bool) -> list[str]:
    """Write the page of all hospitals and of each region for a day; `send`: mail the first to the team's channels.
    Returns the files' names.
    """
    from card_usage.config.hospital import load_valid_hospitals
    from card_usage.ledger.database import open_ledger
    from card_usage.report.morning_mail import send_morning
    from card_usage.report.publish import publish_fleet as write
    from card_usage.report.publish import publish_regions

    settings = task_context.settings()
    hospitals, broken = load_valid_hospitals(settings.hospitals)
    ledger = open_ledger(settings.ledger_url, settings.keyring)
    try:
        language, now = settings.language, present()
        files, figures = write(ledger, hospitals, day, settings.store, broken=broken, language=language, now=now)
        log.info("%s: %s", day, figures["verdict"]["level"])
        names = [*files.values(), *publish_regions(ledger, hospitals, day, settings.store, language=language, now=now)]
        for name in names:
            log.info("report %s", settings.store.location(name))
        if send:
            address = settings.airflow_url or (conf.get("api", "base_url", fallback="") or "").rstrip("/")
            link = f"{address}{FILES}{files['html']}" if address else ""
            with ledger.write() as connection:
                told = send_morning(connection, figures, settings.team_channels, link=link, now=now)
            log.info("morning mail: %d of %d channels", len(told), len(settings.team_channels))
    finally:
        ledger.close()
    record_written(names)
    return names

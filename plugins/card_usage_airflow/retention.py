"""Retention: the daily purge of all hospitals, as a task."""

from __future__ import annotations

import logging

from card_usage_airflow import task_context
from card_usage_airflow.runs import present

log = logging.getLogger(__name__)


def purge_all(*, by: str) -> list[dict[str, object]]:
    """Delete what is past its time by the hospitals' files; returns kinds, days and counts.

    A hospital whose file is not valid keeps everything, and with it the drop folder.
    """
    from card_usage.config.hospital import load_valid_hospitals
    from card_usage.ledger.database import open_ledger
    from card_usage.retention import purge, purge_files

    settings = task_context.settings()
    loaded = load_valid_hospitals(settings.hospitals)
    ledger = open_ledger(settings.ledger_url, settings.keyring)
    now = present()
    try:
        done = [one for each in loaded.hospitals for one in purge(ledger, each, settings.store, by=by, now=now)]
        if not loaded.broken:
            done += purge_files(ledger, settings.statements, loaded.hospitals, by=by, now=now)
    finally:
        ledger.close()
    for one in done:
        log.info("%(hospital)s %(day)s: %(count)d of kind %(kind)s deleted", one.summary())
    return [one.summary() for one in done]

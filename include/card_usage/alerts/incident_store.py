"""Incident store: incidents, what each channel was notified of, and failed runs of Airflow, as rows of the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, or_, select, update

from card_usage.alerts.incidents import RETURNS, Change, Incident
from card_usage.ledger.schema import failed_run, incident, telling
from card_usage.ledger.upsert import upsert


class NotifiedState(NamedTuple):
    """What a channel was last notified of an incident: which version, whether as closed, and when."""

    version: int
    closed: bool
    at: datetime


def known(connection: Connection, hospital: str, now: datetime) -> list[Incident]:
    """The hospital's open incidents, and those closed less than RETURNS ago."""
    recent = or_(incident.c.closed_at.is_(None), incident.c.closed_at > now - RETURNS)
    return _read(connection, incident.c.hospital == hospital, recent)


def listed(connection: Connection, hospital: str | None, since: datetime) -> list[Incident]:
    """Open incidents and those closed since then, of one hospital or of all (None), the newest last."""
    parts = [or_(incident.c.closed_at.is_(None), incident.c.closed_at > since)]
    if hospital is not None:
        parts.append(incident.c.hospital == hospital)
    return _read(connection, *parts)


def _read(connection: Connection, *where: Any) -> list[Incident]:
    query = select(incident).where(*where).order_by(incident.c.opened_at, incident.c.id)
    return [
        Incident(
            **{
                **row,
                "parts": tuple(json.loads(row["parts"])),
                "facts": json.loads(row["facts"]),
                "sample": tuple(json.loads(row["sample"])),
            }
        )
        for row in connection.execute(query).mappings()
    ]


def save(connection: Connection, changes: Iterable[Change]) -> list[Change]:
    """Write changes; returns them with the ids that new incidents got."""
    saved = []
    for kind, changed in changes:
        names = [name for name in (column.name for column in incident.c) if name != "id"]
        values = {name: getattr(changed, name) for name in names}
        for name in ("parts", "facts", "sample"):
            plain = values[name]
            values[name] = json.dumps(dict(plain) if isinstance(plain, Mapping) else list(plain), ensure_ascii=False)
        if changed.id is None:
            new = connection.execute(insert(incident).values(values).returning(incident.c.id)).scalar_one()
            changed = replace(changed, id=new)
        else:
            connection.execute(update(incident).where(incident.c.id == changed.id).values(values))
        saved.append(Change(kind, changed))
    return saved


def notified_states(connection: Connection, ids: Iterable[int]) -> dict[tuple[int, str], NotifiedState]:
    """What channels were last notified of these incidents, by incident and channel."""
    query = select(telling).where(telling.c.incident_id.in_(list(ids)))
    return {
        (row.incident_id, row.channel): NotifiedState(row.version, bool(row.closed), row.at)
        for row in connection.execute(query)
    }


def save_notified(connection: Connection, channel: str, incidents: Iterable[Incident], now: datetime) -> None:
    """Note that the channel is notified of these as they are now."""
    for notified in incidents:
        values = {"version": notified.version, "closed": int(not notified.is_open), "at": now}
        upsert(connection, telling, {"incident_id": notified.id, "channel": channel}, values)


def run_failed(
    connection: Connection, *, hospital: str, dag_id: str, run_id: str, task_id: str, reason: str, now: datetime
) -> None:
    """A run failed. Repeating it changes nothing."""
    key = {"dag_id": dag_id, "run_id": run_id}
    why = {"task_id": task_id[:250], "reason": reason[:64]}
    upsert(connection, failed_run, key, why, first={"hospital": hospital, "at": now})


def run_succeeded(connection: Connection, *, dag_id: str, run_id: str) -> int:
    """A run succeeded: it and earlier runs of the same DAG and kind (scheduled, manual, backfill) no longer count as
    failed, for a scheduled run looks back and a manual one is how people repeat a manual one. Returns how many."""
    kind = run_id.partition("__")[0]
    same = or_(failed_run.c.run_id == run_id, failed_run.c.run_id.startswith(f"{kind}__", autoescape=True))
    return connection.execute(delete(failed_run).where(failed_run.c.dag_id == dag_id, same)).rowcount

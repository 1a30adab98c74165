"""Steps of an upgrade, as the command line and the DAG both call them: read the HIS, send the batches."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Final

from card_usage.context import Context
from card_usage.delivery import quota
from card_usage.errors import BadConnection, BadHospitalFile
from card_usage.interfaces.messages import PatientToRegister, RegisterBatchHealthCard
from card_usage.open_platform.client import OpenPlatform
from card_usage.open_platform.session import opened_gate
from card_usage.open_platform.validation import item_problems
from card_usage.source.patients import SourcePatient
from card_usage.upgrade import records, store
from card_usage.upgrade.patients import Batched, of_source
from card_usage.upgrade.records import Judged, Read
from card_usage.upgrade.run import Upgraded, send
from card_usage.windows import local

INTERFACE: Final = RegisterBatchHealthCard.interface
OFFLINE_CODE: Final = "offline_wechat_code"
"""Name in the connection's extra: 离线微信身份码, given by the platform's staff (3.2.9)."""


def batched_of(context: Context) -> Batched:
    """What all patients of a hospital have. Raises BadConnection and BadHospitalFile."""
    connection = context.connection_of(context.hospital.platform.connection)
    code = connection.extra.get(OFFLINE_CODE)
    if not isinstance(code, str) or not code:
        problem = f"has no {OFFLINE_CODE} in its extra (离线微信身份码, document 3.2.9: ask the platform's staff)"
        raise BadConnection(conn_id=connection.conn_id, problem=problem, variable=connection.conn_id.upper())
    url = context.hospital.upgrade.card_list_url
    if not url:
        path = (context.settings.hospitals / f"{context.hospital.id}.toml").as_posix()
        problem = "is absent: the page of the hospital's account that lists a user's cards (wechatUrl, document 3.2.9)"
        raise BadHospitalFile(path=path, key="upgrade.card_list_url", problem=problem)
    return Batched(wechat_code=code, wechat_url=url)


def judge(context: Context, patient: PatientToRegister) -> Judged:
    """Hold a patient against the declaration of the interface (interfaces/messages.py)."""
    found = item_problems(patient, context.tables, context.hospital.platform.profile)
    return Judged(patient=patient, problems=tuple(found))


def read_his(context: Context, *, now: datetime, dry_run: bool, on_rows: Callable[[int], None] | None = None) -> Read:
    """Every patient of the HIS, a page at a time, into the ledger; a dry run only judges them.

    It may end anywhere and be begun again. `on_rows` is called with the size of each page. Raises whatever
    `Source.patients` does.
    """
    hospital, keyring, batched = context.hospital, context.ledger.keyring, batched_of(context)
    card_types, aliases = context.tables["card_type"], context.aliases["card_type"]

    def judged(row: SourcePatient) -> Judged:
        return judge(context, of_source(row, batched, card_types, aliases))

    read = Read()
    with context.source() as source:
        for rows in source.patients(hospital.his.fetch_size):
            page = [judged(row) for row in rows]
            read.count(page)
            if not dry_run:
                with context.ledger.write() as connection:
                    read.changes += records.keep(connection, keyring, hospital.id, page, now)
            if on_rows is not None:
                on_rows(len(rows))
    if not dry_run:
        with context.ledger.write() as connection:
            read.changes += Counter(gone=records.reading_done(connection, hospital.id, began=now, rows=read.rows))
    return read


def send_batches(
    context: Context,
    *,
    calls: int | None = None,
    until: datetime | None = None,
    on_batch: Callable[[Counter[str]], None] | None = None,
) -> Upgraded:
    """Send every batch, or as many as `calls` and `until` allow (run.send).

    Raises UpgradeUnderWay, BadConnection and LedgerUnreachable.
    """
    return asyncio.run(_send(context, calls, until, on_batch))


async def _send(
    context: Context, calls: int | None, until: datetime | None, on_batch: Callable[[Counter[str]], None] | None
) -> Upgraded:
    hospital, settings, tables = context.hospital, context.hospital.platform, context.tables
    connection = context.connection_of(settings.connection)
    async with opened_gate(context.ledger, hospital, connection=connection, tables=tables) as (caller, gate):
        platform = OpenPlatform(caller, gate, hospital_id=settings.hospital_id, tables=tables, profile=settings.profile)
        size = hospital.upgrade.patients_a_batch
        return await send(context, platform, gate, size=size, calls=calls, until=until, on_batch=on_batch)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is left to send: patients, batches of them at the setting's size, and platform days that these take under
    the quota (None: the hospital is live and has none)."""

    patients: int
    batches: int
    days: int | None


def plan(context: Context, *, now: datetime, more: int = 0) -> Plan:
    """What the ledger has ready or under way, and `more` patients. `now`: tells what is left of today's quota."""
    hospital, settings = context.hospital.id, context.hospital.platform
    with context.ledger.read() as connection:
        states = store.states(connection, hospital)
        used = quota.used(connection, hospital=hospital, interface=INTERFACE, day=local(now).date())
    patients = states.get("ready", 0) + states.get("batched", 0) + more
    batches = ceil(patients / context.hospital.upgrade.patients_a_batch)
    if settings.live:
        return Plan(patients=patients, batches=batches, days=None)
    later = max(0, batches - max(0, settings.daily_quota - used))
    return Plan(patients=patients, batches=batches, days=bool(batches) + ceil(later / settings.daily_quota))

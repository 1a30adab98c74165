"""Store: patients and batches of an upgrade in the ledger, as statements that move them from expected states only.

A batch has its request id, and its patients belong to it, before anything is sent. What was sent of a patient stays as
it was until the batch is settled.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, func, insert, or_, select, update

from card_usage.config.keyring import Keyring, Sealed
from card_usage.interfaces.declaration import parameters
from card_usage.interfaces.messages import BatchItem, PatientToRegister
from card_usage.ledger import patient_cards
from card_usage.ledger.schema import deliverer, upgrade_batch, upgrade_patient, upgrade_run
from card_usage.standard import qr_texts
from card_usage.windows import local

_LOOKED_UP: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """A batch that is under way, with its patients by key, in the order in which they are sent."""

    id: int
    request_id: str
    patients: Mapping[str, PatientToRegister] = field(repr=False)


def key_of(keyring: Keyring, hospital: str, patient: PatientToRegister) -> str:
    """What tells that two rows speak of one person: 32 hex digits."""
    return patient_cards.person_key(keyring, hospital, patient.id_type, patient.id_number)


def take_in(
    connection: Connection, keyring: Keyring, hospital: str, patients: Iterable[PatientToRegister], now: datetime
) -> Counter[str]:
    """Keep patients for the next batches; how many are new, changed, or were there in which state.

    Somebody who is registered or under way is left alone, and so is one who was refused and has not changed.
    """
    counts: Counter[str] = Counter()
    chunk: dict[str, PatientToRegister] = {}
    for patient in patients:
        chunk[key_of(keyring, hospital, patient)] = patient
        if len(chunk) >= _LOOKED_UP:
            _take_in(connection, keyring, hospital, chunk, now, counts)
            chunk = {}
    if chunk:
        _take_in(connection, keyring, hospital, chunk, now, counts)
    return counts


def _take_in(
    connection: Connection,
    keyring: Keyring,
    hospital: str,
    chunk: Mapping[str, PatientToRegister],
    now: datetime,
    counts: Counter[str],
) -> None:
    table = upgrade_patient
    found = connection.execute(
        select(table.c.key, table.c.state, table.c.digest).where(
            table.c.hospital == hospital, table.c.key.in_(list(chunk))
        )
    )
    known = {row.key: row for row in found}
    new = []
    for key, patient in chunk.items():
        text = json.dumps(patient.to_wire(), ensure_ascii=False)
        digest = keyring.digest(text)
        row = known.get(key)
        if row is not None and (row.state in ("registered", "batched") or row.digest == digest):
            counts[row.state] += 1
            continue
        sealed = keyring.seal(text.encode(), bound_to=key.encode())
        values = {"digest": digest, "key_id": sealed.key_id, "sealed": sealed.blob, "state": "ready", "changed_at": now}
        if row is None:
            new.append({"hospital": hospital, "key": key, **values})
            counts["new"] += 1
        else:
            changed = and_(table.c.hospital == hospital, table.c.key == key, table.c.state.in_(("ready", "refused")))
            connection.execute(update(table).where(changed).values(**values, result_code=None))
            counts["changed"] += 1
    if new:
        connection.execute(insert(table), new)


def acquire(connection: Connection, hospital: str, worker: int) -> bool:
    """Become the one who sends this hospital's batches; False while another living process does."""
    table = upgrade_run
    if connection.execute(select(table).where(table.c.hospital == hospital)).first() is None:
        connection.execute(insert(table).values(hospital=hospital))
    living = select(deliverer.c.id).where(deliverer.c.ended_at.is_(None))
    free = or_(table.c.worker.is_(None), table.c.worker == worker, table.c.worker.not_in(living))
    return (
        connection.execute(update(table).where(table.c.hospital == hospital, free).values(worker=worker)).rowcount == 1
    )


def release(connection: Connection, hospital: str, worker: int) -> None:
    """Leave it to others."""
    own = and_(upgrade_run.c.hospital == hospital, upgrade_run.c.worker == worker)
    connection.execute(update(upgrade_run).where(own).values(worker=None))


def next_batch(
    connection: Connection, keyring: Keyring, hospital: str, *, size: int, request_id: str, now: datetime
) -> Batch | None:
    """The oldest batch that is open, or a new one of patients who are ready; None if nobody is left."""
    table = upgrade_batch
    opened = connection.execute(
        select(table).where(table.c.hospital == hospital, table.c.state == "open").order_by(table.c.id).limit(1)
    ).first()
    if opened is None:
        ready = (
            select(upgrade_patient.c.id)
            .where(upgrade_patient.c.hospital == hospital, upgrade_patient.c.state == "ready")
            .order_by(upgrade_patient.c.id)
            .limit(size)
        )
        chosen = list(connection.execute(ready).scalars())
        if not chosen:
            return None
        return _new_batch(connection, keyring, hospital, chosen, request_id, now)
    return _loaded(connection, keyring, opened.id, opened.request_id)


def _opened(connection: Connection, hospital: str, request_id: str, now: datetime) -> int:
    """The id of a new batch without patients, which stands before it is sent."""
    statement = (
        insert(upgrade_batch)
        .values(hospital=hospital, request_id=request_id, state="open", made_at=now)
        .returning(upgrade_batch.c.id)
    )
    return int(connection.execute(statement).scalar_one())


def _new_batch(
    connection: Connection, keyring: Keyring, hospital: str, chosen: Sequence[int], request_id: str, now: datetime
) -> Batch:
    made = _opened(connection, hospital, request_id, now)
    connection.execute(
        update(upgrade_patient)
        .where(upgrade_patient.c.id.in_(chosen))
        .values(state="batched", batch=made, changed_at=now)
    )
    return _loaded(connection, keyring, made, request_id)


def _loaded(connection: Connection, keyring: Keyring, batch: int, request_id: str) -> Batch:
    table = upgrade_patient
    rows = connection.execute(
        select(table.c.key, table.c.key_id, table.c.sealed).where(table.c.batch == batch).order_by(table.c.id)
    )
    patients = {
        row.key: _patient(keyring.open(Sealed(row.key_id, row.sealed), bound_to=row.key.encode())) for row in rows
    }
    return Batch(id=batch, request_id=request_id, patients=patients)


def _patient(text: bytes) -> PatientToRegister:
    wire: dict[str, Any] = json.loads(text)
    names = {parameter.name: attribute for attribute, parameter in parameters(PatientToRegister).items()}
    return PatientToRegister(**{names[name]: value for name, value in wire.items()})


def tried(connection: Connection, batch: Batch, result_code: int | None) -> None:
    """The batch was sent once more, and is not settled by it."""
    connection.execute(
        update(upgrade_batch)
        .where(upgrade_batch.c.id == batch.id, upgrade_batch.c.state == "open")
        .values(tries=upgrade_batch.c.tries + 1, result_code=result_code)
    )


def renew(connection: Connection, batch: Batch, request_id: str) -> None:
    """The platform knows the batch's id and has lost its answer: another one, under which everybody gets his card."""
    connection.execute(
        update(upgrade_batch)
        .where(upgrade_batch.c.id == batch.id, upgrade_batch.c.state == "open")
        .values(request_id=request_id, tries=upgrade_batch.c.tries + 1)
    )


def settle(
    connection: Connection, keyring: Keyring, batch: Batch, items: Iterable[BatchItem], now: datetime
) -> Counter[str]:
    """Write what became of each patient. One whom the answer does not name is ready again."""
    answered = {item.id_number: item for item in items}
    hospital = connection.scalar(select(upgrade_batch.c.hospital).where(upgrade_batch.c.id == batch.id))
    known = patient_cards.known(connection, keyring, hospital, batch.patients) if hospital else {}
    cards: list[patient_cards.Card] = []
    moved: dict[str, list[dict[str, Any]]] = {"registered": [], "refused": [], "ready": []}
    for key, patient in batch.patients.items():
        item = answered.get(patient.id_number)
        row: dict[str, Any] = {"of_key": key}
        if item is None:
            moved["ready"].append(row)
        elif not item.qr_code_text:
            moved["refused"].append(row)
        else:
            card = {
                "qrCodeText": item.qr_code_text,
                "healthCardId": item.health_card_id,
                "patid": patient.patid,
                "openId": patient.open_id,
            }
            sealed = keyring.seal(json.dumps(card).encode(), bound_to=key.encode())
            card_id = qr_texts.card_id(item.qr_code_text, item.health_card_id)
            existed = known.get(key) == card_id
            moved["registered"].append(row | {"with_key": sealed.key_id, "card": sealed.blob, "had_one": existed})
            cards.append(patient_cards.Card(key, item.qr_code_text, item.health_card_id))
    for state, rows in moved.items():
        _move(connection, batch, state, rows, now)
    if hospital:
        patient_cards.keep(connection, keyring, hospital, cards, "upgrade", now)
    _close(connection, batch, "done", 0, now)
    return +Counter({"unnamed" if state == "ready" else state: len(rows) for state, rows in moved.items()})


def refuse(connection: Connection, batch: Batch, result_code: int | None, now: datetime) -> None:
    """The only patient of a batch was refused, and by which code."""
    _move(connection, batch, "refused", [{"of_key": key} for key in batch.patients], now, result_code)
    _close(connection, batch, "done", result_code, now)


def split(connection: Connection, batch: Batch, request_ids: Sequence[str], now: datetime) -> None:
    """A batch that was refused as a whole becomes two, so that whoever is the reason is found."""
    hospital = connection.execute(
        select(upgrade_batch.c.hospital).where(upgrade_batch.c.id == batch.id, upgrade_batch.c.state == "open")
    ).scalar()
    if hospital is None:
        return
    keys = list(batch.patients)
    half = (len(keys) + 1) // 2
    for part, request_id in zip((keys[:half], keys[half:]), request_ids, strict=True):
        made = _opened(connection, hospital, request_id, now)
        connection.execute(
            update(upgrade_patient)
            .where(upgrade_patient.c.batch == batch.id, upgrade_patient.c.key.in_(part))
            .values(batch=made)
        )
    _close(connection, batch, "split", None, now)


def states(connection: Connection, hospital: str) -> dict[str, int]:
    """Patients by state."""
    table = upgrade_patient
    found = connection.execute(
        select(table.c.state, func.count().label("patients"))
        .where(table.c.hospital == hospital)
        .group_by(table.c.state)
    )
    return {row.state: row.patients for row in found}


def cards(connection: Connection, keyring: Keyring, hospital: str) -> Iterable[dict[str, str]]:
    """The card, patid and openId of everybody who was registered."""
    table = upgrade_patient
    rows = connection.execute(
        select(table.c.key, table.c.card_key_id, table.c.card_sealed)
        .where(table.c.hospital == hospital, table.c.state == "registered")
        .order_by(table.c.id)
    )
    for row in rows:
        found: dict[str, str] = json.loads(
            keyring.open(Sealed(row.card_key_id, row.card_sealed), bound_to=row.key.encode())
        )
        yield found


def _move(
    connection: Connection,
    batch: Batch,
    state: str,
    rows: Sequence[Mapping[str, Any]],
    now: datetime,
    result_code: int | None = None,
) -> None:
    """Patients of a batch out of it, by one statement for all; of the registered, what was sent is erased."""
    if not rows:
        return
    table = upgrade_patient
    own = and_(table.c.batch == batch.id, table.c.key == bindparam("of_key"), table.c.state == "batched")
    values: dict[str, Any] = {"batch": None, "state": state, "result_code": result_code, "changed_at": now}
    if state != "ready":
        values["settled_on"] = local(now).date()
    if state == "registered":
        values |= {
            "sealed": None,
            "key_id": None,
            "card_key_id": bindparam("with_key"),
            "card_sealed": bindparam("card"),
            "existed": bindparam("had_one"),
        }
    connection.execute(update(table).where(own).values(values), list(rows))


def _close(connection: Connection, batch: Batch, state: str, result_code: int | None, now: datetime) -> None:
    connection.execute(
        update(upgrade_batch)
        .where(upgrade_batch.c.id == batch.id, upgrade_batch.c.state == "open")
        .values(state=state, result_code=result_code, settled_at=now, tries=upgrade_batch.c.tries + 1)
    )

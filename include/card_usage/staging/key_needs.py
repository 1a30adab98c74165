"""Key needs: what of a ledger needs which key, so that nobody retires one too early."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, and_, func, select, update

from card_usage.config.day_keys import is_day_key
from card_usage.config.keyring import Keyring, Sealed
from card_usage.errors import WrongKey
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event, shredded_key, token, upgrade_patient, upgrade_record

NEWEST: Final = 50
BATCH: Final = 1_000
_PATIENT: Final = upgrade_patient.c
_OF_UPGRADES: Final = (
    (_PATIENT.key_id, _PATIENT.sealed),
    (_PATIENT.card_key_id, _PATIENT.card_sealed),
    (upgrade_record.c.key_id, upgrade_record.c.sealed),
)
_SEALED: Final = ((event.c.key_id, event.c.sealed), (token.c.key_id, token.c.sealed), *_OF_UPGRADES)
"""Every column of the ledger that holds something sealed, after that which names its key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """By id of a master key: data keys that it wraps, and what it sealed by itself (tokens; patients and cards of
    upgrades; events that version 0.2.0 took in). `days`: data keys by hospital; `damaged`: files that cannot be used;
    `made`: data keys that ever were."""

    wrapped: Counter[str]
    direct: Counter[str]
    days: dict[str, int]
    damaged: int
    made: int

    def reasons(self, keyring: Keyring, key_id: str) -> list[str]:
        """Why this master key has to stay."""
        reasons = []
        if key_id == keyring.current:
            reasons.append("it is the first of the list")
        if key_id == keyring.founding:
            reasons.append("it is the founding key: by it the chain of evidence is verified")
        if self.wrapped[key_id]:
            reasons.append(f"it wraps {self.wrapped[key_id]} data keys (`keys rotate`)")
        if self.direct[key_id]:
            sealed = f"{self.direct[key_id]} events, tokens or patients of upgrades are sealed by it"
            reasons.append(f"{sealed} (`keys rotate` moves all but events, which have to be settled)")
        return reasons


def needs(ledger: Ledger) -> Needs:
    """Read ledger and key folder. Raises FileUnusable."""
    wrapped: Counter[str] = Counter()
    days: Counter[str] = Counter()
    damaged = 0
    for file in ledger.day_keys.files():
        days[file.hospital] += 1
        try:
            whole = file.wrapped is not None and ledger.day_keys.is_whole(file)
        except WrongKey:
            whole = True
        damaged += not whole
        if file.wrapped is not None and whole:
            wrapped[file.wrapped.key_id] += 1
    direct: Counter[str] = Counter()
    with ledger.read() as connection:
        for key_id_of, sealed in _SEALED:
            query = select(key_id_of, func.count()).where(sealed.is_not(None)).group_by(key_id_of)
            for key_id, count in connection.execute(query):
                if key_id is not None and not is_day_key(key_id):
                    direct[key_id] += count
        gone = connection.scalar(select(func.count()).select_from(shredded_key)) or 0
    return Needs(wrapped=wrapped, direct=direct, days=dict(days), damaged=damaged, made=gone + days.total())


def destroyed(ledger: Ledger) -> list[dict[str, object]]:
    """Data keys that were destroyed, or closed and not yet destroyed, newest first, and what they keyed."""
    query = select(shredded_key).order_by(shredded_key.c.closed_at.desc(), shredded_key.c.day.desc()).limit(NEWEST)
    with ledger.read() as connection:
        return [
            {
                "hospital": row.hospital,
                "day": str(row.day),
                "key": row.key_id,
                "events": row.events,
                "sealed anew": row.moved,
                "destroyed at": str(row.destroyed_at or "not yet"),
            }
            for row in connection.execute(query)
        ]


def reseal(ledger: Ledger) -> Counter[str]:
    """Seal by the current master key what others sealed by themselves and what stays: the platform's tokens, patients
    and cards of upgrades. Returns how many of `tokens` and `cards`. Again, it changes nothing. Raises WrongKey."""
    moved: Counter[str] = Counter()
    columns = (token.c.app_id, token.c.key_id, token.c.sealed)
    with ledger.write() as connection:
        query = select(*columns).where(_of_others(ledger.keyring, token.c.key_id, token.c.sealed))
        for app_id, *sealed in connection.execute(query).all():
            again = _again(ledger.keyring, app_id, *sealed)
            this = and_(token.c.app_id == app_id, token.c.key_id == sealed[0], token.c.sealed == sealed[1])
            values = {"key_id": again.key_id, "sealed": again.blob}
            moved["tokens"] += connection.execute(update(token).where(this).values(values)).rowcount
    for key_id, blob in _OF_UPGRADES:
        while count := _reseal_patients(ledger, key_id, blob):
            moved["cards"] += count
    return moved


def _reseal_patients(ledger: Ledger, key_id: Column[Any], blob: Column[Any]) -> int:
    """A batch of them, in one transaction; returns how many there were."""
    table = key_id.table
    of = table.c
    columns = (of.id, of.key, key_id, blob)
    with ledger.write() as connection:
        query = select(*columns).where(_of_others(ledger.keyring, key_id, blob)).order_by(of.id).limit(BATCH)
        rows = connection.execute(query.with_for_update()).all()
        for row_id, key, *sealed in rows:
            again = _again(ledger.keyring, key, *sealed)
            values = {key_id.name: again.key_id, blob.name: again.blob}
            connection.execute(update(table).where(of.id == row_id).values(values))
    return len(rows)


def _of_others(keyring: Keyring, key_id: Column[Any], blob: Column[Any]) -> ColumnElement[bool]:
    return and_(blob.is_not(None), key_id != keyring.current)


def _again(keyring: Keyring, bound_to: str, key_id: str, blob: bytes) -> Sealed:
    return keyring.seal(keyring.open(Sealed(key_id, blob), bound_to=bound_to.encode()), bound_to=bound_to.encode())

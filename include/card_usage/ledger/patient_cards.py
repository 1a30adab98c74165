"""Patient cards: who has which health card, per hospital, sealed; for uses that a HIS has without a card's QR text.

A card comes from the upgrade, from a binding (bindCardRelation) or from a file. It belongs to a person (by the number
of his document), or, where only the hospital's own id of him is known, to that record, through which the upgrade's
records lead to the person. The first card of somebody stays: what was sent with it has not changed because another
came. Static QR texts alone are kept: a dynamic one is over after a short time (document 3.2.10).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from sqlalchemy import Connection, and_, func, or_, select

from card_usage.config.hospital import Hospital
from card_usage.config.keyring import Keyring, Sealed
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import patient_card, upgrade_record
from card_usage.ledger.upsert import insert_into
from card_usage.standard import id_numbers, qr_texts

Origin = Literal["upgrade", "binding", "import"]
"""Where a card became known."""
_REMEMBERED: Final = 10_000


class Card(NamedTuple):
    """A card, and whose it is: `key` by `person_key` or `record_key`."""

    key: str
    qr_code_text: str
    health_card_id: str = ""

    def __repr__(self) -> str:
        """Nothing of it."""
        return "Card(...)"


def person_key(keyring: Keyring, hospital: str, id_type: str, id_number: str) -> str:
    """A person by the document: 32 hex digits."""
    return keyring.digest(f"upgrade\0{hospital}\0{id_type}\0{id_number}")


def record_key(keyring: Keyring, hospital: str, patid: str) -> str:
    """A person by the hospital's own id of him: 32 hex digits."""
    return keyring.digest(f"record\0{hospital}\0{patid}")


def keep(
    connection: Connection, keyring: Keyring, hospital: str, cards: Iterable[Card], origin: Origin, now: datetime
) -> int:
    """Add cards of people of whom none is known; how many are new."""
    rows = []
    for card in cards:
        text = qr_texts.parsed(card.qr_code_text)
        if text is None or text.dynamic:
            continue
        content = {"qrCodeText": card.qr_code_text, "healthCardId": card.health_card_id or text.card_id}
        sealed = keyring.seal(json.dumps(content).encode(), bound_to=card.key.encode())
        rows.append(
            {
                **{"hospital": hospital, "key": card.key, "origin": origin},
                **{"key_id": sealed.key_id, "sealed": sealed.blob, "added_at": now},
            }
        )
    if not rows:
        return 0
    count = select(func.count()).select_from(patient_card).where(patient_card.c.hospital == hospital)
    before = connection.scalar(count) or 0
    connection.execute(insert_into(connection, patient_card).on_conflict_do_nothing(), rows)
    return (connection.scalar(count) or 0) - before


def known(connection: Connection, keyring: Keyring, hospital: str, keys: Iterable[str]) -> Mapping[str, str]:
    """The id of the card of those people who have one: person -> healthCardId."""
    table = patient_card.c
    rows = connection.execute(
        select(table.key, table.key_id, table.sealed).where(table.hospital == hospital, table.key.in_(list(keys)))
    )
    return {row.key: str(_opened(keyring, row.key, row.key_id, row.sealed)["healthCardId"]) for row in rows}


def counts(connection: Connection, hospital: str) -> dict[str, int]:
    """Cards by where they became known."""
    table = patient_card.c
    query = select(table.origin, func.count()).where(table.hospital == hospital).group_by(table.origin)
    return {origin: number for origin, number in connection.execute(query)}


class CardMap:
    """The QR text of whoever has a resident ID, looked up one by one and remembered for as long as this lives."""

    def __init__(self, ledger: Ledger, hospital: str) -> None:
        self._ledger, self._hospital = ledger, hospital
        self.qr_code_text = lru_cache(maxsize=_REMEMBERED)(self._look_up)

    @classmethod
    def of(cls, ledger: Ledger, hospital: Hospital) -> CardMap | None:
        """The map, where the hospital's file says that it is used."""
        return cls(ledger, hospital.id) if hospital.normalize.cards_from_map else None

    def _look_up(self, id_number: str) -> str | None:
        """None: no resident ID, or nobody's card is known."""
        if not id_numbers.is_resident_id(id_number):
            return None
        keyring, table, record = self._ledger.keyring, patient_card.c, upgrade_record.c
        numbers = {id_number, id_numbers.upgraded(id_number)}
        keys = [person_key(keyring, self._hospital, id_numbers.RESIDENT_ID, number) for number in numbers]
        of_person = select(record.key).where(record.hospital == self._hospital, record.person.in_(keys))
        query = (
            select(table.key, table.key_id, table.sealed)
            .where(and_(table.hospital == self._hospital, or_(table.key.in_(keys), table.key.in_(of_person))))
            .order_by(table.id)
            .limit(1)
        )
        with self._ledger.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else str(_opened(keyring, row.key, row.key_id, row.sealed)["qrCodeText"])


def _opened(keyring: Keyring, key: str, key_id: str, sealed: bytes) -> Mapping[str, object]:
    content: Mapping[str, object] = json.loads(keyring.open(Sealed(key_id, sealed), bound_to=key.encode()))
    return content

"""Corrections: events that the HIS refunded or changed after they were sent, as hospital and platform can act on them.

The platform has no call that takes a report back, so somebody has to ask it, with the request id; and hospital IT has
to find the record, by its own key. Both stand in one row, with the names of the fields that changed and what to do.
Nothing in it says who a patient is: keys, codes and names of fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection, and_, or_, select

from card_usage.files.xlsx import Column, Sheet
from card_usage.ledger.counts import Cell
from card_usage.ledger.schema import event, late_change
from card_usage.reconciliation.classes import class_of
from card_usage.windows import Window, local
from card_usage.words.catalogue import Words

KINDS: Final = ("voided_after_delivery", "changed_after_delivery")

_COLUMNS: Final = (
    *("kind", "day", "time", "feed", "table", "source_id", "scene", "request_id", "event_key"),
    *("noticed", "fields", "hospital_to_do", "platform_to_do"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """One sent event that the HIS has otherwise now. `fields`: names of what changed; None: not known yet.

    `occurred_at`: local, as it was sent. `noticed_at`: when the pipeline saw it.
    """

    kind: str
    day: date
    feed: str
    key: str
    source_id: str
    request_id: str
    occurred_at: datetime | None
    scene: str | None
    noticed_at: datetime
    fields: tuple[str, ...] | None


def corrections(connection: Connection, hospital: str, window: Window) -> Iterator[Correction]:
    """Those of the window's days, in the classes in which reports and reconciliation count them, oldest first."""
    of = event.c
    marked = or_(of.changed_at.is_not(None), and_(of.voided_at.is_not(None), of.status != "voided"))
    columns = (of.day, of.feed, of.key, of.source_id, of.request_id, of.occurred_at, of.scene, of.status)
    query = (
        select(*columns, of.vanished_at, of.voided_at, of.changed_at, late_change.c.fields)
        .join(late_change, late_change.c.event_id == of.id, isouter=True)
        .where(of.hospital == hospital, of.day.between(window.days[0], window.days[-1]), marked)
        .order_by(of.day, of.feed, of.id)
    )
    for row in connection.execute(query):
        marks = (row.vanished_at is not None, row.voided_at is not None, row.changed_at is not None)
        kind = class_of(Cell(row.status, *marks), None)
        if kind not in KINDS:
            continue
        changed = kind == "changed_after_delivery"
        yield Correction(
            kind=kind,
            day=row.day,
            feed=row.feed,
            key=row.key,
            source_id=row.source_id,
            request_id=row.request_id,
            occurred_at=row.occurred_at,
            scene=row.scene,
            noticed_at=row.changed_at if changed else row.voided_at,
            fields=() if not changed else None if row.fields is None else tuple(filter(None, row.fields.split(","))),
        )


def sheet(found: Iterator[Correction], tables: Mapping[str, str], words: Words) -> Sheet:
    """One row a correction. `tables`: by feed, the table of the HIS in which its key is looked up."""
    return Sheet(
        title=words("corrections.title"),
        columns=tuple(Column(words(f"corrections.{name}"), "day" if name == "day" else "text") for name in _COLUMNS),
        rows=[
            (
                words(f"class.{one.kind}"),
                one.day,
                "" if one.occurred_at is None else f"{one.occurred_at:%Y-%m-%d %H:%M:%S}",
                words.known("feed", one.feed),
                tables.get(one.feed, ""),
                one.source_id,
                one.scene or "",
                one.request_id,
                one.key,
                f"{local(one.noticed_at):%Y-%m-%d %H:%M}",
                _fields(one, words),
                words(f"corrections.hospital.{one.kind}"),
                words(f"corrections.platform.{one.kind}"),
            )
            for one in found
        ],
        note=words("corrections.note"),
    )


def _fields(one: Correction, words: Words) -> str:
    if one.fields is None:
        return words("corrections.fields_unknown")
    return words.list(words(f"corrections.field.{name}") for name in one.fields)

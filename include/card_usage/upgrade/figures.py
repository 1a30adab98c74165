"""Figures of an upgrade: who was registered, existed, was refused or is quarantined, by cause and day; and the proof.

The proof is an equation over records: what the HIS has is the sum of the classes, each record in exactly one of them.
`reconcile` reads the HIS again and looks each record up, patient by patient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, case, func, literal, select

from card_usage.context import Context
from card_usage.ledger.bulk import among
from card_usage.ledger.schema import upgrade_patient, upgrade_record, upgrade_run
from card_usage.standard.characters import as_text
from card_usage.standard.code_tables import fold
from card_usage.upgrade import records

CLASSES: Final = ("registered", "existed", "refused", "under_way", "waiting", "quarantined", "same_person")
"""What a record of the HIS can be, in the order in which they are shown."""

_PATIENT, _RECORD = upgrade_patient.c, upgrade_record.c
_STATE: Final[ColumnElement[str]] = case(
    (and_(_PATIENT.state == "registered", _PATIENT.existed), literal("existed")),
    (_PATIENT.state == "batched", literal("under_way")),
    (_PATIENT.state == "ready", literal("waiting")),
    else_=_PATIENT.state,
)
_CLASS: Final[ColumnElement[str]] = case(
    (_RECORD.causes != "", literal("quarantined")), (~_RECORD.stands, literal("same_person")), else_=_STATE
)
_JOINED: Final = upgrade_record.outerjoin(
    upgrade_patient, and_(_PATIENT.hospital == _RECORD.hospital, _PATIENT.key == _RECORD.person)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Counts only. `rows`: of the HIS, at its last complete reading (None: never); `classes`: of the records that it
    saw; `gone`: records of people who were sent that have left the HIS; `from_lists`: people without a record."""

    hospital: str
    read_at: datetime | None
    rows: int | None
    classes: Mapping[str, int]
    gone: int
    from_lists: int
    people: Mapping[str, int]
    refused_by_code: Mapping[str, int]
    causes: Mapping[str, int]
    by_day: Mapping[date, Mapping[str, int]] = field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        """Whether the classes are those that there are, and together no more than the HIS had rows."""
        return self.rows is None or (self.classes.keys() <= set(CLASSES) and sum(self.classes.values()) <= self.rows)

    @property
    def repeated(self) -> int:
        """Rows of the HIS whose key another row has too."""
        return max(0, (self.rows or 0) - sum(self.classes.values()))

    def summary(self) -> dict[str, object]:
        """Fit for logs, XCom and JSON."""
        return {
            "hospital": self.hospital,
            "read_at": self.read_at and self.read_at.isoformat(),
            "rows": self.rows,
            "classes": {name: self.classes.get(name, 0) for name in CLASSES},
            "repeated": self.repeated,
            "gone": self.gone,
            "from_lists": self.from_lists,
            "people": dict(self.people),
            "refused_by_code": dict(self.refused_by_code),
            "quarantined_by_cause": dict(self.causes),
            "by_day": {day.isoformat(): dict(counts) for day, counts in self.by_day.items()},
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciled:
    """Every patient of the HIS looked up. `rows` = the sum of `classes`, `unread` and `repeated`; records of the ledger
    = the sum of `classes` and `gone`."""

    rows: int
    repeated: int
    unread: int
    classes: Mapping[str, int]
    gone: int
    records: int

    @property
    def difference(self) -> int:
        """Records that stand in no class, or in two: 0, or something is wrong."""
        of_his = self.rows - self.repeated - self.unread - sum(self.classes.values())
        of_ledger = self.records - self.gone - sum(self.classes.values())
        strange = sum(number for name, number in self.classes.items() if name not in CLASSES)
        return abs(of_his) + abs(of_ledger) + strange

    def equation(self) -> str:
        """`HIS 24 = registered 23 + ... (difference 0)`."""
        parts = [f"{name} {self.classes.get(name, 0)}" for name in CLASSES]
        parts += [f"repeated {self.repeated}", f"not read yet {self.unread}"]
        return f"HIS {self.rows} = {' + '.join(parts)}; difference {self.difference}"


def figures(connection: Connection, hospital: str) -> Figures:
    """Count what the ledger has of a hospital's upgrade."""
    reading = connection.execute(
        select(upgrade_run.c.read_at, upgrade_run.c.source_rows).where(upgrade_run.c.hospital == hospital)
    ).one_or_none()
    read_at, rows = (reading.read_at, reading.source_rows) if reading is not None else (None, None)
    own = _RECORD.hospital == hospital
    seen = own if read_at is None else and_(own, _RECORD.seen_at >= read_at)
    of_hospital = _PATIENT.hospital == hospital
    causes: Counter[str] = Counter()
    quarantined = select(_RECORD.causes, func.count()).where(seen, _RECORD.causes != "").group_by(_RECORD.causes)
    for text, number in connection.execute(quarantined):
        causes.update(dict.fromkeys(text.split(), number))
    refused = (
        select(_PATIENT.result_code, func.count())
        .where(of_hospital, _PATIENT.state == "refused")
        .group_by(_PATIENT.result_code)
    )
    days = (
        select(_PATIENT.settled_on, _STATE, func.count())
        .where(of_hospital, _PATIENT.settled_on.is_not(None), _PATIENT.state.in_(("registered", "refused")))
        .group_by(_PATIENT.settled_on, _STATE)
        .order_by(_PATIENT.settled_on)
    )
    by_day: dict[date, dict[str, int]] = {}
    for day, state, number in connection.execute(days):
        by_day.setdefault(day, {})[state] = number
    standing = select(_RECORD.person).where(own, _RECORD.stands)
    total = connection.scalar(select(func.count()).select_from(upgrade_record).where(own)) or 0
    classes = _counted(connection, seen)
    return Figures(
        hospital=hospital,
        read_at=read_at,
        rows=rows,
        classes=classes,
        gone=total - sum(classes.values()),
        from_lists=connection.scalar(
            select(func.count()).select_from(upgrade_patient).where(of_hospital, _PATIENT.key.not_in(standing))
        )
        or 0,
        people={
            state: number
            for state, number in connection.execute(select(_STATE, func.count()).where(of_hospital).group_by(_STATE))
        },
        refused_by_code={"-" if code is None else str(code): number for code, number in connection.execute(refused)},
        causes=dict(causes.most_common()),
        by_day=by_day,
    )


def _counted(connection: Connection, which: ColumnElement[bool]) -> dict[str, int]:
    found = connection.execute(select(_CLASS, func.count()).select_from(_JOINED).where(which).group_by(_CLASS))
    return {str(name): number for name, number in found}


def reconcile(context: Context) -> Reconciled:
    """Read every patient of the HIS again, and look each of them up. Nothing is written; memory is that of a page, and
    of what tells pages apart."""
    hospital, ledger = context.hospital.id, context.ledger
    classes: Counter[str] = Counter()
    rows = unread = repeated = 0
    last = ""
    with context.source() as source:
        for page in source.patients(context.hospital.his.fetch_size):
            keys = [records.key_of(ledger.keyring, hospital, fold(as_text(row.source_id))) for row in page]
            distinct = set(keys) - {last}
            rows, repeated, last = rows + len(keys), repeated + len(keys) - len(distinct), keys[-1]
            with ledger.read() as connection:
                found = _classes_of(connection, hospital, list(distinct))
            classes.update(found.values())
            unread += len(distinct) - len(found)
    with ledger.read() as connection:
        own = _RECORD.hospital == hospital
        total = connection.scalar(select(func.count()).select_from(upgrade_record).where(own)) or 0
    gone = total - sum(classes.values())
    return Reconciled(rows=rows, repeated=repeated, unread=unread, classes=dict(classes), gone=gone, records=total)


def _classes_of(connection: Connection, hospital: str, keys: Sequence[str]) -> dict[str, str]:
    query = (
        select(_RECORD.key, _CLASS)
        .select_from(_JOINED)
        .where(_RECORD.hospital == hospital, among(connection, _RECORD.key, keys))
    )
    return {key: str(name) for key, name in connection.execute(query)}

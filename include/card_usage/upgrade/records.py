"""Records: the patients of the HIS, page by page, into the ledger, each judged and in one class.

    quarantined   something that the batch needs is absent or wrong: by which parameter and code
    same person   another record with the same document: one record stands for a person, whichever came first
    ready ...     the record stands for a person, and its class is what became of that one (store.py)

Reading everything again adds what is new, changes what was not sent yet, and sends nobody again. A record whose person
is under way or registered stays where it is, whatever the HIS says of it later: a card is not taken back. One that
became wrong, or left the HIS, before it was sent is taken out. Where the record that stood for a person goes, another
of the same person stands for him from the next reading on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, and_, bindparam, delete, func, or_, select, update

from card_usage.config.keyring import Keyring, Sealed
from card_usage.interfaces.messages import PatientToRegister
from card_usage.ledger import patient_cards
from card_usage.ledger.bulk import among, insert_many
from card_usage.ledger.schema import upgrade_patient, upgrade_record, upgrade_run
from card_usage.ledger.upsert import upsert
from card_usage.open_platform.validation import Problem
from card_usage.upgrade import store

_CAUSES: Final = 200
_SENT: Final = frozenset({"batched", "registered"})
_COLUMNS: Final = ("hospital", "key", "person", "stands", "digest", "causes", "key_id", "sealed", "seen_at")


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A patient of the HIS in the document's form, and what is wrong with him."""

    patient: PatientToRegister = field(repr=False)
    problems: tuple[Problem, ...] = ()

    @property
    def causes(self) -> str:
        """Parameter and code of each problem: `phone1:10043 openId:10042`; "" for one who may be sent."""
        return " ".join(dict.fromkeys(f"{problem.path}:{problem.code}" for problem in self.problems))[:_CAUSES]


@dataclass(kw_only=True)
class Read:
    """What a reading came to: rows of the HIS, those who may be sent or not, by cause; and what that changed."""

    rows: int = 0
    good: int = 0
    quarantined: int = 0
    causes: Counter[Problem] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)

    def count(self, page: Iterable[Judged]) -> None:
        """Add a page."""
        for judged in page:
            self.rows += 1
            self.good += not judged.problems
            self.quarantined += bool(judged.problems)
            self.causes.update(judged.problems)

    def by_cause(self) -> list[dict[str, object]]:
        """Why records are quarantined: parameter, the document's code and message, how many."""
        return [
            {"parameter": each.path, "code": each.code, "means": each.meaning, "rows": number}
            for each, number in self.causes.most_common()
        ]


class _Known(NamedTuple):
    person: str | None
    stands: bool
    digest: str


def key_of(keyring: Keyring, hospital: str, patid: str) -> str:
    """A record of the HIS: 32 hex digits."""
    return patient_cards.record_key(keyring, hospital, patid)


def keep(
    connection: Connection, keyring: Keyring, hospital: str, page: Sequence[Judged], now: datetime
) -> Counter[str]:
    """Write a page of records, and take in whom they bring; what that changed, by kind."""
    return _Page(connection, keyring, hospital, page, now).keep()


def reading_done(connection: Connection, hospital: str, *, began: datetime, rows: int) -> int:
    """Note that a reading has seen the whole HIS. What it did not see is gone from there and is forgotten, unless its
    person was sent; returns how many records are gone."""
    patient, record = upgrade_patient.c, upgrade_record.c
    upsert(connection, upgrade_run, {"hospital": hospital}, {"read_at": began, "source_rows": rows})
    gone = and_(record.hospital == hospital, record.seen_at < began)
    count = connection.scalar(select(func.count()).select_from(upgrade_record).where(gone)) or 0
    if count:
        stood_for = select(record.person).where(gone, record.stands)
        unsent = and_(patient.hospital == hospital, patient.state.in_(("ready", "refused")))
        connection.execute(delete(upgrade_patient).where(unsent, patient.key.in_(stood_for)))
        sent = select(patient.key).where(patient.hospital == hospital, patient.state.in_(_SENT))
        unneeded = or_(record.person.is_(None), ~record.stands, record.person.not_in(sent))
        connection.execute(delete(upgrade_record).where(gone, unneeded))
    return count


def quarantined(connection: Connection, keyring: Keyring, hospital: str) -> Iterator[tuple[str, str]]:
    """The HIS's own key of each patient who is quarantined, and the causes, in the order of the HIS."""
    table = upgrade_record.c
    rows = connection.execution_options(yield_per=1000).execute(
        select(table.key, table.key_id, table.sealed, table.causes)
        .where(table.hospital == hospital, table.causes != "")
        .order_by(table.id)
    )
    for row in rows:
        yield keyring.open(Sealed(row.key_id, row.sealed), bound_to=row.key.encode()).decode(), row.causes


class _Page:
    def __init__(
        self, connection: Connection, keyring: Keyring, hospital: str, page: Sequence[Judged], now: datetime
    ) -> None:
        self._connection, self._keyring, self._hospital, self._now = connection, keyring, hospital, now
        self._page = {key_of(keyring, hospital, judged.patient.patid): judged for judged in page}
        self._repeated = len(page) - len(self._page)
        self._persons = {
            key: store.key_of(keyring, hospital, judged.patient)
            for key, judged in self._page.items()
            if not judged.problems
        }
        self._known = self._records()
        self._standing = self._who_stands()
        stood_for = [known.person for known in self._known.values() if known.stands and known.person]
        self._states = self._states_of(stood_for)

    def keep(self) -> Counter[str]:
        changes: Counter[str] = Counter()
        rows: dict[str, tuple[str | None, bool, Judged]] = {}
        taken: list[PatientToRegister] = []
        left: set[str] = set()
        for key, judged in self._page.items():
            known, person = self._known.get(key), self._persons.get(key)
            before = known.person if known is not None and known.stands else None
            if before is not None and before != person:
                if person is None and self._states.get(before) in _SENT:
                    changes["kept"] += 1
                    continue
                left.add(before)
                self._standing.pop(before, None)
            stands = person is not None and self._standing.setdefault(person, key) == key
            if stands:
                taken.append(judged.patient)
            rows[key] = (person, stands, judged)
            changes["quarantined" if person is None else "stands" if stands else "same person"] += 1
        self._withdraw(left)
        changes.update(self._write(rows))
        taken_in = store.take_in(self._connection, self._keyring, self._hospital, taken, self._now)
        changes["new"], changes["changed"] = taken_in["new"], taken_in["changed"]
        changes["repeated"] = self._repeated
        return +changes

    def _records(self) -> dict[str, _Known]:
        table = upgrade_record.c
        found = self._connection.execute(
            select(table.key, table.person, table.stands, table.digest).where(
                table.hospital == self._hospital, among(self._connection, table.key, list(self._page))
            )
        )
        return {row.key: _Known(row.person, row.stands, row.digest) for row in found}

    def _who_stands(self) -> dict[str, str]:
        """Person -> the record that stands for him."""
        table = upgrade_record.c
        found = self._connection.execute(
            select(table.person, table.key).where(
                table.hospital == self._hospital,
                table.stands,
                among(self._connection, table.person, list(set(self._persons.values()))),
            )
        )
        return {row.person: row.key for row in found}

    def _states_of(self, persons: Sequence[str]) -> Mapping[str, str]:
        table = upgrade_patient.c
        found = self._connection.execute(
            select(table.key, table.state).where(
                table.hospital == self._hospital, among(self._connection, table.key, list(persons))
            )
        )
        return {row.key: row.state for row in found}

    def _withdraw(self, persons: set[str]) -> None:
        """Nobody stands for these any more: who was not sent yet is not sent."""
        gone = [person for person in persons if person not in self._standing]
        if gone:
            table = upgrade_patient.c
            of_them = among(self._connection, table.key, gone)
            unsent = table.state.in_(("ready", "refused"))
            self._connection.execute(delete(upgrade_patient).where(table.hospital == self._hospital, of_them, unsent))

    def _write(self, rows: Mapping[str, tuple[str | None, bool, Judged]]) -> Counter[str]:
        changes: Counter[str] = Counter()
        new: list[tuple[Any, ...]] = []
        changed: list[dict[str, Any]] = []
        for key, (person, stands, judged) in rows.items():
            digest = self._keyring.digest(f"{person}\0{judged.causes}\0{judged.patient.patid}")
            known = self._known.get(key)
            if known == _Known(person, stands, digest):
                continue
            sealed = None
            if judged.problems:
                sealed = self._keyring.seal(judged.patient.patid.encode(), bound_to=key.encode())
            key_id, blob = sealed or (None, None)
            values = (self._hospital, key, person, stands, digest, judged.causes, key_id, blob, self._now)
            if known is None:
                new.append(values)
            else:
                changed.append({f"new_{name}": value for name, value in zip(_COLUMNS, values, strict=True)})
        table = upgrade_record
        if seen := list(self._known):
            of_page = among(self._connection, table.c.key, seen)
            self._connection.execute(
                update(table).where(table.c.hospital == self._hospital, of_page).values(seen_at=self._now)
            )
        if changed:
            own = (table.c.hospital == bindparam("new_hospital"), table.c.key == bindparam("new_key"))
            values_of: dict[str, Any] = {name: bindparam(f"new_{name}") for name in _COLUMNS[2:]}
            self._connection.execute(update(table).where(*own).values(values_of), changed)
        insert_many(self._connection, table, _COLUMNS, new)
        changes["records new"], changes["records changed"] = len(new), len(changed)
        return changes

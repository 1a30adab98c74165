"""Days with planted faults: a HIS, a ledger and a statement that differ in known ways, seed by seed.

Every record has a fate; the fate says what the HIS, the ledger and the platform end up with, and which class the record
must come out in. Staging, comparing and reconciling are the real ones; only delivery is written by hand, as the
deliverer would have left it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import planted
from card_usage.config.hospital import Hospital
from card_usage.files.shipped import SHIPPED
from card_usage.ledger import holds
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import attempt, event, verdict
from card_usage.reconciliation import statement_store
from card_usage.reconciliation.balance import Reconciliation
from card_usage.reconciliation.classes import HOLDERS
from card_usage.reconciliation.comparison import record_checksums, recount_day
from card_usage.reconciliation.differences import Named, named
from card_usage.reconciliation.statement_match import Bucket
from card_usage.reconciliation.statement_store import Statement
from card_usage.source.reader import Source
from card_usage.staging.drafts import Drafter
from card_usage.staging.stage import stage
from card_usage.standard.aliases import Aliases, load_aliases
from card_usage.standard.code_tables import load_tables
from card_usage.windows import Window, day_window, instant
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.pool import StaticPool

DAY: Final = planted.DAY
NEXT: Final = DAY + timedelta(days=1)
NOON: Final = instant(datetime.combine(DAY, time(12)))
MORNING: Final = instant(datetime.combine(NEXT + timedelta(days=1), time(7)))
FEEDS: Final = {"uses": "0101051", "visits": "0101012"}
COLUMNS: Final = [
    "occurred_at",
    "scene",
    "department",
    "department_name",
    "card_type",
    "channel",
    "cost_type",
    "id_number",
    "name",
    "qr_code_text",
]
SQL: Final = """-- bounds: datetime
SELECT source_id, {columns}, voided
FROM {feed}
WHERE occurred_at >= :start AND occurred_at < :end
ORDER BY occurred_at, source_id
"""
ANSWERS: Final = {
    "delivered": ("accepted", 0),
    "rejected": ("refused", 10016),
    "unknown": ("no_answer", None),
    "unconfirmed": ("repeated", 10054),
}


class Fate(NamedTuple):
    """What becomes of a record: its state once delivery is over, the HIS's last word, and the class that it must have.

    `his`: same, none, voided, valid, changed, moved, twice. `marks`: what an earlier reconciliation had marked.
    `kind` None: no difference.
    """

    state: str
    his: str
    kind: str | None
    at_first: str = "valid"
    marks: tuple[str, ...] = ()


FATES: Final = {
    "delivered": Fate("delivered", "same", None),
    "refunded in time": Fate("voided", "same", None, "voided"),
    "late": Fate("", "same", "late_in_source", "absent"),
    "late and refunded": Fate("", "voided", "late_in_source", "absent"),
    "vanished after delivery": Fate("delivered", "none", "vanished_from_source"),
    "vanished before": Fate("ready", "none", "vanished_from_source"),
    "vanished from quarantine": Fate("quarantined", "none", "vanished_from_source", "wrong"),
    "vanished and marked": Fate("delivered", "none", "vanished_from_source", marks=("vanished_at",)),
    "back again": Fate("delivered", "same", None, marks=("vanished_at",)),
    "moved": Fate("delivered", "moved", "vanished_from_source"),
    "refunded after delivery": Fate("delivered", "voided", "voided_after_delivery"),
    "refunded and marked": Fate("delivered", "voided", "voided_after_delivery", marks=("voided_at",)),
    "refund of a sent one taken back": Fate("delivered", "valid", None, marks=("voided_at",)),
    "refund taken back": Fate("voided", "valid", "refunds_not_staged", "voided"),
    "refunded before it was sent": Fate("ready", "voided", None),
    "refunded in quarantine": Fate("quarantined", "voided", None, "wrong"),
    "changed": Fate("delivered", "changed", "changed_after_delivery"),
    "changed and refunded": Fate("delivered", "changed voided", "voided_after_delivery", marks=("changed_at",)),
    "changed back": Fate("delivered", "same", None, marks=("changed_at",)),
    "quarantined": Fate("quarantined", "same", "quarantined", "wrong"),
    "held": Fate("held", "same", "held"),
    "ready": Fate("ready", "same", "due"),
    "rejected": Fate("rejected", "same", "rejected"),
    "unknown": Fate("unknown", "same", "unknown"),
    "unknown and refunded": Fate("unknown", "voided", "unknown"),
    "unconfirmed": Fate("unconfirmed", "same", "unconfirmed"),
    "in flight": Fate("in_flight", "same", "in_flight"),
    "in flight and changed": Fate("in_flight", "changed", "in_flight"),
    "in flight and refunded": Fate("in_flight", "voided", "in_flight"),
    "twice in the HIS": Fate("delivered", "twice", None),
}


class Record(NamedTuple):
    """One record and its fate."""

    source_id: str
    feed: str
    at: datetime
    fate: Fate
    channel: str
    card_type: str
    row: dict[str, Any]


class His:
    """An invented HIS in memory, or in another database: a table a feed, with the columns of SourceRow."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.engine: Engine = (
            create_engine(url)
            if url
            else create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        )
        self.folder = folder
        (folder / "plain").mkdir(parents=True)
        metadata = MetaData()
        self.tables: dict[str, Table] = {}
        for feed in FEEDS:
            text = [Column(name, String(64)) for name in COLUMNS[1:]]
            kept = [
                Column("source_id", String(32), index=True),
                Column("occurred_at", DateTime),
                Column("voided", Integer),
            ]
            self.tables[feed] = Table(feed, metadata, *kept, *text)
            (folder / "plain" / f"{feed}.sql").write_text(SQL.format(feed=feed, columns=", ".join(COLUMNS)))
        self._metadata = metadata
        metadata.create_all(self.engine)

    def close(self) -> None:
        """Take the tables away."""
        self._metadata.drop_all(self.engine)
        self.engine.dispose()

    @contextmanager
    def change(self) -> Iterator[Connection]:
        with self.engine.begin() as connection:
            yield connection

    def source(self, hospital: Hospital) -> Source:
        return Source(self.engine, hospital, sql=self.folder)

    def enter(self, connection: Connection, records: Iterable[Record]) -> None:
        """Their rows come in."""
        for feed, of in self._by_feed(records):
            connection.execute(insert(self.tables[feed]), [one.row for one in of])

    def remove(self, connection: Connection, records: Iterable[Record]) -> None:
        """Their rows go."""
        for feed, of in self._by_feed(records):
            table = self.tables[feed]
            connection.execute(delete(table).where(table.c.source_id.in_([one.source_id for one in of])))

    def write(self, connection: Connection, records: Iterable[Record], **values: Any) -> None:
        """Their rows say something else."""
        for feed, of in self._by_feed(records):
            table = self.tables[feed]
            mine = table.c.source_id.in_([one.source_id for one in of])
            connection.execute(update(table).where(mine).values(values))

    def _by_feed(self, records: Iterable[Record]) -> list[tuple[str, list[Record]]]:
        found: dict[str, list[Record]] = {}
        for one in records:
            found.setdefault(one.feed, []).append(one)
        return list(found.items())


@dataclass
class Day:
    """One seed's day, as it was made, and what must come out."""

    hospital: Hospital
    records: list[Record]
    held_by: str | None
    provisional: set[str]
    told_apart: tuple[str, ...]
    missing: int = 0
    surplus: int = 0
    stated: Counter[Bucket] = field(default_factory=Counter)

    def expected(self) -> Counter[tuple[str, str, str, str]]:
        """(class, feed, key of the HIS, what it goes by) of every difference."""
        found: Counter[tuple[str, str, str, str]] = Counter()
        for one in self.records:
            kind, by = one.fate.kind, ""
            if kind == "late_in_source" and one.feed in self.provisional:
                kind = "provisional_window"
            if kind == "due" and self.held_by:
                kind, by = "held", self.held_by
            elif kind == "held":
                by = "quota"
            elif kind == "quarantined":
                by = "channel.code"
            elif kind == "rejected":
                by = "10016"
            if kind:
                found[kind, one.feed, one.source_id, by] += 1
        return found


def make(seed: int, ledger: Ledger, his: His) -> Day:
    """Plant one seed's day: HIS at first, staging, delivery by hand, HIS at last, statement."""
    draw = random.Random(seed)
    hospital = planted.hospital(his={"shape": "plain", "feeds": tuple(FEEDS), "fetch_size": draw.choice((3, 7, 500))})
    hospital = hospital.model_copy(update={"id": f"seed_{seed}"})
    fates = [fate for fate in FATES.values() for _ in range(draw.choice((0, 0, 1, 1, 2)))]
    fates += [FATES["delivered"]] * draw.randrange(12)
    draw.shuffle(fates)
    records = [_record(draw, number, fate) for number, fate in enumerate(fates)]
    day = Day(
        hospital=hospital,
        records=records,
        held_by=draw.choice((None, None, *HOLDERS)),
        provisional={feed for feed in FEEDS if draw.random() < 0.2},
        told_apart=draw.choice(((), ("hour",), ("scene", "channel"), ("hour", "scene", "channel", "card_type"))),
    )
    with his.change() as connection:
        for table in his.tables.values():
            connection.execute(delete(table))
        his.enter(connection, [one for one in records if one.fate.at_first != "absent"])
    for feed in FEEDS:
        stage_feed(ledger, his, hospital, feed, NOON if feed in day.provisional else MORNING)
    with ledger.write() as connection:
        _deliver(connection, day)
        _hold(connection, day)
    with his.change() as connection:
        _earlier(connection, his, records)
    # The ledger was level with the HIS as it stood then: as staging and earlier reconciliations write it down.
    for feed in FEEDS:
        record_checksums(ledger, his.source(hospital), hospital.id, feed, day_window(DAY), now=NOON)
    with his.change() as connection:
        _last_word(connection, his, records)
    _state(draw, day)
    with ledger.write() as connection:
        statement_store.save(connection, [_statement(day)], now=MORNING)
    return day


def _record(draw: random.Random, number: int, fate: Fate) -> Record:
    feed = draw.choice(list(FEEDS))
    at = datetime.combine(
        DAY, time(draw.choice((0, 8, 8, 9, 9, 9, 10, 15, 23)), draw.randrange(60), draw.randrange(60))
    )
    channel, card_type = draw.choice(("0100", "0200", "0401")), draw.choice(("01", "09"))
    row = {
        "source_id": f"{feed[0].upper()}{number:05}" if draw.random() < 0.9 else f"单{number}",
        "occurred_at": at,
        "scene": FEEDS[feed],
        "department": "0301",
        "department_name": None,
        "card_type": card_type,
        "channel": "Q9" if fate.at_first == "wrong" else channel,
        "cost_type": None,
        "id_number": planted.SECRETS[0] if card_type == "01" else "G1234567",
        "name": planted.SECRETS[1],
        "qr_code_text": None,
        "voided": int(fate.at_first == "voided" or (fate.at_first == "absent" and fate.his == "voided")),
    }
    return Record(row["source_id"], feed, at, fate, channel, card_type, row)


def _tables_and_aliases() -> tuple[Any, Aliases]:
    tables = load_tables()
    return tables, load_aliases(SHIPPED / "code_aliases", "nobody", tables)


TABLES, ALIASES = _tables_and_aliases()


def stage_feed(ledger: Ledger, his: His, hospital: Hospital, feed: str, now: datetime) -> None:
    window = day_window(DAY)
    stage(
        his.source(hospital).rows(feed, window.start, window.end),
        hospital=hospital,
        feed=feed,
        window=window,
        ledger=ledger,
        tables=TABLES,
        aliases=ALIASES,
        backfill=False,
        now=now,
    )


def _deliver(connection: Connection, day: Day) -> None:
    """What the deliverer, and earlier reconciliations, would have left."""
    columns = (event.c.feed, event.c.source_id, event.c.id, event.c.status, event.c.request_id)
    rows = connection.execute(select(*columns).where(event.c.hospital == day.hospital.id))
    staged = {(row.feed, row.source_id): row for row in rows}
    alike: dict[tuple[tuple[str, Any], ...], list[int]] = {}
    calls: list[dict[str, Any]] = []
    for one in day.records:
        if one.fate.at_first == "absent":
            continue
        row = staged[one.feed, one.source_id]
        values: dict[str, Any] = dict.fromkeys(one.fate.marks, MORNING)
        if one.fate.state != row.status:
            values["status"] = one.fate.state
        if one.fate.state in ANSWERS:
            answer, code = ANSWERS[one.fate.state]
            values |= {"attempts": 1, "result_code": code, "settled_at": NOON}
            call = {"event_id": row.id, "request_id": row.request_id, "deliverer": 1, "at": NOON, "answer": answer}
            calls.append({**call, "result_code": code, "status": one.fate.state})
        if one.fate.state == "in_flight":
            values["claimed_by"] = 1
        if values:
            alike.setdefault(tuple(values.items()), []).append(row.id)
    if calls:
        connection.execute(insert(attempt), calls)
    for changes, ids in alike.items():
        connection.execute(update(event).where(event.c.id.in_(ids)).values(dict(changes)))


def _hold(connection: Connection, day: Day) -> None:
    of = day.hospital.id
    if day.held_by == "approval":
        window = day_window(DAY)
        given = {
            "hospital": of,
            "start": window.start,
            "end": window.end,
            "verdict": "hold",
            "reasons": '{"reasons": [], "events": 0}',
        }
        connection.execute(insert(verdict).values(**given, at=NOON))
    elif day.held_by:
        holds.place(connection, hospital=of, kind=day.held_by, reason="planted", by="test", now=NOON)


def _earlier(connection: Connection, his: His, records: list[Record]) -> None:
    """What the HIS said when the ledger's marks were set."""
    his.remove(connection, [one for one in records if "vanished_at" in one.fate.marks])
    his.write(connection, [one for one in records if "changed_at" in one.fate.marks], name="改名者")
    his.write(connection, [one for one in records if "voided_at" in one.fate.marks], voided=1)


def _last_word(connection: Connection, his: His, records: list[Record]) -> None:
    anew = [one for one in records if one.fate.at_first == "absent" or one.fate.marks]
    his.remove(connection, anew)
    his.enter(connection, anew)

    def said(word: str) -> list[Record]:
        return [one for one in records if word in one.fate.his.split()]

    his.remove(connection, said("none"))
    his.write(connection, said("voided"), voided=1)
    his.write(connection, said("valid"), voided=0)
    his.write(connection, said("changed"), name="改名者")
    for one in said("moved"):
        his.write(connection, [one], occurred_at=one.at + timedelta(days=1))
    his.enter(connection, said("twice"))


def _state(draw: random.Random, day: Day) -> None:
    """What the platform shows: what it answered for, some of what it never answered, and planted gaps."""

    def bucket(one: Record) -> Bucket:
        return Bucket(one.at.hour, FEEDS[one.feed], one.channel, one.card_type).only(day.told_apart)

    doubtful = {"unknown", "in_flight", "unconfirmed"}
    unsure = {bucket(one) for one in day.records if one.fate.state in doubtful}
    for one in day.records:
        if one.fate.state == "delivered" or (one.fate.state in doubtful and draw.random() < 0.5):
            day.stated[bucket(one)] += 1
    # Where the platform may have taken more than it answered, a gap could hide; where it cannot, it must be found.
    certain = sorted((one for one in day.stated if one not in unsure), key=str)
    short = {one for one in certain if draw.random() < 0.3}
    for one in short:
        gone = draw.randint(1, day.stated[one])
        day.stated[one] -= gone
        day.missing += gone
    for one in certain:
        if one not in short and draw.random() < 0.3:
            more = draw.randint(1, 3)
            day.stated[one] += more
            day.surplus += more
    if day.told_apart and draw.random() < 0.3:
        strange = Bucket(3, "010104", "0402", "11").only(day.told_apart)
        day.stated[strange] += 2
        day.surplus += 2


def _statement(day: Day) -> Statement:
    return Statement(
        hospital=day.hospital.id,
        day=DAY,
        as_of=MORNING,
        dimensions=day.told_apart,
        counts=+day.stated,
        layout="test",
        file="test.csv",
        sha256="0" * 64,
    )


def reconcile(day: Day, of: date, ledger: Ledger, his: His, *, now: datetime = MORNING) -> Reconciliation:
    """The real comparison and reconciliation."""
    source = his.source(day.hospital)

    def normalize(feed: str) -> Callable[[Any, Window], Any]:
        return Drafter(day.hospital, feed, TABLES, ALIASES, ledger.day_keys.of(day.hospital.id)).draft

    return recount_day(ledger, source, day.hospital, of, normalize, now=now)


def listed(day: Day, of: date, ledger: Ledger) -> Counter[tuple[str, str, str, str]]:
    """What the list of differences says, in the form of `expected`."""
    with ledger.read() as connection:
        found: list[Named] = list(named(connection, day.hospital.id, of, now=MORNING))
    return Counter((one.kind, one.feed, one.source_id, one.by) for one in found)

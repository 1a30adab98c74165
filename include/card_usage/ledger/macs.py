"""MACs: keyed digests of what the product writes, so that rows which somebody else wrote or changed are told apart.

A connection of the ledger carries the keyring (`keyring_of`). Rows of versions that made no MACs have none; which ones
these can be is bound by what stood there when the first MAC was made (`Before`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, bindparam, func, insert, select, update

from card_usage.config.keyring import Keyring
from card_usage.ledger.schema import attempt, day_use, event, meta, reconciliation, report_file

KEYRING: Final = "card_usage.keyring"
SINCE: Final = "macs_since"
_ALWAYS: Final = datetime.min.replace(tzinfo=UTC)

CONTENT: Final = ("key", "day", "occurred_at", "scene", "card_type", "channel", "staged_at")
"""What the MAC of an event covers: what staging wrote, and when. Its state is proved by its calls."""
CALL: Final = ("request_id", "at", "answer", "http_status", "result_code", "detail", "status")
"""What the MAC of a call covers, beside the event's key."""


def mac(keyring: Keyring, kind: str, *values: object) -> str:
    """MAC of a row of some kind, 32 hex characters: each value behind its own length, None as nothing.

    Without the key nobody can make one, not even for values that stood in another row or another kind of row.
    """
    return keyring.digest(f"mac/1 {kind} " + "".join(map(_spelled, values)))


def _spelled(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime) and value.tzinfo is not None:
        text = value.astimezone(UTC).isoformat(timespec="microseconds")
    elif isinstance(value, date):  # and a local time
        text = value.isoformat()
    else:
        text = str(value)
    return f"{len(text)}:{text}"


def keyring_of(connection: Connection) -> Keyring:
    """The keyring of the ledger that opened this connection."""
    keyring: Keyring = connection.info[KEYRING]
    return keyring


def made(connection: Connection, kind: str, *values: object) -> str | None:
    """MAC of a row that is being written; None on a connection without a key, as tests and migrations have."""
    keyring = connection.info.get(KEYRING)
    return None if keyring is None else mac(keyring, kind, *values)


def mac_events_again(connection: Connection, ids: Iterable[int]) -> None:
    """MAC events anew of which the product has just written the content, in this transaction."""
    query = select(event.c.id, *(event.c[name] for name in CONTENT)).where(event.c.id.in_(list(ids)))
    rows = [{"of_id": id_, "new": made(connection, "event", *of)} for id_, *of in connection.execute(query)]
    if rows:
        connection.execute(update(event).where(event.c.id == bindparam("of_id")).values(mac=bindparam("new")), rows)


class Before(NamedTuple):
    """What stood in the ledger when it began to MAC rows: its last ids, and how many rows there were without one.

    Only such rows can be without a MAC. It is written once, under a MAC of its own; one that was tampered with or put
    back later says that there was nothing (`_NOTHING`), so that every row without a MAC counts as somebody else's.
    """

    since: datetime
    last_event: int
    events: int
    last_call: int
    calls: int
    figures: int

    @property
    def counts(self) -> tuple[int, ...]:
        """All but the time: the part that can only be moved to take in more rows."""
        return self[1:]


_NOTHING: Final = Before(_ALWAYS, 0, 0, 0, 0, 0)
_FIGURES: Final = (day_use, reconciliation, report_file)


def begin(connection: Connection, now: datetime) -> None:
    """Write down what stands in the ledger before rows are MACed, if that is not known: at the first start.

    Where rows have MACs already, it was taken out: what is written then says that there was nothing.
    """
    if connection.dialect.name == "postgresql":
        # After an upgrade several processes start at once; SQLite has one writer at a time.
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(SINCE, 0))))
    if connection.scalar(select(meta.c.setting).where(meta.c.name == SINCE)) is not None:
        return
    keyed = any(
        connection.execute(select(table.c.mac).where(table.c.mac.is_not(None)).limit(1)).first()
        for table in (event, attempt, *_FIGURES)
    )
    last = [connection.scalar(select(func.max(table.c.id))) or 0 for table in (event, attempt)]
    events, calls, figures = without_mac(connection, *last)
    before = _NOTHING if keyed else Before(now.astimezone(UTC), last[0], events, last[1], calls, figures)
    said = f"{before.since.isoformat()} {','.join(map(str, before.counts))}"
    sealed = mac(keyring_of(connection), SINCE, said)
    connection.execute(insert(meta).values(name=SINCE, setting=f"{said} {sealed}"))


def before_macs(connection: Connection) -> Before:
    """What stood there when MACs began."""
    setting = connection.scalar(select(meta.c.setting).where(meta.c.name == SINCE)) or ""
    said, _, sealed = setting.rpartition(" ")
    if mac(keyring_of(connection), SINCE, said) != sealed:
        return _NOTHING
    since, counts = said.split(" ")
    return Before(datetime.fromisoformat(since), *map(int, counts.split(",")))


def without_mac(connection: Connection, last_event: int, last_call: int) -> tuple[int, int, int]:
    """How many events and calls up to these ids, and how many figures, have no MAC, of all hospitals."""

    def count(table: Table, *up_to: ColumnElement[bool]) -> int:
        query = select(func.count()).select_from(table).where(table.c.mac.is_(None), *up_to)
        return connection.scalar(query) or 0

    events, calls = count(event, event.c.id <= last_event), count(attempt, attempt.c.id <= last_call)
    return events, calls, sum(map(count, _FIGURES))


class Checked:
    """Checks MACs of rows that were read over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._keyring, self._before = keyring_of(connection), before_macs(connection)
        self._last = {"event": self._before.last_event, "call": self._before.last_call}

    def is_ours(
        self, sealed: str | None, number: int, at: datetime | None, day: date, kind: str, values: Sequence[Any]
    ) -> bool:
        """Whether the product wrote these values, by their MAC; without one, whether they can be from before MACs: by
        the row's id (`number`; figures have none), when it was written (`at`) and its day.
        """
        if sealed is not None:
            return mac(self._keyring, kind, *values) == sealed
        since = self._before.since
        known = number <= self._last[kind] if kind in self._last else self._before.figures > 0
        return known and (at is None or at < since) and day <= since.date()

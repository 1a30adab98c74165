"""MACs: keyed digests of what the product writes, so that rows which somebody else wrote or changed are told apart.

A connection of the ledger carries the keyring (`keyring_of`). Rows of versions that made no MACs have none; which rows
must have one follows from `keyed_since`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, insert, select, update

from card_usage.config.keyring import Keyring
from card_usage.ledger.schema import attempt, event, meta

KEYRING: Final = "card_usage.keyring"
_SINCE: Final = "macs_since"
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


def begin(connection: Connection, now: datetime) -> None:
    """Write down since when rows are MACed, if that does not stand there: the first start of this version.

    If it was taken out, it is as early again as the first row that has a MAC.
    """
    if connection.scalar(select(meta.c.setting).where(meta.c.name == _SINCE)) is not None:
        return
    firsts = (
        connection.scalar(select(func.min(event.c.staged_at)).where(event.c.mac.is_not(None))),
        connection.scalar(select(func.min(attempt.c.at)).where(attempt.c.mac.is_not(None))),
    )
    since = min([at for at in firsts if at is not None], default=now).astimezone(UTC).isoformat()
    sealed = mac(keyring_of(connection), _SINCE, since)
    connection.execute(insert(meta).values(name=_SINCE, setting=f"{since} {sealed}"))


def keyed_since(connection: Connection) -> datetime:
    """Since when rows must have a MAC. What was tampered with counts as 'always'."""
    setting = connection.scalar(select(meta.c.setting).where(meta.c.name == _SINCE)) or ""
    since, _, sealed = setting.partition(" ")
    return datetime.fromisoformat(since) if mac(keyring_of(connection), _SINCE, since) == sealed else _ALWAYS


class Checked:
    """Checks MACs of rows that were read over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._keyring, self._since = keyring_of(connection), keyed_since(connection)

    def is_ours(self, sealed: str | None, at: datetime | None, day: date, kind: str, values: Sequence[Any]) -> bool:
        """Whether the product wrote these values: by their MAC, or because it made none when the row was written (`at`)
        and on the row's day."""
        if sealed is not None:
            return mac(self._keyring, kind, *values) == sealed
        return (at is None or at < self._since) and day <= self._since.date()

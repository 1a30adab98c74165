"""Keep: the packs of days that are not sealed, made by deliveries under way, for a ledger that is lost then.

Such a pack has the form of a sealed one and a seal of its own, but is no link of the chain: `<day>.latest.tsv.gz`, one
a day, replaced by the next. The seal of the day takes its place.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import and_, case, func, select

from card_usage.errors import CardUsageError, LedgerError
from card_usage.evidence.chain import GENESIS, Link, sealed
from card_usage.evidence.pack import FORM, UNREADABLE, add_link, head, link_text, write
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import OPEN, event, feed_window

log = logging.getLogger(__name__)

UNSEALED: Final = 0
"""Serial of a pack that is no link of the chain."""
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
KEEP_SECONDS: float = 600.0
"""How often a delivery makes packs: one that is killed leaves out no more than that."""
MOST_RENEWED: Final = 31
"""Days without a pack to rebuild from, of which one is made at a time."""


def latest_path(folder: Path, hospital: str, day: date) -> Path:
    """Where the pack of a day lies that was made at the end of a delivery."""
    return folder / hospital / f"{day.isoformat()}.latest.tsv.gz"


@contextmanager
def kept_meanwhile(
    ledger: Ledger, hospital: str, first: date, last: date, folder: Path, *, clock: Callable[[], datetime]
) -> Iterator[None]:
    """While the block delivers, make the packs of days that moved every ten minutes, and once more at its end, whatever
    ended it. A ledger that is away then is not waited for."""

    def keep() -> None:
        try:
            keep_delivered(ledger, hospital, first, last, folder, now=clock())
        except CardUsageError as error:
            log.warning("%s: no pack to rebuild the ledger from: %s", hospital, error)

    def keep_on() -> None:
        while not ended.wait(KEEP_SECONDS):
            keep()

    ended = threading.Event()
    thread = threading.Thread(target=keep_on, name="evidence", daemon=True)
    thread.start()
    ledger_is_away = False
    try:
        yield
    except LedgerError:
        ledger_is_away = True
        raise
    finally:
        ended.set()
        thread.join()
        if not ledger_is_away:
            keep()


def keep_delivered(
    ledger: Ledger, hospital: str, first: date, last: date, folder: Path, *, now: datetime
) -> list[date]:
    """Make the packs of those of the days `first` to `last` of which something was settled or called since their last.

    Returns them. A pack that cannot be written is a warning: what was delivered stays delivered.
    """
    called = case((and_(OPEN, event.c.attempts > 0), 1), else_=0)
    query = (
        select(event.c.day, func.max(event.c.settled_at), func.max(called))
        .where(event.c.hospital == hospital, event.c.day.between(first, last))
        .group_by(event.c.day)
    )
    with ledger.read() as connection:
        days = connection.execute(query.order_by(event.c.day)).all()
    moved = [
        day
        for day, settled_at, is_called in days
        if is_called or (settled_at is not None and settled_at >= _newest(folder, hospital, day))
    ]
    return _keep(ledger, hospital, moved, folder, now)


def _newest(folder: Path, hospital: str, day: date) -> datetime:
    """When the newest pack of a day was made; long ago, if there is none."""
    return max(map(_made_at, (folder / hospital).glob(f"{day.isoformat()}.*.tsv.gz")), default=_LONG_AGO)


def keep_missing(ledger: Ledger, hospital: str, folder: Path, *, now: datetime, most: int = MOST_RENEWED) -> list[date]:
    """Make packs of staged days that have none to rebuild from (version 0.2.0 made others), the newest first."""
    query = select(feed_window.c.start, feed_window.c.end).where(feed_window.c.hospital == hospital).distinct()
    with ledger.read() as connection:
        windows = connection.execute(query).all()
    days = {
        start.date() + timedelta(days=number)
        for start, end in windows
        for number in range(((end - timedelta(microseconds=1)).date() - start.date()).days + 1)
    }
    has = {day for path in (folder / hospital).glob("*.tsv.gz") if (day := _day_of(path)) is not None}
    return _keep(ledger, hospital, sorted(days - has, reverse=True)[:most], folder, now)


def _day_of(path: Path) -> date | None:
    """The day that a pack can rebuild; None: it is of an earlier form, or unreadable."""
    try:
        form, _, day = head(path) or ("", "", "")
        return date.fromisoformat(day) if form == FORM else None
    except (*UNREADABLE, ValueError):
        return None


def _keep(ledger: Ledger, hospital: str, days: Iterable[date], folder: Path, now: datetime) -> list[date]:
    made = []
    for day in days:
        try:
            keep_day(ledger, hospital, day, folder, now=now)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            log.warning(
                "%s, %s: no pack to rebuild the ledger from, %s cannot be written (%s)", hospital, day, folder, reason
            )
            break
        made.append(day)
    return made


def keep_day(ledger: Ledger, hospital: str, day: date, folder: Path, *, now: datetime) -> Path:
    """Make the pack of a day as the ledger has it now."""
    path = latest_path(folder, hospital, day)
    with ledger.read() as connection:
        written = write(connection, ledger.keyring, hospital, day, folder)
    link = Link(
        hospital=hospital,
        serial=UNSEALED,
        day=day,
        supersedes=None,
        events=written.events,
        attempts=written.attempts,
        reason="not sealed yet",
        digest=written.digest,
        previous=GENESIS,
        link="",
        seal="",
        at=now,
    )
    add_link(written, ledger.keyring, sealed(ledger.keyring, link).text)
    if _made_at(path) > now:  # another process has read the ledger later, and was done sooner
        written.path.unlink()
    else:
        written.path.replace(path)
    return path


def _made_at(path: Path) -> datetime:
    """When a pack was made; long ago, if there is none that can be used."""
    try:
        return Link.parse(link_text(path) or "").at
    except (*UNREADABLE, ValueError, TypeError, KeyError):
        return _LONG_AGO

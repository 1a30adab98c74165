"""Retention: deletes what is past its time by a hospital's file, and records what, of which day, and why.

Patient fields of quarantined and rejected events are erased, their rows and counts stay; report files, and statements
that were imported or refused, are removed. Never touched: what is open or inside the look-back, events that may still
have to be sent, and evidence: calls, links of the chain, packs, reconciliations and this record itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, text, update

from card_usage.config.hospital import Hospital
from card_usage.files.store import Store
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import UNDECIDED, event, purged, report_file
from card_usage.windows import local

Kind = Literal["quarantined", "rejected", "report", "statement_file"]
EVERYBODY: Final = "*"
"""The hospital of files that belong to no single one."""
_PUT_AWAY: Final = ("imported", "refused")
# Written out: only so does either database see that the partial index fits.
_OF: Final = {"quarantined": text("event.status = 'quarantined'"), "rejected": UNDECIDED}


class Due(NamedTuple):
    """What of one kind and day is past its time. `keep`: days that the file says."""

    hospital: str
    kind: Kind
    day: date
    events: int
    keep: int

    def summary(self) -> dict[str, object]:
        """A row of the list that `purge` prints."""
        return {"hospital": self.hospital, "kind": self.kind, "day": self.day.isoformat(), "count": self.events}


def due(connection: Connection, hospital: Hospital, *, now: datetime) -> list[Due]:
    """What of a hospital is past its time, by kind and day."""
    kept = hospital.retention
    found: list[Due] = []
    sealed: tuple[tuple[Kind, int | None], ...] = (
        ("quarantined", kept.quarantined_days),
        ("rejected", kept.rejected_days),
    )
    for kind, days in sealed:
        if days is not None:
            past = (event.c.hospital == hospital.id, event.c.day < _limit(days, now), _OF[kind])
            query = (
                select(event.c.day, func.count())
                .where(*past, event.c.status == kind, event.c.sealed.is_not(None))
                .group_by(event.c.day)
            )
            found += [Due(hospital.id, kind, day, count, days) for day, count in connection.execute(query)]
    if kept.reports_days is not None:
        of = report_file.c
        past_files = (of.hospital == hospital.id, of.day < _limit(kept.reports_days, now))
        files = select(of.day, func.count()).where(*past_files).group_by(of.day)
        found += [Due(hospital.id, "report", day, n, kept.reports_days) for day, n in connection.execute(files)]
    return sorted(found, key=lambda one: (one.kind, one.day))


def purge(ledger: Ledger, hospital: Hospital, store: Store, *, by: str, now: datetime) -> list[Due]:
    """Delete what is past its time, day by day, each with its record in the same transaction; returns what it was."""
    with ledger.read() as connection:
        waiting = due(connection, hospital, now=now)
    done: list[Due] = []
    for one in waiting:
        names: Sequence[str] = ()
        if one.kind == "report":
            # First the files: a run that is cut off here finds their rows again.
            with ledger.read() as connection:
                names = connection.execute(select(report_file.c.path).where(*_files_of(one))).scalars().all()
            for name in names:
                store.delete(name)
        with ledger.write() as connection:
            count = len(names)
            if one.kind == "report":
                gone = (*_files_of(one), report_file.c.path.in_(names))
                connection.execute(delete(report_file).where(*gone))
            else:
                # From the expected state only: an event that was released meanwhile keeps what it needs.
                mine = (event.c.hospital == one.hospital, event.c.day == one.day, event.c.status == one.kind)
                erased = update(event).where(*mine, event.c.sealed.is_not(None)).values(sealed=None, key_id=None)
                count = connection.execute(erased).rowcount
            if count:
                done.append(one._replace(events=count))
                _record(connection, done[-1], by=by, now=now)
    return done


def _files_of(one: Due) -> tuple[ColumnElement[bool], ...]:
    return report_file.c.hospital == one.hospital, report_file.c.day == one.day


def put_away(folder: Path, hospitals: Sequence[Hospital], *, now: datetime) -> Iterator[tuple[Path, Due]]:
    """Files of a drop folder that were imported or refused and are past the longest time of any hospital."""
    kept = [hospital.retention.drop_folder_days for hospital in hospitals]
    days = [limit for limit in kept if limit is not None]
    if not days or len(days) < len(kept):
        return
    for path in sorted(path for name in _PUT_AWAY for path in (folder / name).glob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        day = local(datetime.fromtimestamp(path.stat().st_mtime, UTC)).date()
        if day < _limit(max(days), now):
            yield path, Due(EVERYBODY, "statement_file", day, 1, max(days))


def purge_files(ledger: Ledger, folder: Path, hospitals: Sequence[Hospital], *, by: str, now: datetime) -> list[Due]:
    """Remove such files; returns how many of which day."""
    days: Counter[Due] = Counter()
    for path, one in put_away(folder, hospitals, now=now):
        path.unlink(missing_ok=True)
        days[one] += 1
    done = [one._replace(events=count) for one, count in sorted(days.items())]
    with ledger.write() as connection:
        for one in done:
            _record(connection, one, by=by, now=now)
    return done


def recorded(connection: Connection, hospital: str) -> list[dict[str, object]]:
    """What was deleted of a hospital, oldest first."""
    query = select(purged).where(purged.c.hospital.in_((hospital, EVERYBODY))).order_by(purged.c.id)
    return [{**row, "day": str(row["day"])} for row in connection.execute(query).mappings()]


def _limit(days: int, now: datetime) -> date:
    """Days before this one are past their time."""
    return local(now).date() - timedelta(days=days)


def _record(connection: Connection, one: Due, *, by: str, now: datetime) -> None:
    reason = f"past {one.keep} days ([retention] of the hospital's file)"
    columns = {"hospital": one.hospital, "kind": one.kind, "day": one.day, "count": one.events}
    connection.execute(insert(purged).values(**columns, reason=reason, by=by[:64], at=now))

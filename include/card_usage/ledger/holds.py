"""Holds: why a hospital's deliveries stand still, readable and settable from anywhere through the ledger.

pause          nothing more is sent until resume; a running deliverer waits
drain          what is under way is finished, then the deliverer ends; nothing new until resume
quota          the platform's calls of the day are used up (10034): until its next day
misconfigured  the platform refuses everything for a reason in our settings: until somebody has mended it and resumes
contested      no hold but a notice: somebody else takes tokens with our appId
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, or_, select

from card_usage.ledger.schema import hold

EVERYONE: Final = "*"
BLOCKING: Final = ("pause", "drain", "quota", "misconfigured")


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """One reason. `hospital` is an id or '*'; `until` None means: until somebody resumes."""

    hospital: str
    kind: str
    until: datetime | None
    reason: str
    set_by: str
    set_at: datetime


def place(
    connection: Connection,
    *,
    hospital: str,
    kind: str,
    reason: str,
    by: str,
    now: datetime,
    until: datetime | None = None,
) -> None:
    """Set a hold, replacing one of the same kind."""
    lift(connection, hospital=hospital, kinds=(kind,))
    connection.execute(
        insert(hold).values(hospital=hospital, kind=kind, until=until, reason=reason, set_by=by, set_at=now)
    )


def lift(connection: Connection, *, hospital: str, kinds: tuple[str, ...] = BLOCKING) -> int:
    """Take holds away; returns how many there were."""
    return connection.execute(delete(hold).where(hold.c.hospital == hospital, hold.c.kind.in_(kinds))).rowcount


# Read every other second by every deliverer; made once.
_ACTIVE: Final = select(hold).where(
    hold.c.hospital.in_((bindparam("of_hospital"), EVERYONE)),
    or_(hold.c.until.is_(None), hold.c.until > bindparam("at", type_=hold.c.until.type)),
)


def active(connection: Connection, hospital: str, now: datetime) -> list[Hold]:
    """Holds and notices in force for a hospital, its own and everyone's."""
    rows = connection.execute(_ACTIVE, {"of_hospital": hospital, "at": now})
    return [Hold(**row) for row in rows.mappings()]


def blocking(holds: list[Hold]) -> Hold | None:
    """The hold that counts: the one that a person set, before the ones the platform caused."""
    ranked = [one for kind in BLOCKING for one in holds if one.kind == kind]
    return ranked[0] if ranked else None

"""Holds: why a hospital's deliveries stand still. Any process reads and sets them through the ledger.

pause          nothing more is sent until resume; a running deliverer waits
drain          what is in flight is finished, then the deliverer ends; nothing new until resume
quota          the platform's calls of the day are used up (10034): until its next day
misconfigured  the platform refuses everything for a reason in our settings: until somebody has mended it and resumes
contested      does not hold anything, only notifies: somebody else takes tokens with our appId
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, or_, select

from card_usage.ledger.schema import hold

EVERYONE: Final = "*"


class HoldKind(StrEnum):
    """Kinds of holds, as the module's docstring explains them; the values stand in the ledger."""

    PAUSE = "pause"
    DRAIN = "drain"
    QUOTA = "quota"
    MISCONFIGURED = "misconfigured"
    CONTESTED = "contested"


BLOCKING: Final = (HoldKind.PAUSE, HoldKind.DRAIN, HoldKind.QUOTA, HoldKind.MISCONFIGURED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """One hold. `hospital` is an id or '*'; `until` None means: until somebody resumes.

    `result_code`: the platform's, where its answer placed the hold.
    """

    hospital: str
    kind: HoldKind
    until: datetime | None
    reason: str
    set_by: str
    set_at: datetime
    result_code: int | None = None


def place(
    connection: Connection,
    *,
    hospital: str,
    kind: str,
    reason: str,
    by: str,
    now: datetime,
    until: datetime | None = None,
    result_code: int | None = None,
) -> None:
    """Set a hold, replacing one of the same kind."""
    lift(connection, hospital=hospital, kinds=(kind,))
    values = {"until": until, "reason": reason, "set_by": by, "set_at": now, "result_code": result_code}
    connection.execute(insert(hold).values(hospital=hospital, kind=kind, **values))


def lift(connection: Connection, *, hospital: str, kinds: Iterable[str] = BLOCKING) -> int:
    """Take holds away; returns how many there were."""
    return connection.execute(delete(hold).where(hold.c.hospital == hospital, hold.c.kind.in_(kinds))).rowcount


# Read every other second by every deliverer; made once.
_ACTIVE: Final = select(hold).where(
    hold.c.hospital.in_((bindparam("of_hospital"), EVERYONE)),
    or_(hold.c.until.is_(None), hold.c.until > bindparam("at", type_=hold.c.until.type)),
)


def active(connection: Connection, hospital: str, now: datetime) -> list[Hold]:
    """Holds and notices in force for a hospital, its own and everyone's."""
    rows = connection.execute(_ACTIVE, {"of_hospital": hospital, "at": now}).mappings()
    return [Hold(**{**row, "kind": HoldKind(row["kind"])}) for row in rows]


def kinds_of(connection: Connection, hospital: str, now: datetime) -> str:
    """The kinds in force that were set for this very hospital ('*': for all), in one text; '' for none."""
    return " ".join(sorted(one.kind for one in active(connection, hospital, now) if one.hospital == hospital))


def blocking(holds: Iterable[Hold]) -> Hold | None:
    """The hold that takes effect: one that a person set, before one that the platform caused."""
    in_effect = [hold for hold in holds if hold.kind in BLOCKING]
    return min(in_effect, key=lambda hold: BLOCKING.index(hold.kind), default=None)

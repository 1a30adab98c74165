"""Decisions: one row for each act of a person that changes something, in the order in which they were done.

Every verb of the command line, every form and every default of a hospital's file that changes something calls `record`:
who decides, inside the transaction that decides; what runs for long, when it begins. Rows only come; each is sealed
with our key over the row before it, so that one that was changed, taken out or put in shows (`problems`).
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal, NamedTuple

from sqlalchemy import Connection, func, insert, or_, select

from card_usage.config.keyring import Keyring
from card_usage.ledger.holds import EVERYONE
from card_usage.ledger.macs import mac
from card_usage.ledger.schema import decision

Channel = Literal["cli", "form", "page", "file"]
_GENESIS: Final = "0" * 32
_LENGTHS: Final = {"verb": 32, "subject": 300, "actor": 64, "note": 64, "reason": 200}


class Actor(NamedTuple):
    """Who acts, as authenticated: the user of Airflow's session, or the operating system's user of a command.

    `note`: for whom, in the actor's own words; it never replaces the actor. channel 'file': a hospital's file decides,
    and the actor is 'deadline'.
    """

    name: str
    channel: Channel
    note: str = ""

    @property
    def label(self) -> str:
        """Actor and note in one text of at most 64 characters."""
        return (f"{self.name} ({self.note})" if self.note else self.name)[:64]


def system_user(note: str = "") -> Actor:
    """The operating system's user of this process. Not by LOGNAME or USER: anybody can set these."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:  # a container that runs under a number alone
        name = f"uid {number}"
    return Actor(name, "cli", note.strip()[:64])


class Recorded(NamedTuple):
    """One row, as the table has it."""

    hospital: str
    verb: str
    subject: str
    old: str | None
    new: str | None
    actor: str
    channel: str
    note: str
    reason: str
    at: datetime


_COLUMNS: Final = tuple(decision.c[name] for name in Recorded._fields)


def record(
    connection: Connection,
    keyring: Keyring,
    *,
    verb: str,
    hospital: str,
    actor: Actor,
    now: datetime,
    subject: str = "",
    old: str | None = None,
    new: str | None = None,
    reason: str = "",
) -> None:
    """Write down what `actor` does, inside the transaction that does it. `hospital`: an id or '*'."""
    if connection.dialect.name == "postgresql":
        # One after the other: each row is sealed over the one before it. SQLite has one writer at a time.
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("decisions", 0))))
    before = connection.scalar(select(decision.c.seal).order_by(decision.c.id.desc()).limit(1)) or _GENESIS
    texts = {"verb": verb, "subject": subject, "actor": actor.name, "note": actor.note, "reason": reason}
    cut = {name: text[: _LENGTHS[name]] for name, text in texts.items()}
    row = Recorded(hospital=hospital, old=old, new=new, channel=actor.channel, at=now, **cut)
    connection.execute(insert(decision).values(**row._asdict(), seal=mac(keyring, "decision", before, *row)))


def recorded(connection: Connection, hospital: str | None = None, *, most: int | None = None) -> list[Recorded]:
    """What was decided, the newest first: of one hospital and of all at once ('*'), or of everybody."""
    query = select(*_COLUMNS).order_by(decision.c.id.desc())
    if hospital is not None:
        query = query.where(or_(decision.c.hospital == hospital, decision.c.hospital == EVERYONE))
    return [Recorded._make(row) for row in connection.execute(query if most is None else query.limit(most))]


def problems(connection: Connection, keyring: Keyring) -> Iterator[str]:
    """Which rows are not as they were written, or do not follow the row before them."""
    before = _GENESIS
    for number, seal, *values in connection.execute(
        select(decision.c.id, decision.c.seal, *_COLUMNS).order_by(decision.c.id)
    ):
        row = Recorded._make(values)
        if mac(keyring, "decision", before, *row) != seal:
            yield f"decision {number} ({row.hospital}, {row.verb}): was changed, or does not follow the one before it"
        before = seal

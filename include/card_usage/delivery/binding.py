"""Binding: the platform that a hospital's windows and events stand for, by host, appId and the hospital's id there.

One platform a hospital and ledger: what counts as delivered was delivered there. A run whose connection names another
one is refused, or else the days of a rehearsal would count as reported. As long as nothing can have arrived anywhere
the binding follows the connection; from then on only a person moves it (`move`), and every move is kept. Each call
is bound through its deliverer, whose row says where it went.

A ledger that delivered before addresses were recorded knows the appId alone. The same appId is taken for the same
platform, and marked as assumed; another one is a changed platform.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Final, Literal, NamedTuple, Self

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, func, insert, or_, select, update

from card_usage.config.connections import Connection as PlatformConnection
from card_usage.config.hospital import Hospital
from card_usage.config.platform_address import platform_url
from card_usage.delivery.platform_memory import NOTHING, Known, LearnedBy, host_of, learn, read
from card_usage.delivery.redelivery import send_again
from card_usage.errors import PlatformChanged
from card_usage.ledger.holds import HoldKind
from card_usage.ledger.schema import (
    absent,
    attempt,
    binding,
    day_use,
    deliverer,
    event,
    evidence,
    feed_window,
    hold,
    patient_card,
    platform_move,
    quota_day,
    reconciliation,
    report_file,
    source_mark,
    staged_hour,
    statement,
    untimed,
    upgrade_batch,
    upgrade_patient,
    upgrade_record,
    verdict,
    verified,
    verified_move,
    window_profile,
)
from card_usage.ledger.scope import Scope
from card_usage.ledger.upsert import insert_into, upsert
from card_usage.platform.outcome import Answer, Memory


class Target(NamedTuple):
    """A platform: its address without the scheme, the appId, and the hospital's id there. `host`: None where a version
    delivered that did not record it, and `hospital_id` with it."""

    host: str | None
    app_id: str
    hospital_id: str | None

    @classmethod
    def of(cls, connection: PlatformConnection, hospital: Hospital) -> Self:
        """What a hospital's connection names. Raises BadConnection."""
        return cls(
            host_of(platform_url(connection, hospital.platform)), connection.login, hospital.platform.hospital_id
        )

    def __str__(self) -> str:
        """As people are told it."""
        host = self.host or "an address that was not recorded"
        hospital = "" if self.hospital_id is None else f", hospital {self.hospital_id}"
        return f"{host} (appId {self.app_id or '-'}{hospital})"


class Origin(StrEnum):
    """How a hospital came to its binding."""

    FIRST = "first"  # before anything was sent
    ASSUMED = "assumed"  # deliveries came before addresses were recorded
    MOVED = "moved"  # a person said so


class Bound(NamedTuple):
    """A hospital's binding; `origin` and `at` are None where only old deliveries tell of it."""

    target: Target
    origin: Origin | None = None
    at: datetime | None = None


Kind = Literal["moved", "forgotten"]


class Move(NamedTuple):
    """A change of address as recorded, or that a rehearsal was forgotten. `events`: those delivered until then."""

    kind: Kind
    before: Target
    after: Target
    events: int
    reason: str
    by: str
    at: datetime

    def summary(self) -> dict[str, object]:
        """As the command line prints it."""
        named = {"what": self.kind, "from": str(self.before), "to": str(self.after), "delivered_before": self.events}
        return named | {"at": f"{self.at:%Y-%m-%d %H:%M}Z", "by": self.by, "reason": self.reason}


_ROW: Final = select(binding).where(binding.c.hospital == bindparam("of_hospital"))
_LOCKED: Final = _ROW.with_for_update()
# Shared with other deliverers, and exclusive of whoever rebinds: nothing is claimed for a platform once it is left.
_STANDS: Final = (
    select(binding.c.hospital)
    .where(
        binding.c.hospital == bindparam("of_hospital"),
        binding.c.host == bindparam("of_host"),
        binding.c.app_id == bindparam("of_app"),
        binding.c.platform_hospital == bindparam("of_platform_hospital"),
    )
    .with_for_update(read=True)
)
_ALL_DAYS: Final = (date(1900, 1, 1), date(2999, 12, 31))


def bound(connection: Connection, hospital: str, *, app_id: str) -> Bound | None:
    """What the hospital is bound to; None: to nothing yet. `app_id`: the one in use, for ledgers that recorded no
    more than appIds."""
    if (recorded := binding_of(connection, hospital)) is not None:
        return recorded
    other = _accepted_under(connection, hospital, deliverer.c.app_id != app_id)
    return None if other is None else Bound(Target(None, other, None))


def binding_of(connection: Connection, hospital: str) -> Bound | None:
    """What the hospital is bound to, as recorded; None: to nothing yet."""
    row = connection.execute(_ROW, {"of_hospital": hospital}).one_or_none()
    if row is None:
        return None
    return Bound(Target(row.host, row.app_id, row.platform_hospital), Origin(row.origin), row.bound_at)


def targets(connection: Connection, hospitals: Sequence[str]) -> dict[tuple[str, str], int]:
    """By host and appId, how many of these hospitals are bound to it."""
    of = binding.c
    query = select(of.host, of.app_id, func.count()).where(of.hospital.in_(hospitals)).group_by(of.host, of.app_id)
    return {(host, app_id): count for host, app_id, count in connection.execute(query)}


def memory_of(connection: Connection, hospital: str) -> Known:
    """What is known of the memory of the platform that a hospital is bound to."""
    found = binding_of(connection, hospital)
    return NOTHING if found is None else read(connection, host=found.target.host or "", app_id=found.target.app_id)


def stands(connection: Connection, hospital: str, target: Target) -> bool:
    """Whether the hospital is bound to this platform, and stays so until the end of the transaction."""
    values = {"of_host": target.host, "of_app": target.app_id, "of_platform_hospital": target.hospital_id}
    return connection.execute(_STANDS, {"of_hospital": hospital, **values}).first() is not None


def bind(connection: Connection, hospital: Hospital, target: Target, *, now: datetime) -> None:
    """Bind the hospital to the platform that its connection names, if it is not. Raises PlatformChanged if some of its
    events may have arrived at another one. Safe to repeat."""
    of = hospital.id
    before = bound(connection, of, app_id=target.app_id)
    if before is None:
        origin = Origin.ASSUMED if _anything_arrived(connection, of) else Origin.FIRST
        first = insert_into(connection, binding).values(hospital=of, **_values(target, origin, now))
        connection.execute(first.on_conflict_do_nothing())
    connection.execute(_LOCKED, {"of_hospital": of})
    before = bound(connection, of, app_id=target.app_id)
    if before is None or before.target == target:
        return
    if before.origin is None or _anything_arrived(connection, of):
        raise PlatformChanged(
            hospital=of, was=str(before.target), connection=hospital.platform.connection, names=str(target)
        )
    connection.execute(update(binding).where(binding.c.hospital == of).values(_values(target, Origin.FIRST, now)))
    # What another platform refused is no refusal of this one.
    send_again(connection, Scope(of, *_ALL_DAYS), ("rejected",))


def move(connection: Connection, hospital: str, target: Target, *, reason: str, by: str, now: datetime) -> Move | None:
    """Record that the hospital's platform has another address, and bind everything of the hospital to it: same
    platform, same events. None: it is bound to that one already, or to nothing.

    That a platform remembers ids on sight goes along; that it does so on acceptance is to be calibrated again, for
    what answers at the new address may be another gateway.
    """
    before = bound(connection, hospital, app_id=target.app_id)
    if before is None or before.target == target:
        return None
    old = before.target
    moved = Move("moved", old, target, delivered(connection, hospital), reason, by, now)
    upsert(connection, binding, {"hospital": hospital}, _values(target, Origin.MOVED, now))
    _record(connection, hospital, moved)
    if old.host is not None and target.host is not None:
        known = read(connection, host=old.host, app_id=old.app_id)
        if known.memory is Memory.ON_SIGHT:
            learned_by = known.by or LearnedBy.OBSERVATION
            learn(connection, known.memory, host=target.host, app_id=target.app_id, by=learned_by, now=now)
    return moved


# What there is of a hospital in a ledger, but holds, incidents and messages. Rows that hang on these go with them.
_OF_HOSPITAL: Final = (
    *(event, feed_window, verdict, reconciliation, staged_hour, source_mark, window_profile, day_use, absent, untimed),
    *(verified, verified_move, evidence, statement, report_file, quota_day, binding, upgrade_patient, upgrade_batch),
    *(
        upgrade_record,
        patient_card,
    ),
)


def forget(
    connection: Connection, hospital: str, target: Target, *, reason: str, by: str, now: datetime
) -> Move | None:
    """Take everything of the hospital out of the ledger, for it went to a rehearsal and not to `target`: its days are
    staged and sent anew. None, and nothing done, where it is bound to `target` for certain, or to nothing."""
    before = bound(connection, hospital, app_id=target.app_id)
    if before is None or (before.target == target and before.origin is not Origin.ASSUMED):
        return None
    forgotten = Move("forgotten", before.target, target, delivered(connection, hospital), reason, by, now)
    for table in _OF_HOSPITAL:
        connection.execute(delete(table).where(table.c.hospital == hospital))
    kinds = [HoldKind.QUOTA.value, HoldKind.MISCONFIGURED.value]
    connection.execute(delete(hold).where(hold.c.hospital == hospital, hold.c.kind.in_(kinds)))
    _record(connection, hospital, forgotten)
    return forgotten


def arrived_at(connection: Connection, hospital: str, target: Target) -> bool:
    """Whether calls of the hospital were accepted at this very platform, as far as old ledgers tell: by appId."""
    there = or_(deliverer.c.platform_host.is_(None), deliverer.c.platform_host == target.host)
    return _accepted_under(connection, hospital, and_(deliverer.c.app_id == target.app_id, there)) is not None


def _record(connection: Connection, hospital: str, moved: Move) -> None:
    old, new = moved.before, moved.after
    connection.execute(
        insert(platform_move).values(
            hospital=hospital,
            from_host=old.host,
            from_app_id=old.app_id,
            from_hospital=old.hospital_id,
            to_host=new.host,
            to_app_id=new.app_id,
            to_hospital=new.hospital_id,
            kind=moved.kind,
            events=moved.events,
            reason=moved.reason,
            moved_by=moved.by,
            at=moved.at,
        )
    )


def moves(connection: Connection, hospital: str) -> list[Move]:
    """Every recorded change of what the hospital is bound to, oldest first."""
    query = select(platform_move).where(platform_move.c.hospital == hospital).order_by(platform_move.c.id)
    return [
        Move(
            row.kind,
            Target(row.from_host, row.from_app_id, row.from_hospital),
            Target(row.to_host, row.to_app_id, row.to_hospital),
            row.events,
            row.reason,
            row.moved_by,
            row.at,
        )
        for row in connection.execute(query)
    ]


def delivered(connection: Connection, hospital: str) -> int:
    """How many of the hospital's events count as delivered."""
    of_hospital = and_(event.c.hospital == hospital, event.c.status == "delivered")
    return connection.scalar(select(func.count()).select_from(event).where(of_hospital)) or 0


def _values(target: Target, origin: Origin, now: datetime) -> dict[str, object]:
    return {
        "host": target.host,
        "app_id": target.app_id,
        "platform_hospital": target.hospital_id,
        "origin": origin.value,
        "bound_at": now,
    }


def _anything_arrived(connection: Connection, hospital: str) -> bool:
    """Whether an event of the hospital counts as arrived, or may while a deliverer has it; or a patient was sent."""
    arrived = event.c.status.in_(("delivered", "unconfirmed", "in_flight"))
    query = select(event.c.id).where(event.c.hospital == hospital, arrived).limit(1)
    sent = upgrade_patient.c.state.in_(("batched", "registered"))
    patients = select(upgrade_patient.c.id).where(upgrade_patient.c.hospital == hospital, sent).limit(1)
    return connection.execute(query).first() is not None or connection.execute(patients).first() is not None


def _accepted_under(connection: Connection, hospital: str, which: ColumnElement[bool]) -> str | None:
    """The appId of such a deliverer of the hospital of which the platform took something; None: there is none."""
    of_hospital = select(deliverer.c.id).where(deliverer.c.hospital == hospital, which)
    if connection.execute(of_hospital.limit(1)).first() is None:
        return None  # the usual case, without a look at the calls
    query = (
        select(deliverer.c.app_id)
        .join(attempt, attempt.c.deliverer == deliverer.c.id)
        .where(deliverer.c.id.in_(of_hospital), attempt.c.answer == Answer.ACCEPTED.value)
        .order_by(attempt.c.id.desc())
        .limit(1)
    )
    return connection.scalar(query)

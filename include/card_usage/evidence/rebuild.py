"""Rebuild: a ledger that was lost, or restored from an older backup, learns from packs what the platform was sent.

Each pack is checked by itself: the seal of its link, its digest, its hospital. The newest good pack of a day counts;
one that cannot be used is named and holds up no other. Of its events those that were called are brought back, with
their request ids, generations, states and calls; the others come from the HIS. No content is in a pack: an event whose
outcome was unknown is `unconfirmed` until its day is staged again, and `unknown` then, under its request id.

Promises: repeating it changes nothing. An event that the ledger knows better is left alone: one is brought up to date
only if its calls in the ledger are the first of those in the pack. Links of the chain come back as far as they follow
each other without a gap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from card_usage.errors import PackUnusable, WrongKey
from card_usage.evidence.chain import GENESIS, Link, columns, links
from card_usage.evidence.keep import UNSEALED
from card_usage.evidence.pack import (
    FORM,
    UNREADABLE,
    Call,
    Kept,
    ReportedTo,
    chained,
    digest_of,
    head,
    instant,
    link_text,
    microseconds,
    platform_of,
    read_records,
    reported_to,
)
from card_usage.ledger.bulk import among, insert_many
from card_usage.ledger.database import Ledger, take_over_keys
from card_usage.ledger.macs import CALL, mac_events_again, made
from card_usage.ledger.schema import CONTENT_LOST, attempt, binding, event, evidence, finding
from card_usage.ledger.upsert import insert_into
from card_usage.staging import unchanged_hours

MOST_NAMED: Final = 100


class PackResult(NamedTuple):
    """What became of one pack. `problem` is "" for one that was used, or had a newer one of its day beside it."""

    pack: str
    hospital: str
    day: str
    result: str
    problem: str


@dataclass(kw_only=True, slots=True)
class Rebuilt:
    """What came of it, in events. Of these, `without_content` have to be staged again before anything can be sent.

    `restored`: were not in the ledger. `brought_up`: it had an earlier state. `known`: it has the same. `kept`: it
    knows them better. `conflicts`: it has other calls than the pack, so both were sent. `never_sent`: left to the HIS.
    """

    counts: Counter[str] = field(default_factory=Counter)
    packs: list[PackResult] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    links: int = 0
    chain: str = ""
    platforms: dict[str, ReportedTo] = field(default_factory=dict)
    """By hospital, where its events went."""
    digest_keys: set[tuple[str, str]] = field(default_factory=set)
    """Hospitals and ids of the data keys by which the HIS's later changes can be noticed."""

    @property
    def clean(self) -> bool:
        """Every pack could be used, and nothing was sent twice."""
        return not self.counts["conflicts"] and all(pack.result != "refused" for pack in self.packs)

    def summary(self) -> dict[str, object]:
        """Counts, and request ids of conflicts; nothing about patients."""
        names = ("restored", "brought_up", "known", "kept", "conflicts", "never_sent", "without_content")
        events = {name: self.counts[name] for name in names}
        found: dict[str, object] = {"events": events, "packs": [pack._asdict() for pack in self.packs]}
        if self.conflicts:
            found["sent twice"] = [{"event": key} for key in self.conflicts]
        found["chain"] = f"{self.links} links restored{'; ' + self.chain if self.chain else ''}"
        return found


class _Pack(NamedTuple):
    path: Path
    link: Link


def pack_files(places: Iterable[Path]) -> list[Path]:
    """The packs among files and folders. Raises PackUnusable if a place does not exist or has none."""
    found: set[Path] = set()
    for place in places:
        files = {place} if place.is_file() else set(place.rglob("*.tsv.gz"))
        if not files:
            raise PackUnusable(
                pack=place, problem="there is no pack", remedy="name the folder or the files of the packs"
            )
        found |= files
    return sorted(found)


def rebuild(
    ledger: Ledger, files: Iterable[Path], hospitals: Collection[str], *, only: str | None = None, now: datetime
) -> Rebuilt:
    """Bring back what the packs say of `hospitals`, or of `only` one of them, 5,000 events a transaction."""
    rebuilt = Rebuilt()
    of_day: dict[tuple[str, date], list[_Pack]] = {}
    for path in files:
        try:
            pack = _checked(ledger, path, hospitals, only)
        except PackUnusable as error:
            rebuilt.packs.append(_refused(path, error))
        else:
            of_day.setdefault((pack.link.hospital, pack.link.day), []).append(pack)
    sealed: list[_Pack] = []
    with ledger.read() as connection:
        bound = {hospital: reported_to(connection, hospital) for hospital, _ in of_day}
    rebuilt.platforms = {hospital: platform for hospital, platform in bound.items() if platform is not None}
    # The newest packs first: they say where the hospital reports now.
    for packs in sorted(of_day.values(), key=lambda packs: max(pack.link.at for pack in packs), reverse=True):
        used = False
        for pack in sorted(packs, key=lambda pack: (pack.link.at, pack.link.serial), reverse=True):
            if used:
                rebuilt.packs.append(_result(pack, "a newer one was used"))
                sealed.append(pack)
                continue
            try:
                _demand_whole(pack)
                _demand_same_platform(ledger, pack, rebuilt)
                _apply(ledger, pack, rebuilt, now)
            except PackUnusable as error:
                rebuilt.packs.append(_refused(pack.path, error))
            else:
                used = True
                rebuilt.packs.append(_result(pack, "used"))
                sealed.append(pack)
    _bind(ledger, {pack.link.hospital for pack in sealed}, rebuilt, now)
    for hospital in sorted({hospital for hospital, _ in of_day}):
        _restore_links(ledger, hospital, [pack.link for pack in sealed if pack.link.hospital == hospital], rebuilt)
    take_over_keys(ledger, rebuilt.digest_keys)
    rebuilt.packs.sort()
    return rebuilt


def _result(pack: _Pack, result: str) -> PackResult:
    return PackResult(pack.path.as_posix(), pack.link.hospital, pack.link.day.isoformat(), result, "")


def _refused(path: Path, error: PackUnusable) -> PackResult:
    return PackResult(path.as_posix(), "", "", "refused", f"{error.details['problem']}: {error.details['remedy']}")


def _checked(ledger: Ledger, path: Path, hospitals: Collection[str], only: str | None) -> _Pack:
    """A pack whose link is ours and about what the pack says it is. Raises PackUnusable."""

    def refuse(problem: str, remedy: str) -> PackUnusable:
        return PackUnusable(pack=path, problem=problem, remedy=remedy)

    try:
        named, text = head(path), link_text(path)
    except UNREADABLE as error:
        raise refuse(f"it cannot be read ({type(error).__name__})", "take another copy of it") from None
    if named is None:
        raise refuse("it is no pack of evidence", "leave it out")
    form, hospital, day = named
    if form != FORM:
        problem = "a pack of version 0.2.0 or before does not have what a rebuild needs"
        raise refuse(problem, "take the statement of its day instead")
    if text is None:
        raise refuse("its end is missing: it is torn", "take another copy of it")
    try:
        link = Link.parse(text)
    except (ValueError, TypeError, KeyError):
        raise refuse("its link cannot be read", "take another copy of it") from None
    if not link.is_ours(ledger.keyring):
        problem = "its seal is not ours: it was changed, or made with another CARD_USAGE_KEY"
        raise refuse(problem, "use the key of the installation that made it, or another copy")
    if (link.hospital, link.day.isoformat()) != (hospital, day):
        raise refuse("its link is that of another pack", "take another copy of it")
    if only is not None and hospital != only:
        raise refuse(f"it is of the hospital {hospital}", f"leave it out, or --hospital {only}")
    if hospital not in hospitals:
        raise refuse(f"there is no hospital {hospital} here", "add its file among the hospitals first")
    return _Pack(path, link)


def _demand_whole(pack: _Pack) -> None:
    """Raises PackUnusable unless the pack is as it was sealed."""
    if digest_of(pack.path) != pack.link.digest:
        problem = "it was changed or torn after it was sealed"
        raise PackUnusable(pack=pack.path, problem=problem, remedy="take another copy of it")


def _demand_same_platform(ledger: Ledger, pack: _Pack, rebuilt: Rebuilt) -> None:
    """Raises PackUnusable if its events went to another platform than the hospital's."""
    hospital = pack.link.hospital
    try:
        went_to = platform_of(pack.path, ledger.keyring)
    except (*UNREADABLE, ValueError, TypeError, KeyError) as error:
        problem = f"it cannot be understood ({type(error).__name__})"
        raise PackUnusable(pack=pack.path, problem=problem, remedy="use the version that made it") from None
    known = rebuilt.platforms.get(hospital)
    if went_to is None:
        return
    if known is None:
        rebuilt.platforms[hospital] = went_to
    elif not known.known_as & went_to.known_as:
        raise PackUnusable(
            pack=pack.path,
            problem=f"its events went to {went_to.host} (appId {went_to.app_id}), {hospital} reports to {known.host}",
            remedy="leave it out: what was sent there does not count here",
        )


def _apply(ledger: Ledger, pack: _Pack, rebuilt: Rebuilt, now: datetime) -> None:
    hospital, day = pack.link.hospital, pack.link.day
    try:
        for batch in read_records(pack.path, ledger.keyring, hospital, day):
            called = [kept for kept in batch if kept.record.calls]
            rebuilt.counts["never_sent"] += len(batch) - len(called)
            rebuilt.digest_keys |= {(hospital, key) for kept in called if (key := _digest(kept)[1]) is not None}
            with ledger.write() as connection:
                for feed in sorted({kept.record.feed for kept in called}):
                    unchanged_hours.lock(connection, hospital, feed)
                counts, conflicts = _bring_back(connection, hospital, day, called, now)
            rebuilt.counts += counts
            rebuilt.conflicts += conflicts[: MOST_NAMED - len(rebuilt.conflicts)]
    except (WrongKey, ValueError, TypeError) as error:
        problem = f"it cannot be understood ({type(error).__name__})"
        raise PackUnusable(
            pack=pack.path, problem=problem, remedy="use the version that made it, or a newer one"
        ) from None


def _bring_back(
    connection: Connection, hospital: str, day: date, called: Sequence[Kept], now: datetime
) -> tuple[Counter[str], list[str]]:
    counts: Counter[str] = Counter()
    conflicts: list[str] = []
    known = _known(connection, [kept.row.key for kept in called]) if called else {}
    new: list[Kept] = []
    later: list[_Later] = []
    for kept in called:
        stored = known.get(kept.row.key)
        if stored is None:
            new.append(kept)
            counts["restored"] += 1
            counts["without_content"] += kept.row.state not in ("delivered", "voided")
            continue
        ours, theirs = stored.chains, _chains(kept.record.calls)
        if ours == theirs:
            counts["known"] += 1
        elif theirs[: len(ours)] == ours and stored.row.status != "in_flight":
            later.append(_Later(stored, kept))
            counts["brought_up"] += 1
        elif ours[: len(theirs)] == theirs or stored.row.status == "in_flight":
            counts["kept"] += 1
        else:
            counts["conflicts"] += 1
            conflicts.append(kept.row.key)
    _insert(connection, hospital, day, new)
    _bring_up(connection, hospital, day, later, now)
    return counts, conflicts


class _Stored(NamedTuple):
    row: Any
    chains: tuple[str, ...]


class _Later(NamedTuple):
    stored: _Stored
    kept: Kept


_STORED: Final = (
    *("id", "key", "feed", "status", "request_id", "generation"),
    *("digest", "digest_key", "occurred_at", "key_id", "form"),
)


def _known(connection: Connection, keys: Sequence[str]) -> dict[str, _Stored]:
    """What the ledger has of these events, with the chains of its own calls."""
    query = select(*(event.c[name] for name in _STORED)).where(among(connection, event.c.key, keys))
    rows = connection.execute(query).all()
    if not rows:
        return {}
    of_call = ("event_id", "request_id", "at", "answer", "http_status", "result_code", "detail", "status")
    calls: dict[int, list[Call]] = {row.id: [] for row in rows}
    keyed = select(*(attempt.c[name] for name in of_call)).join(event, event.c.id == attempt.c.event_id)
    ordered = keyed.where(among(connection, event.c.key, keys)).order_by(attempt.c.id)
    for event_id, request_id, at, *rest in connection.execute(ordered):
        calls[event_id].append(Call(request_id, microseconds(at), *rest))
    return {row.key: _Stored(row, _chains(calls[row.id])) for row in rows}


def _chains(calls: Iterable[Call]) -> tuple[str, ...]:
    def grown() -> Iterator[str]:
        chain = ""
        for call in calls:
            chain = chained(chain, call)
            yield chain

    return tuple(grown())


def _digest(kept: Kept) -> tuple[str, str | None]:
    """The digest of what was sent, and the data key that it is keyed by (none: the founding key)."""
    digest, _, digest_key = kept.record.digest.partition(" ")
    return digest, digest_key or None


def _state(kept: Kept) -> dict[str, Any]:
    """State of an event without content, as the columns have it."""
    state = kept.row.state
    settled = kept.record.settled_at
    digest, digest_key = _digest(kept)
    values: dict[str, Any] = {"status": state, "reason": None, "digest": digest, "digest_key": digest_key}
    if state in ("unknown", "in_flight"):
        # Not open: it cannot be sent before staging gives its content back.
        values |= {"status": "unconfirmed", "reason": CONTENT_LOST}
    elif state in ("ready", "held", "quarantined"):
        # Certainly not accepted. No digest is empty, so staging takes it for changed, and goes on under its request id.
        values |= {"status": "quarantined", "digest": "", "digest_key": None}
    return values | {"settled_at": None if settled is None else instant(settled)}


_SENT: Final = ("occurred_at", "scene", "department", "department_name", "card_type", "channel", "cost_type")
_MARKS: Final = ("voided_at", "changed_at", "vanished_at")


def _as_sent(kept: Kept) -> dict[str, Any]:
    record = kept.record
    values = {name: getattr(record, name) for name in _SENT}
    if record.occurred_at is not None:
        values["occurred_at"] = datetime.fromisoformat(record.occurred_at)
    return values


def _identity(kept: Kept) -> dict[str, Any]:
    return {
        "request_id": kept.row.request_id,
        "generation": kept.row.generation,
        "attempts": _attempts(kept),
        "result_code": kept.record.result_code,
    }


def _attempts(kept: Kept) -> int:
    """Calls under the present request id; staging and delivery look for earlier answers only if there are some."""
    return sum(call.request_id == kept.row.request_id for call in kept.record.calls)


def _insert(connection: Connection, hospital: str, day: date, new: Sequence[Kept]) -> None:
    if not new:
        return
    rows = []
    for kept in new:
        marks = {name: None if (at := getattr(kept.record, name)) is None else instant(at) for name in _MARKS}
        own = {
            "key": kept.row.key,
            "hospital": hospital,
            "feed": kept.record.feed,
            "source_id": kept.source_id,
            "day": day,
        }
        times = {"lane": kept.record.lane, "staged_at": instant(kept.record.staged_at)}
        rows.append(own | times | _as_sent(kept) | _identity(kept) | _state(kept) | marks)
    names = list(rows[0])
    insert_many(connection, event, names, [tuple(row[name] for name in names) for row in rows])
    ids = select(event.c.key, event.c.id).where(among(connection, event.c.key, [kept.row.key for kept in new]))
    of_key = {key: event_id for key, event_id in connection.execute(ids)}
    mac_events_again(connection, of_key.values())
    _insert_calls(connection, [(of_key[kept.row.key], kept.row.key, kept.record.calls) for kept in new])


_CALL: Final = ("event_id", *CALL, "mac")


def _insert_calls(connection: Connection, calls_of: Iterable[tuple[int, str, Sequence[Call]]]) -> None:
    rows = []
    for event_id, key, calls in calls_of:
        for call in calls:
            values = (call.request_id, instant(call.at), *call[2:])
            rows.append((event_id, *values, made(connection, "call", key, *values)))
    insert_many(connection, attempt, _CALL, rows)


def _bring_up(connection: Connection, hospital: str, day: date, later: Sequence[_Later], now: datetime) -> None:
    """Events that the ledger has in an earlier state."""
    if not later:
        return
    for stored, kept in later:
        values = {
            "day": day,
            "claimed_by": None,
            "due_at": None,
            **_identity(kept),
            **_brought_up(stored.row, kept, now),
        }
        connection.execute(update(event).where(event.c.id == stored.row.id).values(**values))
    mac_events_again(connection, (stored.row.id for stored, _ in later))
    added = [(stored.row.id, kept.row.key, kept.record.calls[len(stored.chains) :]) for stored, kept in later]
    _insert_calls(connection, added)
    of_id = [{"of_id": stored.row.id} for stored, _ in later]
    connection.execute(delete(finding).where(finding.c.event_id == bindparam("of_id")), of_id)
    for feed in {stored.row.feed for stored, _ in later}:
        moments = [
            at
            for stored, kept in later
            if stored.row.feed == feed
            for at in (stored.row.occurred_at, _as_sent(kept)["occurred_at"])
            if at is not None
        ]
        unchanged_hours.forget(connection, hospital, feed, set(map(unchanged_hours.floor, moments)))


def _brought_up(row: Any, kept: Kept, now: datetime) -> dict[str, Any]:
    """State and content of one of them. Content that the ledger has ready to be sent (`form`) stays."""
    state = kept.row.state
    no_content = {"sealed": None, "key_id": None, "form": None}
    if state == "delivered":
        digest, digest_key = _digest(kept)
        # By another key, nothing tells whether it is the same content.
        changed = None if row.digest == digest or row.digest_key != digest_key else now
        return _as_sent(kept) | _state(kept) | no_content | {"changed_at": changed}
    certain = state in ("ready", "held", "quarantined", "voided")  # that it was not accepted
    if row.form is not None:
        status = "ready" if certain else "unknown" if state in ("unknown", "in_flight") else state
        settled = {} if status in ("rejected", "unconfirmed") else {"settled_at": None}
        return (
            _state(kept)
            | {"status": status, "reason": None, "digest": row.digest, "digest_key": row.digest_key}
            | settled
        )
    if certain and row.status == "voided":
        return {"status": "voided"}
    return _state(kept) | no_content


def _bind(ledger: Ledger, hospitals: set[str], rebuilt: Rebuilt, now: datetime) -> None:
    """Bind hospitals that are bound to nothing, so that a connection that names another platform is refused."""
    with ledger.write() as connection:
        for hospital in sorted(hospitals & rebuilt.platforms.keys()):
            platform = rebuilt.platforms[hospital]
            where = {"host": platform.host, "app_id": platform.app_id, "platform_hospital": platform.platform_hospital}
            values = {"hospital": hospital, **where, "origin": "first", "bound_at": now}
            connection.execute(insert_into(connection, binding).values(**values).on_conflict_do_nothing())


def _restore_links(ledger: Ledger, hospital: str, found: Sequence[Link], rebuilt: Rebuilt) -> None:
    """Links that go on from the last one that the ledger has, or from the first, without a gap."""
    by_serial = {link.serial: link for link in found if link.serial != UNSEALED}
    with ledger.write() as connection:
        chain = links(connection, hospital)
        last = chain[-1] if chain else None
        serial, previous = (last.serial, last.link) if last else (0, GENESIS)
        while (link := by_serial.get(serial + 1)) is not None and link.previous == previous:
            connection.execute(insert(evidence).values(**columns(link)))
            rebuilt.links += 1
            serial, previous = link.serial, link.link
    lost = sorted(number for number in by_serial if number > serial)
    if lost:
        rebuilt.chain = f"{hospital}: link {serial + 1} is not among the packs, so {len(lost)} behind it are left out"

"""Evidence: a chain over settled days that makes any later change of the ledger visible, and says of which row.

A pack is a file of one line an event, in the order of the event keys:

    key  request id  generation  state  marks  content  attempts  chain of attempts

`content` is a digest over what is sent (feed, key of the HIS, time, codes, the payload's own keyed digest); the chain
of attempts covers every call in order, so that an earlier state of it can be found again in a longer one. Nothing in it
says who a patient is. A link in the ledger (table `evidence`) covers the pack's digest, its counts and the link before
it, for each hospital one chain; its seal is keyed, so that whoever can write the ledger cannot mend the chain without
the key. The head of the chain belongs on paper: a chain that was made anew from its first link has another head.

What may change later leaves a trace: more calls at the end of the chain of attempts, a row staged after the seal, a
mark of reconciliation. Such a day gets a new link that supersedes the earlier one; no link is ever rewritten. What
changed without a trace is `broken` and cannot be sealed over.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, func, insert, select

from card_usage.errors import EvidenceBroken
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import attempt, event, evidence

FORM: Final = "card-usage-evidence/1"
GENESIS: Final = "0" * 64
BATCH: Final = 5_000
MOST_NAMED: Final = 100
"""Rows of a day that are named one by one; all are counted."""


class Row(NamedTuple):
    """One event of a pack."""

    key: str
    request_id: str
    generation: int
    state: str
    marks: str
    content: str
    attempts: int
    chain: str

    @property
    def line(self) -> str:
        """As the pack has it."""
        return "\t".join(map(str, self)) + "\n"

    @classmethod
    def parse(cls, line: str) -> Row:
        """The inverse. Raises ValueError."""
        key, request_id, generation, state, marks, content, attempts, chain = line.rstrip("\n").split("\t")
        return cls(key, request_id, int(generation), state, marks, content, int(attempts), chain)


class Live(NamedTuple):
    """The same event as the ledger has it now, with what tells a change with a trace from one without."""

    row: Row
    staged_at: datetime
    chains: tuple[str, ...]
    called_at: tuple[datetime, ...]
    proved: bool


def _hash(*parts: object) -> str:
    """SHA-256 over parts, each behind its own length, so that no two lists give the same text."""
    text = "".join(f"{len(part)}:{part}" for part in map(str, parts))
    return hashlib.sha256(text.encode()).hexdigest()


def _instant(value: datetime | None) -> str:
    return "" if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")


# Not the department and the cost type: where they are not sent, staging lets them follow the HIS; where they are, the
# payload's digest covers them.
_CONTENT: Final = ("feed", "source_id", "day", "occurred_at", "scene", "card_type", "channel", "digest")
_CALL: Final = ("request_id", "at", "answer", "http_status", "result_code", "status")


def live(connection: Connection, hospital: str, day: date) -> Iterator[Live]:
    """Every event of a day with its calls, by key; a stream, whatever the size of the day."""
    marks = ("vanished_at", "voided_at", "changed_at")
    columns = [event.c[name] for name in ("key", "request_id", "generation", "status", *marks, "staged_at", *_CONTENT)]
    calls = [attempt.c[name].label(f"call_{name}") for name in _CALL]
    query = (
        select(*columns, attempt.c.id.label("call_id"), *calls)
        .select_from(event.outerjoin(attempt, attempt.c.event_id == event.c.id))
        .where(event.c.hospital == hospital, event.c.day == day)
        .order_by(event.c.key, attempt.c.id)
    )
    options = {"stream_results": True, "max_row_buffer": BATCH}
    with closing(connection.execute(query, execution_options=options)) as result:
        rows = (row for part in result.partitions(BATCH) for row in part)
        for key, group in groupby(rows, lambda row: row.key):
            yield _live(str(key), list(group))


def _live(key: str, rows: list[Any]) -> Live:
    one = rows[0]
    chain, proved = "", False
    chains: list[str] = []
    called_at: list[datetime] = []
    for row in rows:
        if row.call_id is None:
            break
        call = (getattr(row, f"call_{name}") for name in _CALL)
        chain = _hash(chain, *(_instant(part) if isinstance(part, datetime) else part for part in call))[:32]
        chains.append(chain)
        called_at.append(row.call_at)
        proved = proved or row.call_status == "delivered"
    content = _hash(*(getattr(one, name) for name in _CONTENT))[:32]
    marks = "".join(
        letter for letter, name in (("x", "vanished_at"), ("v", "voided_at"), ("c", "changed_at")) if getattr(one, name)
    )
    row = Row(key, one.request_id, one.generation, one.status, marks or "-", content, len(chains), chain or "-")
    return Live(row, one.staged_at, tuple(chains), tuple(called_at), proved)


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """One link of a hospital's chain, as the ledger keeps it."""

    hospital: str
    serial: int
    day: date
    supersedes: int | None
    events: int
    attempts: int
    reason: str
    digest: str
    previous: str
    link: str
    seal: str
    at: datetime

    @property
    def covers(self) -> str:
        """What the link's own hash must be."""
        parts = (FORM, self.hospital, self.serial, self.day, self.supersedes or 0, self.events, self.attempts)
        return _hash(*parts, self.reason, self.digest, self.previous, _instant(self.at))

    def path(self, folder: Path) -> Path:
        """Where its pack lies."""
        return folder / self.hospital / f"{self.day.isoformat()}.{self.serial}.tsv.gz"

    def summary(self) -> dict[str, object]:
        """Fit for logs and XCom."""
        return {
            "day": self.day.isoformat(),
            "serial": self.serial,
            "supersedes": self.supersedes,
            "events": self.events,
            "attempts": self.attempts,
            "reason": self.reason,
            "head": self.link,
        }


def links(connection: Connection, hospital: str, day: date | None = None) -> list[Link]:
    """A hospital's chain, from its first link on, or those links of it that are about one day."""
    query = select(*(evidence.c[name] for name in Link.__dataclass_fields__)).where(evidence.c.hospital == hospital)
    if day is not None:
        query = query.where(evidence.c.day == day)
    return [Link(**row) for row in connection.execute(query.order_by(evidence.c.serial)).mappings()]


class Change(NamedTuple):
    """A row that is not as it was sealed. `how` is one of BROKEN or GROWN."""

    day: date
    key: str
    how: str


BROKEN: Final = (
    "row is gone",
    "row has no trace of its coming",
    "calls were changed",
    "state changed without a call",
    "content changed without staging",
    "sealed line cannot be read",
    "pack was changed",
    "pack is gone",
)
GROWN: Final = ("staged later", "called again", "under way", "marked by reconciliation", "decided to be sent again")
_OPEN: Final = ("ready", "held", "in_flight", "unknown")


def judge(day: date, sealed: Row | None, now: Live | None, sealed_at: datetime) -> Change | None:
    """What a difference between a sealed row and the ledger's is; None: there is none.

    Pure. A later change must leave its trace: calls only at the end, staging after the seal, a mark.
    """
    if now is None:
        return None if sealed is None else Change(day, sealed.key, "row is gone")
    row = now.row
    staged_later = now.staged_at > sealed_at
    unproved = row.state == "delivered" and not now.proved
    if sealed is None:
        return Change(
            day, row.key, "staged later" if staged_later and not unproved else "row has no trace of its coming"
        )
    if row == sealed:
        return None
    return Change(day, row.key, _how(sealed, now, sealed_at, staged_later=staged_later, unproved=unproved))


def _how(sealed: Row, now: Live, sealed_at: datetime, *, staged_later: bool, unproved: bool) -> str:
    row = now.row
    new_calls = now.called_at[sealed.attempts :]
    forged = sealed.state != "in_flight" and any(at <= sealed_at for at in new_calls)
    same_start = not sealed.attempts or now.chains[sealed.attempts - 1 : sealed.attempts] == (sealed.chain,)
    if not same_start or forged:
        return "calls were changed"
    if unproved:
        return "state changed without a call"
    if staged_later:
        return "staged later"
    if row.content != sealed.content:
        return "content changed without staging"
    if new_calls:
        return "called again"
    if row.generation > sealed.generation and row.state in _OPEN:
        return "decided to be sent again"
    if (row.request_id, row.generation) == (sealed.request_id, sealed.generation):
        if row.state == sealed.state:
            return "marked by reconciliation"
        if row.state in _OPEN and sealed.state in _OPEN:
            return "under way"
        # Refunded before it was sent: the mark is the trace.
        if row.state == "voided" and "v" in row.marks and sealed.state in (*_OPEN, "quarantined"):
            return "marked by reconciliation"
    return "state changed without a call"


def _pack(path: Path) -> Iterator[Row | None]:
    """The rows of a pack; None for a line that cannot be read."""
    with gzip.open(path, "rt", encoding="ascii", newline="\n") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            try:
                yield Row.parse(line)
            except ValueError:
                yield None


def _digest(path: Path) -> str | None:
    """SHA-256 over the lines of a pack; None: it cannot be read."""
    digest = hashlib.sha256()
    try:
        with gzip.open(path, "rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    except (OSError, EOFError):
        return None
    return digest.hexdigest()


def changes(connection: Connection, folder: Path, link: Link) -> Iterator[Change]:
    """What a day's pack and the ledger do not agree about: a merge of two streams in the order of their keys."""
    path = link.path(folder)
    if not path.is_file():
        yield Change(link.day, "-", "pack is gone")
        return
    if _digest(path) != link.digest:
        # What it says of single rows is no longer worth anything, and is told all the same.
        yield Change(link.day, "-", "pack was changed")
        if _digest(path) is None:
            return
    ours = live(connection, link.hospital, link.day)
    now = next(ours, None)
    last = ""
    for sealed in _pack(path):
        if sealed is None or sealed.key <= last:
            yield Change(link.day, "-" if sealed is None else sealed.key, "sealed line cannot be read")
            continue
        last = sealed.key
        while now is not None and now.row.key < sealed.key:
            if change := judge(link.day, None, now, link.at):
                yield change
            now = next(ours, None)
        same = now if now is not None and now.row.key == sealed.key else None
        if change := judge(link.day, sealed, same, link.at):
            yield change
        if same is not None:
            now = next(ours, None)
    while now is not None:
        if change := judge(link.day, None, now, link.at):
            yield change
        now = next(ours, None)


def make(ledger: Ledger, hospital: str, day: date, folder: Path, *, now: datetime) -> Link | None:
    """Seal a day, or seal it again if it changed since; None: it is as it was sealed.

    Raises EvidenceBroken if something of it changed without a trace: that is for people, and nothing is sealed over it.
    """
    with ledger.read() as connection:
        chain = links(connection, hospital)
        before = next((link for link in reversed(chain) if link.day == day), None)
        reason = "day verified"
        if before is not None:
            found: dict[str, int] = {}
            broken: list[Change] = []
            for change in changes(connection, folder, before):
                found[change.how] = found.get(change.how, 0) + 1
                if change.how in BROKEN:
                    broken.append(change)
            if broken:
                row = f"{broken[0].key}, {broken[0].how}"
                raise EvidenceBroken(hospital=hospital, day=day, count=len(broken), row=row)
            if not found:
                return None
            reason = ", ".join(f"{how}: {count}" for how, count in sorted(found.items()))
        temporary = _write(connection, hospital, day, folder)
    return _append(ledger, hospital, day, folder, temporary, before, reason, now)


class _Written(NamedTuple):
    path: Path
    digest: str
    events: int
    attempts: int


def _write(connection: Connection, hospital: str, day: date, folder: Path) -> _Written:
    """The pack of a day as a file that has no name of its own yet."""
    (folder / hospital).mkdir(parents=True, exist_ok=True)
    path = folder / hospital / f".{day.isoformat()}.{os.getpid()}.tmp"
    digest, events, attempts = hashlib.sha256(), 0, 0
    # Without a time in its head, the same rows give the same bytes.
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, compresslevel=3) as file:

        def put(line: str) -> None:
            digest.update(line.encode("ascii"))
            file.write(line.encode("ascii"))

        put(f"# {FORM} {hospital} {day.isoformat()}\n")
        for one in live(connection, hospital, day):
            put(one.row.line)
            events += 1
            attempts += one.row.attempts
    with path.open("rb") as made:
        os.fsync(made.fileno())
    return _Written(path, digest.hexdigest(), events, attempts)


def _append(
    ledger: Ledger,
    hospital: str,
    day: date,
    folder: Path,
    written: _Written,
    before: Link | None,
    reason: str,
    now: datetime,
) -> Link:
    """Put the link at the end of the chain. Two at once: the serial is unique, so one of them fails and tries again."""
    with ledger.write() as connection:
        last = connection.execute(
            select(evidence.c.serial, evidence.c.link)
            .where(evidence.c.hospital == hospital)
            .order_by(evidence.c.serial.desc())
            .limit(1)
        ).one_or_none()
        draft = Link(
            hospital=hospital,
            serial=last.serial + 1 if last else 1,
            day=day,
            supersedes=before.serial if before else None,
            events=written.events,
            attempts=written.attempts,
            reason=reason[:200],
            digest=written.digest,
            previous=last.link if last else GENESIS,
            link="",
            seal="",
            at=now,
        )
        values = {name: getattr(draft, name) for name in Link.__dataclass_fields__}
        values |= {"link": draft.covers, "seal": ledger.keyring.digest(draft.covers)}
        link = Link(**values)
        written.path.replace(link.path(folder))
        connection.execute(insert(evidence).values(**values))
    return link


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What came of looking at a hospital's chain. `grown`: changes with a trace that no link covers yet."""

    hospital: str
    links: int
    days: int
    head: str
    chain: tuple[str, ...]
    broken: tuple[Change, ...]
    grown: tuple[Change, ...]
    counts: dict[str, int]

    @property
    def sound(self) -> bool:
        """The chain holds, and nothing changed without a trace."""
        return not (self.chain or self.broken)

    def summary(self) -> dict[str, object]:
        """Days, keys and counts, nothing about patients."""
        rows = [{"day": one.day.isoformat(), "row": one.key, "what": one.how} for one in (*self.broken, *self.grown)]
        return {
            "hospital": self.hospital,
            "sound": self.sound,
            "links": self.links,
            "days": self.days,
            "head": self.head,
            "changes": self.counts,
            "chain": [{"problem": problem} for problem in self.chain],
            "rows": rows,
        }


def verify(
    ledger: Ledger,
    hospital: str,
    folder: Path,
    *,
    first: date | None = None,
    last: date | None = None,
    head: str | None = None,
) -> Verified:
    """Check the whole chain, and the rows of the days from `first` to `last` (all, if not said) against their packs.

    `head`: one that was noted elsewhere; it must be a link of this chain.
    """
    with ledger.read() as connection:
        chain = links(connection, hospital)
        problems = list(_chain_problems(ledger, chain))
        if head is not None and head not in {link.link for link in chain}:
            problems.append(f"the head {head} is no link of this chain: the chain is not the one it was taken from")
        newest = {link.day: link for link in chain}
        wanted = [
            link for day, link in sorted(newest.items()) if (not first or day >= first) and (not last or day <= last)
        ]
        broken: list[Change] = []
        grown: list[Change] = []
        counts: dict[str, int] = {}
        for link in wanted:
            for number, change in enumerate(changes(connection, folder, link)):
                counts[change.how] = counts.get(change.how, 0) + 1
                if number < MOST_NAMED or not (broken if change.how in BROKEN else grown):
                    (broken if change.how in BROKEN else grown).append(change)
    return Verified(
        hospital=hospital,
        links=len(chain),
        days=len(wanted),
        head=chain[-1].link if chain else GENESIS,
        chain=tuple(problems),
        broken=tuple(broken),
        grown=tuple(grown),
        counts=counts,
    )


def _chain_problems(ledger: Ledger, chain: list[Link]) -> Iterator[str]:
    previous, last_of_day = GENESIS, dict[date, int]()
    for position, link in enumerate(chain, start=1):
        where = f"link {link.serial}, {link.day}"
        if link.serial != position:
            yield f"{where}: link {position} is missing"
            return
        if link.previous != previous:
            yield f"{where}: does not follow the link before it"
        if link.covers != link.link:
            yield f"{where}: was changed after it was made"
        if ledger.keyring.digest(link.link) != link.seal:
            yield f"{where}: its seal is not ours"
        if link.supersedes != last_of_day.get(link.day):
            yield f"{where}: does not supersede the link of its day"
        previous, last_of_day[link.day] = link.link, link.serial


def touched_since(connection: Connection, hospital: str, day: date, at: datetime) -> bool:
    """Whether anything of a day moved after an instant, as far as its traces say: the cheap question before `make`."""
    of_day = (event.c.hospital == hospital, event.c.day == day)
    newest = [func.max(event.c[name]) for name in ("staged_at", "settled_at", "voided_at", "changed_at", "vanished_at")]
    row = connection.execute(select(*newest).where(*of_day)).one()
    return any(moment is not None and moment > at for moment in row)

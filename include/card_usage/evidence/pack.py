"""Pack: the events of a day, each as a line that says how it stood and not who it was about.

One gzipped file a hospital and day, one line an event, in the order of the event keys:

    key  request id  generation  state  marks  content  attempts  chain of attempts  record

`content` is a digest over what is sent (feed, key of the HIS, time, codes, the payload's own keyed digest); the chain
of attempts covers every call in order, so that an earlier state of it can be found again in a longer one. `record` is
JSON, what a lost ledger is rebuilt from (`Record`). Nothing in a pack says who a patient is; the HIS's own keys of the
rows stand sealed behind every 5,000 lines (`#keys`). The last lines, outside of the digest, are the link that seals the
pack (`#link`), so that a pack can be trusted without the ledger, and, with a seal of its own, the platform that the
hospital reported to (`#platform`), so that what went to a sandbox is not taken for reported. In packs of form 1, of
version 0.2.0 and before, a line ends with the chain of attempts.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

from sqlalchemy import Connection, select

from card_usage.config.keyring import Keyring, Sealed
from card_usage.files.atomic import make_private, new_file
from card_usage.ledger.macs import CALL, CONTENT, Checked
from card_usage.ledger.schema import attempt, binding, event, platform_move

FORM: Final = "card-usage-evidence/2"
FORMS: Final = ("card-usage-evidence/1", FORM)
BATCH: Final = 5_000
PLATFORM: Final = "#platform\t"
KEYS: Final = "#keys\t"
LINK: Final = "#link\t"
UNREADABLE: Final = (OSError, EOFError, zlib.error)
"""What a torn or damaged file raises when it is read."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


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
        key, request_id, generation, state, marks, content, attempts, chain, *_ = line.rstrip("\n").split("\t")
        return cls(key, request_id, int(generation), state, marks, content, int(attempts), chain)


class Call(NamedTuple):
    """One call, as the ledger has it but for the event and the deliverer. `at` in microseconds since 1970 (UTC)."""

    request_id: str
    at: int
    answer: str
    http_status: int | None
    result_code: int | None
    detail: str | None
    status: str


class Record(NamedTuple):
    """What a ledger is rebuilt from, beside the event's `Row`. Instants in microseconds since 1970 (UTC)."""

    feed: str
    occurred_at: str | None
    scene: str | None
    department: str | None
    department_name: str | None
    card_type: str | None
    channel: str | None
    cost_type: str | None
    digest: str
    lane: int
    result_code: int | None
    staged_at: int
    settled_at: int | None
    voided_at: int | None
    changed_at: int | None
    vanished_at: int | None
    calls: tuple[Call, ...]

    @property
    def text(self) -> str:
        """As the pack has it: plain ASCII without tabs."""
        return json.dumps([*self[:-1], [list(call) for call in self.calls]], separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Record:
        """The inverse. Raises ValueError or TypeError."""
        *values, calls = json.loads(text)
        return cls._make([*values, tuple(map(Call._make, calls))])


class Live(NamedTuple):
    """The same event as the ledger has it now, with what tells a change with a trace from one without."""

    row: Row
    source_id: str
    record: Record
    staged_at: datetime
    chains: tuple[str, ...]
    called_at: tuple[datetime, ...]
    proved: bool
    forged: str | None = None
    """What of it has not the MAC of what the product writes."""


def hashed(*parts: object) -> str:
    """SHA-256 over parts, each behind its own length, so that no two lists give the same text."""
    text = "".join(f"{len(part)}:{part}" for part in map(str, parts))
    return hashlib.sha256(text.encode()).hexdigest()


def instant_text(value: datetime | None) -> str:
    """One spelling of an instant, whatever zone and precision the driver gave it in; none is ''."""
    return "" if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")


def microseconds(value: datetime) -> int:
    """An instant as a number."""
    return (value - _EPOCH) // _MICROSECOND


def instant(value: int) -> datetime:
    """The inverse."""
    return _EPOCH + value * _MICROSECOND


# Not the department and the cost type: where they are not sent, staging lets them follow the HIS; where they are, the
# payload's digest covers them.
_CONTENT: Final = ("feed", "source_id", "day", "occurred_at", "scene", "card_type", "channel", "digest")
_CALL: Final = ("request_id", "at", "answer", "http_status", "result_code", "status")
_PLAIN: Final = ("department", "department_name", "cost_type", "lane", "result_code", "settled_at")


def live(connection: Connection, hospital: str, day: date) -> Iterator[Live]:
    """Every event of a day with its calls, by key; a stream, whatever the size of the day."""
    marks = ("vanished_at", "voided_at", "changed_at")
    named = ("key", "request_id", "generation", "status", *marks, "staged_at", "digest_key", *_CONTENT, *_PLAIN)
    columns = [event.c[name] for name in (*named, "mac", "id")]
    calls = [attempt.c[name].label(f"call_{name}") for name in (*_CALL, "detail", "mac")]
    query = (
        select(*columns, attempt.c.id.label("call_id"), *calls)
        .select_from(event.outerjoin(attempt, attempt.c.event_id == event.c.id))
        .where(event.c.hospital == hospital, event.c.day == day)
        .order_by(event.c.key, attempt.c.id)
    )
    options = {"stream_results": True, "max_row_buffer": BATCH}
    checked = Checked(connection)
    with closing(connection.execute(query, execution_options=options)) as result:
        rows = (row for part in result.partitions(BATCH) for row in part)
        for key, group in groupby(rows, lambda row: row.key):
            yield _live(str(key), list(group), checked, day)


def chained(chain: str, call: Call) -> str:
    """The chain of attempts, one call longer; it begins as ''."""
    at = instant_text(instant(call.at))
    return hashed(chain, call.request_id, at, call.answer, call.http_status, call.result_code, call.status)[:32]


def _live(key: str, rows: list[Any], checked: Checked, day: date) -> Live:
    event_row = rows[0]
    content_row = [getattr(event_row, name) if name != "day" else day for name in CONTENT]
    forged = None
    if not checked.is_ours(event_row.mac, event_row.id, event_row.staged_at, day, "event", content_row):
        forged = "row was not written by us"
    chain, proved = "", False
    chains: list[str] = []
    called_at: list[datetime] = []
    calls: list[Call] = []
    for row in rows:
        if row.call_id is None:
            break
        call = Call(
            row.call_request_id,
            microseconds(row.call_at),
            row.call_answer,
            row.call_http_status,
            row.call_result_code,
            row.call_detail,
            row.call_status,
        )
        values = [getattr(row, f"call_{name}") for name in CALL]
        if not checked.is_ours(row.call_mac, row.call_id, row.call_at, day, "call", [key, *values]):
            forged = forged or "call was not written by us"
        chain = chained(chain, call)
        chains.append(chain)
        called_at.append(row.call_at)
        calls.append(call)
        proved = proved or row.call_status == "delivered"
    content = hashed(*(getattr(event_row, name) for name in _CONTENT))[:32]
    marks = "".join(
        letter
        for letter, name in (("x", "vanished_at"), ("v", "voided_at"), ("c", "changed_at"))
        if getattr(event_row, name)
    )
    row = Row(
        key,
        event_row.request_id,
        event_row.generation,
        event_row.status,
        marks or "-",
        content,
        len(chains),
        chain or "-",
    )
    return Live(
        row,
        event_row.source_id,
        _record(event_row, calls),
        event_row.staged_at,
        tuple(chains),
        tuple(called_at),
        proved,
        forged,
    )


def _record(row: Any, calls: list[Call]) -> Record:
    def number(value: datetime | None) -> int | None:
        return None if value is None else microseconds(value)

    return Record(
        row.feed,
        None if row.occurred_at is None else row.occurred_at.isoformat(),
        row.scene,
        row.department,
        row.department_name,
        row.card_type,
        row.channel,
        row.cost_type,
        row.digest if row.digest_key is None else f"{row.digest} {row.digest_key}",
        row.lane,
        row.result_code,
        microseconds(row.staged_at),
        number(row.settled_at),
        number(row.voided_at),
        number(row.changed_at),
        number(row.vanished_at),
        tuple(calls),
    )


class Written(NamedTuple):
    """A pack that was made, with its digest (SHA-256 over its lines) and counts."""

    path: Path
    digest: str
    events: int
    attempts: int
    platform: ReportedTo | None
    forged: tuple[tuple[str, str], ...] = ()
    """Keys of events that the product did not write, and how that shows; the pack has them all the same."""


def write(
    connection: Connection, keyring: Keyring, hospital: str, day: date, folder: Path, figures: Iterable[str] = ()
) -> Written:
    """The pack of a day as a file that has no name of its own and no link yet. `figures`: lines behind its first."""
    make_private(folder / hospital)
    path = folder / hospital / f".{day.isoformat()}.{uuid4().hex}.tmp"
    digest, events, attempts = hashlib.sha256(), 0, 0
    source_ids: list[str] = []
    forged: list[tuple[str, str]] = []
    # Without a time in its head, and with a name of its own, the same lines give the same bytes.
    with new_file(path) as raw, gzip.GzipFile("", fileobj=raw, mode="wb", mtime=0, compresslevel=3) as file:

        def put(line: str) -> None:
            digest.update(line.encode("ascii"))
            file.write(line.encode("ascii"))

        def put_keys(place: str) -> None:
            plain = zlib.compress(json.dumps(source_ids).encode(), 3)
            sealed = keyring.seal_lasting(plain, bound_to=place.encode())
            put(f"{KEYS}{sealed.key_id}\t{base64.b64encode(sealed.blob).decode()}\n")
            source_ids.clear()

        last = ""
        put(f"# {FORM} {hospital} {day.isoformat()}\n")
        for line in figures:
            put(line)
        for current in live(connection, hospital, day):
            put(f"{current.row.line[:-1]}\t{current.record.text}\n")
            events += 1
            attempts += current.row.attempts
            if current.forged is not None:
                forged.append((current.row.key, current.forged))
            source_ids.append(current.source_id)
            last = current.row.key
            if len(source_ids) == BATCH:
                put_keys(f"{hospital} {day} {last}")
        if source_ids:
            put_keys(f"{hospital} {day} {last}")
    with path.open("rb") as made:
        os.fsync(made.fileno())
    return Written(path, digest.hexdigest(), events, attempts, reported_to(connection, hospital), tuple(forged))


class ReportedTo(NamedTuple):
    """The platform of a hospital, as table `binding` has it. `before`: (host, appId, hospital's id there) that the same
    platform had until it was moved."""

    host: str
    app_id: str
    platform_hospital: str
    before: tuple[tuple[str | None, str, str | None], ...] = ()

    @property
    def known_as(self) -> set[tuple[str | None, str, str | None]]:
        """All that the platform is known by."""
        return {(self.host, self.app_id, self.platform_hospital), *self.before}


def reported_to(connection: Connection, hospital: str) -> ReportedTo | None:
    """What the ledger says of it; None: the hospital is bound to no platform yet."""
    of_hospital = select(binding.c.host, binding.c.app_id, binding.c.platform_hospital)
    row = connection.execute(of_hospital.where(binding.c.hospital == hospital)).one_or_none()
    if row is None:
        return None
    columns = (platform_move.c.from_host, platform_move.c.from_app_id, platform_move.c.from_hospital)
    moved = select(*columns).where(platform_move.c.hospital == hospital, platform_move.c.kind == "moved")
    before = [tuple(move) for move in connection.execute(moved.order_by(platform_move.c.id))]
    return ReportedTo(*row, tuple(before))


def platform_of(path: Path, keyring: Keyring) -> ReportedTo | None:
    """What a pack says of it. Raises ValueError (its seal is not ours), TypeError, KeyError or one of UNREADABLE."""
    link, *rest = _tail(path)
    if not rest:
        return None
    said, _, seal = rest[0][len(PLATFORM) :].partition("\t")
    if keyring.digest(link[len(LINK) :] + said) != seal:
        raise ValueError("seal")
    values = json.loads(said)
    return ReportedTo(**values | {"before": tuple(map(tuple, values["before"]))})


def add_link(written: Written, keyring: Keyring, text: str) -> None:
    """Put the link (JSON) behind a pack that was written, and the platform."""
    path = written.path
    platform = ""
    if written.platform is not None:
        said = json.dumps(written.platform._asdict())
        platform = f"{PLATFORM}{said}\t{keyring.digest(text + said)}\n"
    with path.open("ab") as raw, gzip.GzipFile("", fileobj=raw, mode="wb", mtime=0) as file:
        file.write(f"{LINK}{text}\n{platform}".encode("ascii"))
    with path.open("rb") as made:
        os.fsync(made.fileno())


def link_text(path: Path) -> str | None:
    """The link (JSON) behind a pack, read without the pack; None: it has none. Raises one of UNREADABLE."""
    tail = _tail(path)
    return tail[0][len(LINK) :] if tail else None


def _tail(path: Path) -> list[str]:
    """The lines behind a pack, the link first; none: it has no link."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 4096))
        tail = file.read()
    at = tail.rfind(_GZIP)
    while at >= 0:
        try:
            text = gzip.decompress(tail[at:])
        except UNREADABLE:
            text = b""
        if text.startswith(LINK.encode()):
            return text.decode("ascii", "replace").splitlines()
        at = tail.rfind(_GZIP, 0, at)
    return []


_GZIP: Final = b"\x1f\x8b\x08"


def head(path: Path) -> tuple[str, str, str] | None:
    """Form, hospital and day that a pack names in its first line; None: it is no pack. Raises one of UNREADABLE."""
    with gzip.open(path, "rb") as file:
        words = file.readline(200).decode("ascii", "replace").split()
    if len(words) != 4 or words[0] != "#" or words[1] not in FORMS:
        return None
    return words[1], words[2], words[3]


def read(path: Path) -> Iterator[Row | None]:
    """The rows of a pack; None for a line that cannot be read."""
    with gzip.open(path, "rt", encoding="ascii", errors="backslashreplace", newline="\n") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            try:
                yield Row.parse(line)
            except ValueError:
                yield None


class Kept(NamedTuple):
    """One event of a pack with all that a ledger is rebuilt from. `source_id`: the HIS's own key of the row."""

    row: Row
    record: Record
    source_id: str


def read_records(path: Path, keyring: Keyring, hospital: str, day: date) -> Iterator[list[Kept]]:
    """The events of a pack of this form, 5,000 at a time. Its digest was compared, so it is as it was written.

    Raises WrongKey, ValueError or TypeError.
    """
    batch: list[tuple[Row, Record]] = []
    with gzip.open(path, "rt", encoding="ascii", newline="\n") as lines:
        for line in lines:
            if line.startswith(KEYS):
                _, key_id, blob = line.rstrip("\n").split("\t")
                place = f"{hospital} {day} {batch[-1][0].key}" if batch else ""
                plain = keyring.open(Sealed(key_id, base64.b64decode(blob)), bound_to=place.encode())
                source_ids = json.loads(zlib.decompress(plain))
                yield [Kept(*pair, str(source_id)) for pair, source_id in zip(batch, source_ids, strict=True)]
                batch = []
            elif not line.startswith("#"):
                batch.append((Row.parse(line), Record.parse(line.rstrip("\n").split("\t", 8)[8])))
    if batch:
        raise ValueError("lines without their keys")


def digest_of(path: Path) -> str | None:
    """SHA-256 over the lines of a pack but those behind it; None: it cannot be read."""
    digest = hashlib.sha256()
    behind = (LINK.encode(), PLATFORM.encode())
    try:
        with gzip.open(path, "rb") as file:
            for line in file:
                if not line.startswith(behind):
                    digest.update(line)
    except UNREADABLE:
        return None
    return digest.hexdigest()

"""Pack: the events of a day, each as a line that says how it stood and not who it was about.

One gzipped file a hospital and day, one line an event, in the order of the event keys:

    key  request id  generation  state  marks  content  attempts  chain of attempts

`content` is a digest over what is sent (feed, key of the HIS, time, codes, the payload's own keyed digest); the chain
of attempts covers every call in order, so that an earlier state of it can be found again in a longer one. Nothing in it
says who a patient is.
The head names hospital and day, and the platform (host, appId, hospital id) that the events stood for when sealed.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select

from card_usage.ledger.schema import attempt, binding, event

FORM: Final = "card-usage-evidence/1"
BATCH: Final = 5_000


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


def hashed(*parts: object) -> str:
    """SHA-256 over parts, each behind its own length, so that no two lists give the same text."""
    text = "".join(f"{len(part)}:{part}" for part in map(str, parts))
    return hashlib.sha256(text.encode()).hexdigest()


def instant_text(value: datetime | None) -> str:
    """One spelling of an instant, whatever zone and precision the driver gave it in; none is ''."""
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
    event_row = rows[0]
    chain, proved = "", False
    chains: list[str] = []
    called_at: list[datetime] = []
    for row in rows:
        if row.call_id is None:
            break
        call = (getattr(row, f"call_{name}") for name in _CALL)
        chain = hashed(chain, *(instant_text(part) if isinstance(part, datetime) else part for part in call))[:32]
        chains.append(chain)
        called_at.append(row.call_at)
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
    return Live(row, event_row.staged_at, tuple(chains), tuple(called_at), proved)


class Written(NamedTuple):
    """A pack that was made, with its digest (SHA-256 over its lines) and counts."""

    path: Path
    digest: str
    events: int
    attempts: int


def write(connection: Connection, hospital: str, day: date, folder: Path) -> Written:
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
        if (row := connection.execute(select(binding).where(binding.c.hospital == hospital)).one_or_none()) is not None:
            put(f"# platform {row.host!a} {row.app_id!a} {row.platform_hospital!a}\n")
        for current in live(connection, hospital, day):
            put(current.row.line)
            events += 1
            attempts += current.row.attempts
    with path.open("rb") as made:
        os.fsync(made.fileno())
    return Written(path, digest.hexdigest(), events, attempts)


def read(path: Path) -> Iterator[Row | None]:
    """The rows of a pack; None for a line that cannot be read."""
    with gzip.open(path, "rt", encoding="ascii", newline="\n") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            try:
                yield Row.parse(line)
            except ValueError:
                yield None


def digest_of(path: Path) -> str | None:
    """SHA-256 over the lines of a pack; None: it cannot be read."""
    digest = hashlib.sha256()
    try:
        with gzip.open(path, "rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    except (OSError, EOFError):
        return None
    return digest.hexdigest()

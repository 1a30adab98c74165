"""Statement import: files, or a drop folder of them, into the ledger, each day weighed against the answers at once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DataError, IntegrityError

from card_usage.config.hospital import Hospital
from card_usage.errors import StatementError
from card_usage.files.atomic import demand_no_link, write_atomically
from card_usage.files.delimited import shown_name
from card_usage.ledger.database import Ledger
from card_usage.plain_text import raised_at
from card_usage.reconciliation import statement_store, watermark
from card_usage.reconciliation.reconcile import weigh_statement
from card_usage.reconciliation.statement_files import ENDINGS, ImportOptions, Reader
from card_usage.reconciliation.statement_match import PlatformDay
from card_usage.reconciliation.statement_store import Statement

log = logging.getLogger(__name__)

_SUPPORT: Final = "hand it in with a message to support"


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """One statement that was imported, and how it stands against the answers."""

    file: str
    layout: str
    hospital: str
    day: date
    uses: int
    against: PlatformDay

    def summary(self) -> dict[str, object]:
        """Counts only, fit for logs and XCom."""
        return {
            "file": self.file,
            "layout": self.layout,
            "hospital": self.hospital,
            "day": self.day.isoformat(),
            "uses": self.uses,
            "proved": self.against.proved,
            "missing": self.against.missing,
            "surplus": self.against.surplus,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesImport:
    """What came of some files: statements imported, and the first problem of each file that was refused."""

    imported: tuple[Imported, ...]
    refused: tuple[StatementError, ...]


def import_files(
    ledger: Ledger,
    reader: Reader,
    hospitals: Mapping[str, Hospital],
    paths: Iterable[Path],
    options: ImportOptions,
    *,
    now: datetime,
) -> FilesImport:
    """Import each file whole or not at all, and weigh its days against the ledger. No file holds up the others."""
    imported: list[Imported] = []
    refused: list[StatementError] = []
    for path in paths:
        try:
            imported += _stored(ledger, hospitals, path, _read(reader, path, options, now), now)
        except StatementError as problem:
            refused.append(problem)
    return FilesImport(imported=tuple(imported), refused=tuple(refused))


def _stored(
    ledger: Ledger, hospitals: Mapping[str, Hospital], path: Path, statements: Sequence[Statement], now: datetime
) -> list[Imported]:
    """What a file holds, in the ledger. What the ledger cannot hold is the file's own problem."""
    try:
        return _store(ledger, hospitals, statements, now=now)
    except (DataError, IntegrityError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        log.error("%s cannot be stored: %s", shown_name(path), raised_at(error))
        raise _problem(path, f"cannot be stored ({type(error).__name__}): {_SUPPORT}") from None


def _store(
    ledger: Ledger, hospitals: Mapping[str, Hospital], statements: Sequence[Statement], *, now: datetime
) -> list[Imported]:
    with ledger.write() as connection:
        statement_store.save(connection, statements, now=now)
    imported = [
        Imported(
            file=statement.file,
            layout=statement.layout,
            hospital=statement.hospital,
            day=statement.day,
            uses=statement.uses,
            against=weigh_statement(ledger, hospitals[statement.hospital], statement.day, now=now),
        )
        for statement in statements
    ]
    for hospital in sorted({statement.hospital for statement in statements}):
        watermark.advance(ledger, hospitals[hospital], now=now)
    return imported


def import_folder(
    ledger: Ledger,
    reader: Reader,
    hospitals: Mapping[str, Hospital],
    folder: Path,
    *,
    now: datetime,
    settle_seconds: float = 5,
) -> FilesImport:
    """Import every file of a drop folder. Each goes to imported/, or to refused/ with its problem in a text beside it.

    Files that were written less than `settle_seconds` ago wait for the next time: somebody may still be writing.
    """
    imported: list[Imported] = []
    refused: list[StatementError] = []
    for path in waiting(folder, now=now, settle_seconds=settle_seconds):
        taken = import_files(ledger, reader, hospitals, [path], ImportOptions(), now=now)
        imported += taken.imported
        refused += taken.refused
        _put_away(path, folder / ("refused" if taken.refused else "imported"), now, refused)
    return FilesImport(imported=tuple(imported), refused=tuple(refused))


def _read(reader: Reader, path: Path, options: ImportOptions, now: datetime) -> list[Statement]:
    """The statements of a file. Whatever is wrong with it is its own problem, also what nobody thought of."""
    try:
        return reader.read(path, options, now=now)
    except StatementError:
        raise
    except Exception as error:
        log.error("%s cannot be read: %s", shown_name(path), raised_at(error))
        raise _problem(path, f"cannot be read ({type(error).__name__}): {_SUPPORT}") from None


def _put_away(path: Path, into: Path, now: datetime, refused: list[StatementError]) -> None:
    """Move a file, with its problem beside it if it was refused. A folder that takes nothing holds up no other file."""
    try:
        moved = _move(path, into, now)
        if into.name == "refused":
            write_atomically(moved.with_name(f"{moved.name}.txt"), f"{refused[-1]}\n".encode(), mode=0o644)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        refused.append(_problem(path, f"cannot be moved to {into.name}/ ({reason}): give this user the right to"))


def _problem(path: Path, problem: str) -> StatementError:
    return StatementError(path=shown_name(path), line=1, field="(file)", problem=problem)


def waiting(folder: Path, *, now: datetime, settle_seconds: float = 5) -> list[Path]:
    """Statements that lie in a drop folder, whole ones only, the oldest first."""
    settled = []
    for path in folder.glob("*") if folder.is_dir() else ():
        if path.suffix.lower() in ENDINGS and path.is_file() and not path.name.startswith((".", "~")):
            try:
                changed = path.stat().st_mtime
            except OSError:  # somebody took it away
                continue
            if now.timestamp() - changed >= settle_seconds:
                settled.append((changed, path.name, path))
    return [path for _, _, path in sorted(settled)]


def _move(path: Path, into: Path, now: datetime) -> Path:
    into.mkdir(exist_ok=True)
    demand_no_link(into)
    target = into / path.name
    if target.exists():
        target = into / f"{path.stem}.{now:%Y%m%dT%H%M%S%f}{path.suffix}"
    return path.replace(target)

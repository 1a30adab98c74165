"""Drop folder: where people lay the platform's statements, and where they go from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from card_usage.config.hospital import Hospital
from card_usage.errors import StatementError
from card_usage.ledger.database import Ledger
from card_usage.reconciliation.statement_files import ENDINGS, Given, Imported, Reader, import_files


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What came of a drop folder: statements imported, and the first problem of each file that was refused."""

    imported: tuple[Imported, ...]
    refused: tuple[StatementError, ...]


def take_in(
    ledger: Ledger,
    reader: Reader,
    hospitals: Mapping[str, Hospital],
    folder: Path,
    *,
    now: datetime,
    settle_seconds: float = 5,
) -> Taken:
    """Import every file of a drop folder. Each goes to imported/, or to refused/ with its problem in a text beside it.

    Files that were written less than `settle_seconds` ago wait for the next time: somebody may still be writing.
    """
    imported: list[Imported] = []
    refused: list[StatementError] = []
    for path in waiting(folder, now=now, settle_seconds=settle_seconds):
        try:
            imported += import_files(ledger, reader, hospitals, [path], Given(), now=now)
        except StatementError as problem:
            refused.append(problem)
            moved = _move(path, folder / "refused", now)
            moved.with_name(f"{moved.name}.txt").write_text(f"{problem}\n", encoding="utf-8")
        else:
            _move(path, folder / "imported", now)
    return Taken(imported=tuple(imported), refused=tuple(refused))


def waiting(folder: Path, *, now: datetime, settle_seconds: float = 5) -> list[Path]:
    """Statements that lie in a drop folder, whole ones only, the oldest first."""
    found = []
    for path in folder.glob("*") if folder.is_dir() else ():
        if path.suffix.lower() in ENDINGS and path.is_file() and not path.name.startswith((".", "~")):
            changed = path.stat().st_mtime
            if now.timestamp() - changed >= settle_seconds:
                found.append((changed, path.name, path))
    return [path for _, _, path in sorted(found)]


def _move(path: Path, into: Path, now: datetime) -> Path:
    into.mkdir(exist_ok=True)
    target = into / path.name
    if target.exists():
        target = into / f"{path.stem}.{now:%Y%m%dT%H%M%S%f}{path.suffix}"
    return path.replace(target)

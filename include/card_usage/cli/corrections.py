"""Corrections: `corrections` lists or exports what the HIS refunded or changed after it was sent."""

from __future__ import annotations

from pathlib import Path

from card_usage.cli.arguments import day_arguments
from card_usage.cli.command import Commands, Invocation, Result, add_command
from card_usage.errors import FileUnusable
from card_usage.files.atomic import write_atomically
from card_usage.files.xlsx import comma_separated, workbook
from card_usage.onboarding.sql_requirements import requirements_of
from card_usage.reconciliation.corrections import corrections, sheet
from card_usage.words.catalogue import Words

_SUFFIXES = (".csv", ".xlsx")


def _corrections(invocation: Invocation) -> Result:
    """As a table, or with --file as CSV or XLSX for hospital and platform."""
    path: Path | None = invocation.args.file
    if path is not None and path.suffix.lower() not in _SUFFIXES:
        raise FileUnusable(path=path.as_posix(), reason="is neither .csv nor .xlsx")
    with invocation.context() as context:
        hospital = context.hospital
        words = Words(hospital.report.language)
        tables = {feed: next(iter(requirements_of(hospital.his.shape, feed).reads), "") for feed in hospital.his.feeds}
        with context.ledger.read() as connection:
            listed = sheet(corrections(connection, hospital.id, invocation.window), tables, words)
    heads = [column.head for column in listed.columns]
    rows = [{head: str(value) for head, value in zip(heads, row, strict=True)} for row in listed.rows]
    if path is None:
        return Result(output={"corrections": rows or words("corrections.none")})
    if path.suffix.lower() == ".csv":
        content = comma_separated(listed).encode()
    else:
        content = workbook([listed], title=listed.title, made_at=invocation.now)
    write_atomically(path, content)
    written = words("corrections.written", count=len(rows), path=path.as_posix())
    return Result(output={"corrections": written})


def add_commands(commands: Commands) -> None:
    """Add `corrections`."""
    description = "what the HIS refunded or changed after it was sent, for hospital and platform"
    command = add_command(commands, "corrections", _corrections, description, day_arguments())
    command.add_argument("--file", type=Path, metavar="PATH", help="write a .csv or .xlsx file instead")

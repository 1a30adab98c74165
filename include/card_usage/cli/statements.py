"""Statements: `statement import` and `statement take` import the platform's statements into the ledger."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from card_usage.cli.arguments import day
from card_usage.cli.command import Commands, CommandStopped, Invocation, Output, Result, add_command, add_group
from card_usage.config.hospital import load_valid_hospitals
from card_usage.errors import FileUnusable
from card_usage.reconciliation.statement_files import ImportOptions, Reader
from card_usage.reconciliation.statement_import import FilesImport, import_files, import_folder
from card_usage.windows import instant


def _import(invocation: Invocation) -> Result:
    args = invocation.args
    hospitals = {hospital.id: hospital for hospital in load_valid_hospitals(invocation.settings.hospitals).hospitals}
    options = ImportOptions(layout=args.layout, hospital=args.hospital, day=args.day, as_of=args.as_of)
    with invocation.ledger() as ledger:
        taken = import_files(ledger, Reader.of(invocation.settings), hospitals, args.files, options, now=invocation.now)
    if len(args.files) == 1 and taken.refused:
        raise taken.refused[0]
    return _result(taken)


def _take(invocation: Invocation) -> Result:
    hospitals = {hospital.id: hospital for hospital in load_valid_hospitals(invocation.settings.hospitals).hospitals}
    folder = invocation.args.folder or invocation.settings.statements
    if invocation.args.folder and not folder.is_dir():
        raise FileUnusable(path=folder.as_posix(), reason="no such folder")
    with invocation.ledger() as ledger:
        taken = import_folder(ledger, Reader.of(invocation.settings), hospitals, folder, now=invocation.now)
    return _result(taken)


def _result(taken: FilesImport) -> Result:
    """What was imported. Raises CommandStopped, with that and every problem, if a file was refused."""
    summaries = [statement.summary() for statement in taken.imported]
    output: Output = {"statement": summaries or "nothing to import"}
    if taken.refused:
        output["refused"] = [str(problem) for problem in taken.refused]
        raise CommandStopped(output, taken.refused[0])
    return Result(settled=all(statement.against.clean for statement in taken.imported), output=output)


def _moment(text: str) -> datetime:
    """A local date and time."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no time: write it as 2026-11-23T08:30") from None
    return value.astimezone(UTC) if value.tzinfo else instant(value)


def add_commands(commands: Commands) -> None:
    """Add `statement import` and `statement take`."""
    group = add_group(commands, "statement", "the platform's daily statements: import, take")
    json = argparse.ArgumentParser(add_help=False)
    json.add_argument("--json", action="store_true", help="print the result as JSON")
    files = add_command(
        group, "import", _import, "import CSV or XLSX files, each whole or not at all, and weigh them", json
    )
    files.add_argument("files", nargs="+", type=Path, metavar="FILE")
    files.add_argument("--layout", metavar="NAME", help="of include/statement_layouts; the one that fits if not said")
    files.add_argument("--hospital", metavar="ID", help="for files that do not say it")
    files.add_argument("--day", type=day, metavar="DATE", help="for files that do not say it")
    files.add_argument(
        "--as-of", type=_moment, metavar="TIME", help="when it was exported (local); the file's own time if not said"
    )
    folder = add_command(group, "take", _take, "import whatever lies in the drop folder", json)
    folder.add_argument("folder", nargs="?", type=Path, help="CARD_USAGE_STATEMENTS if not said")
    folder.set_defaults(hospital=None)

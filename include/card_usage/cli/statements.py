"""statement import and statement take: the platform's own statements into the ledger."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from card_usage.cli.arguments import Call, Result, Stopped, Verbs, day, verb
from card_usage.config.hospital import load_hospitals
from card_usage.errors import FileUnusable
from card_usage.reconciliation.statement_files import ImportOptions, Reader
from card_usage.reconciliation.statement_import import import_files, import_folder
from card_usage.windows import instant


def _import(call: Call) -> Result:
    args = call.args
    hospitals = {one.id: one for one in load_hospitals(call.settings.hospitals)}
    given = ImportOptions(layout=args.layout, hospital=args.hospital, day=args.day, as_of=args.as_of)
    with call.ledger() as ledger:
        found = import_files(ledger, Reader.of(call.settings), hospitals, args.files, given, now=call.now)
    return {"statement": [one.summary() for one in found]}, all(one.against.clean for one in found)


def _take(call: Call) -> Result:
    hospitals = {one.id: one for one in load_hospitals(call.settings.hospitals)}
    folder = call.args.folder or call.settings.statements
    if call.args.folder and not folder.is_dir():
        raise FileUnusable(path=folder.as_posix(), reason="no such folder")
    with call.ledger() as ledger:
        taken = import_folder(ledger, Reader.of(call.settings), hospitals, folder, now=call.now)
    told = {"statement": [one.summary() for one in taken.imported] or "nothing to import"}
    if taken.refused:
        raise Stopped(told | {"refused": [str(problem) for problem in taken.refused]}, taken.refused[0])
    return told, all(one.against.clean for one in taken.imported)


def _moment(text: str) -> datetime:
    """A local date and time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no time: write it as 2026-11-23T08:30") from None
    return found.astimezone(UTC) if found.tzinfo else instant(found)


def add(verbs: Verbs) -> None:
    """Add these verbs."""
    parts = verbs.add_parser("statement", help="the platform's daily statements: import, take").add_subparsers(
        dest="what", required=True, metavar="WHAT"
    )
    json = argparse.ArgumentParser(add_help=False)
    json.add_argument("--json", action="store_true", help="print the result as JSON")
    one = verb(parts, "import", _import, "import CSV or XLSX files, all or none, and weigh them", json)
    one.add_argument("files", nargs="+", type=Path, metavar="FILE")
    one.add_argument("--layout", metavar="NAME", help="of include/statement_layouts; the one that fits if not said")
    one.add_argument("--hospital", metavar="ID", help="for files that do not say it")
    one.add_argument("--day", type=day, metavar="DATE", help="for files that do not say it")
    one.add_argument(
        "--as-of", type=_moment, metavar="TIME", help="when it was exported (local); the file's own time if not said"
    )
    many = verb(parts, "take", _take, "import whatever lies in the drop folder", json)
    many.add_argument("folder", nargs="?", type=Path, help="CARD_USAGE_STATEMENTS if not said")
    many.set_defaults(hospital=None)

"""Warehouse: `warehouse` writes the warehouse from the ledger and holds it against it."""

from __future__ import annotations

from card_usage.cli.arguments import day, day_arguments
from card_usage.cli.command import Commands, Invocation, Result, add_command, add_group
from card_usage.config.hospital import load_valid_hospitals
from card_usage.warehouse import run
from card_usage.warehouse.check import check
from card_usage.windows import day_windows

_MOST: int = 50
"""Differences that are listed."""


def _build(invocation: Invocation) -> Result:
    args = invocation.args
    days = [window.day for window in day_windows(args.first, args.last)]
    with invocation.context() as context:
        store = context.settings.store
        built = run.build_days(context.ledger, store, context.hospital, days, now=invocation.now)
    return Result(settled=not built.failed, output={"built": built._asdict()})


def _rebuild(invocation: Invocation) -> Result:
    hospitals = load_valid_hospitals(invocation.settings.hospitals).hospitals
    with invocation.ledger() as ledger:
        rebuilt = run.rebuild(ledger, invocation.settings.store, hospitals, now=invocation.now)
    output = {"built": rebuilt.built._asdict(), "compacted": rebuilt.compacted._asdict()}
    return Result(settled=not rebuilt.built.failed, output=output)


def _compact(invocation: Invocation) -> Result:
    with invocation.ledger() as ledger:
        compacted = run.compact_and_publish(ledger, invocation.settings.store)
    return Result(output={"compacted": compacted._asdict()})


def _check(invocation: Invocation) -> Result:
    args = invocation.args
    with invocation.ledger() as ledger:
        checked = check(ledger, invocation.settings.store, hospital=args.hospital, first=args.first, last=args.last)
    rows = [
        {
            "where": one.where,
            "hospital": one.hospital,
            "day": one.day.isoformat(),
            "ledger": one.ledger.records,
            "warehouse": one.warehouse.records,
            "valid in ledger": one.ledger.uses,
            "valid in warehouse": one.warehouse.uses,
        }
        for one in checked.differences
    ]
    equation = {
        "days": checked.days,
        "ledger": checked.ledger.records,
        "warehouse": checked.warehouse.records,
        "differing": len(rows),
    }
    return Result(settled=not rows, output={"check": equation, "differences": rows[:_MOST] or "none"})


def add_commands(commands: Commands) -> None:
    """Add `warehouse`."""
    what = add_group(commands, "warehouse", "the warehouse of card uses: build, rebuild, compact, check")
    add_command(what, "build", _build, "write days of a hospital that have changed", day_arguments())
    rebuild = add_command(what, "rebuild", _rebuild, "write everything anew from the ledger")
    compact = add_command(what, "compact", _compact, "put days together by month, and sum them in advance")
    checks = add_command(what, "check", _check, "hold it against the ledger, day by day")
    checks.add_argument("--hospital", metavar="ID", help="one hospital; all if not given")
    checks.add_argument("--from", dest="first", type=day, metavar="DATE", help="first local day")
    checks.add_argument("--to", dest="last", type=day, metavar="DATE", help="last local day, included")
    for command in (rebuild, compact, checks):
        command.add_argument("--json", action="store_true", help="print the result as JSON")

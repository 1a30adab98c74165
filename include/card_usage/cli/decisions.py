"""Decisions: `decisions` shows who did what, by whom and when, and whether the record is as it was written."""

from __future__ import annotations

from card_usage.cli.arguments import whole_number
from card_usage.cli.command import Commands, Invocation, Output, Result, add_command
from card_usage.ledger import decisions
from card_usage.windows import local


def _decisions(invocation: Invocation) -> Result:
    args = invocation.args
    with invocation.ledger() as ledger, ledger.read() as connection:
        rows = decisions.recorded(connection, args.hospital, most=args.most)
        problems = list(decisions.problems(connection, ledger.keyring))
    listed = [
        row._asdict() | {"at": f"{local(row.at):%Y-%m-%d %H:%M:%S}", "old": row.old or "", "new": row.new or ""}
        for row in rows
    ]
    output: Output = {"decisions": listed or "none"}
    if problems:
        output["broken"] = [{"problem": problem} for problem in problems]
    return Result(settled=not problems, output=output)


def add_commands(commands: Commands) -> None:
    """Add `decisions`."""
    description = "who did what: every act and decision, the newest first; exit code 1 if it was tampered with"
    command = add_command(commands, "decisions", _decisions, description)
    command.add_argument("--hospital", metavar="ID", help="of one hospital, and of all at once (default: everything)")
    command.add_argument(
        "--most", type=whole_number(1, 1_000_000), default=100, metavar="N", help="at most so many (100)"
    )
    command.add_argument("--json", action="store_true", help="print the result as JSON")

"""Code mapping: `quality` shows what is quarantined and why, `aliases` proposes and applies aliases of local codes."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path

from card_usage.cli.arguments import day_arguments
from card_usage.cli.command import Commands, CommandStopped, Invocation, Output, Result, add_command, add_group
from card_usage.code_mapping import workbench
from card_usage.code_mapping.proposal import COLUMNS, Proposal, from_lines
from card_usage.code_mapping.suggestions import SURE
from card_usage.context import Context
from card_usage.errors import BadProposal
from card_usage.plain_text import harmless


def _quality(invocation: Invocation) -> Result:
    with invocation.context() as context:
        output: Output = workbench.overview(context, invocation.window)
        if invocation.args.xlsx:
            output["written"] = _workbook(
                context, invocation, workbench.suggested(context, invocation.window), invocation.args.xlsx
            )
        return Result(settled=not output["causes"], output=output)


def _workbook(context: Context, invocation: Invocation, suggested: workbench.Suggested, path: Path) -> str:
    from card_usage.code_mapping.workbook import workbook

    path.write_bytes(workbook(context.hospital, str(invocation.window), suggested, context.tables))
    return path.as_posix()


def _propose(invocation: Invocation) -> Result:
    """List the suggestions that are sure enough, and what they would release."""
    args = invocation.args
    with invocation.context() as context:
        suggested = workbench.suggested(context, invocation.window)
        choices = workbench.proposed(suggested, sure=args.sure)
        output: Output = workbench.plan(context, invocation.window, choices, now=invocation.now).summary(context)
        output["open"] = [
            {"table": gap.table, "local": gap.code, "name": gap.name or "", "events": gap.events}
            for gap, _ in suggested
            if not any((choice.table, choice.local) == (gap.table, gap.code) for choice in choices)
        ]
        if args.out is not None and args.out.suffix.lower() == ".xlsx":
            output["written"] = _workbook(context, invocation, suggested, args.out)
        elif args.out is not None:
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(
                (choice.table, harmless(choice.local), choice.standard, harmless(choice.note)) for choice in choices
            )
            # With a byte order mark Excel reads the file as UTF-8.
            args.out.write_text(text.getvalue(), encoding="utf-8-sig", newline="")
            output["written"] = args.out.as_posix()
    return Result(settled=not output["open"], output=output)


def _apply(invocation: Invocation) -> Result:
    """Show what the aliases would release; with --yes write the alias files and release the events."""
    args = invocation.args
    with invocation.context() as context:
        language = context.hospital.report.language
        if args.file is not None:
            proposal, source = workbench.read(context, args.file), args.file.name
        else:
            proposal, source = from_lines(args.set, context.tables, language), "--set"
        if not args.good_rows:
            proposal.demand(source)
        planned = workbench.plan(context, invocation.window, proposal.choices, now=invocation.now, replace=args.replace)
        output: Output = planned.summary(context)
        if planned.conflicts and not args.replace:
            kept = {change.choice for change in planned.conflicts}
            proposal = Proposal(tuple(choice for choice in proposal.choices if choice not in kept), proposal.problems)
            output["not_replaced"] = f"{len(kept)} codes already mean something else: add --replace to change them"
        if args.yes:
            files, result = workbench.carry_out(context, invocation.window, proposal.choices, now=invocation.now)
            output["written"] = [path.as_posix() for path in files] or "nothing: the files say so already"
            output["released"] = result.released
        else:
            output["dry_run"] = "nothing was changed: add --yes"
    if proposal.problems:
        try:
            proposal.demand(source)
        except BadProposal as bad:
            raise CommandStopped(output, bad) from None
    return Result(output=output)


def add_commands(commands: Commands) -> None:
    """Add `quality`, `aliases propose` and `aliases apply`."""
    days = day_arguments()
    description = "what is quarantined and why, and what unmapped codes probably mean"
    quality = add_command(commands, "quality", _quality, description, days)
    quality.add_argument("--xlsx", type=Path, metavar="FILE", help="write the gaps as a spreadsheet to fill in")
    group = add_group(commands, "aliases", "mend the mapping of local codes")
    description = "what sure suggestions would release; sends and changes nothing"
    propose = add_command(group, "propose", _propose, description, days)
    propose.add_argument(
        "--sure", type=_score, default=SURE, metavar="SCORE", help="from 0 to 1 (default: %(default)s)"
    )
    propose.add_argument("--out", type=Path, metavar="FILE", help="write them as .csv, or all gaps as .xlsx")
    description = "a filled-in list: what it would release, and with --yes write it and release"
    apply = add_command(group, "apply", _apply, description, days)
    source = apply.add_mutually_exclusive_group(required=True)
    source.add_argument("--file", type=Path, metavar="FILE", help="the list, .xlsx or .csv")
    source.add_argument("--set", action="append", metavar="TABLE:LOCAL=STANDARD", help="one alias; may be repeated")
    apply.add_argument("--yes", action="store_true", help="really do it; without it only a dry run")
    apply.add_argument("--replace", action="store_true", help="change codes that already mean something else")
    apply.add_argument(
        "--good-rows", action="store_true", help="apply the good rows though others are bad (exit code 1)"
    )


def _score(text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no score: from 0 to 1")
    return score

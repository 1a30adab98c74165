"""Code mapping: `quality` shows what is quarantined and why, `aliases` proposes, applies, lists, takes back and exports
aliases of local codes."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path
from typing import Final

from card_usage.cli.arguments import day_arguments, hospital_arguments
from card_usage.cli.command import Commands, CommandStopped, Invocation, Output, Result, add_command, add_group
from card_usage.code_mapping import workbench
from card_usage.code_mapping.proposal import COLUMNS, Proposal, from_lines
from card_usage.code_mapping.suggestions import SURE
from card_usage.context import Context
from card_usage.errors import BadProposal
from card_usage.events import CODE_TABLES
from card_usage.files.atomic import write_atomically
from card_usage.plain_text import harmless
from card_usage.standard.code_tables import fold


def _quality(invocation: Invocation) -> Result:
    with invocation.context() as context:
        output: Output = workbench.overview(context, invocation.window)
        if invocation.args.xlsx:
            output["written"] = _workbook(
                context, invocation, workbench.suggested(context, invocation.window), invocation.args.xlsx
            )
        if not output["conflicts"]:
            del output["conflicts"]
        return Result(settled=not output["causes"], output=output)


def _workbook(context: Context, invocation: Invocation, suggested: workbench.Suggested, path: Path) -> str:
    from card_usage.code_mapping.workbook import workbook

    write_atomically(path, workbook(context.hospital, str(invocation.window), suggested, context.tables))
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
            write_atomically(args.out, text.getvalue().encode("utf-8-sig"))
            output["written"] = args.out.as_posix()
    return Result(settled=not output["open"], output=output)


def _apply(invocation: Invocation) -> Result:
    """Show what the aliases would release; with --yes write the decisions and release the events."""
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
            written, result = workbench.carry_out(
                context, invocation.window, proposal.choices, by=invocation.actor, now=invocation.now
            )
            codes = [f"{choice.table}:{choice.local}={choice.standard}" for choice in written]
            output["decided"] = codes or "nothing: they mean that already"
            output["released"] = result.released
        else:
            output["dry_run"] = "nothing was changed: add --yes"
    if proposal.problems:
        try:
            proposal.demand(source)
        except BadProposal as bad:
            raise CommandStopped(output, bad) from None
    return Result(output=output)


_BY: Final = "for whom: a note beside the user of this system"
_UNDONE: Final = (
    "their alias files count again, if these have a line. What was sent stays sent and delivered; what was not sent is "
    "judged again when its days are staged again"
)


def _list(invocation: Invocation) -> Result:
    with invocation.context() as context:
        listed = workbench.decided(context, ended=invocation.args.all)
    return Result(output={"decisions": listed or "none"})


def _undo(invocation: Invocation) -> Result:
    """Take decisions back."""
    args = invocation.args
    with invocation.context() as context:
        effects = workbench.undoing(context, args.code, now=invocation.now)
        output: Output = effects.summary()
        if args.dry_run:
            return Result(settled=bool(effects.codes), output=output | {"dry_run": "nothing was changed"})
        undone, unknown = workbench.take_back(context, args.code, by=invocation.actor, now=invocation.now)
    output["undone"] = [":".join(code) for code in undone] or "nothing"
    if undone:
        output["then"] = _UNDONE
    if unknown:
        output["not decided"] = [":".join(code) for code in unknown]
    return Result(settled=not unknown, output=output)


def _export(invocation: Invocation) -> Result:
    """Write the decisions into alias files, for those who keep them in a repository."""
    args = invocation.args
    with invocation.context() as context:
        files = workbench.export(context, args.to or context.settings.aliases)
    return Result(output={"written": [path.as_posix() for path in files] or "nothing: the files say so already"})


def _code(text: str) -> tuple[str, str]:
    table, colon, local = text.partition(":")
    if not colon or not local.strip() or table not in CODE_TABLES:
        raise argparse.ArgumentTypeError(f"'{text}' is not TABLE:LOCAL; tables are {', '.join(CODE_TABLES)}")
    return table, fold(local)


def add_commands(commands: Commands) -> None:
    """Add `quality` and the group `aliases`."""
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
    description = "a filled-in list: what it would release, and with --yes decide so in the ledger and release"
    apply = add_command(group, "apply", _apply, description, days)
    source = apply.add_mutually_exclusive_group(required=True)
    source.add_argument("--file", type=Path, metavar="FILE", help="the list, .xlsx or .csv")
    source.add_argument("--set", action="append", metavar="TABLE:LOCAL=STANDARD", help="one alias; may be repeated")
    apply.add_argument("--yes", action="store_true", help="really do it; without it only a dry run")
    apply.add_argument("--replace", action="store_true", help="change codes that already mean something else")
    apply.add_argument(
        "--good-rows", action="store_true", help="apply the good rows though others are bad (exit code 1)"
    )
    apply.add_argument("--by", default="", metavar="NAME", help=_BY)
    listed = add_command(group, "list", _list, "what was decided, by whom and when", hospital_arguments())
    listed.add_argument("--all", action="store_true", help="also what was replaced or taken back")
    undo = add_command(group, "undo", _undo, "take decisions back; what was sent stays sent", hospital_arguments())
    undo.add_argument(
        "--code", action="append", required=True, type=_code, metavar="TABLE:LOCAL", help="one code; may be repeated"
    )
    undo.add_argument("--by", default="", metavar="NAME", help=_BY)
    undo.add_argument("--dry-run", action="store_true", help="change nothing, say how many events it would concern")
    export = add_command(group, "export", _export, "write the decisions into alias files", hospital_arguments())
    export.add_argument("--to", type=Path, metavar="FOLDER", help="instead of CARD_USAGE_ALIASES")


def _score(text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no score: from 0 to 1")
    return score

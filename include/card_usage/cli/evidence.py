"""Evidence: `verified`, `differences` and `evidence`: what is verified, what differs, and the chain of sealed days."""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import islice

from card_usage.cli.arguments import day, day_arguments, hospital_arguments, whole_number
from card_usage.cli.command import Commands, Invocation, Output, Result, add_command, add_group
from card_usage.config.hospital import load_hospital
from card_usage.delivery.binding import moves
from card_usage.evidence import seal
from card_usage.reconciliation import untimed, watermark
from card_usage.reconciliation.classes import DIFFERENCES, NAMED
from card_usage.reconciliation.differences import differences_of
from card_usage.windows import day_windows


def _verified(invocation: Invocation) -> Result:
    with invocation.context() as context, context.ledger.read() as connection:
        marks = watermark.marks(connection, context.hospital)
        moves = watermark.moves(connection, context.hospital.id, most=invocation.args.moves)
    output: Output = {"verified": [mark.summary() for mark in marks]}
    if moves:
        output["moves"] = moves
    return Result(settled=all(mark.through is not None for mark in marks), output=output)


def _differences(invocation: Invocation) -> Result:
    args = invocation.args
    with invocation.context() as context:
        differences = differences_of(context.ledger, context.hospital.id, invocation.window, now=invocation.now)
        selected = (record for record in differences if not args.kind or record.kind in args.kind)
        listed = list(islice(selected, args.most))
        not_listed = Counter(record.kind for record in selected)
        if not args.kind or untimed.KIND in args.kind:
            with context.ledger.read() as connection:
                # Rows without a key, rows that share one, and those beyond the keys that are kept.
                nameless = sum(part.rows - len(part.keys) for part in untimed.listed(connection, context.hospital.id))
            not_listed += Counter({untimed.KIND: nameless})
    rows = [record._asdict() | {"day": record.day.isoformat() if record.day else None} for record in listed]
    output: Output = {"differences": rows or "none"}
    if not_listed:
        output["not shown"] = dict(not_listed)
    return Result(settled=not rows and not not_listed, output=output)


def _make(invocation: Invocation) -> Result:
    """Seal what `seal_days` would, or with --from the days asked for, if they are verified."""
    args = invocation.args
    with invocation.context() as context:
        if args.first is None:
            links = seal.seal_days(context, now=invocation.now)
        else:
            with context.ledger.read() as connection:
                verified = watermark.verified_days(connection, context.hospital)
            days = [window.day for window in day_windows(args.first, args.last or args.first)]
            unverified = [day for day in days if verified is None or not verified[0] <= day <= verified[1]]
            if unverified:
                text = f"nothing sealed: {unverified[0]} is not verified, see `verified`"
                return Result(settled=False, output={"evidence": text})
            folder, hospital = invocation.settings.evidence, context.hospital.id
            made = (seal.seal_day(context.ledger, hospital, day, folder, now=invocation.now) for day in days)
            links = [link for link in made if link]
    return Result(output={"evidence": [link.summary() for link in links] or "nothing to seal"})


def _verify(invocation: Invocation) -> Result:
    args, settings = invocation.args, invocation.settings
    hospital = load_hospital(settings.hospitals, args.hospital).id
    with invocation.ledger() as ledger:
        verified = seal.verify(
            ledger,
            hospital,
            settings.evidence,
            first=args.first,
            last=args.last,
            head=args.head,
            reports=settings.store,
        )
        with ledger.read() as connection:
            moved = [move.summary() for move in moves(connection, hospital)]
    output: Output = {"evidence": verified.summary()}
    if moved:
        output["platform"] = moved
    return Result(settled=verified.sound, output=output)


def add_commands(commands: Commands) -> None:
    """Add `verified`, `differences`, `evidence make` and `evidence verify`."""
    verified = add_command(
        commands, "verified", _verified, "how far each feed is proved, and why no further", hospital_arguments()
    )
    verified.add_argument(
        "--moves",
        type=whole_number(0, 1_000_000),
        default=10,
        metavar="N",
        help="so many of the mark's last moves (10)",
    )
    differences = add_command(
        commands, "differences", _differences, "the records behind the counts, by class and key", day_arguments()
    )
    kinds = sorted(
        {*NAMED, *DIFFERENCES, untimed.KIND} - {"delivered", "voided", "platform_missing", "platform_surplus"}
    )
    differences.add_argument(
        "--class", dest="kind", action="append", choices=kinds, metavar="CLASS", help=", ".join(kinds)
    )
    differences.add_argument(
        "--most", type=whole_number(1, 10_000_000), default=1_000, metavar="N", help="list at most so many (1000)"
    )
    group = add_group(commands, "evidence", "the chain over sealed days: make, verify")
    days = argparse.ArgumentParser(add_help=False)
    days.add_argument("--from", dest="first", type=day, metavar="DATE", help="first local day")
    days.add_argument("--to", dest="last", type=day, metavar="DATE", help="last local day, inclusive")
    add_command(group, "make", _make, "seal verified days, or those that moved since", hospital_arguments(), days)
    verify = add_command(
        group, "verify", _verify, "say which day and row changed since it was sealed", hospital_arguments(), days
    )
    verify.add_argument("--head", metavar="HASH", help="a head that was noted elsewhere, to be found in the chain")

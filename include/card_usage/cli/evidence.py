"""verified, differences, evidence: what is proved, what speaks against it, and the chain that keeps it so."""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import islice
from typing import Any

from card_usage.cli.arguments import Call, Result, Verbs, day, for_days, for_hospital, verb, whole
from card_usage.config.hospital import load_hospital
from card_usage.evidence import seal as chain
from card_usage.reconciliation import watermark
from card_usage.reconciliation.classes import DIFFERENCES, NAMED
from card_usage.reconciliation.differences import differences_of
from card_usage.windows import day_windows


def _verified(call: Call) -> Result:
    with call.context() as context, context.ledger.read() as connection:
        marks = watermark.marks(connection, context.hospital)
        moves = watermark.moves(connection, context.hospital.id, most=call.args.moves)
    told: dict[str, Any] = {"verified": [mark.summary() for mark in marks]}
    return told | ({"moves": moves} if moves else {}), all(mark.through is not None for mark in marks)


def _differences(call: Call) -> Result:
    args = call.args
    with call.context() as context:
        found = differences_of(context.ledger, context.hospital.id, call.window, now=call.now)
        chosen = (one for one in found if not args.kind or one.kind in args.kind)
        rows = list(islice(chosen, args.most))
        left = Counter(one.kind for one in chosen)
    told: dict[str, Any] = {"differences": [one._asdict() | {"day": one.day.isoformat()} for one in rows] or "none"}
    return told | ({"not shown": dict(left)} if left else {}), not rows


def _make(call: Call) -> Result:
    args = call.args
    with call.context() as context:
        if args.first is None:
            made = chain.seal_days(context, now=call.now)
        else:
            folder, hospital = call.settings.evidence, context.hospital.id
            with context.ledger.read() as connection:
                days = watermark.verified_days(connection, context.hospital)
            wanted = [window.day for window in day_windows(args.first, args.last or args.first)]
            unproved = [one for one in wanted if days is None or not days[0] <= one <= days[1]]
            if unproved:
                return {"evidence": f"nothing sealed: {unproved[0]} is not verified, see `verified`"}, False
            links = (chain.make(context.ledger, hospital, one, folder, now=call.now) for one in wanted)
            made = [link for link in links if link]
    return {"evidence": [link.summary() for link in made] or "nothing to seal"}, True


def _verify(call: Call) -> Result:
    args = call.args
    hospital = load_hospital(call.settings.hospitals, args.hospital).id
    with call.ledger() as ledger:
        found = chain.verify(ledger, hospital, call.settings.evidence, first=args.first, last=args.last, head=args.head)
    return {"evidence": found.summary()}, found.sound


def add(verbs: Verbs) -> None:
    """Add these verbs."""
    one = verb(verbs, "verified", _verified, "how far each feed is proved, and why no further", for_hospital())
    one.add_argument(
        "--moves", type=whole(0, 1_000_000), default=10, metavar="N", help="so many of the mark's last moves (10)"
    )
    listed = verb(verbs, "differences", _differences, "the records behind the counts, by class and key", for_days())
    kinds = sorted({*NAMED, *DIFFERENCES} - {"delivered", "voided", "platform_missing", "platform_surplus"})
    listed.add_argument("--class", dest="kind", action="append", choices=kinds, metavar="CLASS", help=", ".join(kinds))
    listed.add_argument(
        "--most", type=whole(1, 10_000_000), default=1_000, metavar="N", help="list at most so many (1000)"
    )
    parts = verbs.add_parser("evidence", help="the chain over sealed days: make, verify").add_subparsers(
        dest="what", required=True, metavar="WHAT"
    )
    days = argparse.ArgumentParser(add_help=False)
    days.add_argument("--from", dest="first", type=day, metavar="DATE", help="first local day")
    days.add_argument("--to", dest="last", type=day, metavar="DATE", help="last local day, inclusive")
    verb(parts, "make", _make, "seal verified days, or those that moved since", for_hospital(), days)
    seen = verb(parts, "verify", _verify, "say which day and row changed since it was sealed", for_hospital(), days)
    seen.add_argument("--head", metavar="HASH", help="a head that was noted elsewhere, to be found in the chain")

"""History: `history load` brings days of the past to the platform, `history status` says how far a load is."""

from __future__ import annotations

from datetime import UTC, datetime

from card_usage.cli.arguments import day_arguments, whole_number
from card_usage.cli.command import Commands, Invocation, Output, Result, add_command, add_group
from card_usage.cli.progress import days_bar
from card_usage.history import load, range_of, undecided_events, unfinished
from card_usage.reconciliation import watermark

_DECIDE = "events were refused or are unconfirmed: see `differences`; `redeliver` sends them again by decision"


def _load(invocation: Invocation) -> Result:
    """The days that are not finished yet. Exit code 0 if all are finished and no event waits for a decision."""
    args = invocation.args
    with invocation.context() as context, days_bar("history") as on_day:
        loaded = load(
            context,
            args.first,
            args.last,
            present=lambda: datetime.now(UTC),
            order=args.order,
            most_days=args.most_days,
            on_day=lambda day, left: on_day(str(day.day), left),
        )
    output: Output = {"history": loaded.summary()}
    if loaded.left:
        output["to_do"] = _to_do(loaded.stopped_by, withheld=bool(loaded.withheld))
    elif loaded.undecided:
        output["to_do"] = _DECIDE
    return Result(settled=loaded.settled, output=output)


def _to_do(stopped_by: str | None, *, withheld: bool) -> str:
    again = "run the same command again: it goes on where it was"
    if stopped_by is not None:
        return f"stopped by {stopped_by}; once that is over, {again}"
    if withheld:
        return f"the gate withholds days: see `decide`; then {again}"
    return f"days are left; {again}, or see `differences` of the day that stays"


def _status(invocation: Invocation) -> Result:
    """How many days of the range are finished, which come next, and what is verified."""
    args = invocation.args
    with invocation.context() as context:
        window = range_of(context, args.first, args.last, now=invocation.now)
        with context.ledger.read() as connection:
            left = unfinished(connection, context, window)
            waiting = undecided_events(connection, context, window)
            marks = [mark.summary() for mark in watermark.marks(connection, context.hospital)]
    newest_first = context.hospital.platform.backfill_order == "newest"
    days = len(window.days)
    counted = {"days": days, "finished": days - len(left), "left": len(left), "undecided": waiting}
    following = [day.isoformat() for day in sorted(left, reverse=newest_first)[:7]]
    return Result(settled=not (left or waiting), output={"history": {**counted, "next": following}, "verified": marks})


def add_commands(commands: Commands) -> None:
    """Add `history load` and `history status`."""
    group = add_group(commands, "history", "days of the past: load them behind everything live, status of a load")
    days = day_arguments()
    text = "stage, check, deliver, reconcile, report, verify and seal days of the past; again: what is left of them"
    loading = add_command(group, "load", _load, text, days)
    loading.add_argument(
        "--order", choices=("newest", "oldest"), help="which day first (default: backfill_order of the hospital's file)"
    )
    loading.add_argument(
        "--most-days", type=whole_number(1, 100_000), metavar="N", help="end after so many days (default: all)"
    )
    add_command(group, "status", _status, "how many of these days are finished, and which come next", days)

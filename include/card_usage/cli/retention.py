"""Retention: `purge` deletes what is past its time by the hospitals' files, or says what that would be."""

from __future__ import annotations

from getpass import getuser

from card_usage import retention
from card_usage.cli.command import Commands, Invocation, Result, add_command
from card_usage.config.hospital import load_hospital, load_hospitals


def _purge(invocation: Invocation) -> Result:
    args, settings, now = invocation.args, invocation.settings, invocation.now
    everybody = args.hospital is None
    hospitals = load_hospitals(settings.hospitals) if everybody else [load_hospital(settings.hospitals, args.hospital)]
    with invocation.ledger() as ledger:
        if args.recorded:
            with ledger.read() as connection:
                rows = [row for one in hospitals for row in retention.recorded(connection, one.id)]
            return Result(output={"purged": rows or "nothing was deleted yet"})
        done: list[retention.Due] = []
        for hospital in hospitals:
            if args.dry_run:
                with ledger.read() as connection:
                    done += retention.due(connection, hospital, now=now)
            else:
                done += retention.purge(ledger, hospital, settings.store, by=getuser(), now=now)
        if everybody and args.dry_run:
            done += [one for _, one in retention.put_away(settings.statements, hospitals, now=now)]
        elif everybody:
            done += retention.purge_files(ledger, settings.statements, hospitals, by=getuser(), now=now)
    heading = "would be deleted" if args.dry_run else "deleted"
    return Result(output={heading: [one.summary() for one in done] or "nothing is past its time"})


def add_commands(commands: Commands) -> None:
    """Add `purge`."""
    description = "delete what is past its time by the hospitals' files, or list it"
    command = add_command(commands, "purge", _purge, description)
    command.add_argument("--hospital", metavar="ID", help="one hospital (default: all, and the drop folder)")
    what = command.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="delete nothing, list what would be: kind, day, count")
    what.add_argument("--recorded", action="store_true", help="list what was deleted, when, by whom and why")
    command.add_argument("--json", action="store_true", help="print the result as JSON")

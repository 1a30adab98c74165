"""Holds: `pause`, `drain` and `resume` hold, end and release the deliveries of one hospital or of all."""

from __future__ import annotations

from card_usage.cli.command import Commands, Invocation, Result, add_command
from card_usage.config.hospital import load_hospital
from card_usage.ledger import decisions, holds

_DESCRIPTIONS = {
    "pause": "stop sending; a running delivery waits for resume",
    "drain": "finish what is under way, then end the running delivery",
    "resume": "lift every hold: pause, drain, quota, misconfigured",
}


def _hold(invocation: Invocation) -> Result:
    args = invocation.args
    hospital = holds.EVERYONE if args.all else load_hospital(invocation.settings.hospitals, args.hospital).id
    actor, now = invocation.actor, invocation.now
    with invocation.ledger() as ledger, ledger.write() as connection:
        old = holds.kinds_of(connection, hospital, now)
        if args.command == "resume":
            text = f"{hospital}: {holds.lift(connection, hospital=hospital)} holds lifted"
        else:
            reason = (args.reason or f"{args.command} from the command line")[:200]
            holds.place(connection, hospital=hospital, kind=args.command, reason=reason, by=actor.name, now=now)
            text = f"{hospital}: {args.command} is set; a running delivery follows within 5 seconds"
        decisions.record(
            connection,
            ledger.keyring,
            verb=args.command,
            hospital=hospital,
            actor=actor,
            now=now,
            old=old,
            new=holds.kinds_of(connection, hospital, now),
            reason=args.reason,
        )
    return Result(text=text)


def add_commands(commands: Commands) -> None:
    """Add `pause`, `drain` and `resume`."""
    for name, description in _DESCRIPTIONS.items():
        command = add_command(commands, name, _hold, description)
        hospitals = command.add_mutually_exclusive_group(required=True)
        hospitals.add_argument("--hospital", metavar="ID", help="one hospital")
        hospitals.add_argument("--all", action="store_true", help="every hospital")
        command.add_argument("--reason", default="", help="why, for whoever sees it")

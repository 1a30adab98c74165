"""Platform: `platform calibrate` finds out what the platform's answer 10054 proves; `platform move` records that it has
another address, `platform forget` that a hospital's events had gone to a rehearsal. Calls: platform_calls.py."""

from __future__ import annotations

from card_usage.cli.arguments import hospital_arguments
from card_usage.cli.command import Commands, Invocation, Result, add_command, add_group
from card_usage.cli.platform_calls import add_calls
from card_usage.config.hospital import Hospital, load_hospital, load_valid_hospitals
from card_usage.delivery.binding import Origin, Target, arrived_at, bound, delivered, forget, move
from card_usage.delivery.calibration import Calibrated, calibrate
from card_usage.ledger.decisions import record
from card_usage.platform.outcome import Memory

_MEANINGS = {
    Memory.ON_ACCEPTANCE: "it remembers a request id once it has accepted the event: 10054 proves delivery",
    Memory.ON_SIGHT: "it remembers a request id on sight: 10054 proves nothing, such events are unconfirmed",
    Memory.UNKNOWN: "when it remembers a request id is not known: 10054 proves nothing, such events are unconfirmed",
}


def _calibrate(invocation: Invocation) -> Result:
    with invocation.context() as context:
        calibrated = calibrate(
            context.ledger,
            context.hospital,
            connection=invocation.connection_of(context.hospital.platform.connection),
            tables=context.tables,
            anew=invocation.args.anew,
        )
    known = calibrated.known
    output = {
        "platform": {"host": calibrated.host, "app_id": calibrated.app_id},
        "answers": ", ".join(calibrated.answers),
        "memory": {"known": known.memory.value, "learned_by": known.by or "-", "learned_at": str(known.at or "-")},
        "meaning": _meaning(calibrated),
    }
    return Result(settled=calibrated.shown is not None, output=output)


def _meaning(calibrated: Calibrated) -> str:
    meaning = _MEANINGS[calibrated.known.memory]
    if calibrated.shown is None:
        return f"the answers show nothing: mend what they say and calibrate again; until then {meaning}"
    if calibrated.shown is not calibrated.known.memory:
        return f"the answers show otherwise, but 10054 was observed for events that were not accepted: {meaning}"
    return meaning


def _move(invocation: Invocation) -> Result:
    """Of one hospital, or of all whose connections name another platform than they are bound to."""
    args = invocation.args
    listed: list[dict[str, object]] = []
    with invocation.ledger() as ledger:
        for hospital in _hospitals(invocation):
            target = Target.of(invocation.connection_of(hospital.platform.connection), hospital)
            with ledger.read() as connection:
                before = bound(connection, hospital.id, app_id=target.app_id)
                events = delivered(connection, hospital.id)
            if before is None or before.target == target:
                continue
            row: dict[str, object] = {"hospital": hospital.id, "from": str(before.target), "to": str(target)}
            if args.yes:
                with ledger.write() as connection:
                    actor, now = invocation.actor, invocation.now
                    move(connection, hospital.id, target, reason=args.reason[:200], by=actor.name, now=now)
                    record(
                        connection,
                        ledger.keyring,
                        verb=invocation.verb,
                        hospital=hospital.id,
                        actor=actor,
                        now=now,
                        old=str(before.target),
                        new=str(target),
                        reason=args.reason,
                    )
            listed.append(row | {"delivered": events})
    if not listed:
        return Result(output={"move": "nothing to move: what the connections name is what the events went to"})
    if args.yes:
        return Result(output={"moved": listed, "next": _AFTER_MOVE})
    return Result(settled=False, output={"would move": listed, "nothing moved": _BEFORE_MOVE})


_BEFORE_MOVE = (
    "add --yes only if both are the same platform, which has these events under either address: they are "
    "not sent again. Where the old one was a sandbox or a test system, use `platform forget`"
)
_AFTER_MOVE = "`python -m card_usage platform calibrate` for the new address, before anything is sent there"


def _hospitals(invocation: Invocation) -> list[Hospital]:
    directory = invocation.settings.hospitals
    if invocation.args.all:
        return load_valid_hospitals(directory).hospitals
    return [load_hospital(directory, invocation.args.hospital)]


def _forget(invocation: Invocation) -> Result:
    args = invocation.args
    with invocation.context() as context:
        hospital = context.hospital
        target = Target.of(context.connection_of(hospital.platform.connection), hospital)
        with context.ledger.read() as connection:
            before = bound(connection, hospital.id, app_id=target.app_id)
            events = delivered(connection, hospital.id)
            mixed = before is not None and before.origin is None and arrived_at(connection, hospital.id, target)
        if before is None or (before.target == target and before.origin is not Origin.ASSUMED):
            text = "nothing forgotten: the events in this ledger went to the platform that the connection names"
            return Result(settled=False, output={"forget": text})
        if mixed:
            text = (
                f"nothing forgotten: some events went to {before.target}, others to {target}. Was it one platform, use "
                "`platform move`; else begin a new ledger (CARD_USAGE_LEDGER_URL)"
            )
            return Result(settled=False, output={"forget": text})
        row = {"went to": str(before.target), "to be sent to": str(target), "delivered": events}
        if not args.yes:
            return Result(settled=False, output={"would forget": row, "nothing forgotten": _BEFORE_FORGET})
        with context.ledger.write() as connection:
            reason = (args.reason or "rehearsal")[:200]
            actor, now = invocation.actor, invocation.now
            forget(connection, hospital.id, target, reason=reason, by=actor.name, now=now)
            record(
                connection,
                context.ledger.keyring,
                verb=invocation.verb,
                hospital=hospital.id,
                actor=actor,
                now=now,
                old=f"{before.target}, {events} delivered",
                new=str(target),
                reason=reason,
            )
    return Result(output={"forgotten": row, "next": "stage and deliver its days again: they go to the platform now"})


_BEFORE_FORGET = (
    "add --yes only if these events never reached the platform: everything of this hospital leaves the ledger, its "
    "windows, verdicts, reconciliations and evidence too, and its days are staged and sent anew"
)


def add_commands(commands: Commands) -> None:
    """Add the commands of `platform`."""
    description = "the platform: check, call any interface, explain a signature; calibrate, move, forget a rehearsal"
    platform = add_group(commands, "platform", description)
    add_calls(platform)
    description = "learn by four calls that must be refused what the platform's answer 10054 proves; before go-live"
    command = add_command(platform, "calibrate", _calibrate, description, hospital_arguments())
    command.add_argument("--anew", action="store_true", help="even if it contradicts what was observed since")
    description = "the same platform has another host, appId or hospital id, as the connection says now: record it"
    command = add_command(platform, "move", _move, description)
    hospitals = command.add_mutually_exclusive_group(required=True)
    hospitals.add_argument("--hospital", metavar="ID", help="one hospital")
    hospitals.add_argument("--all", action="store_true", help="every hospital whose connection has changed")
    command.add_argument("--reason", default="", help="why, for whoever sees it")
    command.add_argument("--yes", action="store_true", help="really do it; without it the change is only shown")
    command.add_argument("--json", action="store_true", help="print the result as JSON")
    description = (
        "take a hospital whose events went to a sandbox out of the ledger, so that they are sent to its platform"
    )
    command = add_command(platform, "forget", _forget, description, hospital_arguments())
    command.add_argument("--reason", default="", help="why, for whoever sees it")
    command.add_argument("--yes", action="store_true", help="really do it; without it it is only shown")

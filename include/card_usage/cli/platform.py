"""Platform: `platform calibrate` finds out what the platform's answer 10054 proves."""

from __future__ import annotations

from card_usage.cli.arguments import hospital_arguments
from card_usage.cli.command import Commands, Invocation, Result, add_command, add_group
from card_usage.delivery.calibration import Calibrated, calibrate
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


def add_commands(commands: Commands) -> None:
    """Add `platform calibrate`."""
    platform = add_group(commands, "platform", "the platform: calibrate what its answer 10054 proves")
    description = "learn by four calls that must be refused what the platform's answer 10054 proves; before go-live"
    command = add_command(platform, "calibrate", _calibrate, description, hospital_arguments())
    command.add_argument("--anew", action="store_true", help="even if it contradicts what was observed since")

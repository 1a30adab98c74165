"""pause, drain and resume: hold, end and release the deliveries of one hospital or of all."""

from __future__ import annotations

from getpass import getuser

from card_usage.cli.arguments import Call, Result, Verbs, verb
from card_usage.config.hospital import load_hospital
from card_usage.ledger import holds

_TEXTS = {
    "pause": "stop sending; a running delivery waits for resume",
    "drain": "finish what is under way, then end the running delivery",
    "resume": "lift every hold: pause, drain, quota, misconfigured",
}


def _hold(call: Call) -> Result:
    args = call.args
    hospital = holds.EVERYONE if args.all else load_hospital(call.settings.hospitals, args.hospital).id
    with call.ledger() as ledger, ledger.write() as connection:
        if args.verb == "resume":
            return {"said": f"{hospital}: {holds.lift(connection, hospital=hospital)} holds lifted"}, True
        reason = args.reason or f"{args.verb} from the command line"
        holds.place(connection, hospital=hospital, kind=args.verb, reason=reason[:200], by=getuser(), now=call.now)
    return {"said": f"{hospital}: {args.verb} is set; a running delivery follows within 5 seconds"}, True


def add(verbs: Verbs) -> None:
    """Add these verbs."""
    for name, text in _TEXTS.items():
        held = verb(verbs, name, _hold, text)
        who = held.add_mutually_exclusive_group(required=True)
        who.add_argument("--hospital", metavar="ID", help="one hospital")
        who.add_argument("--all", action="store_true", help="every hospital")
        held.add_argument("--reason", default="", help="why, for whoever sees it")

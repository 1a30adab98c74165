"""Keys: `keys status`, `keys rotate`, `keys retire` and `keys destroy`."""

from __future__ import annotations

from collections import Counter

from card_usage.cli.command import Commands, Invocation, Result, add_command, add_group
from card_usage.config.hospital import load_hospital, load_valid_hospitals
from card_usage.config.keyring import MOST_SEALED
from card_usage.errors import SettingsError


def _status(invocation: Invocation) -> Result:
    from card_usage.staging.key_needs import destroyed, needs

    with invocation.ledger() as ledger:
        needed = needs(ledger)
        shredded = destroyed(ledger)
    sealed = needed.made + needed.direct.total()
    keyring = invocation.settings.keyring
    masters = [
        {
            "key": key_id,
            "use": _use(keyring.current, keyring.founding, key_id),
            "data keys": needed.wrapped[key_id],
            "sealed by itself": needed.direct[key_id],
            "may be retired": "no" if needed.reasons(keyring, key_id) else "yes",
        }
        for key_id in sorted({*keyring.ids, *needed.wrapped, *needed.direct})
    ]
    missing = sorted({*needed.wrapped, *needed.direct} - {*keyring.ids})
    output: dict[str, object] = {
        "master keys": masters,
        "data keys": needed.days,
        "destroyed": shredded,
    }
    if missing:
        output["missing"] = f"not in CARD_USAGE_KEY, yet needed: {', '.join(missing)}"
    if needed.damaged:
        output["damaged"] = f"{needed.damaged} key files cannot be used: their events are set aside and staged again"
    output["encryptions"] = f"{sealed:,} of at most {MOST_SEALED:,} under one master key (random nonces of 96 bits)"
    if sealed >= MOST_SEALED // 2:
        output["rotate"] = "put a new key in front of CARD_USAGE_KEY and run `keys rotate`"
    return Result(output=output, settled=not missing and not needed.damaged)


def _use(current: str, founding: str, key_id: str) -> str:
    uses = [name for name, of in (("current", current), ("founding", founding)) if of == key_id]
    return ", ".join(uses) or "-"


def _rotate(invocation: Invocation) -> Result:
    from card_usage.staging.key_needs import reseal

    with invocation.ledger() as ledger:
        wrapped, moved = ledger.day_keys.rewrap(), reseal(ledger)
    counts = {"data keys": wrapped, "tokens": moved["tokens"], "cards": moved["cards"]}
    return Result(output={"key": invocation.settings.keyring.current, "moved to it": counts})


def _retire(invocation: Invocation) -> Result:
    from card_usage.staging.key_needs import needs

    keyring, key_id = invocation.settings.keyring, invocation.args.key
    if key_id not in keyring.ids:
        raise SettingsError(problem=f"CARD_USAGE_KEY has no key '{key_id}'", remedy=f"take one of {keyring.ids}")
    with invocation.ledger() as ledger:
        reasons = needs(ledger).reasons(keyring, key_id)
    if reasons:
        raise SettingsError(problem=f"key '{key_id}' is still needed: {'; '.join(reasons)}", remedy="leave it in")
    return Result(text=f"nothing needs key '{key_id}' any more: take it out of CARD_USAGE_KEY and destroy every copy")


def _destroy(invocation: Invocation) -> Result:
    from card_usage.staging.shredding import shred

    settings, args = invocation.settings, invocation.args
    if args.all:
        hospitals = list(load_valid_hospitals(settings.hospitals).hospitals)
    else:
        hospitals = [load_hospital(settings.hospitals, args.hospital)]
    totals: Counter[str] = Counter()
    with invocation.ledger() as ledger:
        for hospital in hospitals:
            done = shred(ledger, hospital, now=invocation.now)
            totals.update(keys=done.keys, events=done.events, moved=done.moved)
    return Result(output={"destroyed": {name: totals[name] for name in ("keys", "events", "moved")}})


def add_commands(commands: Commands) -> None:
    """Add `keys`."""
    keys = add_group(commands, "keys", "master keys and data keys: status, rotate, retire, destroy")
    status = add_command(keys, "status", _status, "what needs which key, and which data keys are destroyed")
    turn = "bring data keys, tokens and cards under the first key of CARD_USAGE_KEY; safe to repeat"
    rotate = add_command(keys, "rotate", _rotate, turn)
    retire = add_command(keys, "retire", _retire, "say whether a master key may leave CARD_USAGE_KEY")
    retire.add_argument("key", metavar="KEY", help="its id")
    destroy = add_command(keys, "destroy", _destroy, "destroy data keys that have served, as each reconciliation does")
    hospitals = destroy.add_mutually_exclusive_group(required=True)
    hospitals.add_argument("--hospital", metavar="ID", help="one hospital")
    hospitals.add_argument("--all", action="store_true", help="every hospital")
    for parser in (status, rotate, destroy):
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

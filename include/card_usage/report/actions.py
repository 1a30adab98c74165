"""Actions: what somebody has to do about a day, a month or the fleet: what, how many, what to do, who."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from card_usage.ledger import counts
from card_usage.report.chart import Figures
from card_usage.report.totals import Weighed
from card_usage.standard.rules import BY_ID
from card_usage.words.catalogue import Words

# What a person has to look at, beside quarantined events; the rest mends itself.
_FOR_PEOPLE: Final = (
    "unconfirmed",
    "moved_here",
    "vanished_from_source",
    "voided_after_delivery",
    "changed_after_delivery",
    "platform_missing",
    "platform_surplus",
)
BY_ITSELF: Final = ("due", "unknown", "late_in_source", "provisional_window", "refunds_not_staged")
_WHO: Final = {
    "moved_here": "his",
    "vanished_from_source": "his",
    "voided_after_delivery": "his",
    "changed_after_delivery": "his",
}

# What holds ready events back, if not the quota -> the action that it asks for, and of whom.
_HELD: Final = {"approval": "withheld", "pause": "paused", "misconfigured": "misconfigured"}
_HELD_WHO: Final = {"approval": "mapping", "pause": "engineer", "misconfigured": "engineer"}


def actions(
    weighed: Weighed,
    quarantine: list[Figures],
    refusals: list[Figures],
    words: Words,
    *,
    unproved: str = "",
    untimed: int = 0,
) -> list[Figures]:
    """What somebody has to do, the most affected first; then what the next run does by itself.

    `unproved`: why 10054 left events unconfirmed ('unknown', 'on_sight'); empty: it left none.
    `untimed`: rows of the HIS, as last counted, whose time puts them into no day.
    """
    listed = [
        {
            "what": cause["text"],
            "events": cause["events"],
            "to_do": cause["to_do"],
            "who": words("who.mapping" if cause["table"] else "who.his"),
            "kind": cause["rule"],
        }
        for cause in quarantine
    ]
    listed += [
        {
            "what": " ".join(
                str(part)
                for part in (words("class.rejected"), refusal["result_code"], refusal["meaning"])
                if part is not None
            ),
            "events": refusal["events"],
            "to_do": words("todo.rejected"),
            "who": words("who.engineer"),
            "kind": "rejected",
        }
        for refusal in refusals
    ]
    standing = {**weighed.classes, **weighed.differences}
    listed += [_action(name, standing[name], _WHO.get(name, "engineer"), words) for name in _FOR_PEOPLE]
    listed += [_action(name, standing[name], "automatic", words) for name in BY_ITSELF]
    listed.append(_action("no_usable_time", untimed, "his", words))
    listed.append(_action("held", weighed.held["quota"], "automatic", words))
    listed += [_action(name, weighed.held[by], _HELD_WHO[by], words) for by, name in _HELD.items()]
    if unproved:
        for action in listed:
            if action["kind"] == "unconfirmed":
                action["to_do"] = words(f"todo.unconfirmed_{unproved}")
    listed.sort(key=lambda action: (-action["events"], action["kind"]))
    if weighed.remainder:
        remainder = _action("remainder", weighed.remainder, "engineer", words)
        listed.insert(0, remainder)
    return [action for action in listed if action["events"]]


def _action(name: str, events: int, who: str, words: Words) -> Figures:
    named = {"remainder": "head.difference", "withheld": "gate.withheld", "paused": "held.pause"}
    what = words({**named, "misconfigured": "held.misconfigured"}.get(name, f"class.{name}"))
    return {"what": what, "events": events, "to_do": words(f"todo.{name}"), "who": words(f"who.{who}"), "kind": name}


def quarantine_of(causes: Iterable[counts.CauseCount], words: Words) -> list[Figures]:
    """By rule, the most frequent first; rules about codes list the local codes that nobody mapped."""
    by_rule: dict[str, Figures] = {}
    for counted in causes:
        rule = BY_ID.get(counted.rule)
        table = counted.rule.partition(".")[0] if counted.rule in counts.CODE_RULES else None
        action = "" if rule is None else rule.action(words.language)
        cause = by_rule.setdefault(
            counted.rule,
            {
                "rule": counted.rule,
                "text": counted.rule if rule is None else rule.text(words.language),
                "events": 0,
                "table": table,
                "to_do": action if table is None else words("todo.code", table=table),
                "codes": [],
            },
        )
        cause["events"] += counted.events
        if table is not None:
            _add_code(cause["codes"], counted)
    listed = sorted(by_rule.values(), key=lambda cause: (-cause["events"], cause["rule"]))
    for cause in listed:
        cause["codes"].sort(key=lambda code: (-code["events"], code["code"] or "", code["name"] or ""))
    return listed


def _add_code(codes: list[Figures], counted: counts.CauseCount) -> None:
    for code in codes:
        if (code["code"], code["name"]) == (counted.code, counted.local_name):
            code["events"] += counted.events
            return
    codes.append({"code": counted.code, "name": counted.local_name, "events": counted.events})

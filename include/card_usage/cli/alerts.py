"""incidents: what is wrong now. alerts send, alerts test: look, and take messages to their channels."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from card_usage.alerts import incident_store
from card_usage.alerts.incidents import Incident
from card_usage.cli.arguments import Call, Result, Verbs, verb, whole
from card_usage.config.alert_causes import SEVERITIES
from card_usage.config.hospital import hospital_ids, load_hospital
from card_usage.notifications import outbox
from card_usage.words.catalogue import Words


def _incidents(call: Call) -> Result:
    """Open ones, worst first; with --days also those over since. Exit code 1 if something critical is open."""
    from card_usage.alerts.incident_texts import moment, what_happened

    args = call.args
    words = Words("zh" if args.zh else "en")
    if args.hospital is not None and args.hospital not in hospital_ids(call.settings.hospitals):
        # A typing mistake must not look like a hospital without incidents. One whose file is broken has some.
        load_hospital(call.settings.hospitals, args.hospital)
    with call.ledger() as ledger, ledger.read() as connection:
        found = incident_store.listed(connection, args.hospital, call.now - timedelta(days=args.days))
        channels = outbox.channel_states(connection)
    found.sort(key=lambda one: (not one.is_open, -SEVERITIES.index(one.severity), one.opened_at))
    good = not any(one.is_open and one.severity == "critical" for one in found)
    if args.json:
        told: dict[str, Any] = {
            "incidents": [_plain(one, words) for one in found],
            "channels": [{**one._asdict(), "down": one.down_since is not None} for one in channels],
        }
        return {"said": json.dumps(told, ensure_ascii=False, default=_iso)}, good
    lines = []
    for one in found:
        ended = "" if one.closed_at is None else f" .. {moment(one.closed_at, words)}"
        mark = words(f"alerts.mark.{one.severity if one.is_open else 'closed'}")
        lines.append(f"{mark:<8}  {one.hospital}  {moment(one.since, words)}{ended}  {what_happened(one, words)}")
    for channel in channels:
        if channel.down_since is not None:
            lines.append(
                f"channel {channel.name}: down since {channel.down_since:%Y-%m-%d %H:%M} UTC, {channel.problem}"
            )
    return {"said": "\n".join(lines) or "no incident"}, good


def _plain(one: Incident, words: Words) -> dict[str, Any]:
    from card_usage.alerts.incident_texts import what_happened

    names = ("id", "hospital", "cause", "detail", "severity", "owner", "count", "since", "opened_at", "closed_at")
    return {
        **{name: getattr(one, name) for name in names},
        "what": what_happened(one, words),
        "sample": list(one.sample),
    }


def _iso(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _send(call: Call) -> Result:
    """Exit code 1 if a channel is down."""
    from card_usage.alerts.sweep import Team, sweep_all
    from card_usage.notifications.dispatch import dispatch

    with call.ledger() as ledger:
        swept = sweep_all(ledger, call.settings.hospitals, Team.of(call.settings), now=call.now)
        posted = dispatch(ledger, call.connection_of, now=call.now)
    said = [f"incidents: {', '.join(f'{n} {name}' for name, n in swept.summary().items())}"]
    said += [f"messages: {posted.sent} sent, {posted.failed} tries failed, {posted.expired} expired"]
    said += [f"{name}: {problem}" for name, problem in posted.down.items()]
    return {"said": "\n".join(said)}, not posted.down


def _test(call: Call) -> Result:
    """Each channel at once and past the outbox, so that whoever sets it up sees what is wrong."""
    from card_usage.alerts.message import Origin, test_message
    from card_usage.alerts.sweep import Team
    from card_usage.errors import CardUsageError
    from card_usage.notifications.channels import send

    hospital = load_hospital(call.settings.hospitals, call.args.hospital)
    team = Team.of(call.settings)
    routes = hospital.alerts.routes or team.routes
    origin = Origin(hospital=hospital.id, name=hospital.name, name_en=hospital.name_en, airflow=team.airflow)
    lines, good = [], bool(routes)
    for route in routes:
        message = test_message(origin, route.channel, route.language or hospital.report.language)
        try:
            send(call.connection_of(route.channel), *message)
        except CardUsageError as problem:
            good = False
            lines.append(f"{route.channel}: FAILED: {problem}")
        else:
            lines.append(f"{route.channel}: sent; look whether it arrived")
    if not routes:
        lines = [f"{hospital.id} has no [[alerts.routes]], and CARD_USAGE_TEAM_CHANNELS names none: nobody hears of it"]
    return {"said": "\n".join(lines)}, good


def add(verbs: Verbs) -> None:
    """Add these verbs."""
    listing = verb(verbs, "incidents", _incidents, "what is wrong now, of every hospital or of one")
    listing.add_argument("--hospital", metavar="ID", help="one hospital")
    listing.add_argument(
        "--days", type=whole(0, 3_660), default=0, metavar="N", help="also what was over within the last N days"
    )
    listing.add_argument("--zh", action="store_true", help="in Chinese")
    listing.add_argument("--json", action="store_true", help="as JSON, with the state of every channel")
    alerts = verbs.add_parser("alerts", help="messages about incidents: send, test").add_subparsers(
        dest="what", required=True, metavar="WHAT"
    )
    verb(alerts, "send", _send, "look at every hospital, then send what waits")
    test = verb(alerts, "test", _test, "send a test message on each channel of a hospital")
    test.add_argument("--hospital", required=True, metavar="ID", help="name of its file among the hospitals")

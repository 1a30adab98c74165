"""Alerts: `incidents` lists incidents, `alerts send` and `alerts test` send messages about them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from card_usage.alerts import incident_store
from card_usage.alerts.incidents import Incident
from card_usage.cli.arguments import whole_number
from card_usage.cli.command import Commands, Invocation, Output, Result, add_command, add_group
from card_usage.config.alert_causes import SEVERITIES
from card_usage.config.hospital import hospital_ids, load_hospital
from card_usage.notifications import outbox
from card_usage.words.catalogue import Words


def _incidents(invocation: Invocation) -> Result:
    """Open incidents, the worst first; with --days also closed ones. Exit code 1 if a critical one is open."""
    args, settings = invocation.args, invocation.settings
    if args.hospital is not None and args.hospital not in hospital_ids(settings.hospitals):
        # Raises: a mistyped id must not look like a hospital without incidents. An invalid file is no mistyped id.
        load_hospital(settings.hospitals, args.hospital)
    with invocation.ledger() as ledger, ledger.read() as connection:
        incidents = incident_store.listed(connection, args.hospital, invocation.now - timedelta(days=args.days))
        channels = outbox.channel_states(connection)
    incidents.sort(
        key=lambda incident: (not incident.is_open, -SEVERITIES.index(incident.severity), incident.opened_at)
    )
    settled = not any(incident.is_open and incident.severity == "critical" for incident in incidents)
    words = Words("zh" if args.zh else "en")
    if args.json:
        output: Output = {
            "incidents": [_fields(incident, words) for incident in incidents],
            "channels": [{**channel._asdict(), "down": channel.down_since is not None} for channel in channels],
        }
        return Result(settled=settled, text=json.dumps(output, ensure_ascii=False, default=_iso))
    lines = [_line(incident, words) for incident in incidents]
    lines += [
        f"channel {channel.name}: down since {channel.down_since:%Y-%m-%d %H:%M} UTC, {channel.problem}"
        for channel in channels
        if channel.down_since is not None
    ]
    lines += [
        f"channel {channel.name}: refused by {channel.problem}"
        for channel in channels
        if channel.down_since is None and channel.problem
    ]
    return Result(settled=settled, text="\n".join(lines) or "no incident")


def _line(incident: Incident, words: Words) -> str:
    from card_usage.alerts.incident_texts import moment, what_happened

    closed = "" if incident.closed_at is None else f" .. {moment(incident.closed_at, words)}"
    mark = words(f"alerts.mark.{incident.severity if incident.is_open else 'closed'}")
    since = moment(incident.since, words)
    return f"{mark:<8}  {incident.hospital}  {since}{closed}  {what_happened(incident, words)}"


def _fields(incident: Incident, words: Words) -> dict[str, Any]:
    from card_usage.alerts.incident_texts import what_happened

    names = ("id", "hospital", "cause", "detail", "severity", "owner", "count", "since", "opened_at", "closed_at")
    fields = {name: getattr(incident, name) for name in names}
    return {**fields, "what": what_happened(incident, words), "sample": list(incident.sample)}


def _iso(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _send(invocation: Invocation) -> Result:
    """Update the incidents of every hospital, then send due messages. Exit code 1 if a channel is down."""
    from card_usage.alerts.sweep import Team, sweep_all
    from card_usage.code_mapping.workbench import gaps_workbook
    from card_usage.notifications.dispatch import dispatch

    settings = invocation.settings
    with invocation.ledger() as ledger:
        swept = sweep_all(
            ledger,
            settings.hospitals,
            Team.of(settings),
            now=invocation.now,
            gaps_workbook=gaps_workbook(settings),
        )
        dispatched = dispatch(ledger, invocation.connection_of, now=invocation.now)
    lines = [
        f"incidents: {', '.join(f'{count} {name}' for name, count in swept.summary().items())}",
        f"messages: {dispatched.sent} sent, {dispatched.failed} tries failed, {dispatched.expired} expired",
        *(f"{channel}: {problem}" for channel, problem in dispatched.down.items()),
        *(f"{channel}: sent, but refused by {mailboxes}" for channel, mailboxes in dispatched.dead.items()),
    ]
    return Result(settled=not dispatched.down, text="\n".join(lines))


def _test(invocation: Invocation) -> Result:
    """Send a test message on each channel directly, without the outbox, to see at once what is wrong with it."""
    from card_usage.alerts.message import Origin, test_message
    from card_usage.alerts.sweep import Team
    from card_usage.errors import CardUsageError
    from card_usage.notifications.channels import send

    hospital = load_hospital(invocation.settings.hospitals, invocation.args.hospital)
    team = Team.of(invocation.settings)
    routes = hospital.alerts.routes or team.routes
    if not routes:
        text = f"{hospital.id} has no [[alerts.routes]], and CARD_USAGE_TEAM_CHANNELS names none: nobody hears of it"
        return Result(settled=False, text=text)
    origin = Origin(hospital=hospital.id, name=hospital.name, name_en=hospital.name_en, airflow=team.airflow)
    lines, settled = [], True
    for route in routes:
        message = test_message(origin, route.channel, route.language or hospital.report.language)
        try:
            receipt = send(invocation.connection_of(route.channel), *message)
        except CardUsageError as problem:
            settled = False
            lines.append(f"{route.channel}: FAILED: {problem}")
        else:
            if receipt.refused or receipt.later:
                settled = False
                answers = "; ".join(
                    f"{name}: {answer}" for name, answer in {**receipt.refused, **receipt.later}.items()
                )
                lines.append(f"{route.channel}: sent to some; refused by {answers}")
            else:
                lines.append(f"{route.channel}: sent; look whether it arrived")
    return Result(settled=settled, text="\n".join(lines))


def add_commands(commands: Commands) -> None:
    """Add `incidents`, `alerts send` and `alerts test`."""
    incidents = add_command(commands, "incidents", _incidents, "what is wrong now, of every hospital or of one")
    incidents.add_argument("--hospital", metavar="ID", help="one hospital")
    incidents.add_argument(
        "--days", type=whole_number(0, 3_660), default=0, metavar="N", help="also what was over within the last N days"
    )
    incidents.add_argument("--zh", action="store_true", help="in Chinese")
    incidents.add_argument("--json", action="store_true", help="as JSON, with the state of every channel")
    group = add_group(commands, "alerts", "messages about incidents: send, test")
    add_command(group, "send", _send, "look at every hospital, then send what waits")
    test = add_command(group, "test", _test, "send a test message on each channel of a hospital")
    test.add_argument("--hospital", required=True, metavar="ID", help="name of its file among the hospitals")

"""Notices: which changes of incidents a channel is to be notified of now. Pure: nothing here reads or writes.

What a channel was last notified of an incident is compared with the incident as it is; a notice is the difference. So
nothing is sent twice, a new channel is notified of what is open, and an incident that opened and closed during the
channel's quiet hours gives no message at all.

At most one message a channel, hospital and cause within LIMIT: several incidents of one cause share a message, and a
change that comes too early is sent later, as it is then. In quiet hours only what the route lets through is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from card_usage.alerts.incident_store import NotifiedState
from card_usage.alerts.incidents import ChangeKind, Incident
from card_usage.alerts.message import Notice
from card_usage.config.alert_causes import SEVERITIES
from card_usage.config.hospital import Alerts, Route
from card_usage.windows import HOUR, local

LIMIT: Final = HOUR


def notices(
    route: Route,
    settings: Alerts,
    incidents: Sequence[Incident],
    notified: Mapping[int, NotifiedState],
    now: datetime,
) -> dict[str, list[Notice]]:
    """What a channel is to be notified of now, by cause. `notified`: what it was last notified of, by incident."""
    last_sent: dict[str, datetime] = {}
    due: dict[str, list[Notice]] = {}
    for incident in incidents:
        before = notified.get(incident.id or 0)
        if before is not None:
            last_sent[incident.cause] = max(last_sent.get(incident.cause, before.at), before.at)
        kind = _change(route, incident, before)
        if kind is not None:
            due.setdefault(incident.cause, []).append(Notice(kind, incident))
    quiet = settings.is_quiet(local(now).time())
    return {
        cause: of_cause
        for cause, of_cause in due.items()
        if (cause not in last_sent or now - last_sent[cause] >= LIMIT) and not (quiet and _can_wait(route, of_cause))
    }


def is_routed(route: Route, incident: Incident) -> bool:
    """Whether the route takes incidents of this cause."""
    return not route.causes or incident.cause in route.causes


def _change(route: Route, incident: Incident, before: NotifiedState | None) -> ChangeKind | None:
    """What has changed since the channel was last notified; None if that is nothing, or nothing for this route."""
    if before is None:
        severe = SEVERITIES.index(incident.severity) >= SEVERITIES.index(route.least)
        if not (incident.is_open and severe and is_routed(route, incident)):
            return None
        return "returned" if incident.returns else "opened"
    if before.version == incident.version:
        return None
    if not incident.is_open:
        return None if before.closed else "closed"
    return "returned" if before.closed else "worse"


def _can_wait(route: Route, of_cause: Sequence[Notice]) -> bool:
    """Whether this can wait until the morning."""
    if route.at_night == "critical":
        return all(notice.incident.severity != "critical" for notice in of_cause)
    return route.at_night == "nothing"

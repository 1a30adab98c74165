"""Sweep: detects conditions, opens and closes incidents, and puts messages about them into the outbox.

What a channel was notified of is stored beside the incident (`notices` decides what is due). Incidents, messages and
what was notified are written in one transaction. The morning digest lists what is open and what has closed by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, select

from card_usage.alerts import incident_store
from card_usage.alerts.detection import detect, detect_in_fleet
from card_usage.alerts.incident_store import NotifiedState
from card_usage.alerts.incidents import Condition, Incident, step
from card_usage.alerts.message import Message, Notice, Origin, digest, fields, message
from card_usage.alerts.notices import is_routed, notices
from card_usage.alerts.situation import Situation
from card_usage.config.alert_causes import CAUSES
from card_usage.config.hospital import Alerts, Hospital, Route, load_valid_hospitals
from card_usage.config.settings import Settings
from card_usage.errors import CardUsageError
from card_usage.ledger.database import Ledger
from card_usage.ledger.holds import EVERYONE
from card_usage.ledger.schema import outbox as outbox_table
from card_usage.notifications import outbox
from card_usage.notifications.attachments import File
from card_usage.windows import HOUR, instant, local
from card_usage.words.catalogue import Language

log = logging.getLogger(__name__)

MEMORY: Final = timedelta(hours=36)
"""How long channels can still be notified of a closed incident."""
DIGEST: Final = "digest"


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepResult:
    """What a sweep did, in incidents and messages."""

    opened: int = 0
    returned: int = 0
    worse: int = 0
    closed: int = 0
    open: int = 0
    messages: int = 0

    def __add__(self, other: SweepResult) -> SweepResult:
        mine, theirs = asdict(self), asdict(other)
        return SweepResult(**{name: mine[name] + theirs[name] for name in mine})

    def summary(self) -> dict[str, object]:
        """Counts, fit for logs and XCom."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Team:
    """The engineers who run the fleet.

    `channels`: for what concerns no single hospital, and for hospitals that have no routes of their own. `airflow`: the
    address of its UI, as people type it.
    """

    channels: tuple[str, ...] = ()
    airflow: str = ""
    language: Language = "zh"

    @classmethod
    def of(cls, settings: Settings) -> Team:
        """As CARD_USAGE_TEAM_CHANNELS names it."""
        return cls(channels=settings.team_channels, airflow=settings.airflow_url)

    @property
    def routes(self) -> tuple[Route, ...]:
        """Everything, at any hour: the team's own tools decide what may wake somebody."""
        return tuple(Route(channel=name, at_night="all", digest=False) for name in self.channels)


GapsWorkbook = Callable[[Connection, Hospital, datetime], File | None]
"""The workbook of a hospital's local codes without a standard one, for people to fill in; None: there is none."""


def sweep_all(
    ledger: Ledger, hospitals: Path, team: Team, *, now: datetime, gaps_workbook: GapsWorkbook | None = None
) -> SweepResult:
    """Every hospital that has a file, and the fleet. A file that cannot be read is itself an incident."""
    result = SweepResult()
    valid, broken_files = load_valid_hospitals(hospitals)
    for hospital in valid:
        result += sweep(ledger, hospital, team, now=now, gaps_workbook=gaps_workbook)
    return result + sweep_fleet(ledger, team, broken_files, now=now)


def sweep(
    ledger: Ledger, hospital: Hospital, team: Team, *, now: datetime, gaps_workbook: GapsWorkbook | None = None
) -> SweepResult:
    """Sweep one hospital: open, update and close its incidents, put messages into the outbox.

    `gaps_workbook` makes what is attached to messages about missing codes.
    """
    with ledger.read() as connection:
        conditions = detect(Situation(connection, hospital, now=now))
    own = {route.channel for route in hospital.alerts.routes or team.routes}
    audience = _Audience(
        origin=Origin(hospital=hospital.id, name=hospital.name, name_en=hospital.name_en, airflow=team.airflow),
        routes=hospital.alerts.routes or team.routes,
        settings=hospital.alerts,
        language=hospital.report.language,
        formerly=[route for route in team.routes if route.channel not in own],
        attached=_Gaps(hospital, gaps_workbook, now),
    )
    return _update(ledger, audience, conditions, now=now)


def sweep_fleet(ledger: Ledger, team: Team, broken_files: Mapping[str, str], *, now: datetime) -> SweepResult:
    """Sweep what concerns no single hospital: DAGs that serve all, channels that are down, hospitals' broken files.

    `broken_files`: what is wrong with each hospital's file that cannot be read; its other incidents stay as they are.
    """
    with ledger.read() as connection:
        conditions = detect_in_fleet(connection, now)
    fleet = Origin(hospital=EVERYONE, name="", name_en="", airflow=team.airflow)
    audience = _Audience(origin=fleet, routes=team.routes, settings=Alerts(), language=team.language)
    result = _update(ledger, audience, conditions, now=now)
    for hospital_id, problem in broken_files.items():
        condition = Condition(
            cause="misconfiguration", detail="file", severity="critical", count=0, since=now, facts={"reason": problem}
        )
        origin = replace(fleet, hospital=hospital_id, name=hospital_id, name_en=hospital_id)
        result += _update(ledger, replace(audience, origin=origin), [condition], now=now, only=condition.key)
    return result


@dataclass(slots=True)
class _Gaps:
    """The workbook of a hospital's missing codes, made once, when the first channel needs it."""

    hospital: Hospital
    make: GapsWorkbook | None
    now: datetime
    made: tuple[File, ...] | None = None

    def __call__(self, connection: Connection) -> tuple[File, ...]:
        """The workbook, if it can be made: a message without it is better than none."""
        if self.made is None and self.make is not None:
            try:
                workbook = self.make(connection, self.hospital, self.now)
            except CardUsageError as problem:
                log.warning("%s: no workbook of missing codes: %s", self.hospital.id, problem)
                workbook = None
            self.made = () if workbook is None else (workbook,)
        return self.made or ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Audience:
    """Who is notified of one hospital's incidents, in which language unless a route has its own.

    `formerly`: channels outside these routes, which hear only that something they were told of is over. `attached`:
    what goes with messages about missing codes.
    """

    origin: Origin
    routes: Sequence[Route]
    settings: Alerts
    language: Language
    formerly: Sequence[Route] = ()
    attached: Callable[[Connection], tuple[File, ...]] = lambda _: ()


def _update(
    ledger: Ledger,
    audience: _Audience,
    conditions: Sequence[Condition],
    *,
    now: datetime,
    only: tuple[str, str] | None = None,
) -> SweepResult:
    """From conditions to incidents to messages, in one transaction. `only`: the one key that is looked at."""
    hospital = audience.origin.hospital
    with ledger.write() as connection:
        known = [known for known in incident_store.known(connection, hospital, now) if only in (None, known.key)]
        changes = incident_store.save(connection, step(hospital, known, conditions, now))
        incidents = incident_store.listed(connection, hospital, now - MEMORY)
        ids = [incident.id for incident in incidents if incident.id is not None]
        notified = incident_store.notified_states(connection, ids) if incidents else {}
        messages = 0
        for route in audience.routes if incidents else ():
            messages += _Channel(connection, audience, route, now).notify(incidents, _of_channel(notified, route))
        # The team heard of it while the hospital's file, which names its routes, could not be read.
        closed = [incident for incident in incidents if not incident.is_open]
        for route in audience.formerly if closed else ():
            messages += _Channel(connection, audience, route, now).notify(closed, _of_channel(notified, route))
    kinds = [change.kind for change in changes]
    return SweepResult(
        opened=kinds.count("opened"),
        returned=kinds.count("returned"),
        worse=kinds.count("worse"),
        closed=kinds.count("closed"),
        open=sum(incident.is_open for incident in incidents),
        messages=messages,
    )


def _of_channel(notified: Mapping[tuple[int, str], NotifiedState], route: Route) -> dict[int, NotifiedState]:
    """What one channel was last notified of, by incident."""
    return {incident: state for (incident, name), state in notified.items() if name == route.channel}


@dataclass(frozen=True, slots=True)
class _Channel:
    """One channel of an audience, within the sweep's transaction."""

    connection: Connection
    audience: _Audience
    route: Route
    now: datetime

    @property
    def language(self) -> Language:
        return self.route.language or self.audience.language

    def notify(self, incidents: Sequence[Incident], notified: Mapping[int, NotifiedState]) -> int:
        """Put what the channel is to be notified of now into the outbox; returns how many messages that is."""
        origin, messages = self.audience.origin, 0
        if self.route.digest and self._digest_is_due():
            since = self.now - timedelta(days=1)
            listed = [
                incident
                for incident in incidents
                if is_routed(self.route, incident) and (incident.closed_at is None or incident.closed_at > since)
            ]
            if listed:
                listed_as = [Notice("opened", incident) for incident in listed]
                self._enqueue(digest(origin, listed, self.language, self.now), DIGEST, listed_as)
                notified = {
                    incident.id: NotifiedState(incident.version, not incident.is_open, self.now)
                    for incident in listed
                    if incident.id is not None
                }
                messages += 1
        due = notices(self.route, self.audience.settings, incidents, notified, self.now)
        for cause, of_cause in due.items():
            text = message(origin, of_cause, self.language, self.now)
            self._enqueue(text, cause, of_cause)
            messages += 1
        return messages

    def _enqueue(self, content: Message, topic: str, of_topic: Sequence[Notice]) -> None:
        hospital, name = self.audience.origin.hospital, self.route.channel
        incidents = [notice.incident for notice in of_topic]
        brings = topic in CAUSES and CAUSES[topic].brings == "gaps"
        gaps = brings and any(incident.is_open and incident.facts.get("named") for incident in incidents)
        outbox.enqueue(
            self.connection,
            name,
            *content,
            self.audience.attached(self.connection) if gaps else (),
            fields=fields(self.audience.origin, topic, of_topic),
            now=self.now,
            hospital=hospital,
            topic=topic,
        )
        incident_store.save_notified(self.connection, name, incidents, self.now)

    def _digest_is_due(self) -> bool:
        """Within an hour of its time, and not sent yet."""
        today = local(self.now).date()
        due_at = instant(datetime.combine(today, self.audience.settings.digest_at))
        if not due_at <= self.now < due_at + HOUR:
            return False
        query = select(func.count()).where(
            outbox_table.c.created_at >= due_at,
            outbox_table.c.hospital == self.audience.origin.hospital,
            outbox_table.c.channel == self.route.channel,
            outbox_table.c.topic == DIGEST,
        )
        return not self.connection.scalar(query)

"""Alerts: who hears what of an incident, when, on which channel.

What a channel was told of an incident is kept beside it; a message is what separates the two. So nothing is said twice,
a channel that is new hears of what is open, and what opened and closed while a channel was not to be disturbed is no
message at all. Incident, message and what was told are written in one transaction.

At most one message a channel, hospital and cause within LIMIT: several incidents of one cause are told together, and
what comes too early is told later, as it is then. In quiet hours only what the route lets through at night is told at
once; the morning digest says what is open and what was over by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, select

from card_usage.alerts import incident_store as kept
from card_usage.alerts import situation
from card_usage.alerts.detection import LEAST_MISSING, assess, compared_days, of_channels, of_runs
from card_usage.alerts.incident_store import Told
from card_usage.alerts.incidents import SAMPLE, Happened, Incident, Trouble, step
from card_usage.alerts.message import Place, Said, digest, message
from card_usage.config.alert_causes import SEVERITIES
from card_usage.config.hospital import Alerts, Hospital, Route, hospital_ids, load_hospital
from card_usage.config.settings import Settings
from card_usage.errors import BadHospitalFile
from card_usage.ledger.database import Ledger
from card_usage.ledger.holds import EVERYONE
from card_usage.ledger.schema import outbox
from card_usage.notifications import outbox as queue
from card_usage.windows import HOUR, instant, local
from card_usage.words.catalogue import Language

LIMIT: Final = HOUR
MEMORY: Final = timedelta(hours=36)
"""How long a closed incident can still be told of."""
DIGEST: Final = "digest"


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    """What a sweep found, in incidents and messages."""

    opened: int = 0
    returned: int = 0
    worse: int = 0
    closed: int = 0
    open: int = 0
    messages: int = 0

    def __add__(self, other: Swept) -> Swept:
        mine, theirs = asdict(self), asdict(other)
        return Swept(**{name: mine[name] + theirs[name] for name in mine})

    def summary(self) -> dict[str, object]:
        """Counts, fit for logs and XCom."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Team:
    """The engineers who run the fleet: `channels` for what concerns no one hospital, and for hospitals that have no
    routes of their own. `airflow`: the address of its UI, as people type it."""

    channels: tuple[str, ...] = ()
    airflow: str = ""
    language: Language = "zh"

    @classmethod
    def of(cls, settings: Settings) -> Team:
        """As CARD_USAGE_TEAM_CHANNELS names it."""
        return cls(channels=settings.team_channels, airflow=settings.airflow_url)

    @property
    def routes(self) -> tuple[Route, ...]:
        """Everything, at any hour: they decide themselves what wakes them."""
        return tuple(Route(channel=name, at_night="all", digest=False) for name in self.channels)


def sweep_all(ledger: Ledger, hospitals: Path, team: Team, *, now: datetime) -> Swept:
    """Every hospital that has a file, and the fleet. A file that cannot be read is itself an incident."""
    swept, broken = Swept(), {}
    for hospital_id in hospital_ids(hospitals):
        try:
            hospital = load_hospital(hospitals, hospital_id)
        except BadHospitalFile as problem:
            broken[hospital_id] = str(problem)
        else:
            swept += sweep(ledger, hospital, team, now=now)
    return swept + sweep_fleet(ledger, team, broken, now=now)


def sweep(ledger: Ledger, hospital: Hospital, team: Team, *, now: datetime) -> Swept:
    """Look at one hospital: open, update and close its incidents, put what is to be told into the outbox."""
    settings = hospital.alerts
    with ledger.read() as connection:
        seen = situation.look(
            connection,
            hospital.id,
            hospital.his.feeds,
            now=now,
            behind=timedelta(hours=settings.behind_hours),
            settled=timedelta(hours=settings.settle_hours),
            compared=compared_days(hospital, now),
            enough=LEAST_MISSING,
        )
        troubles = [_with_sample(connection, hospital.id, one, now) for one in assess(seen, hospital, now)]
    place = Place(hospital=hospital.id, name=hospital.name, name_en=hospital.name_en, airflow=team.airflow)
    routes = settings.routes or team.routes
    spoken: Language = hospital.report.language
    return _follow(ledger, place, troubles, routes, settings, spoken, now=now)


def sweep_fleet(ledger: Ledger, team: Team, broken: Mapping[str, str], *, now: datetime) -> Swept:
    """What concerns no one hospital: DAGs that serve all, channels that are down; and files of hospitals (id -> what is
    wrong) that cannot be read, whose other incidents stay as they are."""
    with ledger.read() as connection:
        troubles = [*of_runs(situation.failed_runs(connection)), *of_channels(queue.states(connection), now)]
    everyone = Place(hospital=EVERYONE, name="", name_en="", airflow=team.airflow)
    told = _follow(ledger, everyone, troubles, team.routes, Alerts(), team.language, now=now)
    for hospital_id, problem in broken.items():
        trouble = Trouble(
            cause="misconfiguration", detail="file", severity="critical", count=0, since=now, facts={"reason": problem}
        )
        place = replace(everyone, hospital=hospital_id, name=hospital_id, name_en=hospital_id)
        told += _follow(ledger, place, [trouble], team.routes, Alerts(), team.language, now=now, only=trouble.key)
    return told


def _with_sample(connection: Connection, hospital: str, trouble: Trouble, now: datetime) -> Trouble:
    keys = situation.sample(connection, hospital, trouble.cause, trouble.detail, now=now, most=SAMPLE)
    return replace(trouble, sample=tuple(keys)) if keys else trouble


def _follow(
    ledger: Ledger,
    place: Place,
    troubles: Sequence[Trouble],
    routes: Sequence[Route],
    settings: Alerts,
    language: Language,
    *,
    now: datetime,
    only: tuple[str, str] | None = None,
) -> Swept:
    """From troubles to incidents to messages, in one transaction."""
    with ledger.write() as connection:
        known = kept.known(connection, place.hospital, now)
        known = [one for one in known if only in (None, one.key)]
        changes = kept.save(connection, step(place.hospital, known, troubles, now))
        current = kept.listed(connection, place.hospital, now - MEMORY)
        told = kept.told(connection, [one.id for one in current if one.id is not None]) if current else {}
        messages = 0
        for route in routes if current else ():
            messages += _tell(connection, place, route, settings, current, told, route.language or language, now)
    happened = [change.happened for change in changes]
    return Swept(
        opened=happened.count("opened"),
        returned=happened.count("returned"),
        worse=happened.count("worse"),
        closed=happened.count("closed"),
        open=sum(one.is_open for one in current),
        messages=messages,
    )


def _tell(
    connection: Connection,
    place: Place,
    route: Route,
    settings: Alerts,
    current: Sequence[Incident],
    told: Mapping[tuple[int, str], Told],
    language: Language,
    now: datetime,
) -> int:
    """Put what this channel is to hear now into the outbox; returns how many messages."""
    mine = {incident_id: one for (incident_id, channel), one in told.items() if channel == route.channel}
    if route.digest and _digest_is_due(connection, place.hospital, route.channel, settings, now):
        since = now - timedelta(days=1)
        listed = [one for one in current if _concerns(route, one) and (one.closed_at is None or one.closed_at > since)]
        if listed:
            subject, text, html = digest(place, listed, language, now)
            queue.enqueue(
                connection, route.channel, subject, text, html, now=now, hospital=place.hospital, topic=DIGEST
            )
            kept.tell(connection, route.channel, listed, now)
            return 1 + _tell_by_cause(connection, place, route, settings, current, _as_told(listed, now), language, now)
    return _tell_by_cause(connection, place, route, settings, current, mine, language, now)


def _as_told(listed: Iterable[Incident], now: datetime) -> dict[int, Told]:
    return {one.id: Told(one.version, not one.is_open, now) for one in listed if one.id is not None}


def _tell_by_cause(
    connection: Connection,
    place: Place,
    route: Route,
    settings: Alerts,
    current: Sequence[Incident],
    mine: Mapping[int, Told],
    language: Language,
    now: datetime,
) -> int:
    messages = 0
    for cause, said in notices(route, settings, current, mine, now).items():
        subject, text, html = message(place, said, language, now)
        queue.enqueue(connection, route.channel, subject, text, html, now=now, hospital=place.hospital, topic=cause)
        kept.tell(connection, route.channel, [one.incident for one in said], now)
        messages += 1
    return messages


def notices(
    route: Route, settings: Alerts, current: Sequence[Incident], told: Mapping[int, Told], now: datetime
) -> dict[str, list[Said]]:
    """What a channel is to hear now, by cause. Pure. `told`: what it heard before, by incident."""
    last: dict[str, datetime] = {}
    due: dict[str, list[Said]] = {}
    for one in current:
        before = told.get(one.id or 0)
        if before is not None:
            last[one.cause] = max(last.get(one.cause, before.at), before.at)
        happened = _news(route, one, before)
        if happened is not None:
            due.setdefault(one.cause, []).append(Said(happened, one))
    quiet = settings.is_quiet(local(now).time())
    return {
        cause: said
        for cause, said in due.items()
        if (cause not in last or now - last[cause] >= LIMIT) and not (quiet and _sleeps(route, said))
    }


def _news(route: Route, one: Incident, before: Told | None) -> Happened | None:
    if before is None:
        loud = SEVERITIES.index(one.severity) >= SEVERITIES.index(route.least)
        if not (one.is_open and loud and _concerns(route, one)):
            return None
        return "returned" if one.returns else "opened"
    if before.version == one.version:
        return None
    if not one.is_open:
        return None if before.closed else "closed"
    return "returned" if before.closed else "worse"


def _concerns(route: Route, one: Incident) -> bool:
    return not route.causes or one.cause in route.causes


def _sleeps(route: Route, said: Sequence[Said]) -> bool:
    """Whether this can wait until the morning."""
    if route.at_night == "critical":
        return all(one.incident.severity != "critical" for one in said)
    return route.at_night == "nothing"


def _digest_is_due(connection: Connection, hospital: str, channel: str, settings: Alerts, now: datetime) -> bool:
    """Within an hour of its time, and not sent yet."""
    here = local(now)
    at = instant(datetime.combine(here.date(), settings.digest_at))
    if not at <= now < at + HOUR:
        return False
    query = select(func.count()).where(
        outbox.c.created_at >= at,
        outbox.c.hospital == hospital,
        outbox.c.channel == channel,
        outbox.c.topic == DIGEST,
    )
    return not connection.scalar(query)

"""Incidents: one for each cause and hospital, opened once, closed when it is over.

Level-triggered: conditions are what the ledger shows now, whatever was seen before; `step` compares them with the
incidents that are known and says what changed. Missing a look loses nothing, looking twice changes nothing.

open     a condition is present, and no cause that explains it is open
worse    its count is WORSE times what was last notified, its severity rose, or it has a part (a code, a feed, a day)
         that was not named before
close    it was absent for the cause's `closes_after`, doubled each time the condition came back (up to LONGEST_ABSENCE)
return   it is back within RETURNS of being closed: the same incident again, not a new one

Pure: nothing here reads or writes, and nothing holds patient data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Final, Literal, NamedTuple

from card_usage.config.alert_causes import CAUSES, SEVERITIES, SHORT_ABSENCE, Severity

ChangeKind = Literal["opened", "returned", "worse", "closed", "changed"]
"""'changed' only keeps the figures current; all others are worth a message."""

WORSE: Final = 2
RETURNS: Final = timedelta(hours=6)
LONGEST_ABSENCE: Final = timedelta(hours=12)
MOST_PARTS: Final = 40
"""Parts that are stored by name; with more of them only the count says whether it is worse."""
SAMPLE: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """Something wrong that the ledger shows now.

    `count`: in the cause's own unit (events, hours, runs). `detail`: what tells it from others of its cause (a code
    table, a rule, a DAG). `facts` fill the cause's texts. `parts`: what it consists of (codes, feeds, days), the
    largest first. `sample`: keys of some events that it concerns.
    """

    cause: str
    severity: Severity
    count: int
    since: datetime
    detail: str = ""
    parts: tuple[str, ...] = ()
    facts: Mapping[str, str | int] = field(default_factory=dict)
    sample: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.cause not in CAUSES:
            raise ValueError(f"no cause '{self.cause}'")
        if self.since.tzinfo is None:
            raise ValueError("an instant carries its zone")

    @property
    def key(self) -> tuple[str, str]:
        """Identifies the condition within its hospital."""
        return self.cause, self.detail


@dataclass(frozen=True, kw_only=True, slots=True)
class Incident:
    """A condition with its history.

    `id` None: not stored yet. `stated` and `parts`: the count and the parts that were last notified. `version`: grows
    with each change that is worth a message.
    """

    id: int | None
    hospital: str
    cause: str
    detail: str
    severity: Severity
    count: int
    stated: int
    parts: tuple[str, ...]
    facts: Mapping[str, str | int]
    sample: tuple[str, ...]
    since: datetime
    opened_at: datetime
    absent_since: datetime | None = None
    closed_at: datetime | None = None
    returns: int = 0
    version: int = 1

    @property
    def key(self) -> tuple[str, str]:
        """That of its condition."""
        return self.cause, self.detail

    @property
    def is_open(self) -> bool:
        """Whether it is not closed."""
        return self.closed_at is None

    @property
    def owner(self) -> str:
        """Who resolves it."""
        return CAUSES[self.cause].owner

    @property
    def closes_after(self) -> timedelta:
        """How long its condition must be absent before it is closed."""
        absence = CAUSES[self.cause].closes_after
        if not self.returns:
            return absence
        return max(absence, min(LONGEST_ABSENCE, (absence or SHORT_ABSENCE) * (1 << min(8, self.returns))))


class Change(NamedTuple):
    """What happened to an incident; `incident` is how it is now."""

    kind: ChangeKind
    incident: Incident


def step(hospital: str, known: Iterable[Incident], present: Iterable[Condition], now: datetime) -> tuple[Change, ...]:
    """What changes. `known`: the hospital's open incidents, and those closed less than RETURNS ago."""
    by_key: dict[tuple[str, str], Incident] = {}
    for incident in sorted(known, key=lambda incident: (incident.is_open, incident.closed_at or incident.opened_at)):
        by_key[incident.key] = incident
    conditions = {condition.key: condition for condition in present}
    order = list(CAUSES)
    gone = [incident for key, incident in by_key.items() if incident.is_open and key not in conditions]
    ended = [change for incident in gone if (change := _absent(incident, now)) is not None]
    closed = {change.incident.key for change in ended if change.kind == "closed"}
    changes: list[Change] = []
    open_causes = {incident.cause for key, incident in by_key.items() if incident.is_open and key not in closed}
    for key, condition in sorted(conditions.items(), key=lambda pair: (order.index(pair[0][0]), pair[0])):
        before = by_key.get(key)
        if before is not None and before.is_open:
            change = _still(before, condition)
        elif open_causes & {*CAUSES[condition.cause].explained_by}:
            continue
        elif before is not None and before.closed_at is not None and now - before.closed_at < RETURNS:
            change = _returned(before, condition)
        else:
            change = Change("opened", _opened(hospital, condition, now))
        open_causes.add(condition.cause)
        if change is not None:
            changes.append(change)
    return (*changes, *ended)


def _opened(hospital: str, condition: Condition, now: datetime) -> Incident:
    return Incident(
        id=None,
        hospital=hospital,
        cause=condition.cause,
        detail=condition.detail,
        severity=condition.severity,
        count=condition.count,
        stated=condition.count,
        parts=condition.parts[:MOST_PARTS],
        facts=dict(condition.facts),
        sample=condition.sample[:SAMPLE],
        since=condition.since,
        opened_at=now,
    )


def _returned(before: Incident, condition: Condition) -> Change:
    fresh = _opened(before.hospital, condition, before.opened_at)
    again = replace(fresh, id=before.id, returns=before.returns + 1, version=before.version + 1)
    return Change("returned", again)


def _still(before: Incident, condition: Condition) -> Change | None:
    """An open incident whose condition is present: worse, or other figures, or unchanged (None)."""
    new_part = len(before.parts) < MOST_PARTS and not set(condition.parts) <= set(before.parts)
    rose = SEVERITIES.index(condition.severity) > SEVERITIES.index(before.severity)
    worse = rose or new_part or condition.count >= WORSE * max(1, before.stated)
    after = replace(
        before,
        severity=max(before.severity, condition.severity, key=SEVERITIES.index),
        count=condition.count,
        facts=dict(condition.facts),
        sample=condition.sample[:SAMPLE],
        absent_since=None,
    )
    if worse:
        parts = tuple(dict.fromkeys((*before.parts, *condition.parts)))[:MOST_PARTS]
        stated = max(before.stated, condition.count)
        return Change("worse", replace(after, stated=stated, parts=parts, version=before.version + 1))
    return Change("changed", after) if after != before else None


def _absent(before: Incident, now: datetime) -> Change | None:
    """An open incident whose condition is absent: closed, if that has lasted long enough."""
    absent_since = before.absent_since or now
    if now - absent_since >= before.closes_after:
        closed = replace(before, absent_since=absent_since, closed_at=now, version=before.version + 1)
        return Change("closed", closed)
    return Change("changed", replace(before, absent_since=absent_since)) if before.absent_since is None else None


def listed_days(days: Sequence[date]) -> str:
    """Days as the fact `days` has them: the first three, and how many more."""
    return ",".join(map(str, days[:3])) + (f",+{len(days) - 3}" if len(days) > 3 else "")

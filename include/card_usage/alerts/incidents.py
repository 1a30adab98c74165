"""Incidents: one for each cause and hospital, opened once, closed when it is over.

Level-triggered: troubles are what the ledger shows now, whatever was seen before; `step` compares them with the
incidents that are known and says what changed. Missing a look loses nothing, looking twice changes nothing.

open     a trouble is present, and no cause that explains it is open
worse    its count is WORSE times what was last said, its severity rose, or it has a part (a code, a feed, a day) that
         was not named before
close    it was absent for the cause's `closes_after`, doubled each time the trouble came back (up to LONGEST_CALM)
return   it is back within RETURNS of being closed: the same incident again, not a new one

Pure: nothing here reads or writes, and nothing knows a patient. `sample` holds event keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from card_usage.config.alert_causes import CAUSES, SEVERITIES, SHORT_ABSENCE, Severity

Happened = Literal["opened", "returned", "worse", "closed", "changed"]
TOLD: Final[tuple[Happened, ...]] = ("opened", "returned", "worse", "closed")
"""Changes that are worth a message; 'changed' only keeps the figures current."""

WORSE: Final = 2
RETURNS: Final = timedelta(hours=6)
LONGEST_CALM: Final = timedelta(hours=12)
MOST_PARTS: Final = 40
"""Parts that are told apart; with more of them only the count says whether it is worse."""
SAMPLE: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Something wrong that the ledger shows now. `count` in the cause's own unit (events, hours, runs);
    `facts` fill the texts; `parts` are what it consists of, the largest first."""

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
        """What it is the same trouble by, within its hospital."""
        return self.cause, self.detail


@dataclass(frozen=True, kw_only=True, slots=True)
class Incident:
    """A trouble with its history. `id` None: not kept yet. `stated` and `parts`: what was last said of it."""

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
        """As of its trouble."""
        return self.cause, self.detail

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.closed_at is None

    @property
    def owner(self) -> str:
        """Who mends it."""
        return CAUSES[self.cause].owner

    @property
    def calm(self) -> timedelta:
        """How long its trouble must be absent before it is over."""
        calm = CAUSES[self.cause].closes_after
        if not self.returns:
            return calm
        return max(calm, min(LONGEST_CALM, (calm or SHORT_ABSENCE) * (1 << min(8, self.returns))))


class Change(NamedTuple):
    """What happened to an incident; `incident` is how it is now."""

    happened: Happened
    incident: Incident


def step(hospital: str, known: Iterable[Incident], present: Iterable[Trouble], now: datetime) -> tuple[Change, ...]:
    """What changes. `known`: the hospital's open incidents, and those closed less than RETURNS ago."""
    by_key: dict[tuple[str, str], Incident] = {}
    for one in sorted(known, key=lambda one: (one.is_open, one.closed_at or one.opened_at)):
        by_key[one.key] = one
    troubles = {trouble.key: trouble for trouble in present}
    order = list(CAUSES)
    absent = [_absent(one, now) for key, one in by_key.items() if one.is_open and key not in troubles]
    ended = [change for change in absent if change is not None]
    over = {change.incident.key for change in ended if change.happened == "closed"}
    changes: list[Change] = []
    open_causes = {one.cause for one in by_key.values() if one.is_open and one.key not in over}
    for key, trouble in sorted(troubles.items(), key=lambda pair: (order.index(pair[0][0]), pair[0])):
        before = by_key.get(key)
        if before is not None and before.is_open:
            change = _still(before, trouble)
        elif open_causes & {*CAUSES[trouble.cause].explained_by}:
            continue
        elif before is not None and before.closed_at is not None and now - before.closed_at < RETURNS:
            change = _returned(before, trouble)
        else:
            change = Change("opened", _opened(hospital, trouble, now))
        open_causes.add(trouble.cause)
        if change is not None:
            changes.append(change)
    return (*changes, *ended)


def _opened(hospital: str, trouble: Trouble, now: datetime) -> Incident:
    return Incident(
        id=None,
        hospital=hospital,
        cause=trouble.cause,
        detail=trouble.detail,
        severity=trouble.severity,
        count=trouble.count,
        stated=trouble.count,
        parts=trouble.parts[:MOST_PARTS],
        facts=dict(trouble.facts),
        sample=trouble.sample[:SAMPLE],
        since=trouble.since,
        opened_at=now,
    )


def _returned(before: Incident, trouble: Trouble) -> Change:
    fresh = _opened(before.hospital, trouble, before.opened_at)
    again = replace(fresh, id=before.id, returns=before.returns + 1, version=before.version + 1)
    return Change("returned", again)


def _still(before: Incident, trouble: Trouble) -> Change | None:
    """An open incident whose trouble is present: worse, or other figures, or nothing to say."""
    new_part = len(before.parts) < MOST_PARTS and not set(trouble.parts) <= set(before.parts)
    rose = SEVERITIES.index(trouble.severity) > SEVERITIES.index(before.severity)
    worse = rose or new_part or trouble.count >= WORSE * max(1, before.stated)
    after = replace(
        before,
        severity=max(before.severity, trouble.severity, key=SEVERITIES.index),
        count=trouble.count,
        facts=dict(trouble.facts),
        sample=trouble.sample[:SAMPLE],
        absent_since=None,
    )
    if worse:
        parts = tuple(dict.fromkeys((*before.parts, *trouble.parts)))[:MOST_PARTS]
        stated = max(before.stated, trouble.count)
        return Change("worse", replace(after, stated=stated, parts=parts, version=before.version + 1))
    return Change("changed", after) if after != before else None


def _absent(one: Incident, now: datetime) -> Change | None:
    """An open incident whose trouble is gone: over, or perhaps soon."""
    absent_since = one.absent_since or now
    if now - absent_since >= one.calm:
        closed = replace(one, absent_since=absent_since, closed_at=now, version=one.version + 1)
        return Change("closed", closed)
    return Change("changed", replace(one, absent_since=absent_since)) if one.absent_since is None else None

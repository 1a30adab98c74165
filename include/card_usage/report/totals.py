"""Totals: stored reconciliations of days, summed; months, the fleet and trends stand on them. No event is read here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Connection, select

from card_usage.config.hospital import Hospital
from card_usage.ledger.schema import reconciliation
from card_usage.reconciliation.classes import CLASSES, DIFFERENCES, HOLDERS
from card_usage.reconciliation.reconcile import EVERY_FEED
from card_usage.report import day_uses
from card_usage.report.chart import Figures
from card_usage.windows import DAY, local
from card_usage.words.catalogue import Language

TREND_DAYS: Final = 30


class StoredDay(NamedTuple):
    """One feed's day as it was last reconciled (feed `*`: a day of the platform's statement)."""

    hospital: str
    feed: str
    day: date
    counts: Mapping[str, Any]
    remainder: int
    provisional: bool
    clean: bool
    at: datetime


def load_days(connection: Connection, hospitals: Iterable[str], first: date, last: date) -> Iterator[StoredDay]:
    """All that is stored of these hospitals and days, hospital by hospital and day by day, read as it is consumed."""
    table = reconciliation.c
    query = (
        select(
            *(table.hospital, table.feed, table.day, table.counts),
            *(table.remainder, table.provisional, table.clean, table.at),
        )
        .where(table.hospital.in_(list(hospitals)), table.day.between(first, last))
        .order_by(table.hospital, table.day, table.feed)
    )
    for hospital, feed, day, text, *marks in connection.execute(query, execution_options={"yield_per": 1000}):
        yield StoredDay(hospital, feed, day, json.loads(text), *marks)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Stored days as one. `source` None: nothing is stored, or some feed and day was not counted at the HIS."""

    source: int | None
    source_voided: int | None
    staged: int
    open: int
    remainder: int
    provisional: bool
    clean: bool
    classes: Mapping[str, int]
    differences: Mapping[str, int]
    causes: Mapping[str, int]
    counted_at: datetime | None

    @property
    def held(self) -> Mapping[str, int]:
        """Held events; what holds them is not stored, so all count as held by the quota."""
        return dict.fromkeys(HOLDERS, 0) | {"quota": self.classes["held"]}

    @classmethod
    def of(cls, rows: Iterable[StoredDay]) -> Standing:
        """The sum of any hospitals, feeds and days."""
        stored = list(rows)
        feeds = [row for row in stored if row.feed != EVERY_FEED]
        statements = [row for row in stored if row.feed == EVERY_FEED]
        causes: dict[str, int] = {}
        for row in feeds:
            for rule, events in row.counts.get("causes", {}).items():
                causes[rule] = causes.get(rule, 0) + events
        differences = {name: _sum(feeds, name) for name in DIFFERENCES}
        differences["platform_missing"] += _sum(statements, "missing")
        differences["platform_surplus"] += _sum(statements, "surplus")
        return cls(
            source=_known_sum(feeds, "source"),
            source_voided=_known_sum(feeds, "source_voided"),
            staged=_sum(feeds, "staged"),
            open=_sum(feeds, "open"),
            remainder=sum(row.remainder for row in stored),
            provisional=any(row.provisional for row in feeds),
            clean=bool(feeds) and all(row.clean for row in stored),
            classes={name: _sum(feeds, name) for name in CLASSES},
            differences=differences,
            causes=causes,
            counted_at=min((row.at for row in feeds), default=None),
        )

    @classmethod
    def sum(cls, several: Iterable[Standing]) -> Standing:
        """Of any hospitals and days."""
        standings = list(several)
        sources = [each.source for each in standings]
        voided = [each.source_voided for each in standings]
        return cls(
            source=_known(sources),
            source_voided=_known(voided),
            staged=sum(each.staged for each in standings),
            open=sum(each.open for each in standings),
            remainder=sum(each.remainder for each in standings),
            provisional=any(each.provisional for each in standings),
            clean=bool(standings) and all(each.clean for each in standings),
            classes=_added(CLASSES, (each.classes for each in standings)),
            differences=_added(DIFFERENCES, (each.differences for each in standings)),
            causes=_added((), (each.causes for each in standings)),
            counted_at=min((each.counted_at for each in standings if each.counted_at is not None), default=None),
        )


def _added(names: Iterable[str], several: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    total = dict.fromkeys(names, 0)
    for figures in several:
        for name, figure in figures.items():
            total[name] = total.get(name, 0) + figure
    return total


def _sum(rows: list[StoredDay], name: str) -> int:
    return sum(row.counts.get(name) or 0 for row in rows)


def _known_sum(rows: list[StoredDay], name: str) -> int | None:
    return _known([row.counts.get(name) for row in rows])


def _known(figures: list[int | None]) -> int | None:
    """None unless there are some and all are known."""
    return None if not figures or None in figures else sum(figure for figure in figures if figure is not None)


class Weighed(Protocol):
    """What totals, levels and actions are taken of: a `Reconciliation`, or a `Standing`."""

    @property
    def source(self) -> int | None: ...
    @property
    def source_voided(self) -> int | None: ...
    @property
    def staged(self) -> int: ...
    @property
    def open(self) -> int: ...
    @property
    def remainder(self) -> int: ...
    @property
    def provisional(self) -> bool: ...
    @property
    def clean(self) -> bool: ...
    @property
    def classes(self) -> Mapping[str, int]: ...
    @property
    def differences(self) -> Mapping[str, int]: ...
    @property
    def held(self) -> Mapping[str, int]: ...


def totals_of(weighed: Weighed) -> Figures:
    """The key `totals` of a report's JSON."""
    classes, differences = weighed.classes, weighed.differences
    return {
        "source": weighed.source,
        "source_voided": weighed.source_voided,
        "staged": weighed.staged,
        "delivered": classes["delivered"],
        "to_report": weighed.staged - classes["voided"],
        "waiting": weighed.open + differences["late_in_source"] + differences["provisional_window"],
        "not_staged": sum(differences[name] for name in ("late_in_source", "provisional_window", "moved_here")),
        "for_people": classes["quarantined"]
        + classes["rejected"]
        + classes["unconfirmed"]
        + differences["vanished_from_source"]
        + differences["moved_here"]
        + differences["platform_missing"]
        + differences["platform_surplus"],
        "remainder": weighed.remainder,
    }


def trend(connection: Connection, hospital: str, last: date, days: int = TREND_DAYS) -> list[Figures]:
    """Day by day up to `last`, as stored; a day of which nothing is stored has null figures."""
    first = last - timedelta(days=days - 1)
    by_day = {
        day: Standing.of(rows)
        for day, rows in groupby(load_days(connection, [hospital], first, last), key=attrgetter("day"))
    }
    used = {day: uses.events for (_, day), uses in day_uses.by_day(connection, [hospital], first, last).items()}
    return [trend_day(day, by_day.get(day), used.get(day)) for day in (first + DAY * n for n in range(days))]


def trend_day(day: date, standing: Standing | None, used: int | None) -> Figures:
    """One day of a trend: what was delivered, what waits, what somebody has to mend, what was refunded in time. None:
    nothing is stored of it."""
    names = ("source", "staged", "delivered", "waiting", "for_people", "voided")
    if standing is None:
        return {"day": day.isoformat(), "uses": used, **dict.fromkeys(names)}
    totals = totals_of(standing)
    figures = {**totals, "voided": standing.classes["voided"]}
    return {"day": day.isoformat(), "uses": used, **{name: figures[name] for name in names}}


def name_of(hospital: Hospital, language: Language) -> str:
    """Its name in the report's language, where it has one."""
    return hospital.name if language == "zh" else hospital.name_en or hospital.name


def named_hospital(hospital: Hospital, language: Language) -> Figures:
    """Who the report is about."""
    return {
        "id": hospital.id,
        "name": name_of(hospital, language),
        "platform_id": hospital.platform.hospital_id,
        "region": hospital.region,
    }


def verified_text(edge: datetime | None) -> str | None:
    """A local time up to which all is verified, as the JSON says it; None stays None."""
    return None if edge is None else edge.isoformat(timespec="minutes")


def stamp(instant: datetime) -> str:
    """Local time with its zone, whole minutes."""
    return f"{local(instant):%Y-%m-%dT%H:%M}+08:00"

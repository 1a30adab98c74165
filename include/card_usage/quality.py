"""Quality: one look at a whole window before anything of it leaves: pass, warn, hold for a person, or stop.

stop   events that are due break a declared rule: they should have been quarantined, so something of ours is wrong
hold   so much is quarantined that the day itself is doubtful
warn   more is quarantined or unmapped than usual; a feed is silent that never was on this weekday
pass   none of these, or no history to compare with

Great Expectations judges, by SQL in the ledger's own database, over columns that say nothing about patients
(`card_usage.expectations`). Verdicts are kept, so that a person can decide and a report can tell.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from time import perf_counter
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from card_usage.codes import load_tables
from card_usage.expectations import Concern, Level, demands, failures, inside
from card_usage.hospitals import Hospital
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event
from card_usage.ledger.schema import verdict as verdict_table
from card_usage.rules import BY_ID
from card_usage.windows import Window
from card_usage.words import Language, Words

LEVELS: Final[tuple[Level, ...]] = ("pass", "warn", "hold", "stop")

RELEASED: Final = "released"
"""The decision of a person that lets a held window go."""

WEEKS: Final = 4
"""How many earlier days of the same weekday are history."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One thing that speaks against a window. `count` events `of` so many; `limit` is the share that is allowed.

    `rule` names a broken rule, `feed` a silent feed (then `of` is what it used to have).
    """

    code: Concern
    level: Level
    count: int
    of: int
    limit: float | None = None
    rule: str | None = None
    feed: str | None = None

    def text(self, language: Language) -> str:
        """What happened, how many, what to do."""
        words = Words(language)
        return words(
            f"reason.{self.code}",
            count=self.count,
            of=self.of,
            share=f"{100 * self.count / self.of:.3g}%" if self.of else "",
            limit="" if self.limit is None else f"{100 * self.limit:g}%",
            rule="" if self.rule is None else getattr(BY_ID[self.rule], language),
            feed="" if self.feed is None else words.known("feed", self.feed),
        )

    @property
    def zh(self) -> str:
        """In Chinese."""
        return self.text("zh")

    @property
    def en(self) -> str:
        """In English."""
        return self.text("en")

    def summary(self) -> dict[str, object]:
        """Figures and both texts."""
        return {**asdict(self), "zh": self.zh, "en": self.en}


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the check came to. `events`: looked at, refunded ones left out. `seconds`: the check's own time."""

    hospital: str
    window: str
    verdict: Level
    reasons: tuple[Reason, ...]
    events: int
    seconds: float = 0.0

    def summary(self) -> dict[str, object]:
        """Counts and texts, nothing about patients."""
        return {
            "hospital": self.hospital,
            "window": self.window,
            "verdict": self.verdict,
            "events": self.events,
            "reasons": [reason.summary() for reason in self.reasons],
            "seconds": self.seconds,
        }


def history(connection: Connection, hospital: Hospital, window: Window) -> dict[str, int]:
    """Events a feed had on average in this window of earlier weeks, for feeds that had some in every one of them.

    Weeks in which the hospital had nothing at all are no history.
    """
    weeks: list[dict[str, int]] = []
    for back in range(1, WEEKS + 1):
        shift = timedelta(weeks=back)
        of_week = feed_volumes(connection, hospital.id, Window(window.start - shift, window.end - shift))
        if of_week:
            weeks.append(of_week)
    if not weeks:
        return {}
    steady = [feed for feed in hospital.his.feeds if all(week.get(feed) for week in weeks)]
    return {feed: round(sum(week[feed] for week in weeks) / len(weeks)) for feed in steady}


def feed_volumes(connection: Connection, hospital_id: str, window: Window) -> dict[str, int]:
    """Events in the ledger by feed."""
    query = select(event.c.feed, func.count()).where(inside(hospital_id, window)).group_by(event.c.feed)
    return {feed: events for feed, events in connection.execute(query)}


def check(ledger: Ledger, hospital: Hospital, window: Window, *, now: datetime) -> Verdict:
    """Judge the window and keep the verdict; the same verdict again only refreshes its time. Raises CheckBroken."""
    began = perf_counter()
    codes = {name: table.codes for name, table in load_tables().items()}
    with ledger.read() as connection:
        events = _standing(connection, hospital.id, window)
        usual = history(connection, hospital, window)
        present = feed_volumes(connection, hospital.id, window)
    wanted = demands(hospital, codes, events=events, expected_feeds=usual)
    reasons: list[Reason] = []
    for demand, unexpected, of in failures(ledger, hospital, window, wanted):
        if demand.kind == "holds_all":
            reasons += [
                Reason(code=demand.concern, level=demand.level, count=0, of=usual[feed], feed=feed)
                for feed in demand.values
                if feed not in present
            ]
        else:
            reasons.append(
                Reason(
                    code=demand.concern,
                    level=demand.level,
                    count=unexpected,
                    of=of,
                    limit=demand.allowed if demand.kind == "none_of" else None,
                    rule=demand.rule,
                )
            )
    held = {reason.code for reason in reasons if reason.level == "hold"}
    reasons = [reason for reason in reasons if not (reason.level == "warn" and reason.code in held)]
    reasons.sort(key=lambda one: (-LEVELS.index(one.level), -one.count, one.rule or one.feed or ""))
    found = Verdict(
        hospital=hospital.id,
        window=str(window),
        verdict=reasons[0].level if reasons else "pass",
        reasons=tuple(reasons),
        events=events,
        seconds=round(perf_counter() - began, 3),
    )
    with ledger.write() as connection:
        _keep(connection, found, window, now)
    return found


def _standing(connection: Connection, hospital_id: str, window: Window) -> int:
    query = select(func.count()).where(inside(hospital_id, window), event.c.status != "voided")
    return connection.scalar(query) or 0


def _keep(connection: Connection, found: Verdict, window: Window, now: datetime) -> None:
    """A verdict that only repeats the last one keeps that one's decision."""
    text = json.dumps(
        {"events": found.events, "reasons": [asdict(reason) for reason in found.reasons]}, ensure_ascii=False
    )
    table = verdict_table
    same = (table.c.hospital == found.hospital, table.c.start == window.start, table.c.end == window.end)
    last = connection.execute(select(table).where(*same).order_by(table.c.id.desc()).limit(1)).first()
    if last is not None and (last.verdict, last.reasons) == (found.verdict, text):
        connection.execute(update(table).where(table.c.id == last.id).values(at=now))
        return
    connection.execute(
        insert(table).values(
            hospital=found.hospital, start=window.start, end=window.end, verdict=found.verdict, reasons=text, at=now
        )
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A verdict as the ledger keeps it, with what a person decided about it."""

    window: Window
    verdict: Verdict
    at: datetime
    decision: str | None

    @property
    def withholds(self) -> bool:
        """Whether the window's events stay here."""
        return self.verdict.verdict in ("hold", "stop") and self.decision != RELEASED


def standing_verdicts(connection: Connection, hospital_id: str, window: Window) -> tuple[Given, ...]:
    """Verdicts in force for windows that overlap this one, oldest window first.

    A later verdict replaces earlier ones whose window lies inside its own.
    """
    table = verdict_table
    query = (
        select(table)
        .where(table.c.hospital == hospital_id, table.c.start < window.end, table.c.end > window.start)
        .order_by(table.c.at.desc(), table.c.id.desc())
    )
    found: list[Given] = []
    for row in connection.execute(query):
        of = Window(row.start, row.end)
        if any(later.window.start <= of.start and of.end <= later.window.end for later in found):
            continue
        kept = json.loads(row.reasons)
        reasons = tuple(Reason(**reason) for reason in kept["reasons"])
        verdict = Verdict(
            hospital=hospital_id, window=str(of), verdict=row.verdict, reasons=reasons, events=kept["events"]
        )
        found.append(Given(window=of, verdict=verdict, at=row.at, decision=row.decision))
    return tuple(sorted(found, key=lambda one: one.window))


def withheld_days(ledger: Ledger, hospital_id: str, first: date, last: date) -> tuple[date, ...]:
    """Days of which nothing may leave until a person decides or the cause is mended and the window checked again."""
    start = datetime.combine(first, datetime.min.time())
    window = Window(start, datetime.combine(last, datetime.min.time()) + timedelta(days=1))
    with ledger.read() as connection:
        given = standing_verdicts(connection, hospital_id, window)
    days = {day for one in given if one.withholds for day in one.window.days if first <= day <= last}
    return tuple(sorted(days))

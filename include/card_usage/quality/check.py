"""Quality: one look at a whole window before anything of it leaves: pass, warn, hold for a person, or stop.

stop   events that are due break a declared rule: they should have been quarantined, so something of ours is wrong
hold   so much is quarantined, doubled or more than usual that the window itself is doubtful
warn   worth a look while it is sent: unmapped codes, silent feeds, a mix or a volume unlike that of days like it
info   worth knowing: a window that was counted before it had passed, a code that never occurred before
pass   none of these, or no history to compare with

Great Expectations judges, by SQL in the ledger's own database, over columns that say nothing about patients
(`card_usage.quality.gx`). Verdicts are kept, so that a person can decide and a report can tell
(`card_usage.quality.verdicts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from time import perf_counter
from typing import Any

from sqlalchemy import Connection, select

from card_usage.config.hospital import Hospital
from card_usage.ledger.counts import provisional_feeds
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event
from card_usage.quality import profiles, verdicts
from card_usage.quality.baseline import earlier, limits, total
from card_usage.quality.expectations import Demand, Level, breaking, rule_demands
from card_usage.quality.gx import Failure, judge
from card_usage.quality.profiles import KINDS, Profile
from card_usage.quality.verdicts import LEVELS, Reason, Verdict
from card_usage.standard.code_tables import load_tables
from card_usage.standard.rules import BY_ID
from card_usage.windows import Window, local
from card_usage.words.catalogue import Words


def check(
    ledger: Ledger,
    hospital: Hospital,
    window: Window,
    *,
    now: datetime,
    pages: Callable[[Any, Any], None] | None = None,
) -> Verdict:
    """Judge the window and keep the verdict. Raises CheckBroken.

    `pages` gets each suite of Great Expectations with its answers, for whoever publishes them.
    """
    began = perf_counter()
    with ledger.read() as connection:
        alike, ordinary = (
            [_history(connection, hospital.id, one, now) for one in windows]
            for windows in earlier(window, hospital.calendar)
        )
        profile = profiles.measure(connection, hospital.id, window, present=local(now))
        provisional = provisional_feeds(connection, hospital.id, window)
    usual = limits(
        hospital.gate,
        profile,
        [one for _, one, _ in alike],
        [one for _, one, _ in ordinary],
        holiday=hospital.calendar.is_holiday(window.days[0]),
    )
    # A measure that history has and this window lacks is nothing, not unknown.
    zeros = {demand.measure: 0 for demand in usual}
    with ledger.write() as connection:
        profiles.keep(connection, hospital.id, window, {**zeros, **profile})
        for of, earlier_profile, fresh in (*alike, *ordinary):
            if fresh and earlier_profile:
                profiles.keep(connection, hospital.id, of, earlier_profile)
    codes = {name: table.codes for name, table in load_tables().items()}
    wanted = (*rule_demands(hospital, codes), *usual)
    found = judge(ledger, hospital, window, wanted, told=_teller(hospital), pages=pages)
    with ledger.read() as connection:
        reasons = [_reason(connection, hospital, window, profile, usual, one) for one in found]
    if provisional and profile:
        feeds = tuple(sorted(provisional))
        reasons.append(
            Reason(code="provisional", level="info", count=len(feeds), of=len(hospital.his.feeds), feeds=feeds)
        )
    reasons = _telling(reasons)
    level: Level = next((reason.level for reason in reasons if reason.level != "info"), "pass")
    verdict = Verdict(
        hospital=hospital.id,
        window=str(window),
        verdict=level,
        reasons=tuple(reasons),
        events=profile.get(("volume", ""), 0),
        seconds=round(perf_counter() - began, 3),
    )
    with ledger.write() as connection:
        verdicts.keep(connection, verdict, window, now=now)
    return verdict


def _history(connection: Connection, hospital_id: str, of: Window, now: datetime) -> tuple[Window, Profile, bool]:
    """An earlier window's profile, as it was kept or (then to be kept) from its events."""
    kept = profiles.kept(connection, hospital_id, of)
    if kept is not None:
        return of, kept, False
    return of, profiles.measure(connection, hospital_id, of, present=local(now)), True


def _reason(
    connection: Connection,
    hospital: Hospital,
    window: Window,
    profile: Profile,
    usual: Iterable[Demand],
    failure: Failure,
) -> Reason:
    """The failed demand in figures, with the feeds that it concerns."""
    demand = failure.demand
    measure, of = demand.measure
    common: dict[str, Any] = {"code": demand.concern, "level": demand.level, "limit": demand.limit}
    if demand.kind != "between":
        query = select(event.c.feed).where(breaking(demand, hospital.id, window)).distinct()
        feeds = tuple(sorted(connection.scalars(query)))
        return Reason(**common, count=failure.unexpected, of=failure.of, rule=demand.rule, feeds=feeds)
    count = profile.get(demand.measure, 0)
    if measure in KINDS:
        whole = total(profile, measure)
        if demand.column == "share":
            return Reason(**common, count=count, of=whole, table=measure, value=of, usual=demand.usual)
        return Reason(**common, count=count, of=int(demand.usual or 0) or whole, table=measure, value=of)
    if demand.usual is not None:
        # One feed, or all of them together: then those whose own volume is beyond the same limits.
        feeds = (of,) if of else _beyond(demand, profile, usual)
        return Reason(**common, count=count, of=round(demand.usual), feed=of or None, feeds=feeds)
    return Reason(**common, count=count, of=profile.get(("volume", ""), 0), feeds=_above(demand, profile))


def _above(demand: Demand, profile: Profile) -> tuple[str, ...]:
    """Feeds with a share above the limit; if only all of them together are above it, every feed that has some."""
    name, _ = demand.measure
    some = {feed: amount for (measure, feed), amount in profile.items() if measure == name and feed and amount}
    high = demand.high or 0.0
    above = [feed for feed, amount in some.items() if amount > high * profile["volume", feed]]
    return tuple(sorted(above or some))


def _beyond(demand: Demand, profile: Profile, usual: Iterable[Demand]) -> tuple[str, ...]:
    """Feeds whose own volume is too low or too high; none: all."""
    found = {
        one.measure[1]
        for one in usual
        if one.concern == demand.concern
        and one.measure[1]
        and not (one.low or 0.0) <= profile.get(one.measure, 0) <= (float("inf") if one.high is None else one.high)
    }
    return tuple(sorted(found))


def _telling(reasons: list[Reason]) -> list[Reason]:
    """The hardest first; without those that say again, more softly or of one feed, what another one says.

    A feed that is silent takes its scenes with it, and so shifts the shares of all others.
    """
    held = {reason.code for reason in reasons if reason.level == "hold"}
    whole = {reason.code for reason in reasons if reason.feed is None}
    silent = {reason.feed for reason in reasons if reason.code == "no_rows"}
    kept = [
        reason
        for reason in reasons
        if not (reason.level == "warn" and reason.code in held)
        and not (reason.code in ("volume_drop", "volume_rise") and reason.feed and reason.code in whole)
        and not (reason.code == "volume_drop" and reason.feed in silent)
        and not (reason.table == "scene" and silent)
    ]
    kept.sort(key=lambda one: (-LEVELS.index(one.level), -one.count, one.about))
    return kept


def _teller(hospital: Hospital) -> Callable[[Demand], str]:
    """What a demand means, in the language of the hospital's reports."""
    words = Words(hospital.report.language)

    def told(demand: Demand) -> str:
        measure, of = demand.measure
        named = words.known("feed", of) if measure not in KINDS else of
        if measure in KINDS:
            name = load_tables()[measure].names.get(of, of)
            named = f"{words(f'table.{measure}')} {of} {words.code(measure, of, name)}"
        if demand.rule is not None:
            text = getattr(BY_ID[demand.rule], words.language)
            return words("demand.rule", level=words(f"gate.level.{demand.level}"), rule=demand.rule, text=text)
        return words(
            f"demand.{demand.concern}",
            level=words(f"gate.level.{demand.level}"),
            of=named or words("gate.all_feeds"),
            low="" if demand.low is None else _figure(demand, demand.low),
            high="" if demand.high is None else _figure(demand, demand.high),
        )

    return told


def _figure(demand: Demand, bound: float) -> str:
    return f"{100 * bound:.3g}%" if demand.column == "share" else f"{bound:,.0f}"

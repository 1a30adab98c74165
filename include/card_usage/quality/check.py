"""Check: looks at a whole window before anything of it is delivered: pass, warn, hold for a person, or stop.

A window is a day or a part of it; a range of days is judged day by day.

stop   events that are due break a declared rule: they should have been quarantined, so the pipeline has a defect
hold   so much is quarantined, doubled or more than usual that the window itself is doubtful
warn   worth a look while it is sent: unmapped codes, silent feeds, a mix or a volume unlike that of similar days
info   worth knowing: a window that was counted before it had passed, a code that never occurred before
pass   none of these, or no history to compare with

Great Expectations validates, by SQL in the ledger's own database, over columns that do not identify a patient
(`card_usage.quality.gx`). Verdicts are stored, so that a person can decide and reports can show them
(`card_usage.quality.verdict_store`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any

from sqlalchemy import Connection, select

from card_usage.config.hospital import Hospital
from card_usage.ledger.counts import provisional_feeds
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event
from card_usage.quality import profiles, verdict_store
from card_usage.quality.baseline import earlier, limits, total
from card_usage.quality.expectations import Expectation, Level, rule_expectations, violating
from card_usage.quality.gx import Describe, Failure, OnResults, validate
from card_usage.quality.profiles import CODE_KINDS, Profile
from card_usage.quality.verdicts import LEVELS, Reason, Verdict
from card_usage.standard.code_tables import load_tables
from card_usage.standard.rules import BY_ID
from card_usage.windows import Window, local
from card_usage.words.catalogue import Words


def check(
    ledger: Ledger, hospital: Hospital, window: Window, *, now: datetime, on_results: OnResults | None = None
) -> Verdict:
    """Check the window and save the verdict. Raises CheckBroken, and ValueError for a window of several days, which
    are judged one by one.

    `on_results` gets each suite of Great Expectations with its validation result, for whoever publishes them.
    """
    began = perf_counter()
    with ledger.read() as connection:
        alike, ordinary = (
            [_history(connection, hospital.id, past, now) for past in windows]
            for windows in earlier(window, hospital.calendar)
        )
        profile = profiles.measure(connection, hospital.id, window, present=local(now))
        provisional = provisional_feeds(connection, hospital.id, window)
    measure_limits = limits(
        hospital.gate,
        profile,
        [past.profile for past in alike],
        [past.profile for past in ordinary],
        holiday=hospital.calendar.is_holiday(window.days[0]),
    )
    _save_profiles(ledger, hospital.id, window, profile, measure_limits, [*alike, *ordinary])
    codes = {name: table.codes for name, table in load_tables().items()}
    expectations = (*rule_expectations(hospital, codes), *measure_limits)
    failures = validate(ledger, hospital, window, expectations, describe=_describer(hospital), on_results=on_results)
    with ledger.read() as connection:
        reasons = [_reason(connection, hospital, window, profile, measure_limits, failure) for failure in failures]
    if provisional and profile:
        feeds = tuple(sorted(provisional))
        reasons.append(
            Reason(code="provisional", level="info", count=len(feeds), of=len(hospital.his.feeds), feeds=feeds)
        )
    reasons = _without_repetition(reasons)
    level: Level = next((reason.level for reason in reasons if reason.level != "info"), "pass")
    verdict = Verdict(
        hospital=hospital.id,
        window=str(window),
        level=level,
        reasons=tuple(reasons),
        events=profile.get(("volume", ""), 0),
        seconds=round(perf_counter() - began, 3),
    )
    with ledger.write() as connection:
        verdict_store.save(connection, verdict, window, now=now)
    return verdict


@dataclass(frozen=True, slots=True)
class _Past:
    """An earlier window's profile. `measured`: counted now from its events, so it is yet to be saved."""

    window: Window
    profile: Profile
    measured: bool


def _history(connection: Connection, hospital_id: str, window: Window, now: datetime) -> _Past:
    saved = profiles.load(connection, hospital_id, window)
    if saved is not None:
        return _Past(window, saved, measured=False)
    return _Past(window, profiles.measure(connection, hospital_id, window, present=local(now)), measured=True)


def _save_profiles(
    ledger: Ledger,
    hospital_id: str,
    window: Window,
    profile: Profile,
    measure_limits: Iterable[Expectation],
    history: Iterable[_Past],
) -> None:
    """Save the window's profile, and those of earlier windows that had none."""
    # A measure that history has and this window lacks is 0, not unknown.
    zeros = {expectation.measure: 0 for expectation in measure_limits}
    with ledger.write() as connection:
        profiles.save(connection, hospital_id, window, {**zeros, **profile})
        for past in history:
            if past.measured and past.profile:
                profiles.save(connection, hospital_id, past.window, past.profile)


def _reason(
    connection: Connection,
    hospital: Hospital,
    window: Window,
    profile: Profile,
    measure_limits: Iterable[Expectation],
    failure: Failure,
) -> Reason:
    """The expectation that is not met in figures, with the feeds that it concerns."""
    expectation = failure.expectation
    measure, of = expectation.measure
    common: dict[str, Any] = {"code": expectation.reason, "level": expectation.level, "limit": expectation.limit}
    if expectation.kind != "between":
        query = select(event.c.feed).where(violating(expectation, hospital.id, window)).distinct()
        feeds = tuple(sorted(connection.scalars(query)))
        return Reason(**common, count=failure.unexpected, of=failure.of, rule=expectation.rule, feeds=feeds)
    count = profile.get(expectation.measure, 0)
    if measure in CODE_KINDS:
        whole = total(profile, measure)
        if expectation.column == "share":
            return Reason(**common, count=count, of=whole, table=measure, value=of, usual=expectation.usual)
        return Reason(**common, count=count, of=int(expectation.usual or 0) or whole, table=measure, value=of)
    if expectation.usual is not None:
        # One feed, or all of them together: then those whose own volume is beyond the same limits.
        feeds = (of,) if of else _feeds_beyond_limits(expectation, profile, measure_limits)
        return Reason(**common, count=count, of=round(expectation.usual), feed=of or None, feeds=feeds)
    feeds = _feeds_above_share(expectation, profile)
    return Reason(**common, count=count, of=profile.get(("volume", ""), 0), feeds=feeds)


def _feeds_above_share(expectation: Expectation, profile: Profile) -> tuple[str, ...]:
    """Feeds with a share above the limit; if only all of them together are above it, every feed that has some."""
    name, _ = expectation.measure
    some = {feed: amount for (measure, feed), amount in profile.items() if measure == name and feed and amount}
    high = expectation.high or 0.0
    above = [feed for feed, amount in some.items() if amount > high * profile["volume", feed]]
    return tuple(sorted(above or some))


def _feeds_beyond_limits(
    expectation: Expectation, profile: Profile, measure_limits: Iterable[Expectation]
) -> tuple[str, ...]:
    """Feeds whose own volume is too low or too high; none: all."""
    feeds = {
        other.measure[1]
        for other in measure_limits
        if other.reason == expectation.reason
        and other.measure[1]
        and not (other.low or 0.0)
        <= profile.get(other.measure, 0)
        <= (float("inf") if other.high is None else other.high)
    }
    return tuple(sorted(feeds))


def _without_repetition(reasons: list[Reason]) -> list[Reason]:
    """The hardest first; without those that repeat, at a lower level or for one feed, what another one says.

    A feed that is silent takes its scenes with it, and so shifts the shares of all others.
    """
    held = {reason.code for reason in reasons if reason.level == "hold"}
    whole = {reason.code for reason in reasons if reason.feed is None}
    silent = {reason.feed for reason in reasons if reason.code == "no_rows"}
    remaining = [
        reason
        for reason in reasons
        if not (reason.level == "warn" and reason.code in held)
        and not (reason.code in ("volume_drop", "volume_rise") and reason.feed and reason.code in whole)
        and not (reason.code == "volume_drop" and reason.feed in silent)
        and not (reason.table == "scene" and silent)
    ]
    remaining.sort(key=lambda reason: (-LEVELS.index(reason.level), -reason.count, reason.key))
    return remaining


def _describer(hospital: Hospital) -> Describe:
    """What an expectation means, in the language of the hospital's reports."""
    words = Words(hospital.report.language)

    def describe(expectation: Expectation) -> str:
        measure, of = expectation.measure
        named = words.known("feed", of) if measure not in CODE_KINDS else of
        if measure in CODE_KINDS:
            name = load_tables()[measure].names.get(of, of)
            named = f"{words(f'table.{measure}')} {of} {words.code(measure, of, name)}"
        level = words(f"gate.level.{expectation.level}")
        if expectation.rule is not None:
            text = getattr(BY_ID[expectation.rule], words.language)
            return words("demand.rule", level=level, rule=expectation.rule, text=text)
        return words(
            f"demand.{expectation.reason}",
            level=level,
            of=named or words("gate.all_feeds"),
            low="" if expectation.low is None else _figure(expectation, expectation.low),
            high="" if expectation.high is None else _figure(expectation, expectation.high),
        )

    return describe


def _figure(expectation: Expectation, bound: float) -> str:
    return f"{100 * bound:.3g}%" if expectation.column == "share" else f"{bound:,.0f}"

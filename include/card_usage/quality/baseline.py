"""Baseline: what a window of this hospital is like by its own history, and the limits that follow from it.

The history are earlier days like this one (`card_usage.config.calendar`), for hourly hospitals in the same hour: the
same weekday of the last weeks, for holidays the last holidays. The baseline is their median, so that one odd day does
not distort it, and limits leave room for chance (3 standard deviations of a Poisson count), so that a small hospital
has no alarm every day. Less than two days with events are no history, which is no alarm. Holidays differ among each
other, so a drop has a limit of its own, and a rise is one above ordinary days. Pure: profiles in, expectations out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from math import sqrt
from statistics import median
from typing import Final, NamedTuple

from card_usage.config.calendar import Calendar
from card_usage.config.hospital import Gate
from card_usage.quality.expectations import Expectation, Level, ReasonCode
from card_usage.quality.profiles import CODE_KINDS, Profile
from card_usage.standard.id_numbers import HEALTH_CARD
from card_usage.windows import Window

ENOUGH: Final = 2
"""Days that make a history."""

FEW: Final = 20
"""A share of fewer events than this withholds nothing: three bad ones of five at night are no bad day."""


class Earlier(NamedTuple):
    """Windows that are history, latest first: of days like this one; for a holiday also of its weekday."""

    alike: tuple[Window, ...]
    ordinary: tuple[Window, ...]


def earlier(window: Window, calendar: Calendar) -> Earlier:
    """The windows that are history: the same hours of the earlier days that the window's day is compared with.

    Raises ValueError for a window of several days: some of them would be their own history.
    """
    (day,) = window.days

    def moved(days: tuple[date, ...]) -> tuple[Window, ...]:
        return tuple(Window(window.start - (day - past), window.end - (day - past)) for past in days)

    return Earlier(*map(moved, calendar.comparable(day)))


def expected(alike: Sequence[int], ordinary: Sequence[int] = ()) -> float | None:
    """What a volume should reach by those of earlier days: the median of days like it; of a holiday that has none such
    yet, the least of its weekday. None: there is no history."""
    if len(alike) >= ENOUGH:
        return median(alike)
    return min(ordinary) if len(ordinary) >= ENOUGH else None


def limits(
    gate: Gate,
    profile: Profile,
    alike: Sequence[Profile],
    ordinary: Sequence[Profile] = (),
    *,
    holiday: bool = False,
) -> tuple[Expectation, ...]:
    """What the profile must satisfy. `alike`, `ordinary`: profiles of earlier days; empty ones are no history."""
    alike = [past for past in alike if past.get(("volume", ""))]
    ordinary = [past for past in ordinary if past.get(("volume", ""))]
    expectations = [*_shares(gate, profile)]
    if not holiday or len(alike) >= ENOUGH:
        expectations += _silent_feeds(alike)
    expectations += _holiday_volumes(gate, profile, alike, ordinary) if holiday else _volumes(gate, profile, alike)
    if len(alike) >= ENOUGH:
        expectations += [*_mix(gate, profile, alike), *_quiet(gate, profile, alike)]
    return tuple(expectations)


def total(profile: Profile, measure: str) -> int:
    """The sum over a kind of codes."""
    return sum(amount for (name, _), amount in profile.items() if name == measure)


def _shares(gate: Gate, profile: Profile) -> Iterator[Expectation]:
    """Limits that need no history."""
    share_limits: list[tuple[str, ReasonCode, Level, float]] = [
        ("quarantined", "quarantined_share", "warn", gate.warn_quarantined_share),
        ("quarantined", "quarantined_share", "hold", gate.hold_quarantined_share),
        ("unmapped", "unmapped_share", "warn", gate.warn_unmapped_share),
        ("doubled", "doubled", "warn", gate.warn_doubled_share),
        ("doubled", "doubled", "hold", gate.hold_doubled_share),
        ("midnight", "midnight", "warn", gate.warn_midnight_share),
        ("future", "future", "warn", 0.0),
        ("repeated", "repeated", "warn", gate.warn_doubled_share),
    ]
    few = profile.get(("volume", ""), 0) < FEW
    for measure, reason, level, limit in share_limits:
        if few and (level == "hold" or measure == "midnight"):
            continue
        yield Expectation(
            reason=reason,
            level=level,
            kind="between",
            column="share",
            measure=(measure, ""),
            high=limit,
            limit=limit,
        )


def _silent_feeds(weeks: Sequence[Profile]) -> Iterator[Expectation]:
    """Feeds that had events in every week must have some."""
    feeds = sorted({of for week in weeks for name, of in week if name == "volume" and of})
    for feed in feeds:
        if all(week.get(("volume", feed)) for week in weeks):
            usual = round(sum(week["volume", feed] for week in weeks) / len(weeks))
            yield _amount("no_rows", "warn", ("volume", feed), low=1, usual=usual)


def _volumes(gate: Gate, profile: Profile, weeks: Sequence[Profile]) -> Iterator[Expectation]:
    """All events by both limits of the hospital; single feeds, where they are not silent, by the lower ones."""
    for of in _measured(profile):
        usual = expected(_amounts(weeks, of))
        yield from _drop(of, usual, (("warn", gate.warn_volume_drop), ("hold", gate.hold_volume_drop)))
        yield from _rise(of, usual, (("warn", gate.warn_volume_rise), ("hold", gate.hold_volume_rise)))


def _holiday_volumes(
    gate: Gate, profile: Profile, alike: Sequence[Profile], ordinary: Sequence[Profile]
) -> Iterator[Expectation]:
    """The same on a holiday: too little is far less than on others, too much is more than on any of these days."""
    for of in _measured(profile):
        others, weekdays = _amounts(alike, of), _amounts(ordinary, of)
        warn, hold = (max(drop, gate.holiday_drop) for drop in (gate.warn_volume_drop, gate.hold_volume_drop))
        yield from _drop(of, expected(others, weekdays), (("warn", warn), ("hold", hold)))
        most = None if len(weekdays) < ENOUGH else max(*weekdays, *others)
        yield from _rise(of, most, (("warn", gate.warn_volume_rise), ("hold", gate.hold_volume_rise)))


def _measured(profile: Profile) -> list[str]:
    return sorted({of for name, of in profile if name == "volume"})


def _amounts(days: Sequence[Profile], of: str) -> list[int]:
    return [day.get(("volume", of), 0) for day in days]


def _drop(of: str, usual: float | None, sides: Sequence[tuple[Level, float]]) -> Iterator[Expectation]:
    if usual is not None and usual >= FEW:
        for level, drop in sides[:1] if of else sides:
            least = usual * (1 - drop)
            low = max(0.0, least - 3 * sqrt(least))
            yield _amount("volume_drop", level, ("volume", of), low=low, usual=usual, limit=drop)


def _rise(of: str, usual: float | None, sides: Sequence[tuple[Level, float]]) -> Iterator[Expectation]:
    if usual is not None and usual >= FEW:
        for level, rise in sides[:1] if of else sides:
            high = usual * (1 + rise) + 3 * sqrt(usual)
            yield _amount("volume_rise", level, ("volume", of), high=high, usual=usual, limit=rise)


def _mix(gate: Gate, profile: Profile, weeks: Sequence[Profile]) -> Iterator[Expectation]:
    """Shares of scenes, channels and card types, each against its own history."""
    for kind in CODE_KINDS:
        events = total(profile, kind)
        totals = [total(week, kind) for week in weeks]
        if events < FEW or not all(totals):
            continue
        for code in sorted({of for past in (profile, *weeks) for name, of in past if name == kind}):
            shares = [week.get((kind, code), 0) / of for week, of in zip(weeks, totals, strict=True)]
            usual = median(shares)
            chance = 3 * sqrt(usual * (1 - usual) / events)
            if not any(shares):
                if profile.get((kind, code), 0) >= FEW:
                    yield _amount("value_new", "info", (kind, code), high=0, usual=0)
            elif all(shares) and usual * events >= FEW and not profile.get((kind, code)):
                yield _amount("value_gone", "warn", (kind, code), low=1, usual=round(usual * events))
            elif (kind, code) == ("card_type", HEALTH_CARD):
                low = usual - gate.warn_health_card_drop - chance
                yield _share("health_card_share", (kind, code), low, None, usual, gate.warn_health_card_drop)
            else:
                room = gate.warn_share_shift + chance
                yield _share("share_shift", (kind, code), usual - room, usual + room, usual, gate.warn_share_shift)


def _quiet(gate: Gate, profile: Profile, weeks: Sequence[Profile]) -> Iterator[Expectation]:
    """How long before the window's end a feed fell silent, against the longest such time of these weeks."""
    for feed in sorted(of for name, of in profile if name == "quiet"):
        times = [week["quiet", feed] for week in weeks if ("quiet", feed) in week]
        if len(times) == len(weeks) and min(week.get(("volume", feed), 0) for week in weeks) >= FEW:
            high = max(times) + gate.warn_quiet_minutes
            yield _amount("quiet", "warn", ("quiet", feed), high=high, usual=max(times), limit=gate.warn_quiet_minutes)


def _amount(
    reason: ReasonCode,
    level: Level,
    measure: tuple[str, str],
    *,
    usual: float,
    low: float | None = None,
    high: float | None = None,
    limit: float | None = None,
) -> Expectation:
    return Expectation(
        reason=reason,
        level=level,
        kind="between",
        column="amount",
        measure=measure,
        low=low,
        high=high,
        limit=limit,
        usual=usual,
    )


def _share(
    reason: ReasonCode, measure: tuple[str, str], low: float, high: float | None, usual: float, limit: float
) -> Expectation:
    return Expectation(
        reason=reason,
        level="warn",
        kind="between",
        column="share",
        measure=measure,
        low=max(0.0, low),
        high=None if high is None else min(1.0, high),
        limit=limit,
        usual=round(usual, 4),
    )

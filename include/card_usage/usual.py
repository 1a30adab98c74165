"""Usual: what a window of this hospital is like by its own history, and the limits that follow from it.

History is the same weekday (for hourly hospitals also the same hour) of the last weeks: a median, so that one holiday
does not spoil it, and room for chance, so that a small hospital is not called every day. Less than two weeks with
events are no history, and no history is no alarm. Pure: profiles in, demands out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from math import sqrt
from statistics import median
from typing import Final

from card_usage.expectations import Demand, Level
from card_usage.hospitals import Gate
from card_usage.identity import HEALTH_CARD
from card_usage.ledger.profiles import KINDS, Profile
from card_usage.windows import Window

WEEKS: Final = 4
"""How many earlier days of the same weekday are history."""

ENOUGH: Final = 2
"""Weeks that make a history."""

FEW: Final = 20
"""A share of fewer events than this holds nothing: three bad ones of five at night are no bad day."""


def earlier(window: Window) -> tuple[Window, ...]:
    """The windows that are history, latest first."""
    shifts = (timedelta(weeks=back) for back in range(1, WEEKS + 1))
    return tuple(Window(window.start - shift, window.end - shift) for shift in shifts)


def limits(gate: Gate, profile: Profile, weeks: Sequence[Profile]) -> tuple[Demand, ...]:
    """What the profile must satisfy. `weeks`: profiles of earlier weeks; empty ones are no history."""
    weeks = [week for week in weeks if week.get(("volume", ""))]
    demands = [*_shares(gate, profile), *_silent_feeds(weeks)]
    if len(weeks) >= ENOUGH:
        demands += [*_volumes(gate, profile, weeks), *_mix(gate, profile, weeks), *_quiet(gate, profile, weeks)]
    return tuple(demands)


def total(profile: Profile, measure: str) -> int:
    """The sum over a kind of codes."""
    return sum(amount for (name, _), amount in profile.items() if name == measure)


def _shares(gate: Gate, profile: Profile) -> Iterator[Demand]:
    """Limits that need no history."""
    wanted: list[tuple[str, str, Level, float]] = [
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
    for measure, concern, level, limit in wanted:
        if few and (level == "hold" or measure == "midnight"):
            continue
        yield Demand(
            concern=concern,  # type: ignore[arg-type]
            level=level,
            kind="between",
            column="share",
            measure=(measure, ""),
            high=limit,
            limit=limit,
        )


def _silent_feeds(weeks: Sequence[Profile]) -> Iterator[Demand]:
    """Feeds that had events in every week must have some."""
    feeds = sorted({of for week in weeks for name, of in week if name == "volume" and of})
    for feed in feeds:
        if all(week.get(("volume", feed)) for week in weeks):
            usual = round(sum(week["volume", feed] for week in weeks) / len(weeks))
            yield _amount("no_rows", "warn", ("volume", feed), low=1, usual=usual)


def _volumes(gate: Gate, profile: Profile, weeks: Sequence[Profile]) -> Iterator[Demand]:
    """All events by both limits of the hospital; single feeds, where they are not silent, by the lower ones."""
    for of in sorted({of for name, of in profile if name == "volume"}):
        usual = median([week.get(("volume", of), 0) for week in weeks])
        if usual < FEW:
            continue
        chance = 3 * sqrt(usual)
        sides: tuple[tuple[Level, float, float], ...] = (
            ("warn", gate.warn_volume_drop, gate.warn_volume_rise),
            ("hold", gate.hold_volume_drop, gate.hold_volume_rise),
        )
        for level, drop, rise in sides[:1] if of else sides:
            low, high = usual * (1 - drop) - chance, usual * (1 + rise) + chance
            yield _amount("volume_drop", level, ("volume", of), low=max(0.0, low), usual=usual, limit=drop)
            yield _amount("volume_rise", level, ("volume", of), high=high, usual=usual, limit=rise)


def _mix(gate: Gate, profile: Profile, weeks: Sequence[Profile]) -> Iterator[Demand]:
    """Shares of scenes, channels and card types, each against its own history."""
    for kind in KINDS:
        events = total(profile, kind)
        totals = [total(week, kind) for week in weeks]
        if events < FEW or not all(totals):
            continue
        for code in sorted({of for one in (profile, *weeks) for name, of in one if name == kind}):
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


def _quiet(gate: Gate, profile: Profile, weeks: Sequence[Profile]) -> Iterator[Demand]:
    """How long before the window's end a feed fell silent, against the longest such time of these weeks."""
    for feed in sorted(of for name, of in profile if name == "quiet"):
        times = [week["quiet", feed] for week in weeks if ("quiet", feed) in week]
        if len(times) == len(weeks) and min(week.get(("volume", feed), 0) for week in weeks) >= FEW:
            high = max(times) + gate.warn_quiet_minutes
            yield _amount("quiet", "warn", ("quiet", feed), high=high, usual=max(times), limit=gate.warn_quiet_minutes)


def _amount(
    concern: str,
    level: Level,
    measure: tuple[str, str],
    *,
    usual: float,
    low: float | None = None,
    high: float | None = None,
    limit: float | None = None,
) -> Demand:
    return Demand(
        concern=concern,  # type: ignore[arg-type]
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
    concern: str, measure: tuple[str, str], low: float, high: float | None, usual: float, limit: float
) -> Demand:
    return Demand(
        concern=concern,  # type: ignore[arg-type]
        level="warn",
        kind="between",
        column="share",
        measure=measure,
        low=max(0.0, low),
        high=None if high is None else min(1.0, high),
        limit=limit,
        usual=round(usual, 4),
    )

"""Fleet: figures of all hospitals on one page: where each stands after a day, who has to act, how cards were used.

Like a month's, they come from what is stored of the days. A hospital whose file cannot be read, or of which nothing is
stored for the day, is on the page too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple, Self

from sqlalchemy import Connection, select

from card_usage.config.hospital import Hospital
from card_usage.evidence import anchors
from card_usage.ledger.schema import hold, report_file
from card_usage.quality.verdict_store import verdicts_in_force
from card_usage.reconciliation.watermark import verified_edges
from card_usage.report import day_uses, sent_to
from card_usage.report.actions import BY_ITSELF, actions
from card_usage.report.chart import Figures
from card_usage.report.day_uses import Sum
from card_usage.report.month import refusals_of, stored_causes
from card_usage.report.sections import form_name, uses_sections
from card_usage.report.status import GOOD, LEVELS, Level, level, verdict
from card_usage.report.totals import (
    TREND_DAYS,
    Standing,
    StoredDay,
    load_days,
    name_of,
    stamp,
    totals_of,
    trend_day,
    verified_text,
)
from card_usage.windows import DAY, day_window
from card_usage.words.catalogue import Language, Words

FLEET: Final = "*"
"""In the place of a hospital's id, where a row of the ledger is about all of them."""
MOST_ACTIONS: Final = 40
MOST_NAMED: Final = 3
"""Hospitals that a cause names; all are counted."""


def figures(
    connection: Connection,
    hospitals: Sequence[Hospital],
    day: date,
    *,
    broken: Mapping[str, str],
    language: Language,
    now: datetime,
    region: str | None = None,
) -> Figures:
    """Everything the page says. `broken`: hospital id -> what is wrong with its file. `region`: of all of these."""
    words = Words(language)
    ids = [hospital.id for hospital in hospitals]
    first = day - timedelta(days=TREND_DAYS - 1)
    period = _Period.load(connection, hospitals, first, day)
    used = day_uses.by_day(connection, ids, first, day)
    listed = _hospitals(connection, hospitals, period, used, language=language, now=now)
    by_hand = _most_urgent(_actions(hospitals, period, words))
    standing = Standing.sum(period.by_day.get(day, []))
    totals = totals_of(standing)
    return {
        "form": form_name("fleet"),
        "language": language,
        "region": region,
        "day": day.isoformat(),
        "made_at": stamp(now),
        "verified_through": _all_through(listed),
        "platforms": sent_to.of_fleet(connection, ids),
        "verdict": _verdict(listed, broken, totals, words),
        "totals": totals,
        "counted": _counted(listed),
        "levels": {name: sum(entry["level"] == name for entry in listed) for name in LEVELS},
        "classes": dict(standing.classes),
        "differences": dict(standing.differences),
        "hospitals": listed,
        "broken_files": [{"hospital": name, "problem": problem} for name, problem in sorted(broken.items())],
        "heads": anchors.summary(connection, ids),
        "regions": _regions(hospitals, used, listed, day),
        "causes": _causes(by_hand),
        "actions": by_hand[:MOST_ACTIONS],
        "actions_left_out": max(0, len(by_hand) - MOST_ACTIONS),
        **uses_sections(
            "fleet", day_uses.load(connection, ids, day, day), words, issued_cards=issued_cards_of(hospitals)
        ),
        "trend": _trend(period.by_day, used, first),
    }


def title(page: Figures, words: Words) -> str:
    """What the page is of: all hospitals, or those of a region."""
    region = page["region"]
    return words("fleet.title") if region is None else words("fleet.title_of_region", region=region)


class _Period(NamedTuple):
    """What is stored of the fleet's days up to `day`.

    `today`: rows of that day by hospital; `open_days`: days not finished, or missing since the hospital's first one.
    """

    day: date
    today: Mapping[str, list[StoredDay]]
    open_days: Mapping[str, int]
    by_day: Mapping[date, list[Standing]]

    @classmethod
    def load(cls, connection: Connection, hospitals: Sequence[Hospital], first: date, day: date) -> Self:
        """Of these hospitals, from `first` to `day`."""
        today: dict[str, list[StoredDay]] = {}
        open_days: Counter[str] = Counter()
        begun: dict[str, date] = {}
        seen: Counter[str] = Counter()
        by_day: dict[date, list[Standing]] = {}
        stored = load_days(connection, [hospital.id for hospital in hospitals], first, day)
        last = {hospital.id: min(day, hospital.end or day) for hospital in hospitals}
        for (hospital, when), group in groupby(stored, key=attrgetter("hospital", "day")):
            rows = list(group)
            standing = Standing.of(rows)
            by_day.setdefault(when, []).append(standing)
            open_days[hospital] += _level(standing) not in GOOD
            begun.setdefault(hospital, when)
            seen[hospital] += 1
            if when == day:
                today[hospital] = rows
        for hospital, start in begun.items():
            # From its first day to this one, or to its last: a day of which nothing is stored is not finished either.
            open_days[hospital] += max(0, (last[hospital] - start).days + 1 - seen[hospital])
        return cls(day, today, open_days, by_day)

    def rows(self, hospital: Hospital) -> list[StoredDay]:
        """What is stored of the hospital's day; empty: nothing."""
        return self.today.get(hospital.id, [])


def issued_cards_of(hospitals: Iterable[Hospital]) -> int | None:
    """Health cards that these hospitals have issued; None: some hospital's file does not say it."""
    issued = [hospital.report.issued_cards for hospital in hospitals]
    return None if None in issued else sum(filter(None, issued)) or None


def _level(standing: Standing, *, withheld: bool = False) -> Level:
    return level(standing, for_people=totals_of(standing)["for_people"], withheld=withheld)


def _withheld(connection: Connection, hospital: Hospital, day: date, standing: Standing) -> bool:
    """Whether the quality check holds the day back; asked only where something waits."""
    if not standing.open:
        return False
    return any(verdict.withholds for verdict in verdicts_in_force(connection, hospital.id, day_window(day)))


def _hospitals(
    connection: Connection,
    hospitals: Sequence[Hospital],
    period: _Period,
    used: Mapping[tuple[str, date], Sum],
    *,
    language: Language,
    now: datetime,
) -> list[Figures]:
    """Where each hospital stands, the most urgent first."""
    holds = _holds(connection, now)
    edges = verified_edges(connection, hospitals)
    newest = _newest_reports(connection)
    listed = []
    for hospital in hospitals:
        rows = period.rows(hospital)
        standing = Standing.of(rows)
        uses = used.get((hospital.id, period.day))
        withheld = _withheld(connection, hospital, period.day, standing)
        ended = hospital.has_ended(period.day)
        entry = {
            "id": hospital.id,
            "name": name_of(hospital, language),
            "region": hospital.region,
            "live": hospital.platform.live,
            "level": _level(standing, withheld=withheld) if rows else "empty" if ended else "absent",
            "end": hospital.end.isoformat() if ended and hospital.end else None,
            **_counts(rows),
            "open_days": period.open_days.get(hospital.id, 0),
            "uses": None if uses is None else uses.events,
            "verified_through": verified_text(edges[hospital.id]),
            "holds": sorted({*holds.get(FLEET, ()), *holds.get(hospital.id, ())}),
            "newest_report": newest.get(hospital.id),
        }
        listed.append(entry)
    listed.sort(key=_urgency)
    return listed


def _urgency(entry: Figures) -> tuple[int, bool, int, int, str]:
    """The most urgent first: a day that agrees with earlier ones open stands where a day under way does."""
    stands = LEVELS.index("open") if _agrees_but_is_open(entry) else LEVELS.index(entry["level"])
    return stands, not entry["holds"], -entry["open_days"], -(entry["for_people"] or 0), entry["id"]


def _agrees_but_is_open(entry: Figures) -> bool:
    """Whether the day agrees, and earlier ones do not yet."""
    return entry["level"] in GOOD and entry["open_days"] > 0


_COUNTS: Final = ("source", "staged", "delivered", "to_report", "waiting", "for_people", "remainder")


def _counts(rows: Sequence[StoredDay]) -> Figures:
    """A hospital's totals; null where nothing is stored of its day."""
    if not rows:
        return dict.fromkeys(_COUNTS)
    totals = totals_of(Standing.of(rows))
    return {name: totals[name] for name in _COUNTS}


def _actions(hospitals: Iterable[Hospital], period: _Period, words: Words) -> list[Figures]:
    """What somebody has to do in each hospital."""
    listed: list[Figures] = []
    for hospital in hospitals:
        standing = Standing.of(period.rows(hospital))
        listed += [
            {"hospital": hospital.id, "hospital_name": name_of(hospital, words.language), **action}
            for action in actions(standing, stored_causes(standing, words), refusals_of(standing), words)
        ]
    return listed


def _verdict(listed: list[Figures], broken: Mapping[str, str], totals: Figures, words: Words) -> Figures:
    """The fleet stands where its worst hospital does; the sentence says how many stand well."""
    good = sum(entry["level"] in GOOD for entry in listed)
    under_way = sum(entry["level"] in ("open", "provisional") for entry in listed)
    worst: Level = min((entry["level"] for entry in listed), key=LEVELS.index, default="empty")
    if broken and worst != "broken":
        worst = "absent"
    if worst in ("uncounted", "withheld"):
        worst = "absent"
    if worst == "provisional":
        worst = "open"
    earlier = sum(entry["open_days"] for entry in listed if _agrees_but_is_open(entry))
    if worst in GOOD and earlier:
        where = sum(_agrees_but_is_open(entry) for entry in listed)
        return verdict("open", "fleet.earlier_", totals, words, all=len(listed), days=earlier, where=where)
    attention = len(listed) - good - under_way + len(broken)
    counted = {"all": len(listed) + len(broken), "good": good, "under_way": under_way, "attention": attention}
    return verdict(worst, "fleet.", totals, words, **counted)


def _most_urgent(found: list[Figures]) -> list[Figures]:
    """Remainders first, then by records; what heals by itself is left to the hospitals' own reports."""
    by_hand = [action for action in found if action["kind"] not in (*BY_ITSELF, "held")]
    by_hand.sort(
        key=lambda action: (action["kind"] != "remainder", -action["events"], action["hospital"], action["kind"])
    )
    return by_hand


def _regions(
    hospitals: Iterable[Hospital], used: Mapping[tuple[str, date], Sum], listed: list[Figures], day: date
) -> list[Figures]:
    """By city (the first four digits of the administrative division), the most uses first."""
    delivered = {entry["id"]: entry["delivered"] or 0 for entry in listed}
    regions: dict[str, Figures] = {}
    for hospital in hospitals:
        city = hospital.region[:4] + "00" if hospital.region else ""
        row = regions.setdefault(city, {"region": city, "hospitals": 0, "uses": 0, "health_card": 0, "delivered": 0})
        uses = used.get((hospital.id, day), Sum(0, 0))
        row["hospitals"] += 1
        row["uses"] += uses.events
        row["health_card"] += uses.health_card
        row["delivered"] += delivered[hospital.id]
    return sorted(regions.values(), key=lambda row: (-row["uses"], row["region"]))


def _counted(listed: list[Figures]) -> Figures:
    """Of the hospitals that were counted at the HIS alone: entry that was not leaves no total for all."""
    known = [entry for entry in listed if entry["source"] is not None]
    return {"hospitals": len(known), **{name: sum(entry[name] for entry in known) for name in ("source", "staged")}}


def _causes(by_hand: list[Figures]) -> list[Figures]:
    """The same thing to do in many hospitals as one, in the order of `_most_urgent`."""
    causes: dict[tuple[str, str], Figures] = {}
    for action in by_hand:
        cause = causes.setdefault(
            (action["kind"], action["what"]),
            {
                **{name: action[name] for name in ("kind", "what", "to_do", "who")},
                "events": 0,
                "hospitals": 0,
                "most": [],
            },
        )
        cause["events"] += action["events"]
        cause["hospitals"] += 1
        if len(cause["most"]) < MOST_NAMED:
            cause["most"].append(action["hospital_name"])
    return sorted(
        causes.values(),
        key=lambda cause: (cause["kind"] != "remainder", -cause["events"], cause["kind"], cause["what"]),
    )


def named(cause: Figures, words: Words) -> str:
    """The hospitals of a cause: some by their names."""
    names = words.list(cause["most"])
    more = cause["hospitals"] - len(cause["most"])
    return words("fleet.and_more", names=names, n=cause["hospitals"]) if more else names


def _trend(by_day: Mapping[date, list[Standing]], used: Mapping[tuple[str, date], Sum], first: date) -> list[Figures]:
    sums: Counter[date] = Counter()
    for (_, day), uses in used.items():
        sums[day] += uses.events
    days = (first + DAY * n for n in range(TREND_DAYS))
    return [trend_day(day, Standing.sum(by_day[day]) if day in by_day else None, sums.get(day)) for day in days]


def _holds(connection: Connection, now: datetime) -> dict[str, set[str]]:
    query = select(hold.c.hospital, hold.c.kind, hold.c.until)
    kinds: dict[str, set[str]] = {}
    for hospital, kind, until in connection.execute(query):
        if until is None or until > now:
            kinds.setdefault(hospital, set()).add(kind)
    return kinds


def _all_through(listed: list[Figures]) -> str | None:
    """Up to when all hospitals are accounted for; those that have ended count until all of their days are."""
    edges = [
        entry["verified_through"]
        for entry in listed
        if entry["end"] is None or entry["verified_through"] is None or entry["verified_through"][:10] <= entry["end"]
    ]
    return None if None in edges else min(edges, default=None)


def _newest_reports(connection: Connection) -> dict[str, str]:
    """Each hospital's newest page of a day, by its name in the reports' folder."""
    query = select(report_file.c.hospital, report_file.c.path).where(report_file.c.kind == "html")
    return {hospital: path for hospital, path in connection.execute(query.order_by(report_file.c.day))}

"""One day of the demo hospital: patients come, register, pay, take drugs and reports, and some go wrong.

Everything comes from one random source seeded with (seed, day), so that the same call invents the same day. Rows leave
in batches of a few thousand, by table; what a reader must find is counted on the way.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from random import Random
from typing import Any, Final

from demo_his import flaws, vocabulary
from demo_his.expectation import CLEAN, VOIDED, DayExpectation
from demo_his.people import People
from demo_his.vocabulary import urn

Row = dict[str, Any]
Batch = dict[str, list[Row]]

ROWS_A_BATCH: Final = 5_000
KEYS_A_DAY: Final = 10_000_000
LATE_KEYS_FROM: Final = 9_000_000
REVERSAL_KEYS_FROM: Final = 9_500_000
MOST_USES: Final = 3_500_000
"""Keys of a day: those of the day itself, of rows that arrive late, of the reversals of late refunds.
A use takes about 2.1 keys, its patient's and its fee's included."""

_EPOCH: Final = date(2020, 1, 1)
_LAST: Final = 86_399
_REGISTRATION_FEE: Final = 25.0
_CLOCK: Final = tuple(f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400))

_DEPARTMENTS: Final = urn({code: share for code, (_, share) in vocabulary.DEPARTMENTS.items()})
_NIGHT: Final = urn(vocabulary.NIGHT_DEPARTMENTS)
_UNMAPPED: Final = tuple(vocabulary.UNMAPPED_DEPARTMENTS)
_CARDS: Final = urn(vocabulary.CARD_TYPES)
_CHILDRENS_CARDS: Final = urn(vocabulary.CHILDRENS_CARD_TYPES)
_COSTS: Final = urn(vocabulary.COST_TYPES)
_CHANNELS: Final = {what: urn(shares) for what, shares in vocabulary.CHANNELS.items()}
_ARRIVALS: Final = urn(dict(enumerate(vocabulary.ARRIVALS_BY_HOUR)))
_BOOKINGS: Final = urn(dict(enumerate(vocabulary.BOOKINGS_BY_HOUR)))
_FLAWS: Final = tuple(name for name, flaw in flaws.FLAWS.items() for _ in range(round(flaw.share * 10_000)))


def first_key(day: date) -> int:
    """The smallest numeric key of the day; it has KEYS_A_DAY of them."""
    return (day - _EPOCH).days * KEYS_A_DAY


def text_key(day: date, number: int, prefix: str = "") -> str:
    """A key that is text: prefix, day, eight digits."""
    return f"{prefix}{day:%Y%m%d}{number:08d}"


class Day:
    """Invents one day with exactly `uses` successful card uses; the rows that were voided come on top.

    With `late`, invents the few clean rows that are committed a day later instead. Read `batches` to its end, then
    `expected` and `late_refunds` (keys of rows to refund the next day, by feed) are complete.
    """

    def __init__(self, day: date, uses: int, seed: int, *, late: bool = False) -> None:
        if not 1 <= uses <= MOST_USES:
            raise ValueError(f"a day has room for 1 to {MOST_USES:,} card uses, not {uses:,}")
        self.expected = DayExpectation(day=day)
        self.late_refunds: dict[str, list[Any]] = {"registration": [], "payment": []}
        self._day, self._late = day, late
        self._target = round(uses * flaws.LATE) if late else uses
        self._uses = 0
        self._random = Random(f"{seed}/{day}/{'late' if late else 'day'}")
        self._people = People(self._random, day)
        self._date = f"{day:%Y%m%d}"
        self._base = first_key(day)
        self._number = LATE_KEYS_FROM if late else 0
        self._batch: Batch = defaultdict(list)
        self._pending = 0

    def batches(self) -> Iterator[Batch]:
        """Rows by table name, each batch of about ROWS_A_BATCH rows."""
        visits = 0
        while self._uses < self._target:
            # The first two visits stand on the day's very edges.
            self._visit({0: 0, 1: _LAST}.get(visits) if not self._late else None)
            visits += 1
            if self._pending >= ROWS_A_BATCH:
                yield self._take()
        if self._pending:
            yield self._take()

    def _take(self) -> Batch:
        batch, self._batch, self._pending = self._batch, defaultdict(list), 0
        return batch

    def _visit(self, second: int | None) -> None:
        random = self._random.random
        flaw = self._flaw() if second is None else None
        chance = random()
        booking = second is None and chance < 0.16
        hours = _BOOKINGS if booking else _ARRIVALS
        if second is None:
            second = hours[int(random() * len(hours))] * 3600 + int(random() * 3600)
        department = self._department(second, booking)
        card = self._card(department, flaw)
        patient = self._patient(card, flaw, department in vocabulary.CHILDRENS_DEPARTMENTS)
        cost = _COSTS[int(random() * len(_COSTS))]
        use = _Use(patient["patid"], card, cost, flaw, second)
        if flaw == "unmapped_department":
            self._register(use, patient, _UNMAPPED[int(random() * len(_UNMAPPED))], 1 if booking else 0)
        elif flaw == "missing_department":
            self._register(use, patient, None, 1 if booking else 0)
        elif booking:
            self._register(use, patient, department, 1)
        elif self._register(use, patient, department, 2 if chance < 0.40 else 0):
            self._treat(use, department)

    def _register(self, use: "_Use", patient: Row, department: str | None, way: int) -> bool:
        """GH_GHZDK. False if the registration was returned: then nothing follows it."""
        key = self._base + self._next()
        row = {
            "xh": key,
            "patid": use.patid,
            "hzxm": patient["hzxm"],
            "cardno": patient["cardno"],
            "ghrq": self._at(use.second),
            "ksdm": department,
            "ghfs": way,
            "jlzt": 0,
            "txh": None,
            **use.presented(self._channel(("walk_in", "booking", "number")[way])),
        }
        returned = self._voids(use, flaws.RETURNED_REGISTRATIONS)
        if returned:
            row["jlzt"] = 1
            self._reverse("GH_GHZDK", row, "xh", self._base + self._next(), {"txh": key}, "ghrq", use.second)
        self._count("registration", use, returned)
        self._place("registration", "GH_GHZDK", "GH_NGHZDK", row, use, returned, refundable=way == 0)
        if way == 0:
            self._settle_fee(use, department)
        if way == 1 and self._noise(flaws.PRE_REGISTERED):
            self._add("GH_GHZDK", {**row, "xh": self._base + self._next(), "jlzt": 8})
            self.expected.not_events["pre_registered"] += 1
        return not returned

    def _settle_fee(self, use: "_Use", department: str | None) -> None:
        """The registration fee is settled too; that is the registration's card use, not a second one."""
        self._add("SF_BRJSK", self._settlement(use, department, _REGISTRATION_FEE, fee=True))
        self.expected.not_events["registration_fee"] += 1

    def _treat(self, use: "_Use", department: str) -> None:
        """What follows a registration, each step with its own chance, until the day has enough."""
        random = self._random.random
        if random() < 0.05:
            self._top_up(use)
        for _ in range((random() < 0.88) + (random() < 0.22)):
            if self._pay(use, department) and random() < 0.66:
                self._dispense(use, department)
        if random() < 0.24:
            self._report("examination", "YJ_JCBGK", "JC", use, department, 2400, 14_400)
        if random() < 0.38:
            self._report("laboratory", "YJ_JYBGK", "JY", use, department, 3000, 12_000)

    def _full(self) -> bool:
        return self._uses >= self._target

    def _over(self, use: "_Use") -> bool:
        """The day has enough, or has no second left for them: two uses of one card are never at the same time."""
        return self._full() or use.second >= _LAST

    def _top_up(self, use: "_Use") -> None:
        if self._over(use):
            return
        use.later(self._random, 30, 900)
        row = {
            "xh": self._base + self._next(),
            "patid": use.patid,
            "lrrq": self._at(use.second),
            "jje": float(int(1 + self._random.random() * 10) * 100),
            "jlzt": 0,
            **use.presented(self._channel("top_up")),
        }
        voided = self._voids(use, flaws.REFUNDED_PAYMENTS)
        if voided:
            row["jlzt"] = 1
            self._reverse("YY_JZBRYJK", row, "xh", self._base + self._next(), {"jje": -row["jje"]}, "lrrq", use.second)
        self._count("payment", use, voided)
        self._add("YY_JZBRYJK", row)

    def _pay(self, use: "_Use", department: str) -> bool:
        """SF_BRJSK. False if it was refunded, or the day is full."""
        if self._over(use):
            return False
        random = self._random.random
        use.later(self._random, 600, 5400)
        row = self._settlement(use, department, round(20 + 900 * random() ** 3, 2))
        if self._noise(flaws.UNSETTLED):
            self._add("SF_BRJSK", {**row, "sjh": text_key(self._day, self._next()), "ybjszt": int(random() * 2)})
            self.expected.not_events["unsettled"] += 1
        refunded = self._voids(use, flaws.REFUNDED_PAYMENTS)
        if refunded:
            row["jlzt"] = 1
            changes = {"tsjh": row["sjh"], "zje": -row["zje"]}
            self._reverse("SF_BRJSK", row, "sjh", text_key(self._day, self._next()), changes, "sfrq", use.second)
        self._count("payment", use, refunded)
        self._place("payment", "SF_BRJSK", "SF_NBRJSK", row, use, refunded, refundable=True)
        return not refunded

    def _settlement(self, use: "_Use", department: str | None, amount: float, *, fee: bool = False) -> Row:
        return {
            "sjh": text_key(self._day, self._next()),
            "patid": use.patid,
            "sfrq": self._at(use.second),
            "sfksdm": department,
            "zje": amount,
            "ybjszt": 2,
            "tsjh": None,
            "jlzt": 0,
            "ghsfbz": 0 if fee else 1,
            **use.presented(self._channel("walk_in" if fee else "payment")),
        }

    def _dispense(self, use: "_Use", department: str) -> None:
        if self._over(use):
            return
        use.later(self._random, 180, 2400)
        row = {
            "xh": self._base + self._next(),
            "jssjh": text_key(self._day, self._number),
            "patid": use.patid,
            "ksdm": department,
            "fybz": 1,
            "fyrq": self._at(use.second),
            "jlzt": 0,
            **use.presented(self._channel("dispensing")),
        }
        if self._noise(flaws.UNDISPENSED):
            self._add("SF_MZCFK", {**row, "xh": self._base + self._next(), "fybz": 0})
            self.expected.not_events["undispensed"] += 1
        returned = self._voids(use, flaws.RETURNED_DRUGS)
        if returned:
            row["jlzt"] = 1
            self._reverse("SF_MZCFK", row, "xh", self._base + self._next(), {}, "fyrq", use.second)
        self._count("dispensing", use, returned)
        self._add("SF_MZCFK", row)

    def _report(
        self, feed: str, table: str, prefix: str, use: "_Use", department: str, soonest: int, latest: int
    ) -> None:
        if self._over(use):
            return
        use.later(self._random, soonest, latest)
        recalled = self._voids(use, flaws.RECALLED_REPORTS)
        row = {
            "repno": text_key(self._day, self._next(), prefix),
            "patid": use.patid,
            "sqksdm": department,
            "pubtime": self._at(use.second),
            "jlzt": 1 if recalled else 0,
            **use.presented(self._channel("report")),
        }
        self._count(feed, use, recalled)
        self._add(table, row)

    def _flaw(self) -> str | None:
        if self._late:
            return None
        drawn = int(self._random.random() * 10_000)
        return _FLAWS[drawn] if drawn < len(_FLAWS) else None

    def _department(self, second: int, booking: bool) -> str:
        night = not booking and not 7 * 3600 <= second < 18 * 3600
        departments = _NIGHT if night else _DEPARTMENTS
        return departments[int(self._random.random() * len(departments))]

    def _card(self, department: str, flaw: str | None) -> str:
        cards = _CHILDRENS_CARDS if department in vocabulary.CHILDRENS_DEPARTMENTS else _CARDS
        card = cards[int(self._random.random() * len(cards))]
        needed = flaws.FLAWS[flaw].card if flaw else None
        if needed is None or (needed == flaws.NOT_HEALTH and card != vocabulary.HEALTH_CARD):
            return card
        return vocabulary.RESIDENT_ID if needed == flaws.NOT_HEALTH else needed

    def _patient(self, card: str, flaw: str | None, child: bool) -> Row:
        """SF_BRXXK, and xt_brxx for whoever has a health card, sometimes twice."""
        patient = self._people.row(self._base + self._next(), card, flaw, child)
        self._add("SF_BRXXK", patient)
        if follower := self._people.follower(int(str(patient["patid"]))):
            self._add("xt_brwx", follower)
        holder = card == vocabulary.HEALTH_CARD or self._random.random() < 0.25
        if holder and flaw != "missing_qr_code":
            twice = self._random.random() < flaws.TWO_SIDE_TABLE_ROWS
            for _ in range(1 + twice):
                self._add("xt_brxx", self._people.health_card(self._base + self._next(), patient))
            self.expected.not_events["second_side_table_row"] += twice
        return patient

    def _channel(self, what: str) -> str:
        channels = _CHANNELS[what]
        return channels[int(self._random.random() * len(channels))]

    def _voids(self, use: "_Use", share: float) -> bool:
        """Only unflawed rows are voided: a row has one kind of trouble."""
        return use.flaw is None and self._noise(share)

    def _noise(self, share: float) -> bool:
        return not self._late and self._random.random() < share

    def _count(self, feed: str, use: "_Use", voided: bool) -> None:
        rule = flaws.FLAWS[use.flaw].rule if use.flaw else None
        self.expected.outcomes[feed][VOIDED if voided else rule or CLEAN] += 1
        if use.flaw or voided:
            self.expected.planted[feed][use.flaw or "voided"] += 1
        self._uses += not voided

    def _place(
        self, feed: str, current: str, year: str, row: Row, use: "_Use", voided: bool, *, refundable: bool
    ) -> None:
        """Into the current table, the year table, or both: the nightly job copies before it deletes."""
        chance = 1.0 if use.flaw or voided or self._late else self._random.random()
        if chance < flaws.IN_BOTH_TABLES:
            self._add(year, row)
            self.expected.planted[feed]["in_both_tables"] += 1
        elif chance < flaws.IN_BOTH_TABLES + flaws.IN_YEAR_TABLE:
            self.expected.planted[feed]["in_year_table"] += 1
            self._add(year, row)
            return
        elif refundable and chance > 1 - flaws.LATE_REFUNDS and chance < 1.0:
            self.late_refunds[feed].append(row["xh" if feed == "registration" else "sjh"])
            self.expected.late[feed]["refunded"] += 1
        self._add(current, row)

    def _reverse(self, table: str, row: Row, key: str, new: int | str, changes: Row, moment: str, second: int) -> None:
        """The negative row of a refund, made within two hours of the same day."""
        later = min(_LAST, second + 60 + int(self._random.random() * 7200))
        self._add(table, {**row, key: new, "jlzt": 2, moment: self._at(later), **changes})
        self.expected.not_events["reversal"] += 1

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _at(self, second: int) -> str:
        return self._date + _CLOCK[second]

    def _add(self, table: str, row: Row) -> None:
        self._batch[table].append(row)
        self._pending += 1


class _Use:
    """Who comes, with which card, and how far the day is for them (seconds since midnight)."""

    __slots__ = ("card", "cost", "flaw", "patid", "second")

    def __init__(self, patid: int, card: str, cost: str, flaw: str | None, second: int) -> None:
        self.patid, self.card, self.cost, self.flaw, self.second = patid, card, cost, flaw, second

    def presented(self, channel: str) -> Row:
        """How the card was presented, as every table has it."""
        return {"cardtype": self.card, "qdlx": channel, "ybdm": self.cost}

    def later(self, random: Random, soonest: int, latest: int) -> None:
        """Time passes; who would leave the day does the next thing sooner."""
        moved = self.second + soonest + int(random.random() * (latest - soonest))
        self.second = moved if moved <= _LAST else self.second + 1 + int(random.random() * (_LAST - self.second))

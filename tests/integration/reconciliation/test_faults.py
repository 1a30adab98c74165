"""Injected faults: every planted difference is found, stands in its one class, and nothing else is called one.

1,000 seeded days with all kinds of faults at once on SQLite, which has no checksum, and shares of them with the HIS on
PostgreSQL, MariaDB and, as the look-alike of tests/tds plays it, SQL Server, whose own checksums tell what changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import faulty_days
import ledgers
import pytest
from card_usage.events import SourceRow
from card_usage.ledger.database import Ledger
from card_usage.reconciliation import minute_ranges, source_checksums
from card_usage.reconciliation.classes import DIFFERENCES, HOLDERS, NAMED
from card_usage.reconciliation.comparison import recount_day
from card_usage.reconciliation.records import Normalize
from card_usage.source.tallies import MinuteTally
from card_usage.staging.drafts import Draft, Drafter
from card_usage.windows import Window
from faulty_days import DAY, FATES, MORNING, NEXT, Day, His, Record, listed, make, reconcile
from sqlalchemy import event as sqlalchemy_event
from wire_stand import Stand, stand

SEEDS = 1_000
AT_A_TIME = 100
ON_SERVERS = 60
met: Counter[str] = Counter()
"""Classes, holders and fates that the seeds of this run came upon."""


@pytest.fixture(scope="module")
def his(tmp_path_factory: pytest.TempPathFactory) -> His:
    return His(tmp_path_factory.mktemp("sql"))


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    with ledgers.sqlite(tmp_path_factory.mktemp("ledger")) as ledger:
        # A test's ledger need not survive a power cut.
        sqlalchemy_event.listen(ledger.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
        ledger.engine.dispose()
        yield ledger


def place(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """Where the HIS is: a SQLAlchemy URL."""
    if kind == "postgresql":
        return str(request.getfixturevalue("postgres_ledger_url"))
    if kind == "mariadb":
        port = request.getfixturevalue("maria_server").port
        return f"mysql+pymysql://root@127.0.0.1:{port}/his?charset=utf8mb4"
    return str(request.getfixturevalue("over_tds").admin)


@pytest.fixture(scope="module")
def over_tds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with stand(tmp_path_factory.mktemp("tds")) as server:
        yield server


@pytest.fixture(params=["postgresql", "mariadb", "sqlserver"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Ledger, His]]:
    """A HIS whose checksums tell unchanged minutes from others; the ledger on PostgreSQL beside it, or on SQLite."""
    url = place(request.param, request, tmp_path)
    his = His(tmp_path, url)
    with ExitStack() as ends:
        ends.callback(his.close)
        if request.param == "postgresql":
            ledger = ends.enter_context(ledgers.opened(url))
        else:
            ledger = ends.enter_context(ledgers.sqlite(tmp_path))
        yield ledger, his


@pytest.fixture
def every_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on days with a million records: each minute has its mark, and nothing is compared along."""
    monkeypatch.setattr(source_checksums, "BUSY", 1)
    monkeypatch.setattr(minute_ranges, "FEW", -1)


def hold(day: Day, ledger: Ledger, his: His) -> None:
    """One seed: the list is the planted one, counts agree, every equation holds, a second look changes nothing."""
    first = reconcile(day, DAY, ledger, his)
    expected = day.expected()
    found = listed(day, DAY, ledger)
    assert found - expected == Counter(), "called a difference, and none was planted"
    assert expected - found == Counter(), "planted, and not found under its class"
    assert first.remainder == 0, {part.feed: part.remainders for part in first.parts}
    by_kind: Counter[str] = Counter()
    for kind, _, _, _ in expected.elements():
        by_kind[kind] += 1
    counted = {name: events for name, events in first.named.items() if name not in ("delivered", "voided")}
    assert counted == {name: by_kind[name] for name in counted}
    assert (first.differences["platform_missing"], first.differences["platform_surplus"]) == (day.missing, day.surplus)
    records = {(one.feed, one.source_id) for one in day.records if one.fate.his not in ("none", "moved")}
    assert first.source == len(records)
    assert reconcile(day, DAY, ledger, his).summary() == first.summary()
    assert listed(day, DAY, ledger) == expected
    moved = [one for one in day.records if one.fate.his == "moved"]
    after = reconcile(day, NEXT, ledger, his)
    assert (after.named["moved_here"], after.remainder) == (len(moved), 0)
    assert listed(day, NEXT, ledger) == Counter(("moved_here", one.feed, one.source_id, "") for one in moved)
    met.update(by_kind)
    met.update({"platform_missing": day.missing, "platform_surplus": day.surplus, "moved_here": len(moved)})
    met.update(f"by {by}" for kind, _, _, by in expected.elements() if kind == "held")
    met.update(name for name, fate in FATES.items() if any(one.fate is fate for one in day.records))


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, SEEDS, AT_A_TIME))
def test_every_planted_difference_is_found_in_its_class_and_nothing_else(
    start: int, embedded: Ledger, his: His
) -> None:
    for seed in range(start, start + AT_A_TIME):
        try:
            hold(make(seed, embedded, his), embedded, his)
        except AssertionError as problem:
            raise AssertionError(f"seed {seed}: {problem}") from None


def test_the_seeds_met_every_class_every_holder_and_every_fate() -> None:
    if not met:
        pytest.skip("the seeds did not run")
    wanted = {*NAMED, *DIFFERENCES} - {"delivered", "voided"}
    assert {name for name in wanted | {f"by {holder}" for holder in HOLDERS} | {*FATES} if not met[name]} == set()


@pytest.mark.slow
def test_a_share_of_the_seeds_on_servers_with_checksums(server: tuple[Ledger, His]) -> None:
    for seed in range(ON_SERVERS // 2):
        hold(make(seed, *server), *server)


@pytest.mark.slow
@pytest.mark.usefixtures("every_minute")
def test_a_share_of_the_seeds_minute_by_minute(server: tuple[Ledger, His]) -> None:
    for seed in range(ON_SERVERS // 2, ON_SERVERS):
        hold(make(seed, *server), *server)


def listen(his: His) -> list[str]:
    """What is asked of the HIS from now on: counts, keys or rows, and from which minute."""
    asked: list[str] = []

    def heard(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "SELECT" in statement:
            asked.append("keys" if "keyed" in statement else "rows" if "ORDER BY" in statement else "counts")

    sqlalchemy_event.listen(his.engine, "before_cursor_execute", heard)
    return asked


def rewrite(his: His, record: Record, **values: str) -> None:
    """The HIS says otherwise of a record from now on."""
    table = his.tables[record.feed]
    with his.change() as connection:
        connection.execute(table.update().where(table.c.source_id == record.source_id).values(**values))


def test_rows_are_asked_for_only_where_something_changed(
    server: tuple[Ledger, His], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, his = server
    monkeypatch.setattr(faulty_days, "FATES", {"delivered": FATES["delivered"]})
    day = make(SEEDS + 1, ledger, his)
    asked = listen(his)
    quiet = reconcile(day, DAY, ledger, his)
    assert quiet.remainder == 0
    assert asked == ["counts"] * len(faulty_days.FEEDS)
    # One record goes and another comes in the same hour: the counts stay the same, the checksum does not.
    old = next(one for one in day.records)
    rewrite(his, old, source_id="NEW")
    asked.clear()
    swapped = reconcile(day, DAY, ledger, his)
    assert (swapped.source, swapped.remainder) == (quiet.source, 0)
    assert swapped.named["vanished_from_source"] == 1
    assert swapped.named["late_in_source"] + swapped.named["provisional_window"] == 1
    assert sorted(asked) == ["counts", "counts", "rows"]
    # Known by now: the late one still is, so its key is looked at again, and nothing else.
    asked.clear()
    assert reconcile(day, DAY, ledger, his).summary() == swapped.summary()
    assert sorted(asked) == ["counts", "counts", "keys"]


@pytest.mark.usefixtures("every_minute")
def test_a_change_in_a_busy_hour_costs_the_rows_of_its_minute(
    server: tuple[Ledger, His], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, his = server
    monkeypatch.setattr(faulty_days, "FATES", {"delivered": FATES["delivered"]})
    day = make(SEEDS + 2, ledger, his)
    one = day.records[0]
    beside = [of for of in day.records if of.feed == one.feed and of.at.minute == one.at.minute]
    assert len(beside) < sum(of.feed == one.feed for of in day.records)
    rewrite(his, one, name="改名者")
    drafted: list[str] = []
    source = his.source(day.hospital)

    def normalize(feed: str) -> Normalize:
        keys = ledger.day_keys.of(day.hospital.id)
        drafter = Drafter(day.hospital, feed, faulty_days.TABLES, faulty_days.ALIASES, keys)

        def draft(row: SourceRow, window: Window) -> Draft:
            drafted.append(row.source_id)
            return drafter.draft(row, window)

        return draft

    changed = recount_day(ledger, source, day.hospital, DAY, normalize, now=MORNING)
    assert changed.named["changed_after_delivery"] == 1
    assert {*drafted} == {of.source_id for of in beside if of.at.hour == one.at.hour}


def test_an_event_that_is_staged_while_the_his_is_counted_is_no_difference(embedded: Ledger, his: His) -> None:
    day = make(SEEDS + 3, embedded, his)
    feed = faulty_days.FEEDS and next(iter(faulty_days.FEEDS))
    before = reconcile(day, DAY, embedded, his)
    one = next(of for of in day.records if of.feed == feed)

    class Meanwhile:
        """The HIS, in which a record comes and is staged right after it was counted for the first time."""

        def __init__(self) -> None:
            self._source, self._left = his.source(day.hospital), True

        def __getattr__(self, name: str) -> object:
            return getattr(self._source, name)

        def minutes(self, feed: str, start: datetime, end: datetime) -> list[MinuteTally]:
            found = self._source.minutes(feed, start, end)
            if self._left:
                self._left = False
                with his.change() as connection:
                    connection.execute(his.tables[one.feed].insert().values({**one.row, "source_id": "MEANWHILE"}))
                faulty_days.stage_feed(embedded, his, day.hospital, one.feed, MORNING)
            return found

    def normalize(feed: str) -> Normalize:
        keys = embedded.day_keys.of(day.hospital.id)
        return Drafter(day.hospital, feed, faulty_days.TABLES, faulty_days.ALIASES, keys).draft

    after = recount_day(embedded, Meanwhile(), day.hospital, DAY, normalize, now=MORNING)
    assert after.remainder == 0
    assert before.source is not None
    assert after.source == before.source + 1
    assert after.named["vanished_from_source"] == before.named["vanished_from_source"]

"""Injected faults: every planted difference is found, stands in its one class, and nothing else is called one.

1,000 seeded days with all kinds of faults at once on SQLite, a share of them on PostgreSQL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import faulty_days
import planted
import pytest
from card_usage.balance import DIFFERENCES, HOLDERS, NAMED
from card_usage.ledger.database import Ledger, migrate, open_ledger
from faulty_days import DAY, FATES, NEXT, Day, His, listed, make, reconcile
from sqlalchemy import event as sqlalchemy_event

SEEDS = 1_000
AT_A_TIME = 100
ON_POSTGRESQL = 60
met: Counter[str] = Counter()
"""Classes, holders and fates that the seeds of this run came upon."""


@pytest.fixture(scope="module")
def his(tmp_path_factory: pytest.TempPathFactory) -> His:
    return His(tmp_path_factory.mktemp("sql"))


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    with planted.sqlite(tmp_path_factory.mktemp("ledger")) as ledger:
        # A test's ledger need not survive a power cut.
        sqlalchemy_event.listen(ledger.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
        ledger.engine.dispose()
        yield ledger


@pytest.fixture
def server(postgres_url: str, tmp_path: Path) -> Iterator[tuple[Ledger, His]]:
    """Ledger and HIS on PostgreSQL, whose checksums tell unchanged hours from others."""
    migrate(postgres_url)
    ledger = open_ledger(postgres_url, planted.KEYRING)
    his = His(tmp_path, postgres_url)
    yield ledger, his
    his.engine.dispose()
    ledger.close()


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


def test_a_share_of_the_seeds_on_postgresql(server: tuple[Ledger, His]) -> None:
    for seed in range(ON_POSTGRESQL):
        hold(make(seed, *server), *server)


def test_keys_are_asked_for_only_in_hours_that_changed(
    server: tuple[Ledger, His], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, his = server
    monkeypatch.setattr(faulty_days, "FATES", {"delivered": FATES["delivered"]})
    day = make(SEEDS + 1, ledger, his)
    asked: list[str] = []

    def heard(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append("keys" if "keyed" in statement else "rows" if "ORDER BY" in statement else "counts")

    sqlalchemy_event.listen(his.engine, "before_cursor_execute", heard)
    quiet = reconcile(day, DAY, ledger, his)
    assert quiet.remainder == 0
    assert asked == ["counts"] * len(faulty_days.FEEDS)
    # One record goes and another comes in the same hour: the counts stay the same, the checksum does not.
    old = next(one for one in day.records)
    with his.change() as connection:
        table = his.tables[old.feed]
        connection.execute(table.update().where(table.c.source_id == old.source_id).values(source_id="NEW"))
    asked.clear()
    swapped = reconcile(day, DAY, ledger, his)
    assert (swapped.source, swapped.remainder) == (quiet.source, 0)
    assert swapped.named["vanished_from_source"] == 1
    assert swapped.named["late_in_source"] + swapped.named["provisional_window"] == 1
    assert sorted(asked) == ["counts", "counts", "keys", "rows"]

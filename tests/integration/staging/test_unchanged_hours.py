"""Hours passed over: whatever HIS, deliverers and people do, the ledger is as if every row had been looked at."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import ledgers
import pytest
from card_usage.config.hospital import load_hospital
from card_usage.events import SourceRow
from card_usage.files.shipped import PACKAGE, SHIPPED
from card_usage.ledger.database import Ledger, open_ledger
from card_usage.ledger.schema import SETTLED_STATES, event, finding, staged_hour
from card_usage.staging import hour_chunks as hour_chunks_module
from card_usage.staging.drafts import Draft, Drafter
from card_usage.staging.hour_chunks import MAX_ROWS, fingerprint, hour_chunks, row_text
from card_usage.staging.stage import Staged, stage
from card_usage.standard.aliases import load_aliases
from card_usage.standard.code_tables import load_tables
from card_usage.windows import Window, day_window
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import KEYRING
from sqlalchemy import delete, func, select, update
from sqlalchemy import event as sa_event

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 6, 1, tzinfo=UTC)
HOSPITAL = load_hospital(SHIPPED / "hospitals", "demo_hospital")
TABLES = load_tables()
ALIASES = load_aliases(SHIPPED / "code_aliases", HOSPITAL.id, TABLES)
MENDED = {**ALIASES, "department": {**ALIASES["department"], "999": "0300"}}
FEED = "registration"

Rows = tuple[SourceRow, ...]


def row(
    number: int, *, hour: int = 9, day: int = 2, department: str = "0300", name: str = "张三", voided: int = 0
) -> SourceRow:
    said = f"202603{day:02}{hour:02}:{number % 60:02}:00"
    return SourceRow(
        str(number), said, "0101012", department, None, "10", "0100", None, "110101199003070011", name, None, voided
    )


def run(
    ledger: Ledger, rows: Rows, window: Window | None = None, *, mended: bool = False, batch_size: int = 5000
) -> Staged:
    window = window or day_window(DAY)
    start, end = (moment.strftime("%Y%m%d%H:%M:%S") for moment in (window.start, window.end))
    of_window = sorted(
        (r for r in rows if start <= str(r.occurred_at) < end), key=lambda r: (r.occurred_at, r.source_id)
    )
    return stage(
        [of_window[n : n + batch_size] for n in range(0, len(of_window), batch_size)],
        hospital=HOSPITAL.model_copy(update={"his": HOSPITAL.his.model_copy(update={"fetch_size": batch_size})}),
        feed=FEED,
        window=window,
        ledger=ledger,
        tables=TABLES,
        aliases=MENDED if mended else ALIASES,
        backfill=False,
        now=NOW,
    )


@pytest.fixture
def drafted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each row was looked at, by its own key."""
    counted: Counter[str] = Counter()
    draft = Drafter.draft

    def count(self: Drafter, source_row: SourceRow, window: Window) -> Draft:
        counted[source_row.source_id] += 1
        return draft(self, source_row, window)

    monkeypatch.setattr(Drafter, "draft", count)
    return counted


def test_a_day_that_is_as_before_is_not_looked_at_row_by_row(ledger: Ledger, drafted: Counter[str]) -> None:
    rows = tuple(row(n, hour=n % 24) for n in range(240))
    run(ledger, rows)
    staged = run(ledger, rows)
    assert (staged.read, staged.unchanged) == (240, 240)
    assert set(drafted.values()) == {1}


def test_one_row_that_changed_leads_to_its_hour_alone(ledger: Ledger, drafted: Counter[str]) -> None:
    rows = tuple(row(n, hour=n % 24) for n in range(240))
    run(ledger, rows)
    staged = run(ledger, (rows[0]._replace(name="李四"), *rows[1:]))
    assert (staged.read, staged.changed, staged.unchanged) == (240, 1, 239)
    assert {key for key, times in drafted.items() if times > 1} == {str(n) for n in range(0, 240, 24)}


def test_a_mended_mapping_lets_everything_be_looked_at_again(ledger: Ledger) -> None:
    rows = (row(1, department="999"), row(2))
    assert run(ledger, rows).quarantined == 1
    assert run(ledger, rows).unchanged == 2
    assert run(ledger, rows, mended=True).changed == 1


def test_a_busy_hour_is_remembered_in_parts(ledger: Ledger, drafted: Counter[str]) -> None:
    rows = tuple(row(60 * n, name=f"患者{n}") for n in range(2 * MAX_ROWS + 5))
    run(ledger, rows, batch_size=700)
    last = max(rows, key=lambda r: r.source_id)
    run(ledger, (*(r for r in rows if r is not last), last._replace(name="李四")), batch_size=700)
    assert sum(times > 1 for times in drafted.values()) == 5


def test_an_hour_without_rows_any_more_is_forgotten(ledger: Ledger, drafted: Counter[str]) -> None:
    rows = (row(1, hour=8), row(2, hour=9))
    run(ledger, rows)
    run(ledger, rows[:1])
    run(ledger, rows)
    assert drafted == {"1": 1, "2": 2}


def test_two_rows_under_one_key_are_looked_at_each_time(ledger: Ledger, drafted: Counter[str]) -> None:
    rows = (row(1), row(1, name="李四"), row(2, hour=10))
    assert [run(ledger, rows).duplicate for _ in range(3)] == [1, 1, 1]
    assert drafted == {"1": 3, "2": 1}, "each time, but the second copy says nothing new"


def test_a_time_that_says_no_hour_is_never_passed_over(ledger: Ledger, drafted: Counter[str]) -> None:
    rows = [
        row(1)._replace(occurred_at=said) for said in ("2026030224:00:00", "2026-03-02 09:00:00+09:00", "later", None)
    ]  # type: ignore[arg-type]
    for said in rows:
        for _ in range(2):
            stage(
                [[said]],
                hospital=HOSPITAL,
                feed=FEED,
                window=day_window(DAY),
                ledger=ledger,
                tables=TABLES,
                aliases=ALIASES,
                backfill=False,
                now=NOW,
            )
    assert drafted == {"1": 8}


def test_a_digest_tells_nothing_without_the_key_and_differs_between_values_of_other_types() -> None:
    texts = [row_text([row(1)._replace(source_id=value)]) for value in ("1", 1, 1.0, True, None, b"1")]  # type: ignore[arg-type]
    assert len(set(texts)) == len(texts)
    assert row_text([row(1)._replace(source_id=object())]) is None  # type: ignore[arg-type]


@given(st.lists(st.lists(st.integers(0, 3), max_size=5), max_size=5))
def test_cutting_into_chunks_keeps_every_row_in_its_place(batches: list[list[int]]) -> None:
    made = [[row(n, hour=hour) for n, hour in enumerate(batch)] for batch in batches]
    chunks = list(hour_chunks(made))
    assert [r for chunk in chunks for r in chunk.rows] == [r for batch in made for r in batch]
    assert len({(chunk.hour, chunk.part) for chunk in chunks}) == len(chunks)


def test_a_changed_file_in_any_package_changes_what_hours_are_remembered_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {path.name for path in PACKAGE.iterdir()} >= {"staging", "standard", "source", "events.py", "ledger"}
    copy = shutil.copytree(PACKAGE, tmp_path / "card_usage", ignore=shutil.ignore_patterns("__pycache__"))
    source_digest = hour_chunks_module.source_digest.__wrapped__
    assert source_digest(copy) == source_digest()
    seen = {source_digest(copy)}
    one_a_folder = {file.parent: file for file in sorted(copy.rglob("*.py"))}
    for file in one_a_folder.values():
        file.write_text(file.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
        seen.add(source_digest(copy))
    assert len(seen) == len(one_a_folder) + 1
    before = fingerprint(HOSPITAL, TABLES, ALIASES)
    monkeypatch.setattr(hour_chunks_module, "source_digest", lambda: source_digest(copy))
    assert fingerprint(HOSPITAL, TABLES, ALIASES) != before


people = st.builds(
    row,
    st.integers(0, 1),
    hour=st.sampled_from([8, 9]),
    day=st.sampled_from([2, 3]),
    department=st.sampled_from(["0300", "999"]),
    name=st.sampled_from(["张三", "李四"]),
    voided=st.sampled_from([0, 1]),
)
FIRST, SECOND = day_window(DAY), day_window(DAY + timedelta(days=1))
windows = st.sampled_from(
    [
        FIRST,
        FIRST,
        SECOND,
        Window(FIRST.start + timedelta(hours=9), FIRST.start + timedelta(hours=10)),
        Window(FIRST.start + timedelta(hours=8, seconds=30), FIRST.start + timedelta(hours=9, seconds=30)),
    ]
)
states = st.sampled_from(["ready", "in_flight", "unknown", *SETTLED_STATES[:3]])
happenings = st.one_of(
    st.tuples(st.just("his"), people),  # a row comes, changes, moves, is voided, or all is as it was
    st.tuples(st.just("his"), people),
    st.tuples(st.just("gone"), st.integers(0, 1)),
    st.tuples(st.just("delivery"), st.integers(0, 1), states),
    st.tuples(st.just("mapping"), st.booleans()),
)


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ledger, Ledger]]:
    """Two ledgers that go the same way, with the same data keys, so that their digests can be compared; the second
    forgets its hours before each staging."""
    home = tmp_path_factory.mktemp("twins")
    remembers, other = (open_ledger(ledgers.sqlite_url(home, name), KEYRING) for name in ("remembers", "forgets"))
    forgets = replace(other, day_keys=remembers.day_keys)
    for ledger in (remembers, forgets):
        sa_event.listen(ledger.engine, "connect", lambda driver, _: driver.execute("PRAGMA synchronous=OFF"))
    yield remembers, forgets
    remembers.close()
    forgets.close()


class World:
    """The HIS, both ledgers, and whether the mapping is mended. `twice`: a key may stand in two rows."""

    def __init__(self, twins: tuple[Ledger, Ledger], *, twice: bool = False) -> None:
        self.twins, self.twice, self.mended = twins, twice, False
        self.his: dict[object, SourceRow] = {}
        for ledger in twins:
            with ledger.write() as connection:
                for table in (finding, event, staged_hour):
                    connection.execute(delete(table))

    def happen(self, kind: str, *what: object) -> None:
        match kind, what:
            case "his", [SourceRow() as source_row]:
                self.his[
                    (source_row.source_id, str(source_row.occurred_at)[:10]) if self.twice else source_row.source_id
                ] = source_row
            case "gone", [number]:
                self.his = {
                    key: source_row for key, source_row in self.his.items() if source_row.source_id != str(number)
                }
            case "mapping", [choice]:
                self.mended = bool(choice)
            case "delivery", [number, status]:
                open_ones = event.c.status.not_in(["voided", "quarantined", "delivered"])
                for ledger in self.twins:
                    with ledger.write() as connection:
                        mine = (event.c.source_id == str(number), open_ones)
                        connection.execute(update(event).where(*mine).values(status=status))

    def stage(self, window: Window) -> None:
        remembers, forgets = self.twins
        with forgets.write() as connection:
            connection.execute(delete(staged_hour))
        rows = tuple(self.his.values())
        remembering, forgetting = (run(ledger, rows, window, mended=self.mended, batch_size=2) for ledger in self.twins)
        if not self.twice:
            assert _counts(remembering) == _counts(forgetting)
            assert _events(remembers) == _events(forgets)


walks = st.lists(st.tuples(happenings, windows), min_size=3, max_size=12)


@settings(max_examples=100)
@given(walk=walks)
def test_the_ledger_is_as_if_every_row_had_been_looked_at(
    twins: tuple[Ledger, Ledger], walk: list[tuple[tuple[Any, ...], Window]]
) -> None:
    world = World(twins)
    for happening, window in walk:
        world.happen(*happening)
        world.stage(window)


@settings(max_examples=40)
@given(walk=walks)
def test_where_a_key_stood_in_two_rows_the_ledger_is_right_once_they_are_mended(
    twins: tuple[Ledger, Ledger], walk: list[tuple[tuple[Any, ...], Window]]
) -> None:
    world = World(twins, twice=True)
    for happening, window in walk:
        world.happen(*happening)
        world.stage(window)
    world.his = {row.source_id: row for row in world.his.values()}
    for window in (FIRST, SECOND) * 2:
        world.stage(window)
    assert _events(twins[0]) == _events(twins[1])


A, B, VOID = row(0), row(0, day=3), row(0, voided=1)


@pytest.mark.parametrize(
    "walk",
    [
        [("his", A), ("his", B), ("his", A)],
        [("his", A), ("delivery", 0, "in_flight"), ("his", A._replace(name="李四")), ("delivery", 0, "rejected")],
        [("his", A), ("delivery", 0, "in_flight"), ("his", VOID), ("his", VOID), ("delivery", 0, "ready")],
        [("his", A), ("delivery", 0, "unconfirmed"), ("his", VOID), ("his", VOID), ("delivery", 0, "ready")],
    ],
    ids=["moved to another day and back", "refused after it changed", "given back after its refund", "sent again"],
)
def test_ways_that_a_digest_alone_would_miss(twins: tuple[Ledger, Ledger], walk: list[Any]) -> None:
    world = World(twins)
    for happening in walk:
        world.happen(*happening)
        world.stage(SECOND if B in happening else FIRST)


def _counts(staged: Staged) -> dict[str, object]:
    return {name: value for name, value in staged.summary().items() if name != "seconds"}


def _events(ledger: Ledger) -> list[tuple[object, ...]]:
    columns = [column for column in event.c if column.name not in {"sealed", "id"}]
    with ledger.read() as connection:
        found = [tuple(values) for values in connection.execute(select(*columns).order_by(event.c.key))]
        findings = connection.execute(
            select(finding.c.rule, func.count()).group_by(finding.c.rule).order_by(finding.c.rule)
        )
        return found + [tuple(values) for values in findings]

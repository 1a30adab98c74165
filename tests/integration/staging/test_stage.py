"""Staging: the demo HIS into the ledger, to the row; again without effect; and rows that no HIS should have."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import demo_his
import pytest
from card_usage.config.day_keys import DayKeys
from card_usage.config.hospital import load_hospital
from card_usage.config.keyring import Keyring
from card_usage.events import SourceRow, request_id
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event, finding
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.staging.drafts import Drafter
from card_usage.staging.stage import Staged, stage
from card_usage.standard.aliases import load_aliases
from card_usage.standard.code_tables import load_tables
from card_usage.windows import Window, day_window
from sqlalchemy import event as sa_event
from sqlalchemy import func, select

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 4, 1, tzinfo=UTC)
HOSPITAL = load_hospital(SHIPPED / "hospitals", "demo_hospital")
TABLES = load_tables()
ALIASES = load_aliases(SHIPPED / "code_aliases", HOSPITAL.id, TABLES)

EVER = [
    (
        "ready",
        "bea13533ddbd58be9ea1bc076602e7c2",
        "7e149c7a20b836bc6115db196bec92ac",
        "7444EE7F8D7F5D948D1E0EFB7DFC6CF7",
    ),
    (
        "ready",
        "d7aa8c5304e5596592cccc1f4a31c549",
        "918da3a9855ee08da47575934cbbf41d",
        "AE2BBE826DF155258B322CC363D5A9F5",
    ),
    (
        "quarantined",
        "b5b7b1116d4c59fab82ff1efceb5da00",
        "93cb88297f6f3ed8ea6c635d9a2cc38a",
        "2F873E8634F75BA98CA8FD19B472025B",
    ),
    (
        "voided",
        "2c5213089d925bc6a2681dcbfcc18506",
        "7e149c7a20b836bc6115db196bec92ac",
        "B91B09952E9857F5AB432B4C572EA36A",
    ),
]
"""Status, event key, digest, request id."""


def run(
    ledger: Ledger, batches: Iterator[list[SourceRow]], feed: str, window: Window, *, batch_size: int = 5000
) -> Staged:
    return stage(
        batches,
        hospital=HOSPITAL.model_copy(update={"his": HOSPITAL.his.model_copy(update={"fetch_size": batch_size})}),
        feed=feed,
        window=window,
        ledger=ledger,
        tables=TABLES,
        aliases=ALIASES,
        backfill=False,
        now=NOW,
    )


def stage_day(ledger: Ledger, his: str, day: date) -> dict[str, Staged]:
    source, window = Source(connect(his), HOSPITAL), day_window(day)
    return {feed: run(ledger, source.rows(feed, window.start, window.end), feed, window) for feed in HOSPITAL.his.feeds}


def outcomes(ledger: Ledger) -> dict[tuple[date, str], Counter[str]]:
    """By day and feed: clean, voided, or the rule that quarantined."""
    found: dict[tuple[date, str], Counter[str]] = {}
    columns = (event.c.day, event.c.feed, event.c.status, event.c.reason, func.count())
    with ledger.read() as connection:
        for day, feed, status, reason, rows in connection.execute(select(*columns).group_by(*columns[:-1])):
            outcome = {"ready": "clean", "voided": "voided"}.get(status, reason)
            found.setdefault((day, feed), Counter())[outcome] += rows
    return found


def test_every_row_of_the_demo_ends_where_it_was_made_to_end_and_staging_again_changes_nothing(
    ledger: Ledger, tmp_path: Path
) -> None:
    his = f"sqlite:///{tmp_path}/his.db"
    days = [DAY, DAY + timedelta(days=1)]
    expected = demo_his.create(his, days, uses_per_day=600, seed=5)
    for day in days:
        stage_day(ledger, his, day)
    wanted = {(day, feed): +Counter(expected[day].outcomes[feed]) for day in days for feed in HOSPITAL.his.feeds}
    assert outcomes(ledger) == wanted
    for staged in stage_day(ledger, his, DAY).values():
        assert staged.unchanged == staged.read
        assert (staged.new, staged.changed, staged.voided, staged.marked) == (0, 0, 0, 0)


def test_late_rows_and_refunds_are_found_by_looking_back(ledger: Ledger, tmp_path: Path) -> None:
    his = f"sqlite:///{tmp_path}/his.db"
    demo_his.create(his, [DAY], uses_per_day=6000, seed=5)
    stage_day(ledger, his, DAY)
    later = demo_his.arrive(his, [DAY])
    staged = stage_day(ledger, his, DAY)
    assert sum(result.new for result in staged.values()) == sum(kinds["rows"] for kinds in later[DAY].late.values()) > 0
    refunded = sum(kinds["refunded"] for kinds in later[DAY].late.values())
    assert sum(result.voided for result in staged.values()) == refunded > 0
    assert outcomes(ledger) == {(DAY, feed): +Counter(later[DAY].outcomes[feed]) for feed in HOSPITAL.his.feeds}


def test_an_unknown_code_is_quarantined_with_table_and_code_named(ledger: Ledger) -> None:
    staged = run(
        ledger, iter([[row("1", department="99999", department_name="量子科")]]), "registration", day_window(DAY)
    )
    assert staged.quarantined == 1
    with ledger.read() as connection:
        findings = connection.execute(select(finding.c.rule, finding.c.code_table, finding.c.code)).all()
    assert [tuple(found) for found in findings] == [("department.code", "department", "99999")]


def row(source_id: str, **changes: object) -> SourceRow:
    values: dict[str, object] = {
        "source_id": source_id,
        "occurred_at": "2026030209:00:00",
        "scene": "0101012",
        "department": "0300",
        "department_name": None,
        "card_type": "10",
        "channel": "0100",
        "cost_type": None,
        "id_number": "11010119900307001X",
        "name": "张三",
        "qr_code_text": None,
        "voided": 0,
    }
    return SourceRow(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "\ud800坏字"),
        ("name", b"\xd5\xc5\xc8\xfd"),
        ("name", "张\x00三"),
        ("name", "长" * 8000),
        ("id_number", "\udcff" * 18),
        ("id_number", 12345678),
        ("occurred_at", "0000000000:00:00"),
        ("occurred_at", "2026030224:00:00"),
        ("occurred_at", None),
        ("scene", "\ud800"),
        ("department", "未" * 500),
        ("department_name", "\ud800科" * 200),
    ],
)
def test_a_row_that_no_his_should_have_breaks_nothing_and_is_not_lost(
    ledger: Ledger, field: str, value: object
) -> None:
    batch = [row("1"), row("2", **{field: value}), row("3")]
    staged = run(ledger, iter([batch]), "registration", day_window(DAY))
    assert (staged.read, staged.new) == (3, 3)
    with ledger.read() as connection:
        states = dict(connection.execute(select(event.c.source_id, event.c.status)).all())
    assert states["1"] == states["3"] == "ready"
    assert states["2"] in {"ready", "quarantined"}


def test_a_row_outside_its_window_is_quarantined(ledger: Ledger) -> None:
    run(ledger, iter([[row("1", occurred_at="2026030300:00:00")]]), "registration", day_window(DAY))
    assert outcomes(ledger) == {(DAY + timedelta(days=1), "registration"): Counter({"time.window": 1})}


def test_keys_and_digests_are_those_of_every_version_before_and_request_ids_derive_from_keys() -> None:
    """They stand in ledgers and were told to the platform: a row must never get others."""
    drafter = Drafter(HOSPITAL, "registration", TABLES, ALIASES, DayKeys(Keyring.parse("b:" + "A" * 43 + "=")).of("h"))
    said = [
        row("GH1"),
        row("GH2", card_type="健康卡", id_number=None, qr_code_text="2A4A19745AC6D6475C2AA48290B513F8:1"),
        row("GH3", department="no such", occurred_at="20260302"),
        row("GH4", voided=1),
    ]
    drafts = [drafter.draft(row, day_window(DAY)) for row in said]
    assert [(draft.status, draft.key, draft.digest_by(None), request_id(draft.key, 0)) for draft in drafts] == EVER


def test_staging_three_times_the_rows_takes_no_more_memory_the_first_time_and_again(embedded: Ledger) -> None:

    def rows(batches: int) -> Iterator[list[SourceRow]]:
        for batch in range(batches):
            at = f"20260302{batch % 24:02}:00:00"
            left: list[object] = [bytearray(50_000)]
            left.append(left)  # as a driver may leave it behind: only the collector of cycles frees it
            yield [row(f"{batches}-{batch}-{n}", occurred_at=at, name=f"张{batch}号{n}") for n in range(100)]

    def peak(batches: int) -> int:
        tracemalloc.start()
        run(embedded, rows(batches), "registration", day_window(DAY), batch_size=100)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)  # what is loaded once
    few, many = peak(30), peak(90)
    few_again, many_again = peak(30), peak(90)
    # Threads overlap as they will and hours are remembered: a tenth is noise. What grew with the rows would be thrice.
    assert many < few * 1.5
    assert many_again < few_again * 1.5


def test_sqlite_has_few_statements_to_keep_however_many_rows_come_at_once(embedded: Ledger) -> None:
    """The driver keeps a hundred that it prepared, each of them megabytes: memory that no Python tool sees."""
    inserts = set()

    @sa_event.listens_for(embedded.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO event "):
            inserts.add(statement)

    sizes = range(100, 300, 7)
    for number, size in enumerate(sizes):
        batch = [row(f"{number}-{n}", occurred_at=f"20260302{number % 24:02}:00:00") for n in range(size)]
        run(embedded, iter([batch]), "registration", day_window(DAY))
    with embedded.read() as connection:
        assert connection.scalar(select(func.count()).select_from(event)) == sum(sizes)
    assert len(inserts) < 10


def test_no_rows_is_a_count_of_none(ledger: Ledger) -> None:
    assert run(ledger, iter([]), "registration", day_window(DAY)).read == 0

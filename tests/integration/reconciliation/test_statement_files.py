"""Statements of the platform: read whole or not at all, every error with its place, weighed against the answers."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from traceback import format_exception
from typing import Any

import ledgers
import odd_workbooks
import planted
import pytest
from card_usage.config.settings import Settings
from card_usage.errors import StatementError
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import reconciliation, statement, statement_count
from card_usage.reconciliation import statement_store
from card_usage.reconciliation.reconcile import EVERY_FEED, weigh_day
from card_usage.reconciliation.statement_files import LAYOUTS, ImportOptions, Reader, load_layouts
from card_usage.reconciliation.statement_import import import_files, import_folder
from card_usage.reconciliation.statement_match import Bucket
from card_usage.standard.code_tables import load_tables
from openpyxl import Workbook
from planted import DAY, HOSPITAL, NOW
from platform_sandbox.accepted import Accepted, Record
from sqlalchemy import func, select, update

HOME = planted.hospital()
BY_ID = {HOME.id: HOME}
PLATFORM_ID = HOME.platform.hospital_id
HEAD = ["医院ID", "日期", "小时", "用卡环节代码", "用卡环节", "渠道代码", "渠道", "证件类型", "用卡次数"]
ROW = [PLATFORM_ID, DAY.isoformat(), "09", "0101012", "当日挂号", "0100", "人工窗口", "01", "5"]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader([HOME], load_tables(), load_layouts())


def written(path: Path, rows: list[list[Any]], encoding: str = "utf-8") -> Path:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def workbook(path: Path, rows: list[list[Any]]) -> Path:
    book = Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def changed(**cells: Any) -> list[Any]:
    names = dict(zip(("hospital", "day", "hour", "scene", "_", "channel", "__", "card_type", "uses"), ROW, strict=True))
    return list((names | cells).values())


def test_the_sandboxs_own_statement_is_read_to_the_last_use(reader: Reader, tmp_path: Path) -> None:
    accepted = Accepted()
    for n in range(60):
        time = f"{DAY} {n % 24:02}:00:00"
        record = Record("app", str(n), PLATFORM_ID, "0101012", "0100", "01", "0301", time, f"{DAY}T00:00:00", str(n))
        accepted.add(record)
    path = tmp_path / "statement.csv"
    path.write_text(accepted.statement(PLATFORM_ID, DAY.isoformat()), encoding="utf-8")
    (one,) = reader.read(path, ImportOptions(), now=NOW)
    assert (one.layout, one.hospital, one.day, one.uses) == ("sandbox", HOSPITAL, DAY, 60)
    assert one.dimensions == ("hour", "scene", "channel", "card_type")
    assert one.counts[Bucket(3, "0101012", "0100", "01")] == 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_csv_is_read_as_editors_write_it(reader: Reader, tmp_path: Path, encoding: str) -> None:
    path = written(
        tmp_path / "s.csv", [["用卡统计"], [], HEAD, ROW, changed(hour="10:00-11:00", uses="1,200")], encoding
    )
    (one,) = reader.read(path, ImportOptions(), now=NOW)
    assert one.uses == 1205
    assert {slot.hour for slot in one.counts} == {9, 10}


def test_a_workbook_gives_back_what_it_made_of_codes_and_dates(reader: Reader, tmp_path: Path) -> None:
    row = changed(day=datetime.combine(DAY, datetime.min.time()), hour=9, channel=100, card_type=1, uses=5.0)
    row[0] = int(PLATFORM_ID)
    plain = written(tmp_path / "s.csv", [HEAD, ROW])
    (from_book,) = reader.read(workbook(tmp_path / "s.xlsx", [HEAD, row]), ImportOptions(), now=NOW)
    (from_text,) = reader.read(plain, ImportOptions(), now=NOW)
    assert from_book.counts == from_text.counts


@pytest.mark.parametrize("oddity", odd_workbooks.READABLE)
def test_a_workbook_is_read_whichever_program_wrote_it(reader: Reader, tmp_path: Path, oddity: str) -> None:
    plain = workbook(tmp_path / "plain.xlsx", [["用卡统计"], HEAD, ROW])
    odd = tmp_path / "odd.xlsx"
    odd.write_bytes(odd_workbooks.changed(plain.read_bytes(), odd_workbooks.READABLE[oddity]))
    (from_plain,) = reader.read(plain, ImportOptions(), now=NOW)
    (from_odd,) = reader.read(odd, ImportOptions(), now=NOW)
    assert from_odd.counts == from_plain.counts


def test_a_torn_sheet_is_one_line_that_says_where_and_what_to_do(reader: Reader, tmp_path: Path) -> None:
    path = workbook(tmp_path / "s.xlsx", [HEAD, ROW, changed(hour="10")])
    path.write_bytes(odd_workbooks.changed(path.read_bytes(), odd_workbooks.torn))
    with pytest.raises(StatementError, match=r"s\.xlsx, line 3, .*torn.*open it in Excel, save it") as refused:
        reader.read(path, ImportOptions(), now=NOW)
    assert "\n" not in str(refused.value)


def test_a_title_with_commas_stands_above_tabbed_headings(reader: Reader, tmp_path: Path) -> None:
    rows = [["2026年3月, 用卡统计, 内部, 勿外传, 共1页, 第1页, 制表, 复核, 存档, 其他"], HEAD, ROW]
    path = tmp_path / "s.csv"
    path.write_text("\n".join("\t".join(map(str, row)) for row in rows), encoding="utf-16")
    (one,) = reader.read(path, ImportOptions(), now=NOW)
    assert one.uses == 5


def test_a_serial_date_is_a_day_of_a_workbook_and_no_guess_elsewhere(reader: Reader, tmp_path: Path) -> None:
    serial = (DAY - date(1899, 12, 30)).days
    book = workbook(tmp_path / "s.xlsx", [HEAD, changed(day=serial)])
    (one,) = reader.read(book, ImportOptions(), now=NOW)
    assert one.day == DAY
    for text in (str(serial), "2026111", "202634", "20260230"):
        path = written(tmp_path / "s.csv", [HEAD, changed(day=text)])
        with pytest.raises(StatementError, match=rf"line 2, field 'day': '{text}' is no day: write it as 2026-11-01"):
            reader.read(path, ImportOptions(), now=NOW)
    (compact,) = reader.read(written(tmp_path / "s.csv", [HEAD, changed(day="20260304")]), ImportOptions(), now=NOW)
    assert compact.day == DAY


@pytest.mark.parametrize("field", ["hospital", "scene", "channel", "uses"])
def test_a_shortened_number_is_refused_with_the_way_to_mend_it(reader: Reader, tmp_path: Path, field: str) -> None:
    path = written(tmp_path / "s.csv", [HEAD, changed(**{field: "1.01E+05"})])
    with pytest.raises(StatementError, match=rf"line 2, field '{field}': .*'1\.01E\+05': format the column as text"):
        reader.read(path, ImportOptions(), now=NOW)


def test_a_code_without_its_zeros_is_the_only_code_of_that_number(tmp_path: Path) -> None:
    home = HOME.model_copy(update={"platform": HOME.platform.model_copy(update={"hospital_id": "0012"})})
    path = written(tmp_path / "s.csv", [HEAD, changed(hospital="12", scene="101012", channel="100", card_type="1")])
    (one,) = Reader([home], load_tables(), load_layouts()).read(path, ImportOptions(), now=NOW)
    assert one.counts == {Bucket(9, "0101012", "0100", "01"): 5}


def test_names_stand_for_codes_and_a_total_is_held_against_its_rows(reader: Reader, tmp_path: Path) -> None:
    head = ["医院ID", "统计日期", "用卡环节", "用卡量"]
    name = load_tables()["scene"].names["0101051"]
    rows = [head, [PLATFORM_ID, "2026年3月4日", name, "7"], ["合计", "", "", "7"]]
    (one,) = reader.read(written(tmp_path / "s.csv", rows), ImportOptions(), now=NOW)
    assert (one.layout, dict(one.counts)) == ("daily_totals", {Bucket(scene="0101051"): 7})
    rows[-1][-1] = "8"
    with pytest.raises(StatementError, match=r"s\.csv, line 3, field 'uses': the total says 8, .* add up to 7"):
        reader.read(written(tmp_path / "s.csv", rows), ImportOptions(), now=NOW)


@pytest.mark.parametrize(
    ("row", "field", "problem"),
    [
        (changed(hospital="999"), "hospital", "'999'"),
        (changed(day="2026-02-30"), "day", "'2026-02-30' is no day"),
        (changed(hour="24"), "hour", "'24' is no hour"),
        (changed(scene="09090909"), "scene", "neither a code nor a name"),
        (changed(channel="Q1"), "channel", "neither a code nor a name"),
        (changed(uses="-1"), "uses", "'-1' is no count"),
        (changed(uses="many"), "uses", "'many' is no count"),
        (changed(uses=""), "uses", "'' is no count"),
        (ROW, "uses", "stands in line 2 already"),
    ],
)
def test_an_error_names_file_line_and_field_nothing_of_that_file_is_imported_and_the_others_are(
    embedded: Ledger, reader: Reader, tmp_path: Path, row: list[Any], field: str, problem: str
) -> None:
    good = written(tmp_path / "good.csv", [HEAD, changed(hour="11")])
    bad = written(tmp_path / "bad.csv", [HEAD, ROW, row])
    taken = import_files(embedded, reader, BY_ID, [bad, good], ImportOptions(), now=NOW)
    (problem_of_bad,) = taken.refused
    assert problem_of_bad.details["path"] == "bad.csv"
    assert problem_of_bad.details["line"] == 3
    assert problem_of_bad.details["field"] == field
    assert problem in str(problem_of_bad)
    assert [one.file for one in taken.imported] == ["good.csv"]
    with embedded.read() as connection:
        assert connection.scalars(select(statement.c.file)).all() == ["good.csv"]


@pytest.mark.parametrize("field", ["hospital", "day", "hour", "scene", "channel", "uses"])
@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_an_error_never_quotes_a_patients_number_that_stands_in_a_cell(
    embedded: Ledger, reader: Reader, tmp_path: Path, field: str, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    number = "110101199003078515"
    make = workbook if ending == "xlsx" else written
    for cell in (number, f"张小三 {number}"):
        path = make(tmp_path / f"s.{ending}", [HEAD, changed(**{field: cell})])
        (problem,) = import_files(embedded, reader, BY_ID, [path], ImportOptions(), now=NOW).refused
        assert problem.details["field"] == field
        told = "".join(format_exception(problem)) + str(problem.details) + caplog.text
        assert "may be a patient's number" in told
        assert number not in told


@pytest.mark.parametrize("field", ["day", "hour", "uses"])
def test_an_error_quotes_no_words_that_stand_where_a_number_belongs(reader: Reader, tmp_path: Path, field: str) -> None:
    for name in ("张小三", "Zhang Xiaosan"):
        path = written(tmp_path / "s.csv", [HEAD, changed(**{field: name})])
        with pytest.raises(StatementError, match=f"a text of {len(name)} characters") as raised:
            reader.read(path, ImportOptions(), now=NOW)
        assert name not in str(raised.value)


def test_what_nobody_thought_of_is_logged_by_its_place_and_never_by_its_words(
    embedded: Ledger, reader: Reader, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> None:
        raise ValueError("invalid literal for int() with base 10: '张小三'")

    monkeypatch.setattr(Reader, "_bucket", stumble)
    path = written(tmp_path / "s.csv", [HEAD, ROW])
    (problem,) = import_files(embedded, reader, BY_ID, [path], ImportOptions(), now=NOW).refused
    assert "cannot be read (ValueError)" in str(problem)
    assert re.search(r"s\.csv cannot be read: ValueError at .*statement_files\.py:\d+", caplog.text)
    assert "张小三" not in caplog.text + str(problem)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.csv", b""),
        ("s.csv", b"\xff\xfe\x00"),
        ("s.xlsx", b"PK\x03\x04torn"),
        ("s.pdf", b"%PDF"),
        ("s.csv", b"a,b\n"),
    ],
)
def test_what_is_no_statement_is_refused_in_one_line(reader: Reader, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StatementError) as raised:
        reader.read(tmp_path / name, ImportOptions(), now=NOW)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_says_so(reader: Reader, tmp_path: Path) -> None:
    with pytest.raises(StatementError, match="cannot be read: No such file"):
        reader.read(tmp_path / "gone.csv", ImportOptions(), now=NOW)


def test_a_layout_that_is_wrong_says_where(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text('[columns]\nuse = "n"\n')
    with pytest.raises(StatementError, match=r"odd\.toml, line 1, field 'columns\.uses'"):
        load_layouts(tmp_path)
    (tmp_path / "odd.toml").write_text('[columns]\nuses = "n"\nday = "n"\n')
    with pytest.raises(StatementError, match="two fields name the same column"):
        load_layouts(tmp_path)


def test_every_layout_that_ships_can_be_read() -> None:
    assert set(load_layouts()) == {path.stem for path in LAYOUTS.glob("*.toml")} >= {"sandbox"}


def test_a_day_without_uses_is_imported_when_it_is_named(ledger: Ledger, reader: Reader, tmp_path: Path) -> None:
    path = written(tmp_path / "s.csv", [HEAD])
    with pytest.raises(StatementError, match="say --hospital and --day"):
        reader.read(path, ImportOptions(), now=NOW)
    with ledger.write() as connection:
        planted.plant(connection, {"delivered": 4}, settled_at=NOW - timedelta(hours=2))
    given = ImportOptions(hospital=HOSPITAL, day=DAY, as_of=NOW)
    (one,) = import_files(ledger, reader, BY_ID, [path], given, now=NOW).imported
    assert (one.uses, one.against.missing, one.against.clean) == (0, 4, False)


def true_rows(ledger: Ledger) -> list[list[Any]]:
    """The statement that shows exactly what the answers prove."""
    from card_usage.ledger import counts

    with ledger.read() as connection:
        told = counts.told(connection, HOSPITAL, DAY, NOW)
    cells: dict[tuple[Any, ...], int] = {}
    for one in told:
        key = (f"{one.hour:02}", one.scene, one.channel, one.card_type)
        cells[key] = cells.get(key, 0) + one.proved
    return [
        changed(hour=hour, scene=scene, channel=channel, card_type=card_type, uses=uses)
        for (hour, scene, channel, card_type), uses in sorted(cells.items())
        if uses
    ]


def test_missing_and_surplus_are_told_by_hour_scene_channel_and_card_type(
    ledger: Ledger, reader: Reader, tmp_path: Path
) -> None:
    with ledger.write() as connection:
        planted.plant(
            connection, {"delivered": 80, "unknown": 5, "quarantined": 5}, settled_at=NOW - timedelta(hours=1)
        )
    rows = true_rows(ledger)
    given = ImportOptions(as_of=NOW)
    (even,) = import_files(ledger, reader, BY_ID, [written(tmp_path / "s.csv", [HEAD, *rows])], given, now=NOW).imported
    assert (even.uses, even.against.clean) == (80, True)
    short = next(row for row in rows if int(row[-1]) >= 2)
    short[-1] = int(short[-1]) - 2
    strange = changed(hour="04", scene="010104", channel="0402", card_type="11", uses=3)
    path = written(tmp_path / "s.csv", [HEAD, *rows, strange])
    (odd,) = import_files(ledger, reader, BY_ID, [path], given, now=NOW).imported
    found = odd.against
    assert (found.missing, found.surplus, found.remainder) == (2, 3, 0)
    assert found.by("hour") == {int(short[2]): (2, 0), 4: (0, 3)} if int(short[2]) != 4 else {4: (2, 3)}
    assert found.by("scene")["010104"] == (0, 3)
    assert found.by("channel")["0402"][1] == 3
    assert found.by("card_type")["11"][1] == 3
    with ledger.read() as connection:
        kept = connection.execute(select(reconciliation).where(reconciliation.c.feed == EVERY_FEED)).one()
        weighed = weigh_day(connection, HOME, DAY, {}, now=NOW)
    assert (kept.remainder, kept.clean) == (0, False)
    assert (weighed.differences["platform_missing"], weighed.differences["platform_surplus"]) == (2, 3)
    assert not weighed.clean


def test_what_was_answered_after_the_statement_was_made_is_not_missing(
    embedded: Ledger, reader: Reader, tmp_path: Path
) -> None:
    with embedded.write() as connection:
        planted.plant(connection, {"delivered": 30}, settled_at=NOW - timedelta(hours=5))
    path = written(tmp_path / "s.csv", [HEAD, *true_rows(embedded)])
    with embedded.write() as connection:
        planted.plant(connection, {"delivered": 7, "in_flight": 4}, seed=2, settled_at=NOW - timedelta(hours=1))
    given = ImportOptions(as_of=NOW - timedelta(hours=3))
    (one,) = import_files(embedded, reader, BY_ID, [path], given, now=NOW).imported
    assert (one.against.clean, one.against.missing) == (True, 0)
    (late,) = import_files(embedded, reader, BY_ID, [path], ImportOptions(as_of=NOW), now=NOW).imported
    assert late.against.missing == 7


def test_a_files_own_time_says_when_it_was_made(reader: Reader, tmp_path: Path) -> None:
    path = written(tmp_path / "s.csv", [HEAD, ROW])
    made = datetime(2026, 3, 5, 0, 30, tzinfo=UTC)
    os.utime(path, (made.timestamp(), made.timestamp()))
    (one,) = reader.read(path, ImportOptions(), now=NOW)
    assert one.as_of == made


def test_importing_again_replaces_a_day_and_leaves_others(ledger: Ledger, reader: Reader, tmp_path: Path) -> None:
    other = DAY - timedelta(days=1)
    both = written(tmp_path / "both.csv", [HEAD, ROW, changed(day=other.isoformat(), uses="9")])
    assert len(import_files(ledger, reader, BY_ID, [both], ImportOptions(), now=NOW).imported) == 2
    again = written(tmp_path / "again.csv", [HEAD, changed(hour="10", uses="2")])
    import_files(ledger, reader, BY_ID, [again], ImportOptions(), now=NOW)
    with ledger.read() as connection:
        kept = {day: statement_store.load(connection, HOSPITAL, day) for day in (DAY, other)}
        rows = connection.scalar(select(func.count()).select_from(statement_count))
    assert {day: one.uses for day, one in kept.items() if one} == {DAY: 2, other: 9}
    assert rows == 2


def test_a_statement_whose_rows_were_changed_in_the_ledger_is_a_remainder(
    embedded: Ledger, reader: Reader, tmp_path: Path
) -> None:
    import_files(embedded, reader, BY_ID, [written(tmp_path / "s.csv", [HEAD, ROW])], ImportOptions(), now=NOW)
    with embedded.write() as connection:
        connection.execute(update(statement_count).values(uses=4))
        weighed = weigh_day(connection, HOME, DAY, {}, now=NOW)
    assert weighed.remainder == 1


def test_the_drop_folder_is_emptied_good_and_bad_apart(embedded: Ledger, reader: Reader, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    written(folder / "good.csv", [HEAD, ROW])
    written(folder / "bad.csv", [HEAD, changed(hour="99")])
    written(folder / "being_written.csv", [HEAD])
    (folder / "notes.txt").write_text("not ours")
    old = NOW.timestamp() - 60
    for name in ("good.csv", "bad.csv"):
        os.utime(folder / name, (old, old))
    os.utime(folder / "being_written.csv", (NOW.timestamp(), NOW.timestamp()))
    taken = import_folder(embedded, reader, BY_ID, folder, now=NOW)
    assert [one.file for one in taken.imported] == ["good.csv"]
    assert [problem.details["field"] for problem in taken.refused] == ["hour"]
    left = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    wanted = ["being_written.csv", "imported/good.csv", "notes.txt", "refused/bad.csv", "refused/bad.csv.txt"]
    assert left == wanted
    assert "line 2, field 'hour'" in (folder / "refused" / "bad.csv.txt").read_text()
    assert import_folder(embedded, reader, BY_ID, folder, now=NOW).imported == ()


def test_no_file_holds_up_the_others_whatever_is_wrong_with_it(
    embedded: Ledger, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    written(folder / "a_bug.csv", [HEAD, ROW])
    (folder / "b_torn.xlsx").write_bytes(b"PK\x03\x04torn")
    (folder / "c_no_text.csv").write_bytes(b"\xff\xfe\x00")
    # A name out of an archive made on Chinese Windows.
    written(folder / os.fsdecode("对账单.csv".encode("gb18030")), [HEAD, ROW])
    read = reader.read

    def with_a_bug(path: Path, *given: Any, **named: Any) -> Any:
        if path.name == "a_bug.csv":
            raise RecursionError
        return read(path, *given, **named)

    monkeypatch.setattr(reader, "read", with_a_bug)
    for path in folder.iterdir():
        os.utime(path, (NOW.timestamp() - 60,) * 2)
    taken = import_folder(embedded, reader, BY_ID, folder, now=NOW)
    assert [one.file for one in taken.imported] == ["对账单.csv"]
    assert [problem.details["path"] for problem in taken.refused] == ["a_bug.csv", "b_torn.xlsx", "c_no_text.csv"]
    assert sorted(path.name for path in folder.iterdir()) == ["imported", "refused"]


def test_a_folder_that_takes_no_file_holds_up_no_other(embedded: Ledger, reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "refused").write_text("a file in the way")
    written(tmp_path / "bad.csv", [HEAD, changed(hour="99")])
    written(tmp_path / "good.csv", [HEAD, ROW])
    for path in tmp_path.glob("*.csv"):
        os.utime(path, (NOW.timestamp() - 60,) * 2)
    taken = import_folder(embedded, reader, BY_ID, tmp_path, now=NOW)
    assert [one.file for one in taken.imported] == ["good.csv"]
    assert "cannot be moved to refused/" in str(taken.refused[-1])


def test_links_in_the_drop_folder_are_neither_read_nor_written_or_moved_through(
    embedded: Ledger, reader: Reader, tmp_path: Path
) -> None:
    folder, elsewhere = tmp_path / "drop", tmp_path / "elsewhere"
    for each in (folder, elsewhere):
        each.mkdir()
    written(elsewhere / "secret.csv", [HEAD, ROW])
    (elsewhere / "victim").write_text("kept")
    (folder / "refused").mkdir()
    (folder / "link.csv").symlink_to(elsewhere / "secret.csv")
    (folder / "refused" / "link.csv.txt").symlink_to(elsewhere / "victim")
    (folder / "imported").symlink_to(elsewhere)
    written(folder / "good.csv", [HEAD, ROW])
    for path in (folder / "good.csv", elsewhere / "secret.csv"):
        os.utime(path, (NOW.timestamp() - 60,) * 2)
    taken = import_folder(embedded, reader, BY_ID, folder, now=NOW)
    assert [one.file for one in taken.imported] == ["good.csv"]
    assert any("symbolic link" in str(problem) and "link.csv" in str(problem) for problem in taken.refused)
    assert (elsewhere / "victim").read_text() == "kept"
    assert sorted(path.name for path in elsewhere.iterdir()) == ["secret.csv", "victim"]


def test_a_broken_hospital_file_or_layout_concerns_only_what_needs_it(embedded: Ledger, tmp_path: Path) -> None:
    hospitals, layouts = tmp_path / "hospitals", tmp_path / "layouts"
    shutil.copytree(SHIPPED / "hospitals", hospitals)
    shutil.copytree(LAYOUTS, layouts)
    (hospitals / "torn.toml").write_text('id = "torn')
    (hospitals / "gone.toml").symlink_to(tmp_path / "nowhere")
    (layouts / "torn.toml").write_text("[columns")
    settings = Settings(
        ledger_url="",
        keyring=ledgers.KEYRING,
        hospitals=hospitals,
        aliases=tmp_path,
        reports=tmp_path,
        statement_layouts=layouts,
    )
    of_settings = Reader.of(settings)
    path = written(tmp_path / "s.csv", [HEAD, ROW])
    assert len(import_files(embedded, of_settings, BY_ID, [path], ImportOptions(), now=NOW).imported) == 1
    with pytest.raises(StatementError, match=r"torn\.toml, line 1, field '\(layout\)': no TOML"):
        of_settings.read(path, ImportOptions(layout="torn"), now=NOW)
    with pytest.raises(StatementError, match=r"\(the files of gone, torn cannot be read\)"):
        of_settings.read(written(tmp_path / "o.csv", [HEAD, changed(hospital="999")]), ImportOptions(), now=NOW)


def test_a_count_that_no_database_holds_is_its_files_own_problem(
    ledger: Ledger, reader: Reader, tmp_path: Path
) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    written(folder / "a.csv", [HEAD, *(changed(hour=f"{n:02}", uses="999999999") for n in range(3))])
    written(folder / "b.csv", [HEAD, ROW])
    for path in folder.iterdir():
        os.utime(path, (NOW.timestamp() - 60,) * 2)
    taken = import_folder(ledger, reader, BY_ID, folder, now=NOW)
    assert "b.csv" in [one.file for one in taken.imported]
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == []
    assert len(taken.imported) + len(taken.refused) == 2


def test_a_row_without_an_end_is_refused_where_it_is(reader: Reader, tmp_path: Path) -> None:
    endless = '"a\nb",' * 1_000_000
    path = tmp_path / "s.csv"
    path.write_text(",".join(HEAD) + "\n" + endless)
    with pytest.raises(StatementError, match=r"a row is longer than 1,000,000 characters"):
        reader.read(path, ImportOptions(), now=NOW)


def test_a_hostile_name_of_a_file_is_one_plain_line(embedded: Ledger, reader: Reader, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    path = written(folder / "a\x1b[2J\nERROR forged.csv", [HEAD, changed(hour="99")])
    os.utime(path, (NOW.timestamp() - 60,) * 2)
    (problem,) = import_folder(embedded, reader, BY_ID, folder, now=NOW).refused
    assert "a\\u001b[2J\\u000aERROR forged.csv" in str(problem)
    assert str(problem).isprintable()

"""The workbench over a real ledger: what is missing, what it probably means, and one fix that releases all of it."""

from __future__ import annotations

import csv
import json
import shutil
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ledgers
import odd_workbooks
import planted
import pytest
from card_usage.code_mapping import workbench
from card_usage.code_mapping.gaps import gaps
from card_usage.code_mapping.proposal import from_csv, from_lines
from card_usage.code_mapping.release import release
from card_usage.code_mapping.suggestions import Suggester, stem
from card_usage.code_mapping.workbook import HEADER_ROW, read, workbook
from card_usage.config.settings import Settings
from card_usage.context import Context
from card_usage.errors import AliasesNotWritable, BadProposal, CodeTableError
from card_usage.events import SourceRow
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger
from card_usage.ledger.decisions import Actor
from card_usage.ledger.schema import event, finding
from card_usage.staging.stage import stage
from card_usage.standard.aliases import Aliases, Choice, alias_changes, load_aliases, with_choices, write_aliases
from card_usage.standard.code_tables import load_tables
from card_usage.windows import day_window
from forked_cli import CommandLine
from openpyxl import load_workbook
from planted import DAY, HOSPITAL, NOW
from sqlalchemy import func, select, update

TABLES = load_tables()
DAYS = (DAY - timedelta(days=1), DAY)
NUMBER, NAME, QR = "11010519491231002X", "金丝雀患者", "CANARY" + "0f" * 29 + ":1"


@pytest.fixture
def aliases(tmp_path: Path) -> Path:
    folder = tmp_path / "code_aliases"
    shutil.copytree(SHIPPED / "code_aliases" / HOSPITAL, folder / HOSPITAL)
    return folder


def row(n: int, at: datetime, department: str, name: str | None, **changes: Any) -> SourceRow:
    given = SourceRow(f"R{n}", at, "0101012", department, name, "SF", "CK", "101", NUMBER, NAME, None, 0)
    return given._replace(**changes)


def staged(ledger: Ledger, aliases: Path, known: Aliases | None = None) -> None:
    """Two days: 30 registrations under one unmapped department, 5 under another, 2 with an unmapped channel too."""
    known = known or load_aliases(aliases, HOSPITAL, TABLES)
    for n, day in enumerate(DAYS):
        at = datetime.combine(day, datetime.min.time()) + timedelta(hours=9)
        rows = [row(100 * n + k, at + timedelta(minutes=k), "21010", "睡眠医学科门诊") for k in range(15)]
        rows += [row(100 * n + k, at + timedelta(minutes=k), "21020", "心内二区") for k in range(20, 20 + 3 - n)]
        rows += [row(100 * n + 50, at, "21010", "睡眠医学科门诊", channel="WX9")]
        rows += [row(100 * n + 60, at, "11010", "呼吸与危重症医学科", id_number=None)]
        rows += [row(100 * n + 70 + k, at, "11010", "呼吸与危重症医学科") for k in range(5)]
        stage(
            [rows],
            hospital=planted.hospital(),
            feed="registration",
            window=day_window(day),
            ledger=ledger,
            tables=TABLES,
            aliases=known,
            backfill=False,
            now=NOW,
        )


def context_of(ledger: Ledger, aliases: Path, tmp_path: Path) -> Context:
    settings = Settings(
        ledger_url=str(ledger.engine.url),
        keyring=ledgers.KEYRING,
        hospitals=SHIPPED / "hospitals",
        aliases=aliases,
        reports=tmp_path / "reports",
    )
    return Context(hospital=planted.hospital(), settings=settings, ledger=ledger, connection_of=lambda _: None)


def states(ledger: Ledger) -> dict[str, int]:
    with ledger.read() as connection:
        return dict(connection.execute(select(event.c.status, func.count()).group_by(event.c.status)).all())


WINDOW = type(day_window(DAY))(day_window(DAYS[0]).start, day_window(DAYS[1]).end)


def test_gaps_are_told_by_code_and_name_with_counts_and_days(ledger, aliases):
    staged(ledger, aliases)
    with ledger.read() as connection:
        found = gaps(connection, HOSPITAL, *DAYS)
        one_day = gaps(connection, HOSPITAL, DAY, DAY)
    assert [(gap.table, gap.code, gap.name, gap.events, gap.first, gap.last) for gap in found] == [
        ("department", "21010", "睡眠医学科门诊", 32, *DAYS),
        ("department", "21020", "心内二区", 5, *DAYS),
        ("channel", "WX9", None, 2, *DAYS),
    ]
    assert found[0].feeds == ("registration",)
    assert (one_day[0].code, one_day[0].events, one_day[0].first) == ("21010", 16, DAY)


def test_one_alias_releases_every_event_that_waited_for_it_without_the_his(ledger, aliases, tmp_path):
    staged(ledger, aliases)
    context = context_of(ledger, aliases, tmp_path)
    choices = [Choice("department", "21010", "1506", "睡眠医学科门诊")]
    before = states(ledger)
    planned = workbench.plan(context, WINDOW, choices, now=NOW)
    assert planned.result.released == 30
    assert planned.result.waiting == {"channel.code": 2, "department.code": 5, "id_number.required": 2}
    assert dict(planned.result.departments) == {"1506": 30}
    assert states(ledger) == before, "a dry run writes nothing"
    written, mended = workbench.carry_out(context, WINDOW, choices, by=Actor("wang", "cli"), now=NOW)
    assert written == choices
    assert mended.released == 30
    assert states(ledger) == {"ready": 40, "quarantined": 9}
    again = workbench.carry_out(
        context_of(ledger, aliases, tmp_path), WINDOW, choices, by=Actor("wang", "cli"), now=NOW
    )
    assert (again[0], again[1].released) == ([], 0)


def test_what_was_mended_is_what_reading_the_his_again_would_give(ledger, aliases, tmp_path):
    """Same keys, same request ids: nothing is sent twice, whichever way the day comes again."""
    staged(ledger, aliases)
    choices = [
        Choice("department", "21010", "1506"),
        Choice("department", "21020", "0304"),
        Choice("channel", "WX9", "0402"),
    ]
    context = context_of(ledger, aliases, tmp_path)
    workbench.carry_out(context, WINDOW, choices, by=Actor("wang", "cli"), now=NOW)
    columns = (event.c.key, event.c.request_id, event.c.status, event.c.department, event.c.channel, event.c.digest)
    with ledger.read() as connection:
        mended = connection.execute(select(*columns).order_by(event.c.key)).all()
    staged(ledger, aliases, context.aliases_now())
    with ledger.read() as connection:
        assert connection.execute(select(*columns).order_by(event.c.key)).all() == mended
    assert states(ledger) == {"ready": 47, "quarantined": 2}


def test_an_event_outside_of_its_window_is_left_alone(ledger, aliases, tmp_path):
    staged(ledger, aliases)
    with ledger.write() as connection:
        some = connection.scalars(select(finding.c.event_id).where(finding.c.code == "21020").limit(3)).all()
        for event_id in some:
            extra = {"event_id": event_id, "position": 9, "rule": "time.window", "field": "occurred_at"}
            connection.execute(finding.insert().values(**extra, severity="critical"))
    found = release(
        ledger,
        planted.hospital(),
        TABLES,
        with_choices(load_aliases(aliases, HOSPITAL, TABLES), [Choice("department", "21020", "0304")]),
        *DAYS,
        now=NOW,
        write=True,
    )
    assert (found.released, found.stray) == (2, 3)


def test_what_is_delivered_or_under_way_is_never_touched(ledger, aliases, tmp_path):
    staged(ledger, aliases)
    with ledger.write() as connection:
        connection.execute(update(event).where(event.c.status == "ready").values(status="delivered"))
    choices = [Choice("department", "21010", "1506")]
    workbench.carry_out(context_of(ledger, aliases, tmp_path), WINDOW, choices, by=Actor("wang", "cli"), now=NOW)
    assert states(ledger)["delivered"] == 10


# -- suggestions


def suggester(aliases: Path) -> Suggester:
    return Suggester(aliases, HOSPITAL, TABLES, SHIPPED / "code_tables")


@pytest.mark.parametrize(
    ("name", "code", "why"),
    [
        ("消化内科专家门诊", "0302", "same_name"),
        ("心内科（东院）", "0304", "synonym"),
        ("睡眠医学科", "1506", "synonym"),
        ("耳鼻喉科门诊", "1100", "synonym"),
        ("普外科二病区", "0401", "synonym"),
        ("儿科门诊", "0700", "same_name"),
        ("口腔正畸门诊", "1200", "synonym"),
        ("急诊外科", "2000", "synonym"),
    ],
)
def test_what_a_department_probably_means(aliases, name, code, why):
    found = suggester(aliases).suggest("department", "9999", name)
    assert (found[0].code, found[0].why) == (code, why)
    assert found[0].score >= 0.9


def test_a_ws_364_code_is_known_and_a_bare_number_says_nothing(aliases):
    assert suggester(aliases).suggest("department", "A03.04")[0].code == "0304"
    assert suggester(aliases).suggest("department", "30412") == ()


def test_western_medicine_is_not_mistaken_for_chinese(aliases):
    for name in ("内科门诊", "皮肤科", "眼科门诊", "肿瘤科", "外科"):
        assert not suggester(aliases).suggest("department", "1", name)[0].code.startswith("50"), name


def test_what_other_hospitals_chose_is_suggested_and_their_disagreement_lowers_it(aliases):
    for hospital, code in (("a", "2700"), ("b", "2700"), ("c", "2600")):
        (aliases / hospital).mkdir()
        text = f"local,standard,note\n31{hospital},{code},无痛诊疗中心\n"
        (aliases / hospital / "department.csv").write_text(text, encoding="utf-8")
    (aliases / "broken").mkdir()
    (aliases / "broken" / "department.csv").write_bytes(b"\xff\xfe nonsense")
    (best,) = suggester(aliases).suggest("department", "77", "无痛诊疗中心")
    assert (best.code, best.why, best.score) == ("2700", "elsewhere", 0.6)
    shutil.rmtree(aliases / "c")
    assert suggester(aliases).suggest("department", "77", "无痛诊疗中心")[0].score == 0.95


def test_every_synonym_leads_to_a_standard_code_and_none_repeats_a_standard_name():
    for path in (SHIPPED / "code_tables" / "synonyms").glob("*.csv"):
        table = TABLES[path.stem]
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len({found["name"] for found in rows}) == len(rows) > 200
        assert all(found["code"] in table and found["source"] for found in rows)
        assert not {found["name"] for found in rows} & set(table.names.values())


@pytest.mark.parametrize(
    ("name", "bare"), [("心血管内科专家门诊(东院)", "心血管内"), ("骨科三区", "骨"), ("3号诊室", "号")]
)
def test_a_stem_is_a_name_without_what_hospitals_add(name, bare):
    assert stem(name) == bare


# -- alias files


def test_files_are_sorted_keep_rows_and_notes_and_load_again(aliases):
    before = load_aliases(aliases, HOSPITAL, TABLES)["department"]
    write_aliases(aliases, HOSPITAL, TABLES, [Choice("department", "０0１", "1506", "睡眠，门诊")])
    path = aliases / HOSPITAL / "department.csv"
    assert path.read_bytes().startswith(b"\xef\xbb\xbf"), "a spreadsheet takes it for UTF-8"
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "local,standard,note"
    assert lines[1] == "001,1506,睡眠，门诊"
    assert lines[1:] == sorted(lines[1:], key=lambda line: line.split(",")[0])
    assert "11010,0301,呼吸与危重症医学科" in lines
    assert load_aliases(aliases, HOSPITAL, TABLES)["department"] == {**before, "001": "1506"}
    write_aliases(aliases, HOSPITAL, TABLES, [Choice("department", "11010", "0300")])
    assert "11010,0300,呼吸与危重症医学科" in path.read_text(encoding="utf-8").splitlines(), "the note stays"


def test_many_who_write_at_once_lose_nothing(aliases):
    codes = list(TABLES["department"].codes)[:40]

    def one(n: int) -> None:
        write_aliases(aliases, HOSPITAL, TABLES, [Choice("department", f"T{n:02}", codes[n])])

    threads = [threading.Thread(target=one, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = load_aliases(aliases, HOSPITAL, TABLES)["department"]
    assert all(found[f"T{n:02}"] == codes[n] for n in range(40))
    assert [path.name for path in (aliases / HOSPITAL).iterdir() if path.name.startswith(".")] == [".lock"]


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "aliases").write_text("a file")
    with pytest.raises(AliasesNotWritable, match="nothing was changed"):
        write_aliases(tmp_path / "aliases", HOSPITAL, TABLES, [Choice("department", "1", "0301")])


def test_a_code_that_means_something_else_already_is_a_conflict_and_not_overwritten_unasked(ledger, aliases, tmp_path):
    staged(ledger, aliases)
    context = context_of(ledger, aliases, tmp_path)
    choices = [Choice("department", "11010", "0302"), Choice("department", "21020", "0304")]
    kinds = [(change.kind, change.before) for change in alias_changes(context.aliases, choices)]
    assert kinds == [("changed", "0301"), ("new", None)]
    planned = workbench.plan(context, WINDOW, choices, now=NOW)
    assert [change.choice.local for change in planned.conflicts] == ["11010"]


# -- lists that people hand in


def test_a_workbook_that_is_filled_in_comes_back_as_choices(ledger, aliases, tmp_path):
    staged(ledger, aliases)
    context = context_of(ledger, aliases, tmp_path)
    found = workbench.suggested(context, WINDOW)
    path = tmp_path / "gaps.xlsx"
    path.write_bytes(workbook(context.hospital, str(WINDOW), found, TABLES))
    assert read(path, TABLES, "zh").choices == (), "nothing filled in, nothing chosen"
    book = load_workbook(path)
    sheet = book["待对照"]
    titles = [cell.value for cell in sheet[HEADER_ROW]]
    assert titles[10] == "标准代码（请填写）"
    assert sheet.cell(HEADER_ROW, 11).fill.fgColor.rgb.endswith("FFF2CC")
    assert sheet.cell(HEADER_ROW + 1, 2).value == "21010"
    assert "1506" in sheet.cell(HEADER_ROW + 1, 8).value
    sheet.cell(HEADER_ROW + 1, 11).value = "1506 临床心理专业"
    sheet.cell(HEADER_ROW + 2, 11).value = "心血管内科专业"
    sheet.cell(HEADER_ROW + 2, 12).value = "二区"
    sheet.cell(HEADER_ROW + 3, 11).value = "0402"
    book.save(path)
    filled = workbench.read(context, path)
    assert [(one.table, one.local, one.standard, one.note) for one in filled.demand(path.name)] == [
        ("department", "21010", "1506", ""),
        ("department", "21020", "0304", "二区"),
        ("channel", "WX9", "0402", ""),
    ]


def test_bad_cells_of_a_workbook_are_named_with_sheet_cell_and_reason(ledger, aliases, tmp_path):
    staged(ledger, aliases)
    context = context_of(ledger, aliases, tmp_path)
    path = tmp_path / "gaps.xlsx"
    path.write_bytes(workbook(context.hospital, str(WINDOW), workbench.suggested(context, WINDOW), TABLES))
    book = load_workbook(path)
    sheet = book["待对照"]
    sheet.cell(HEADER_ROW + 1, 11).value = 301
    sheet.cell(HEADER_ROW + 2, 11).value = "心血管"
    sheet.cell(HEADER_ROW + 3, 11).value = "402"
    sheet.cell(HEADER_ROW + 4, 11).value = "0301"
    book.save(path)
    found = workbench.read(context, path)
    told = {problem.where: problem.problem for problem in found.problems}
    assert set(told) == {"待对照!K5", "待对照!K6", "待对照!K7", "待对照!A8"}
    assert "0301 呼吸内科专业" in told["待对照!K5"]
    assert "0304 心血管内科专业" in told["待对照!K6"]
    assert "0402" in told["待对照!K7"]
    with pytest.raises(BadProposal) as refused:
        found.demand(path.name)
    assert "4 cells" in str(refused.value)
    assert "待对照!K6 '心血管'" in str(refused.value)


@pytest.mark.parametrize("oddity", odd_workbooks.READABLE)
def test_a_filled_in_workbook_is_read_whichever_program_saved_it(ledger, aliases, tmp_path, oddity):
    staged(ledger, aliases)
    context = context_of(ledger, aliases, tmp_path)
    path = tmp_path / "gaps.xlsx"
    path.write_bytes(workbook(context.hospital, str(WINDOW), workbench.suggested(context, WINDOW), TABLES))
    book = load_workbook(path)
    book["待对照"].cell(HEADER_ROW + 1, 11).value = "1506"
    book["待对照"].insert_rows(1)  # a title above
    book.save(path)
    path.write_bytes(odd_workbooks.changed(path.read_bytes(), odd_workbooks.READABLE[oddity]))
    assert [one[:3] for one in workbench.read(context, path).demand(path.name)] == [("department", "21010", "1506")]


def test_a_torn_list_is_one_line(ledger, aliases, tmp_path):
    staged(ledger, aliases)
    context = context_of(ledger, aliases, tmp_path)
    path = tmp_path / "gaps.xlsx"
    path.write_bytes(workbook(context.hospital, str(WINDOW), workbench.suggested(context, WINDOW), TABLES))
    path.write_bytes(odd_workbooks.changed(path.read_bytes(), odd_workbooks.torn))
    with pytest.raises(BadProposal, match=r"gaps\.xlsx: .*待对照!\d.*torn") as refused:
        workbench.read(context, path)
    assert "\n" not in str(refused.value)


def test_local_codes_that_a_spreadsheet_took_for_numbers_are_found_again_or_named(ledger, aliases, tmp_path):
    """Their zeros come back where one code is meant; shortened ones are lost; a title stands above tabs."""
    known = load_aliases(aliases, HOSPITAL, TABLES)
    at = datetime.combine(DAY, datetime.min.time()) + timedelta(hours=9)
    rows = [row(n, at, code, "科") for n, code in enumerate(("00210", "0777", "777"))]
    stage(
        [rows],
        hospital=planted.hospital(),
        feed="registration",
        window=day_window(DAY),
        ledger=ledger,
        tables=TABLES,
        aliases=known,
        backfill=False,
        now=NOW,
    )
    path = tmp_path / "list.csv"
    lines = [
        "对照表, 请补, 急, 今天",
        "table\tlocal\tstandard\tnote",
        "department\t210\t1506\t",
        "department\t777\t1506\t",
        "department\t1.01E+05\t1506\t",
        "department\tX\t3.01E+02\t",
    ]
    path.write_text("\n".join(lines), encoding="utf-16")
    proposal = workbench.read(context_of(ledger, aliases, tmp_path), path)
    assert [choice.local for choice in proposal.choices] == ["00210", "777"]
    assert [problem.where for problem in proposal.problems] == ["第 5 行, local", "第 6 行, standard"]
    assert all("设为文本" in problem.problem for problem in proposal.problems)
    kept = aliases / HOSPITAL / "department.csv"
    kept.write_text("local,standard,note\n1.01E+05,1506,\n", encoding="utf-8")
    with pytest.raises(CodeTableError, match=r"department\.csv, line 2, column 'local': .*shortened.*as text"):
        load_aliases(aliases, HOSPITAL, TABLES)


def test_a_local_code_that_looks_like_a_formula_stays_text(tmp_path):
    gap = gaps_of('=HYPERLINK("http://x")')
    path = tmp_path / "gaps.xlsx"
    path.write_bytes(workbook(planted.hospital(), "2026-03", [(gap, ())], TABLES))
    assert load_workbook(path)["待对照"].cell(HEADER_ROW + 1, 2).data_type == "s"


def gaps_of(code: str) -> Any:
    from card_usage.code_mapping.gaps import Gap

    return Gap("department", code, None, 1, DAY, DAY, ("payment",))


def test_other_files_are_refused_with_what_to_do(tmp_path):
    for name, content, said in (
        ("a.xlsx", b"not a workbook", "打不开"),
        ("b.csv", b"local,standard\n", "table"),
        ("c.csv", b"table,local,standard\n\xff\xff\xff", "打不开"),
        ("d.csv", b"table,local,standard\n" + b'"' + b"x" * 200_000, "打不开"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        reader = read if name.endswith("xlsx") else from_csv
        with pytest.raises(BadProposal, match=said):
            reader(path, TABLES, "zh")


def test_lines_as_people_type_them():
    found = from_lines(
        ["department:21010=0301", "科室:心内:二区=0304", "", "nonsense", "department:1=9999"], TABLES, "en"
    )
    assert [(one.table, one.local, one.standard) for one in found.choices] == [
        ("department", "21010", "0301"),
        ("department", "心内:二区", "0304"),
    ]
    assert [problem.where for problem in found.problems] == ["line 4", "line 5"]


# -- the command line


def cli(command_line: CommandLine, tmp_path: Path, *args: str, days: bool = True) -> tuple[int, dict[str, Any], str]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "CARD_USAGE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db",
        "CARD_USAGE_ALIASES": str(tmp_path / "code_aliases"),
        "CARD_USAGE_KEY": ledgers.KEY,
    }
    of_days = ["--from", str(DAYS[0]), "--to", str(DAYS[1])] if days else []
    done = command_line.run([*args, "--hospital", HOSPITAL, *of_days, "--json"], environment)
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else {}, done.stderr


def test_from_quality_over_propose_to_apply_by_command_line(tmp_path, aliases, command_line):
    with ledgers.sqlite(tmp_path) as ledger:
        staged(ledger, aliases)
    code, told, _ = cli(command_line, tmp_path, "quality", "--xlsx", str(tmp_path / "gaps.xlsx"))
    assert code == 1
    assert {cause["rule"]: cause["events"] for cause in told["causes"]} == {
        "department.code": 37,
        "id_number.required": 2,
    }
    assert told["gaps"][0]["suggestion"].startswith("1506")
    assert (tmp_path / "gaps.xlsx").stat().st_size > 5_000
    code, told, _ = cli(command_line, tmp_path, "aliases", "propose", "--out", str(tmp_path / "sure.csv"))
    assert [one["local"] for one in told["open"]] == ["WX9"] or [one["local"] for one in told["open"]] == [
        "21020",
        "WX9",
    ]
    assert code == 1
    code, told, _ = cli(command_line, tmp_path, "aliases", "apply", "--file", str(tmp_path / "sure.csv"))
    assert (code, "dry_run" in told, told["releases"]["events"] >= 30) == (0, True, True)
    code, told, _ = cli(command_line, tmp_path, "aliases", "apply", "--file", str(tmp_path / "sure.csv"), "--yes")
    assert (code, told["released"] >= 30) == (0, True)
    code, told, errors = cli(
        command_line, tmp_path, "aliases", "apply", "--set", "department:21020=0304", "--set", "channel:WX9=4", "--yes"
    )
    assert (code, told) == (2, {})
    assert "WX9" not in json.dumps(cli(command_line, tmp_path, "aliases", "list", days=False)[1])
    args = ("--set", "department:21020=0304", "--set", "channel:WX9=4", "--yes", "--good-rows")
    code, told, errors = cli(command_line, tmp_path, "aliases", "apply", *args)
    assert code == 1
    assert told["decided"] in (["department:21020=0304"], "nothing: they mean that already")
    assert "cannot be used" in errors
    code, told, _ = cli(command_line, tmp_path, "aliases", "apply", "--set", "department:11010=0302", "--yes")
    assert "--replace" in told["not_replaced"]
    code, told, _ = cli(command_line, tmp_path, "aliases", "list", days=False)
    assert {one["local"]: one["standard"][:4] for one in told["decisions"]} == {"21010": "1506", "21020": "0304"}


def test_nothing_about_a_patient_comes_out_of_the_workbench(tmp_path, aliases):
    with ledgers.sqlite(tmp_path) as ledger:
        staged(ledger, aliases)
        context = context_of(ledger, aliases, tmp_path)
        planned = workbench.plan(context, WINDOW, [Choice("department", "21010", "1506")], now=NOW)
        found = workbench.suggested(context, WINDOW)
        text = repr(planned) + repr(planned.summary(context)) + repr(workbench.overview(context, WINDOW)) + repr(found)
        book = tmp_path / "gaps.xlsx"
        book.write_bytes(workbook(context.hospital, str(WINDOW), found, TABLES))
    cells = [str(cell.value) for sheet in load_workbook(book) for line in sheet.iter_rows() for cell in line]
    text += " ".join(cells)
    assert not [secret for secret in (NUMBER, NAME, QR, "R100") if secret in text]

"""The command line as tired people use it at seven in the morning: typing mistakes, wrong places, files from Excel.

Every mistake is one line that says what to do, with an exit code that is not zero, without a traceback.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import ledgers
import pytest
from card_usage import pipeline
from card_usage.cli.main import main
from card_usage.errors import LedgerNotWritable
from card_usage.ledger.database import unusable
from desk import DAY, SPAN, Desk, one_line, opened
from forked_cli import CommandLine
from openpyxl import load_workbook
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError

ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "CSV UTF-8": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "CSV of Chinese Windows": lambda text: text.replace("\n", "\r\n").encode("gb18030"),
    "CSV with semicolons": lambda text: text.replace(",", ";").encode("gb18030"),
    "Unicode text": lambda text: text.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
}


@pytest.fixture
def desk(tmp_path: Path, command_line: CommandLine) -> Iterator[Desk]:
    with opened(tmp_path, command_line) as made:
        for variable, name in (("CARD_USAGE_ALIASES", "code_aliases"), ("CARD_USAGE_HOSPITALS", "hospitals")):
            made.environment[variable] = str(tmp_path / name)
            source = Path(__file__).resolve().parents[3] / "include" / name
            for path in source.rglob("*.*"):
                place = tmp_path / name / path.relative_to(source)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(path.read_bytes())
        yield made


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["quality", *SPAN, "--xlsx", "{home}/no/gaps.xlsx"], r"/no/gaps.xlsx cannot be used"),
        (["aliases", "propose", *SPAN, "--out", "{home}/no/sure.csv"], r"/no/sure.csv cannot be used"),
        (["aliases", "propose", *SPAN, "--out", "{home}"], r"cannot be used \(Is a directory\)"),
        (["aliases", "apply", *SPAN, "--file", "{home}/no.xlsx"], r"no.xlsx: nothing was changed"),
        (["statement", "take", "{home}/no"], r"/no cannot be used \(no such folder\)"),
        (["statement", "import", "{home}/no.csv"], r"no.csv.*cannot be read"),
        (["incidents", "--hospital", "demo_hospitl"], r"no hospital 'demo_hospitl'"),
        (["hospital", "check", "demo_hospitl"], r"no hospital 'demo_hospitl'"),
        (["pause", "--hospital", "demo_hospitl"], r"no hospital 'demo_hospitl'"),
    ],
)
def test_a_wrong_place_or_name_is_one_line(desk: Desk, args: list[str], says: str) -> None:
    done = desk.run(*(arg.format(home=desk.home) for arg in args))
    assert done.returncode == 2, done.stdout
    assert re.search(says, one_line(done)), done.stderr


@pytest.mark.parametrize(
    ("variable", "args"),
    [
        ("CARD_USAGE_REPORTS", ["report", *SPAN]),
        ("CARD_USAGE_HOSPITALS", ["hospital", "new", "second_hospital"]),
        ("CARD_USAGE_ALIASES", ["hospital", "new", "second_hospital"]),
    ],
)
def test_a_setting_that_names_a_file_where_a_folder_must_be_is_one_line(
    desk: Desk, variable: str, args: list[str]
) -> None:
    occupied = desk.home / "occupied"
    occupied.write_text("")
    done = desk.run(*args, **{variable: str(occupied / "below")})
    assert done.returncode == 2
    assert "occupied" in one_line(done)


@pytest.mark.parametrize(
    ("variable", "setting"),
    [("CARD_USAGE_REPORTS", "{place}"), ("CARD_USAGE_LEDGER_URL", "sqlite:///{place}/ledger.db")],
)
def test_a_place_where_nobody_may_write_is_a_question_of_rights(desk: Desk, variable: str, setting: str) -> None:
    """Below /sys not even root may create a folder."""
    done = desk.run("report", *SPAN, **{variable: setting.format(place="/sys/card_usage")})
    assert done.returncode == 2
    assert "give this user the right to read and write it" in one_line(done)
    assert "room" not in done.stderr


def test_a_ledger_that_may_not_be_written_is_no_question_of_the_network(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()
    reads_only = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(f"file:{tmp_path}/ledger.db?mode=ro", uri=True)
    )
    with reads_only.connect() as connection, pytest.raises(DBAPIError) as refused:
        connection.exec_driver_sql("create table t (x)")
    problem = unusable(reads_only.url, refused.value)
    assert type(problem) is LedgerNotWritable
    assert "the right to write the file and its folder" in str(problem)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["stage", "--hospital", "demo_hospital", "--from", f"{DAY}", "--to", "2026-03-01"], "--to is before --from"),
        (["stage", "--hospital", "demo_hospital", "--from", "0001-01-01", "--to", "2026-03-01"], "'0001-01-01' is no"),
        (["quality", "--hospital", "demo_hospital", "--from", f"{DAY}", "--to", "9999-12-31"], "'9999-12-31' is no"),
        (["check", "--hospital", "demo_hospital", "--from", "2026/3/2", "--to", "2026-03-02"], "'2026/3/2' is no date"),
        (["hospital", "check", "demo_hospital", "--days", "-1"], "'-1' is no whole number from 1 to 92"),
        (["hospital", "check", "demo_hospital", "--days", "99999"], "'99999' is no whole number from 1 to 92"),
        (["differences", *SPAN, "--most", "-5"], "'-5' is no whole number from 1"),
        (["verified", "--hospital", "demo_hospital", "--moves", "-1"], "'-1' is no whole number from 0"),
    ],
)
def test_days_and_numbers_that_cannot_be_are_refused_before_anything_is_done(
    desk: Desk, args: list[str], says: str
) -> None:
    done = desk.run(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_that_reaches_into_the_host_is_not_said(desk: Desk) -> None:
    done = desk.run("ledger", "migrate", CARD_USAGE_LEDGER_URL="postgresql://u:ge@heim@127.0.0.1:1/x")
    assert done.returncode == 2
    assert "heim" not in done.stderr
    assert "postgresql 127.0.0.1" in one_line(done)


@pytest.mark.parametrize("saved", ENCODINGS)
def test_a_list_is_read_however_excel_saved_it(desk: Desk, saved: str) -> None:
    desk.json("stage", *SPAN)
    done = desk.run("aliases", "propose", *SPAN, "--out", str(desk.home / "sure.csv"))
    assert done.returncode in (0, 1)
    text = (desk.home / "sure.csv").read_text(encoding="utf-8-sig")
    assert "睡眠" in text
    (desk.home / "saved.csv").write_bytes(ENCODINGS[saved](text))
    plans = [
        desk.json("aliases", "apply", *SPAN, "--file", str(desk.home / name)) for name in ("sure.csv", "saved.csv")
    ]
    assert plans[0] == plans[1]
    assert plans[0]["releases"]["events"] > 0
    assert "睡眠" in plans[1]["aliases"][0]["note"]


def test_a_departments_way_from_unknown_to_reported_through_a_spreadsheet(desk: Desk) -> None:
    """A wrong cell, then the right one; the alias file was kept in Excel, and is exported so that Excel reads it."""
    desk.json("stage", *SPAN)
    desk.json("deliver", *SPAN)
    before = desk.sandbox.counts()["accepted"]
    aliases = desk.home / "code_aliases" / "demo_hospital" / "department.csv"
    aliases.write_bytes(aliases.read_text(encoding="utf-8-sig").replace("\n", "\r\n").encode("gb18030"))
    gaps = desk.home / "gaps.xlsx"
    seen = desk.run("quality", *SPAN, "--xlsx", str(gaps))
    assert seen.returncode == 1
    assert "21010" in seen.stdout

    def fill(value: object) -> None:
        book = load_workbook(gaps)
        sheet = book["待对照"]
        titles = {cell.value: cell.column for cell in sheet[4]}
        (row,) = [
            number for number in range(5, sheet.max_row + 1) if sheet.cell(number, titles["本院代码"]).value == "21010"
        ]
        column = next(column for title, column in titles.items() if title and "标准代码" in title)
        sheet.cell(row, column).value = value
        book.save(gaps)

    fill(301)
    apply = ("aliases", "apply", *SPAN, "--file", str(gaps))
    wrong = desk.run(*apply, "--yes")
    assert wrong.returncode == 2
    assert re.search(r"待对照!K\d+ '301'.*0301", one_line(wrong))
    fill("1506 临床心理专业")
    assert desk.json(*apply)["dry_run"]
    done = desk.json(*apply, "--yes")
    assert done["released"] > 0
    desk.json("aliases", "export", "--hospital", "demo_hospital")
    assert aliases.read_bytes().startswith(b"\xef\xbb\xbf")
    sent = desk.json("deliver", *SPAN)["deliver"]["states"]["delivered"]
    assert sent == done["released"]
    assert desk.sandbox.counts()["accepted"] == before + sent
    assert desk.json("reconcile", *SPAN)["reconcile"]["remainder"] == 0


def test_a_delivery_of_a_day_that_the_gate_holds_says_so_and_who_can_let_it_go(desk: Desk) -> None:
    """Nothing was sent, and nobody may take that for done."""
    hospital = desk.home / "hospitals" / "demo_hospital.toml"
    hospital.write_text(hospital.read_text(encoding="utf-8") + "\n[gate]\nhold_quarantined_share = 0.001\n")
    desk.json("stage", *SPAN)
    assert desk.run("check", *SPAN).returncode == 1
    held = desk.run("deliver", *SPAN)
    assert held.returncode == 1
    assert "python -m card_usage decide" in held.stdout
    assert "的记录被隔离" in held.stdout
    assert desk.sandbox.counts()["accepted"] == 0
    user = pwd.getpwuid(os.getuid()).pw_name  # `--by` adds to who acts, and never replaces it
    assert desk.json("decide", *SPAN, "--release", "--by", "王工")["decide"][0]["by"] == f"{user} (王工)"
    sent = desk.json("deliver", *SPAN)
    assert "withheld" not in sent
    assert sent["deliver"]["states"]["delivered"] == desk.sandbox.counts()["accepted"] > 0


@pytest.mark.parametrize("verb", ["check", "deliver"])
def test_days_that_were_never_read_from_the_his_are_not_said_to_be_settled(desk: Desk, verb: str) -> None:
    """Nothing stands against them, and nothing speaks for them either."""
    done = desk.run(verb, *SPAN)
    assert done.returncode == 1
    assert f"{DAY} 00:00" in done.stdout
    assert "registration payment" in done.stdout
    assert "请先运行 python -m card_usage stage" in done.stdout
    assert "NOT settled" in done.stdout
    second = DAY + timedelta(days=1)
    desk.json("stage", "--hospital", "demo_hospital", "--from", f"{DAY}", "--to", f"{DAY}")
    (left,) = json.loads(desk.run(verb, *SPAN, "--json").stdout)["never_staged"]
    assert (left["from"], left["to"]) == (f"{second} 00:00", f"{second + timedelta(days=1)} 00:00")
    desk.json("stage", "--hospital", "demo_hospital", "--from", f"{second}", "--to", f"{second}")
    assert "never_staged" not in desk.json(verb, *SPAN)


def test_time_that_has_not_come_and_days_before_the_hospitals_first_are_nothing_to_stage(desk: Desk) -> None:
    hospital = desk.home / "hospitals" / "demo_hospital.toml"
    second = DAY + timedelta(days=1)
    hospital.write_text(f"start = {second}\n" + hospital.read_text(encoding="utf-8"))
    desk.json("stage", "--hospital", "demo_hospital", "--from", f"{second}", "--to", f"{second}")
    assert desk.json("deliver", *SPAN)["settled"] is True
    desk.json("deliver", "--hospital", "demo_hospital", "--from", "2098-01-01", "--to", "2098-01-01")


def test_a_folder_that_nobody_may_write_is_one_line(desk: Desk) -> None:
    if os.geteuid() == 0:
        place = "/proc/card_usage"  # root may write everywhere else
    else:
        place = str(desk.home / "closed")
        Path(place).mkdir(mode=0o500)
    done = desk.run("quality", *SPAN, "--xlsx", f"{place}/gaps.xlsx")
    assert done.returncode == 2
    assert f"{place}/gaps.xlsx cannot be used" in one_line(done)


def test_a_bad_line_of_an_alias_file_stops_new_rows_of_its_hospital_and_nothing_that_is_staged(desk: Desk) -> None:
    """To go on without the line would send events without the code it maps, where the code is optional."""
    assert desk.run("stage", *SPAN).returncode == 0
    departments = desk.home / "code_aliases" / "demo_hospital" / "department.csv"
    with departments.open("a", encoding="utf-8") as file:
        file.write("99999,XX,\n")
    refused = desk.run("stage", *SPAN)
    assert refused.returncode == 2
    assert "department.csv, line" in one_line(refused)
    assert "'XX' is no standard code" in one_line(refused)
    delivered = desk.json("deliver", *SPAN)
    assert delivered["settled"] is True


@pytest.mark.parametrize("encoding", ["gbk", "ascii", "utf-8"])
def test_a_terminal_prints_names_that_its_encoding_lacks(tmp_path: Path, encoding: str) -> None:
    """In a process of its own: results, tables, JSON and errors."""
    hospitals = tmp_path / "hospitals"
    hospitals.mkdir()
    shipped = Path(__file__).resolve().parents[3] / "include" / "hospitals" / "demo_hospital.toml"
    text = re.sub(r'(?m)^name = ".*"', 'name = "𠮷野家医院"', shipped.read_text(encoding="utf-8"))
    (hospitals / "demo_hospital.toml").write_text(text, encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONIOENCODING": encoding,
        "CARD_USAGE_HOSPITALS": str(hospitals),
        "CARD_USAGE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db",
        "CARD_USAGE_KEY": ledgers.KEY,
    }

    def run(*args: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "card_usage", *args]
        return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)

    shown = "𠮷" if encoding == "utf-8" else "\\U00020bb7"
    assert run("ledger", "migrate").returncode == 0
    wrong = run("incidents", "--hospital", "𠮷")
    assert wrong.returncode == 2
    assert shown in wrong.stderr.decode(encoding)
    (tmp_path / "𠮷.csv").write_text("a,b\n", encoding="utf-8")
    refused = run("statement", "import", str(tmp_path / "𠮷.csv"))
    assert shown in refused.stderr.decode(encoding)
    (tmp_path / "drop").mkdir()
    dropped = tmp_path / "drop" / "𠮷.csv"
    dropped.write_text("a,b\n", encoding="utf-8")
    os.utime(dropped, (1, 1))
    taken = run("statement", "take", str(tmp_path / "drop"))
    assert shown in taken.stdout.decode(encoding)
    for done in (wrong, refused, taken):
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["-m", "demo_his", "--from", "𠮷", "--to", "2026-11-01"], 2),
        (["-m", "platform_sandbox", "--state", "{home}/𠮷/no folder/journal", "--port", "0"], 2),
        (["scripts/demo.py"], 1),
    ],
)
def test_every_program_prints_in_a_terminal_of_another_encoding(tmp_path: Path, command: list[str], code: int) -> None:
    root = Path(__file__).resolve().parents[3]
    environment = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": "gbk", "DEMO_USES": "𠮷"}
    arguments = [word.format(home=tmp_path) for word in command]
    done = subprocess.run([sys.executable, *arguments], cwd=root, env=environment, capture_output=True, timeout=60)
    assert done.returncode == code
    said = (done.stdout + done.stderr).decode("gbk")
    assert "\\U00020bb7" in said
    assert "Traceback" not in said


def test_what_nobody_foresaw_is_one_line_that_names_its_place_and_quotes_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise ValueError("invalid literal for int() with base 10: '张小三'")

    monkeypatch.setattr(pipeline, "stage", stumble)
    assert main(["stage", *SPAN], desk.environment) == 2
    told = "".join(capsys.readouterr())
    assert re.search(r"^card_usage: an unforeseen error: ValueError at .*\.py:\d+; nothing is lost: .*$", told, re.M)
    assert "Traceback" not in told
    assert "张小三" not in told


def test_what_collects_logs_gets_each_line_as_json_with_hospital_and_window(desk: Desk) -> None:
    desk.environment["CARD_USAGE_LOG"] = "json"
    ended = desk.run("stage", "--hospital", "demo_hospitl", "--from", str(DAY), "--to", str(DAY))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    told = json.loads(line)
    assert datetime.fromisoformat(told.pop("time")).utcoffset() == timedelta()
    assert "demo_hospitl" in told.pop("message")
    about = {"command": "stage", "hospital": "demo_hospitl", "window": f"{DAY}..{DAY}"}
    assert told == {"level": "error", "logger": "card_usage.cli", **about}
    desk.environment["CARD_USAGE_LOG"] = "xml"
    assert one_line(desk.run("incidents")) == ("card_usage: CARD_USAGE_LOG is 'xml': set it to one of text, json")

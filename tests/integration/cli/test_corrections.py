"""What the HIS refunded or changed after delivery: a list that hospital and platform can act on, without a patient."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from card_usage.files.delimited import read_text
from desk import DAY, SPAN, Desk, one_line, opened
from forked_cli import CommandLine
from openpyxl import load_workbook

HEADS = ("情况", "日期", "业务", "HIS 表（视图）", "HIS 单号", "请求 ID（requestId）", "更改的字段")
TABLES = ("SF_BRJSK", "SF_NBRJSK")


@pytest.fixture
def desk(tmp_path: Path, command_line: CommandLine) -> Iterator[Desk]:
    with opened(tmp_path, command_line) as made:
        # Not reconciled yet: a day that old is then over, and nobody can tell any more what changed in it.
        for verb in ("stage", "check", "deliver"):
            made.run(verb, *SPAN)
        yield made


def his(desk: Desk, *statements: str) -> list[Any]:
    with sqlite3.connect(desk.home / "his.db") as connection:
        found = [connection.execute(statement).fetchall() for statement in statements]
    connection.close()
    return found[-1]


def delivered_payments(desk: Desk) -> list[tuple[str, str]]:
    """HIS key and request id of payments that were delivered."""
    with sqlite3.connect(desk.home / "ledger.db") as ledger:
        query = "select source_id, request_id from event where feed = 'payment' and scene = '0101051' and status = "
        found = ledger.execute(query + "'delivered' order by id").fetchall()
    ledger.close()
    return found


def change(desk: Desk, key: str, values: str) -> None:
    his(desk, *(f"update {table} set {values} where trim(sjh) = '{key}'" for table in TABLES))


def listed(desk: Desk) -> dict[str, dict[str, str]]:
    """The list as CSV, by HIS key."""
    path = desk.home / "list.csv"
    assert desk.run("corrections", *SPAN, "--file", str(path)).returncode == 0
    return {row["HIS 单号"]: row for row in csv.DictReader(io.StringIO(read_text(path)))}


def test_each_row_says_where_to_find_it_what_changed_and_what_to_do(desk: Desk) -> None:
    (refunded, first), (channel, second), (person, third), (moved, fourth), *_ = delivered_payments(desk)
    change(desk, refunded, "jlzt = 1")
    ((now,),) = his(desk, f"select qdlx from VW_MZBRJSK where trim(sjh) = '{channel}' limit 1")
    change(desk, channel, f"qdlx = '{'CK' if now.strip() != 'CK' else 'ZZ'}'")
    ((other,),) = his(
        desk, f"select patid from VW_MZBRJSK where patid <> (select patid from VW_MZBRJSK where trim(sjh) = '{person}')"
    )[:1]
    change(desk, person, f"patid = {other}")
    change(desk, moved, "sfrq = substr(sfrq, 1, 8) || '12:34:56'")
    desk.run("run", *SPAN)
    rows = listed(desk)
    assert {row["请求 ID（requestId）"] for row in rows.values()} == {first, second, third, fourth}
    assert {key: row["情况"] for key, row in rows.items()} == {
        refunded: "上报后退费",
        **dict.fromkeys((channel, person, moved), "上报后更改"),
    }
    assert {key: row["更改的字段"] for key, row in rows.items()} == {
        refunded: "",
        channel: "用卡渠道",
        person: "患者信息（证件号、姓名或二维码）",
        moved: "用卡时间",
    }
    assert {row["HIS 表（视图）"] for row in rows.values()} == {"VW_MZBRJSK"}
    assert all(row["医院信息科"] and row["平台"] for row in rows.values())
    desk.run("corrections", *SPAN, "--file", str(desk.home / "list.xlsx"))
    (sheet,) = load_workbook(desk.home / "list.xlsx").worksheets
    cells = [[str(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
    assert any(set(HEADS) <= set(row) for row in cells)
    assert {first, second, third, fourth} <= {cell for row in cells for cell in row}
    # As many as the reports count, and their action names the list.
    said = json.loads((desk.home / "reports" / "demo_hospital" / f"{DAY}" / f"card-usage-{DAY}.json").read_bytes())
    counted = said["differences"]["voided_after_delivery"] + said["differences"]["changed_after_delivery"]
    assert counted == sum(row["日期"] == str(DAY) for row in rows.values())
    assert any("corrections" in action["to_do"] for action in said["actions"] if action["kind"].endswith("delivery"))


def test_nothing_of_a_patient_is_in_the_list(desk: Desk) -> None:
    for key, _ in delivered_payments(desk)[:20]:
        change(desk, key, "patid = (select max(patid) from SF_BRXXK)")
    desk.run("run", *SPAN)
    people = his(desk, "select hzxm, sfzh from SF_BRXXK") + his(desk, "select qrCodeText from xt_brxx")
    texts = {str(value).strip() for row in people for value in row if value and len(str(value).strip()) > 5}
    assert len(texts) > 300
    desk.run("corrections", *SPAN, "--file", str(desk.home / "list.csv"))
    printed = desk.run("corrections", *SPAN, "--json").stdout + read_text(desk.home / "list.csv")
    assert "患者信息" in printed
    assert [text for text in texts if text in printed] == []


def test_what_reconciliation_alone_has_seen_names_its_fields_once_the_day_is_staged_again(desk: Desk) -> None:
    (key, _), *_ = delivered_payments(desk)
    ((before,),) = his(desk, f"select qdlx from VW_MZBRJSK where trim(sjh) = '{key}' limit 1")
    change(desk, key, f"qdlx = '{'CK' if before.strip() != 'CK' else 'ZZ'}'")
    with sqlite3.connect(desk.home / "ledger.db") as ledger:  # something of each day waits, so that no day is over
        waits = "select max(id) from event where status = 'delivered' group by day"
        ledger.execute(f"update event set status = 'held', due_at = '2099-01-01' where id in ({waits})")
    ledger.close()
    desk.run("reconcile", *SPAN)
    assert "stage" in listed(desk)[key]["更改的字段"]
    desk.run("stage", *SPAN)
    assert listed(desk)[key]["更改的字段"] == "用卡渠道"
    change(desk, key, f"qdlx = '{before}'")
    desk.run("stage", *SPAN)
    assert listed(desk) == {}


def test_a_file_of_another_kind_or_in_no_folder_is_one_line(desk: Desk) -> None:
    assert "neither .csv nor .xlsx" in one_line(desk.run("corrections", *SPAN, "--file", str(desk.home / "list.pdf")))
    lost = desk.run("corrections", *SPAN, "--file", str(desk.home / "nowhere" / "list.csv"))
    assert lost.returncode == 2
    assert "nowhere" in one_line(lost)

"""Somebody who can write the ledger and the files, and has no key: what he does is called broken, with where it is."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from desk import DAY, SPAN, Desk, opened
from forked_cli import CommandLine

OF = SPAN[:2]


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine) -> Iterator[Desk]:
    """Two days that are reported, verified and sealed, and the page of all hospitals that went out with their heads."""
    home = tmp_path_factory.mktemp("settled") / "home"
    home.mkdir()
    with opened(home, command_line, uses=300) as desk:
        desk.json("run", *SPAN)
        assert desk.json("evidence", "make", *OF)["evidence"]
        assert desk.run("report-fleet", "--day", f"{DAY}").returncode == 0
        assert desk.run("evidence", "verify", *OF).returncode == 0
        yield desk


@pytest.fixture
def desk(settled: Desk, tmp_path: Path) -> Iterator[Desk]:
    """The same, put back afterwards."""
    kept = tmp_path / "kept"
    shutil.copytree(settled.home, kept)
    yield settled
    shutil.rmtree(settled.home)
    shutil.copytree(kept, settled.home)


def write(desk: Desk, *statements: str) -> None:
    with closing(sqlite3.connect(desk.home / "ledger.db")) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, statement


def verified(desk: Desk) -> dict[str, Any]:
    done = desk.run("evidence", "verify", *OF, "--json")
    assert "Traceback" not in done.stderr
    assert done.returncode == 1, "it is called sound"
    told: dict[str, Any] = json.loads(done.stdout)["evidence"]
    assert told["sound"] is False
    return told


def change_rows_and_their_timestamp(desk: Desk) -> None:
    write(
        desk,
        "update event set scene = '010104', staged_at = '2099-01-01 00:00:00.000000' "
        "where status = 'delivered' and day = '2026-03-02' and scene <> '010104'",
    )


def forge_200_delivered_rows(desk: Desk) -> None:
    with closing(sqlite3.connect(desk.home / "ledger.db")) as connection, connection:
        connection.row_factory = sqlite3.Row
        of_day = "select * from event where status = 'delivered' and day = '2026-03-02' limit 200"
        for number, row in enumerate(connection.execute(of_day).fetchall()):
            new = dict(row) | {"id": 10**6 + number, "key": f"{number:032x}", "source_id": f"F{number}"}
            new |= {"request_id": f"{number:032X}", "staged_at": "2099-01-01 00:00:00.000000"}
            insert(connection, "event", new)
            call = dict(connection.execute("select * from attempt where event_id = ?", (row["id"],)).fetchone())
            call |= {"id": 10**6 + number, "event_id": new["id"], "request_id": new["request_id"]}
            insert(connection, "attempt", call | {"at": "2099-01-01 00:00:01.000000"})


def the_same_without_macs_and_from_before_there_were_any(desk: Desk) -> None:
    forge_200_delivered_rows(desk)
    write(
        desk,
        "update event set mac = null, staged_at = '2026-01-01 00:00:00.000000' where id >= 1000000",
        "update attempt set mac = null, at = '2026-01-01 00:00:00.000000' where id >= 1000000",
        "delete from meta where name = 'macs_since'",
    )


def insert(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    marks = ", ".join("?" * len(row))
    connection.execute(f"insert into {table} ({', '.join(row)}) values ({marks})", list(row.values()))


def empty_the_chain(desk: Desk) -> None:
    write(desk, "delete from evidence")
    shutil.rmtree(desk.home / "evidence")


def cut_the_chain(desk: Desk) -> None:
    write(desk, "delete from evidence where serial = 2")


def multiply_the_sums(desk: Desk) -> None:
    write(desk, "update day_use set events = events * 3, health_card = health_card * 3")


def add_to_the_reconciliation(desk: Desk) -> None:
    write(desk, "update reconciliation set counts = replace(counts, '\"source\": ', '\"source\": 1')")


def replace_a_report(desk: Desk) -> None:
    page = next((desk.home / "reports" / "demo_hospital").rglob("*2026-03-02*.html"))
    page.write_text(page.read_text().replace("</body>", "<p>all is well</p></body>"))


def replace_a_report_and_its_digest(desk: Desk) -> None:
    replace_a_report(desk)
    write(desk, f"update report_file set digest = '{'0' * 64}' where kind = 'html' and day = '2026-03-02'")


ATTACKS: dict[Callable[[Desk], None], str] = {
    change_rows_and_their_timestamp: "row was not written by us",
    forge_200_delivered_rows: "row was not written by us",
    the_same_without_macs_and_from_before_there_were_any: "row",
    multiply_the_sums: "figure was not written by us",
    add_to_the_reconciliation: "figure was not written by us",
    replace_a_report: "report was replaced",
    replace_a_report_and_its_digest: "figure was not written by us",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_on_rows_sums_or_reports_is_called_broken_with_day_and_row(
    desk: Desk, attack: Callable[[Desk], None]
) -> None:
    attack(desk)
    told = verified(desk)
    found = [row for row in told["rows"] if row["what"].startswith(ATTACKS[attack])]
    assert found
    assert {row["day"] for row in found} >= {"2026-03-02"}
    assert all(row["row"] for row in found)
    if "200" in attack.__name__:
        assert sum(count for what, count in told["changes"].items() if "not written by us" in what) == 200


@pytest.mark.parametrize("attack", [empty_the_chain, cut_the_chain], ids=lambda attack: attack.__name__)
def test_a_chain_that_was_cut_is_broken_by_what_is_verified_and_by_what_left_the_machine(
    desk: Desk, attack: Callable[[Desk], None]
) -> None:
    attack(desk)
    told = " ".join(problem["problem"] for problem in verified(desk)["chain"])
    assert "link 2" in told
    assert "no link of this chain" in told
    if attack is empty_the_chain:
        assert "no link, though days are verified through 2026-03-0" in told


def test_forged_rows_of_a_day_that_is_not_sealed_yet_are_not_sealed(desk: Desk) -> None:
    empty_the_chain(desk)
    forge_200_delivered_rows(desk)
    done = desk.run("evidence", "make", *OF)
    assert done.returncode == 2
    assert "200 sealed rows" in done.stderr
    assert "row was not written by us" in done.stderr


def test_the_heads_are_in_the_page_of_all_hospitals_its_mail_and_the_foot_of_a_days_report(desk: Desk) -> None:
    head = desk.json("evidence", "verify", *OF)["evidence"]["head"]
    files = [path for path in (desk.home / "reports" / "_fleet").rglob("*") if path.suffix in (".html", ".json")]
    assert len(files) == 3
    assert all(head in path.read_text() for path in files)
    desk.json("report", *SPAN)
    files = [path for path in (desk.home / "reports" / "demo_hospital").glob(f"{DAY}/card-usage-*.[hjm]*")]
    assert len(files) == 3
    assert all(head in path.read_text() for path in files)


def test_without_any_page_of_all_hospitals_the_feet_of_day_reports_show_a_chain_that_was_cut(desk: Desk) -> None:
    desk.json("report", *SPAN)
    shutil.rmtree(desk.home / "reports" / "_fleet")
    write(desk, "DELETE FROM report_file WHERE hospital = '*'")
    cut_the_chain(desk)
    told = [problem["problem"] for problem in verified(desk)["chain"]]
    assert f"link 2, as the report of {DAY} has it, is no link of this chain" in told


def test_sums_reconciliations_and_report_files_are_in_the_pack(desk: Desk) -> None:
    import gzip

    pack = gzip.decompress(next((desk.home / "evidence" / "demo_hospital").glob("2026-03-02.1.tsv.gz")).read_bytes())
    for kind in (b"# use ", b"# reconciliation ", b"# report "):
        assert kind in pack

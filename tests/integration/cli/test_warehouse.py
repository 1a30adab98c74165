"""The warehouse at the command line: a run writes it, `warehouse` keeps it, `ask` answers from it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import DAY, SPAN, Desk, one_line, opened
from forked_cli import CommandLine

PERIOD = ("--from", f"{DAY}", "--to", f"{DAY.replace(day=3)}")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine) -> Iterator[Desk]:
    with opened(tmp_path_factory.mktemp("desk"), command_line, uses=200) as made:
        done = made.json("run", *SPAN)
        assert done["warehouse"] == {"written": 2, "unchanged": 0, "failed": 0}
        yield made


def test_the_report_of_the_day_holds_the_warehouse_against_the_ledger(desk: Desk) -> None:
    page = next(path for path in (desk.home / "reports").rglob("card-usage-2026-03-02.json"))
    equations = {one["name"]: one for one in json.loads(page.read_text(encoding="utf-8"))["equations"]}
    assert equations["warehouse"]["gap"] == 0
    assert equations["warehouse"]["left"] == equations["warehouse"]["right"] > 0


def test_it_is_written_compacted_checked_and_rebuilt(desk: Desk) -> None:
    assert desk.json("warehouse", "build", *SPAN)["built"]["unchanged"] == 2
    assert desk.json("warehouse", "compact")["compacted"] == {"months": 1, "days": 2}
    checked = desk.json("warehouse", "check")["check"]
    assert checked["differing"] == 0
    assert checked["ledger"] == checked["warehouse"] > 0
    rebuilt = desk.json("warehouse", "rebuild")
    assert rebuilt["built"]["written"] == 2
    assert rebuilt["compacted"]["days"] == 2
    for name in (desk.home / "reports" / "warehouse").rglob("hospital.parquet"):
        name.write_bytes(b"no parquet")
    month = next((desk.home / "reports" / "warehouse" / "v1" / "uses" / "months").rglob("*.parquet"))
    whole = month.read_bytes()
    month.write_bytes(whole[:100])
    refused = desk.run("warehouse", "check")
    assert refused.returncode == 2
    assert "`warehouse rebuild`" in one_line(refused)
    month.write_bytes(whole)
    month.unlink()
    differing = desk.run("warehouse", "check", "--json")
    assert differing.returncode == 1
    # The days, and what all hospitals come to on them.
    rows = json.loads(differing.stdout)["differences"]
    assert [(row["where"], row["warehouse"] == 0) for row in rows] == [("uses", True)] * 2 + [("fleet", False)] * 2
    assert desk.json("warehouse", "rebuild")["built"]["written"] == 2
    assert desk.json("warehouse", "check")["check"]["differing"] == 0


def test_an_answer_is_a_table_a_file_for_spreadsheets_or_programs(desk: Desk, tmp_path: Path) -> None:
    asked = ("ask", "uses,uses_per_visit", "--by", "channel", *PERIOD, "--language", "en")
    lines = desk.run(*asked).stdout.splitlines()
    assert lines[0].split("  ")[0] == "channel"
    assert lines[-1].startswith("total")
    answer = json.loads(desk.run(*asked, "--format", "json").stdout)
    assert sum(row["uses"] for row in answer["rows"]) == answer["total"]["uses"] > 0
    rows = list(csv.DictReader(io.StringIO(desk.run(*asked, "--format", "csv").stdout)))
    assert [int(row["uses"]) for row in rows] == [row["uses"] for row in answer["rows"]]
    for form in ("xlsx", "parquet"):
        file = tmp_path / f"answer.{form}"
        assert desk.run(*asked, "--format", form, "--out", f"{file}").stdout.strip() == f"{file}"
        assert file.read_bytes()[:2] == {"xlsx": b"PK", "parquet": b"PA"}[form]


def test_a_bad_question_is_refused_in_one_line(desk: Desk, tmp_path: Path) -> None:
    for question, says in (
        (("ask", "usse", *PERIOD), "there are: records, uses"),
        (("ask", "uses", "--by", "chanel", *PERIOD), "'chanel' is nothing to ask by"),
        (("ask", "uses", "--where", "scene='; drop table event; --", *PERIOD), "is no scene"),
        (("ask", "uses", "--format", "xlsx", *PERIOD), "name it by --out"),
        (("ask", "uses", "--format", "csv", "--out", f"{tmp_path}/none/there.csv", *PERIOD), "cannot be written"),
    ):
        refused = desk.run(*question)
        assert refused.returncode == 2
        assert says in one_line(refused)


def test_a_period_without_facts_is_said_to_be_empty(desk: Desk) -> None:
    said = desk.run("ask", "uses", "--by", "day", "--from", "2020-01-01", "--to", "2020-12-31", "--language", "en")
    assert said.stdout.strip() == "nothing is there for this question"


def test_an_indicator_outside_its_limits_is_marked(desk: Desk, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[mine]\nname="我的"\nformula="uses / records"\nformat="share"\nwarn_below=1.1\n', encoding="utf-8")
    said = desk.run("ask", "mine", "--by", "channel", *PERIOD, CARD_USAGE_INDICATORS=f"{own}").stdout
    assert all(line.endswith("! mine") for line in said.splitlines()[1:])
    own.write_text('[mine]\nname="我的"\nformula="exit(1)"\n', encoding="utf-8")
    refused = desk.run("ask", "mine", *PERIOD, CARD_USAGE_INDICATORS=f"{own}")
    assert refused.returncode == 2
    assert "own.toml" in one_line(refused)

"""hospital check and hospital new, by the command line: what is there, what is missing, and nothing of a patient."""

from __future__ import annotations

import json
import re
import sqlite3
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import demo_his
import ledgers
import pytest
from card_usage.cli.main import main
from card_usage.config.hospital import load_hospital
from card_usage.files.shipped import SHIPPED
from card_usage.onboarding.sql_requirements import requirements_of
from card_usage.source.feeds import SQL
from card_usage.windows import local
from tds import LookAlike

DAYS = [local(datetime.now(UTC)).date() - timedelta(days=n) for n in (2, 1)]
FEEDS = ("registration", "payment", "dispensing", "examination", "laboratory")


class Clinic:
    """The demo hospital with a HIS that a test may spoil."""

    def __init__(self, home: Path) -> None:
        self.his, self.home = home / "his.db", home
        demo_his.create(f"sqlite:///{self.his}", DAYS, uses_per_day=400, seed=5)
        (home / "hospitals").mkdir()
        self.file = home / "hospitals" / "demo_hospital.toml"
        self.file.write_text((SHIPPED / "hospitals" / "demo_hospital.toml").read_text("utf-8"), encoding="utf-8")
        self.environment = {
            "CARD_USAGE_LEDGER_URL": ledgers.sqlite_url(home),
            "CARD_USAGE_KEY": ledgers.KEY,
            "CARD_USAGE_HOSPITALS": str(self.file.parent),
            "CARD_USAGE_ALIASES": str(SHIPPED / "code_aliases"),
            "AIRFLOW_CONN_DEMO_HIS": f"sqlite:///{self.his}",
        }

    def change(self, old: str, new: str) -> None:
        text = self.file.read_text(encoding="utf-8")
        assert old in text
        self.file.write_text(text.replace(old, new), encoding="utf-8")

    def spoil(self, *statements: str) -> None:
        with sqlite3.connect(self.his) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    return Clinic(tmp_path)


def check(clinic: Clinic, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[tuple[str, Any], dict[str, Any]]]:
    code = main(["hospital", "check", "demo_hospital", "--days", "2", "--json"], clinic.environment)
    told = json.loads(capsys.readouterr().out)
    assert told["hospital"] == "demo_hospital"
    assert told["settled"] is (code == 0)
    return code, {(one["check"], one["feed"]): one for one in told["checks"]}


def test_a_sound_his_lacks_only_what_was_planted(clinic: Clinic, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = check(clinic, capsys)
    assert code == 1, "two departments have no alias"
    assert [one["check"] for one in found.values() if one["state"] == "missing"] == ["codes"]
    said = found["codes", None]["says"]
    assert said.startswith("department 有 2 个代码没有对照")
    assert "21010" in said
    assert "21020" in said
    assert {key for key, one in found.items() if one["state"] == "ok"} >= {
        ("connection", None),
        *(("columns", feed) for feed in FEEDS),
        *(("rows", feed) for feed in FEEDS),
        ("indexes", None),
        ("volume", None),
    }
    assert found["freshness", None]["state"] == "warn"


def test_people_read_sentences_and_the_exit_code_says_whether_something_is_missing(
    clinic: Clinic, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    aliases = tmp_path / "aliases" / "demo_hospital"
    aliases.mkdir(parents=True)
    for path in (SHIPPED / "code_aliases" / "demo_hospital").glob("*.csv"):
        text = path.read_text(encoding="utf-8")
        more = "21010,0300,\n21020,0300,\n" if path.stem == "department" else ""
        (aliases / path.name).write_text(text + more, encoding="utf-8")
    clinic.environment["CARD_USAGE_ALIASES"] = str(aliases.parent)
    clinic.change('language = "zh"', 'language = "en"')
    assert main(["hospital", "check", "--hospital", "demo_hospital", "--days", "2"], clinic.environment) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("+ ok  the database answers (sqlite")
    assert lines[-1] == "nothing is missing: reporting can start"
    assert any(line.startswith("+ ok  feed payment: ") for line in lines)


def test_a_column_and_a_table_that_are_not_there_are_named_and_the_rest_is_checked_all_the_same(
    clinic: Clinic, capsys: pytest.CaptureFixture[str]
) -> None:
    clinic.spoil("ALTER TABLE SF_MZCFK RENAME COLUMN fyrq TO fyrq2", "DROP VIEW VW_YJ_REPORT")
    code, found = check(clinic, capsys)
    assert code == 1
    assert "VW_MZCFK.fyrq" in found["columns", "dispensing"]["says"]
    assert "缺少 VW_YJ_REPORT。" in found["columns", "laboratory"]["says"]
    assert found["rows", "payment"]["state"] == "ok"
    assert ("rows", "dispensing") not in found


def test_a_column_of_another_type_a_feed_without_rows_and_an_index_that_is_gone_are_said(
    clinic: Clinic, capsys: pytest.CaptureFixture[str]
) -> None:
    clinic.spoil("DELETE FROM YJ_JYBGK", "DROP INDEX ix_sf_mzcfk_fyrq")
    clinic.spoil("ALTER TABLE YY_JZBRYJK RENAME COLUMN qdlx TO q", "ALTER TABLE YY_JZBRYJK ADD qdlx INT DEFAULT 7")
    code = main(["hospital", "check", "demo_hospital", "--days", "2", "--json"], clinic.environment)
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert code == 1
    assert [one["feed"] for one in checks if one["check"] == "rows" and one["state"] == "warn"] == ["laboratory"]
    (wanted,) = [one["says"] for one in checks if one["check"] == "indexes" and one["state"] == "warn"]
    assert "SF_MZCFK(fyrq)" in wanted
    (drift,) = [one["says"] for one in checks if one["check"] == "drift"]
    assert "业务 payment：列 channel" in drift


def test_what_is_successful_is_said_of_each_feed_and_counted_apart_from_its_sql(
    clinic: Clinic, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = check(clinic, capsys)[1]
    said = {feed: one for (kind, feed), one in found.items() if kind == "success"}
    assert set(said) == {"registration", "payment", "dispensing", "examination", "laboratory"}
    assert {one["state"] for one in said.values()} == {"ok"}
    assert "VW_GHZDK: jlzt = 0" in said["registration"]["says"]
    with sqlite3.connect(clinic.his) as his:
        of_days = "ghrq >= ? and ghrq < ?", (f"{DAYS[-2]:%Y%m%d}00", f"{DAYS[-1] + timedelta(days=1):%Y%m%d}00")
        ((failed,),) = his.execute(f"select count(*) from VW_GHZDK where {of_days[0]} and jlzt <> 0", of_days[1])
    his.close()
    assert failed > 0
    assert f"排除 {failed} 条" in said["registration"]["says"]
    own = clinic.home / "files" / "sql" / "winning" / "laboratory.sql"
    own.parent.mkdir(parents=True)
    shipped = (SQL / "winning" / "laboratory.sql").read_text(encoding="utf-8")
    monkeypatch.setenv("CARD_USAGE_FILES", str(clinic.home / "files"))
    line = next(line for line in shipped.splitlines() if line.startswith("-- Success"))
    own.write_text(shipped.replace(line, "--"), encoding="utf-8")
    undeclared = check(clinic, capsys)[1]["success", "laboratory"]
    assert undeclared["state"] == "warn"
    assert "没有声明成功状态" in undeclared["says"]
    own.write_text(shipped.replace(line, line.replace("jlzt = 0", "jlzt = 5")), encoding="utf-8")
    disagreeing = check(clinic, capsys)[1]["success", "laboratory"]
    assert disagreeing["state"] == "warn"
    assert "只有 0 条" in disagreeing["says"]
    own.write_text(shipped.replace(line, line.replace("jlzt = 0", "nowhere = 0")), encoding="utf-8")
    assert check(clinic, capsys)[1]["success", "laboratory"]["state"] == "warn"


def test_every_feed_that_is_shipped_declares_its_success_over_columns_that_it_reads() -> None:
    words = re.compile(r"'[^']*'|\b[A-Za-z_]\w*\b")
    known = {"COALESCE", "AND", "OR", "IN", "NOT", "NULL", "IS"}
    for path in sorted(SQL.glob("*/*.sql")):
        found = requirements_of(path.parent.name, path.stem)
        assert found.success, path
        for declared in found.success:
            named = {word for word in words.findall(f"{declared.belongs} {declared.condition}") if word[0] != "'"}
            assert {declared.time, *named - known} <= set(found.reads[declared.table]), path


def test_a_probe_is_tried_and_its_lag_is_said(clinic: Clinic, capsys: pytest.CaptureFixture[str]) -> None:
    clinic.change('probe = "none"', 'probe = "heartbeat"\ntable = "beats"\ncolumn = "at"')
    assert check(clinic, capsys)[1]["freshness", None]["state"] == "missing"
    clinic.spoil("CREATE TABLE beats (at DATETIME)", "INSERT INTO beats VALUES ('2026-01-05 08:00:00')")
    lagging = check(clinic, capsys)[1]["freshness", None]
    assert lagging["state"] == "warn"
    assert "2026-01-05 08:00:00" in lagging["says"]
    clinic.spoil(f"UPDATE beats SET at = '{local(datetime.now(UTC)):%Y-%m-%d %H:%M:%S}'")
    assert check(clinic, capsys)[1]["freshness", None]["state"] == "ok"


def test_a_quota_that_a_day_outgrows_is_said_before_anything_is_sent(
    clinic: Clinic, capsys: pytest.CaptureFixture[str]
) -> None:
    clinic.change("live = true", "live = false")
    assert check(clinic, capsys)[1]["volume", None]["state"] == "warn"
    clinic.change("daily_quota = 100", "daily_quota = 100000")
    assert "预计" in check(clinic, capsys)[1]["volume", None]["says"]


def test_a_his_that_does_not_answer_is_one_line_and_exit_code_2(
    clinic: Clinic, capsys: pytest.CaptureFixture[str]
) -> None:
    clinic.his.unlink()
    assert main(["hospital", "check", "demo_hospital"], clinic.environment) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "cannot be reached" in said.err


def test_nothing_of_a_patient_is_in_what_check_says(clinic: Clinic, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(clinic.his) as connection:
        people = connection.execute("SELECT hzxm, sfzh FROM SF_BRXXK").fetchall()
        cards = connection.execute("SELECT qrCodeText FROM xt_brxx").fetchall()
    connection.close()
    main(["hospital", "check", "demo_hospital", "--days", "2"], clinic.environment)
    said = capsys.readouterr()
    texts = [str(value).strip() for row in (*people, *cards) for value in row if value and len(str(value).strip()) > 5]
    assert len(texts) > 300
    assert [text for text in texts if text in said.out + said.err] == []


@pytest.mark.parametrize("shape", ["winning", "trasen", "card_use_view", "card_use_view_char16"])
def test_every_head_is_read_and_names_an_index_for_its_window(shape: str) -> None:
    for path in (SQL / shape).glob("*.sql"):
        found = requirements_of(shape, path.stem)
        assert found.reads
        assert all(columns for columns in found.reads.values())
        assert found.indexes or "V_CARD_USE" in found.reads


@pytest.mark.parametrize("shape", ["winning", "trasen", "card_use_view", "card_use_view_char16"])
def test_a_new_hospital_is_a_commented_file_that_loads_and_empty_alias_tables(
    tmp_path: Path, shape: str, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {"CARD_USAGE_HOSPITALS": str(tmp_path / "hospitals")}
    arguments = ["hospital", "new", "city_hospital", "--shape", shape, "--name", '示范"医院']
    assert main(arguments, environment) == 0
    assert "hospital check city_hospital" in capsys.readouterr().out
    made = load_hospital(tmp_path / "hospitals", "city_hospital")
    assert made.name == "示范医院"
    assert made.his.shape == shape
    of_view = {"winning": 4, "trasen": 8}.get(shape, 0)
    assert len(made.his.feeds) == 12 - of_view, "those that need the contract view are named in a comment"
    assert made.platform.live is False
    text = (tmp_path / "hospitals" / "city_hospital.toml").read_text(encoding="utf-8")
    commented = re.findall(r'"(\w+)"', text.partition("when the DBA has made it:")[2].partition("\n")[0])
    assert len({*made.his.feeds, *commented}) == 12
    assert len(commented) == of_view
    assert "/heartbeat.sql" in text
    keys = [line for line in text.splitlines() if " = " in line and not line.startswith("#")]
    assert sum("#" in line for line in keys) >= 15
    for table in ("his", "platform", "normalize", "report", "alerts"):
        defaults = type(getattr(made, table)).model_fields
        assert tomllib.loads(text)[table].keys() <= defaults.keys()
    assert "已上线" in next(line for line in keys if line.startswith("live = "))
    assert made.alerts.routes == ()
    # Without its comment signs the route that is written there is a route.
    routed = re.sub(r"^# (?=\[\[|channel|least|at_night)", "", text, flags=re.MULTILINE)
    (tmp_path / "hospitals" / "city_hospital.toml").write_text(routed, encoding="utf-8")
    (route,) = load_hospital(tmp_path / "hospitals", "city_hospital").alerts.routes
    assert route.channel == "city_hospital_wecom"
    stubs = sorted(path.name for path in (tmp_path / "code_aliases" / "city_hospital").iterdir())
    assert stubs == ["card_type.csv", "channel.csv", "cost_type.csv", "department.csv", "scene.csv"]


def test_what_is_there_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"CARD_USAGE_HOSPITALS": str(tmp_path)}
    (tmp_path / "a.toml").write_text("mine")
    assert main(["hospital", "new", "a"], environment) == 2
    assert "is there already; nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.toml"]
    assert main(["hospital", "new", "Bad Id"], environment) == 2


def test_how_the_his_is_read_is_told_and_the_opt_out_is_not_forgotten(
    clinic: Clinic, capsys: pytest.CaptureFixture[str]
) -> None:
    with LookAlike(clinic.his, tls="TLSv1.2") as server:
        user, password = "reader", server.logins["reader"]
        clinic.environment["AIRFLOW_CONN_DEMO_HIS"] = f"mssql://{user}:{password}@127.0.0.1:{server.port}/his"
        for stated, state in (("encrypted", "warn"), ("optional", "warn")):
            line = f'tls = "{stated}"'
            clinic.change('# tls = "verified"' if stated == "encrypted" else 'tls = "encrypted"', line)
            _, found = check(clinic, capsys)
            assert found["transport", None]["state"] == state, stated
        assert "tls = optional" in found["transport", None]["says"]
        clinic.change('tls = "optional"', 'tls = "verified"')
        assert main(["hospital", "check", "demo_hospital"], clinic.environment) == 2
        told = capsys.readouterr().err
        assert "certificate: self-signed certificate (127.0.0.1:" in told
        assert "it is of 'SSL_Self_Signed_Fallback'" in told
        assert told.count("\n") == 1
        assert password not in told

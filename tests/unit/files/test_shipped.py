"""An installation's own files beside an image: every reader finds them, and says so when they are wrong."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from card_usage.cli.main import main
from card_usage.code_mapping.suggestions import Suggester
from card_usage.config.hospital import His, load_hospital
from card_usage.config.settings import hospitals_directory
from card_usage.errors import BadFeedFile, CodeTableError, SettingsError
from card_usage.files.shipped import OWN_FILES, SHIPPED, names_in
from card_usage.onboarding.new_hospital import create_hospital
from card_usage.onboarding.sql_requirements import requirements_of
from card_usage.source.feeds import SQL, feed_sql
from card_usage.standard.code_tables import TABLE_COLUMNS, TABLES, load_tables

EXAMPLE = (SQL / "card_use_view" / "registration.sql").read_text(encoding="utf-8")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The installation's folder, with a feed of its own, one in place of a shipped one, a shape and a code."""
    folder = tmp_path / "own"
    for name in ("card_use_view/physiotherapy", "card_use_view/payment", "their_his/registration"):
        path = folder / "sql" / f"{name}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(EXAMPLE.replace("V_CARD_USE", "V_OWN"), encoding="utf-8")
    (folder / "code_tables" / "synonyms").mkdir(parents=True)
    table = (TABLES / "channel.csv").read_text(encoding="utf-8")
    (folder / "code_tables" / "channel.csv").write_text(f"{table}990000001,公共渠道,,,own\n", encoding="utf-8")
    (folder / "code_tables" / "synonyms" / "channel.csv").write_text("name,code\n大厅,990000001\n", encoding="utf-8")
    monkeypatch.setenv(OWN_FILES, str(folder))
    return folder


def test_own_feeds_and_shapes_stand_beside_the_shipped_ones_and_one_of_the_same_path_is_read_instead(own: Path):
    assert "physiotherapy.sql" in names_in(SQL / "card_use_view", "*.sql")
    assert {"their_his", "winning"} <= set(names_in(SQL))
    assert His(connection="c", shape="their_his", feeds=("registration",)).shape == "their_his"
    assert His(connection="c", shape="card_use_view", feeds=("physiotherapy", "registration")).feeds
    for name in ("physiotherapy", "payment"):
        assert "V_OWN" in str(feed_sql("card_use_view", name).select)
        assert "V_OWN" in requirements_of("card_use_view", name).reads
    assert "V_OWN" not in str(feed_sql("card_use_view", "registration").select)


def test_without_the_setting_a_shipped_file_that_was_replaced_is_read_again(own: Path, monkeypatch: pytest.MonkeyPatch):
    assert "V_OWN" in str(feed_sql("card_use_view", "payment").select)
    monkeypatch.delenv(OWN_FILES)
    assert "V_OWN" not in str(feed_sql("card_use_view", "payment").select)


def test_an_own_code_table_and_own_synonyms_are_the_ones_that_count(own: Path, tmp_path: Path):
    tables = load_tables()
    assert tables["channel"].names["990000001"] == "公共渠道"
    suggested = Suggester(tmp_path / "aliases", "h", tables, SHIPPED / "code_tables").suggest("channel", "大厅")
    assert suggested[0].code == "990000001"


def test_a_new_hospital_is_made_for_an_own_shape_and_lists_own_feeds(own: Path, tmp_path: Path):
    made = [
        create_hospital(name, shape=shape, name="", hospitals=tmp_path / "hospitals", environment={})[0]
        for name, shape in (("theirs", "their_his"), ("viewed", "card_use_view"))
    ]
    theirs, viewed = (load_hospital(path.parent, path.stem).his for path in made)
    assert theirs.feeds == ("registration",)
    assert "physiotherapy" in viewed.feeds


def test_the_command_line_offers_own_shapes(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    environment = {OWN_FILES: str(own), "CARD_USAGE_HOSPITALS": str(tmp_path / "hospitals")}
    assert main(["hospital", "new", "theirs", "--shape", "their_his"], environment) == 0
    assert "theirs.toml" in capsys.readouterr().out


def test_a_setting_that_names_no_folder_is_refused_in_one_line(tmp_path: Path):
    with pytest.raises(SettingsError, match=f"{OWN_FILES} names .*which is no folder"):
        hospitals_directory({OWN_FILES: str(tmp_path / "nowhere")})


def test_own_files_that_cannot_be_used_are_named_with_their_path(own: Path):
    payment = own / "sql" / "card_use_view" / "payment.sql"
    for content, says in ((b"SELECT 1", "bounds"), ("-- 缴费".encode("gb18030"), "UTF-8")):
        payment.write_bytes(content)
        with pytest.raises(BadFeedFile, match=rf"own/sql/card_use_view/payment\.sql: .*{says}"):
            feed_sql("card_use_view", "payment")
    with (own / "code_tables" / "channel.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([TABLE_COLUMNS, ("12345678901234567", "太长", "", "", "own")])
    with pytest.raises(CodeTableError, match=r"own/code_tables/channel\.csv.*16"):
        load_tables()

"""Every shape's SQL over small hand-made tables: what counts as a use, refunds, exact edges, side tables, duplicates.

The tables are SQLite's, made here as the shape's HIS names them; that SQL Server would read the same text is held by
parsing each file as T-SQL. The contract view is made by the very script that a hospital's DBA runs.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from card_usage.config.hospital import Hospital, load_hospital
from card_usage.events import SourceRow
from card_usage.files.shipped import SHIPPED
from card_usage.source.feeds import SQL, feed_sql
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.standard.normalize import occurred_at
from card_usage.windows import day_window
from sqlglot import exp

DAY = day_window(date(2026, 11, 20))
NOON = DAY.start + timedelta(hours=12)
PATIENT, CARD, KNOWN_TWICE, STRANGER = 1, 7, 2, 99
FIRST_ID, SECOND_ID = "11010119900307001X", "110101198812310020"
NO_ID_NUMBERS = (
    *(
        "",
        " ",
        "-",
        "0",
        "无",
        "不详",
        "000000000000000000",
        "00000000000000000X",
        "０００００００００００００００００００",
    ),
    *("111111111111111111", "123456789012345678", "999999999999999999", "110101000000000000", "000000000000000", "  "),
)
"""What a HIS keeps where it has no ID number."""
NO_PATIENTS = ("", " ", "-", "0", 0, "无", "不详", "0000000000", "00000000-0000-0000-0000-000000000000")
"""What a HIS keeps where it knows no patient."""

PRESENTED = {"cardtype": "JK", "qdlx": "ZZ", "ybdm": "201"}
REPORT = {"patid": PATIENT, "sqksdm": "K1", **PRESENTED}


@dataclass(frozen=True, kw_only=True)
class Feed:
    """How a shape keeps the uses of one feed. `ignored`: states that are no use at all."""

    table: str
    key: str
    at: str
    row: Mapping[str, Any]
    valid: Mapping[str, Any]
    voided: Mapping[str, Any]
    ignored: tuple[Mapping[str, Any], ...] = ()
    patient: str = "patid"
    history: str | None = None
    scene: str = ""
    other_scenes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    prefix: str = ""
    department: str | None = "K1"


WINNING = {
    "registration": Feed(
        table="GH_GHZDK",
        history="GH_NGHZDK",
        key="xh",
        at="ghrq",
        row={"patid": PATIENT, "ksdm": "K1", "ghfs": 0, **PRESENTED},
        valid={"jlzt": 0},
        voided={"jlzt": 1},
        ignored=({"jlzt": 2}, {"jlzt": 8}),
        scene="0101012",
        other_scenes={"0101011": {"ghfs": 1}, "0101015": {"ghfs": 2}},
    ),
    "payment": Feed(
        table="SF_BRJSK",
        history="SF_NBRJSK",
        key="sjh",
        at="sfrq",
        row={"patid": PATIENT, "sfksdm": "K1", "ybjszt": 2, "ghsfbz": 1, **PRESENTED},
        valid={"jlzt": 0},
        voided={"jlzt": 1},
        ignored=({"jlzt": 2}, {"jlzt": 0, "ybjszt": 1}, {"jlzt": 0, "ybjszt": 0}, {"jlzt": 0, "ghsfbz": 0}),
        scene="0101051",
    ),
    "payment, top-up": Feed(
        table="YY_JZBRYJK",
        key="xh",
        at="lrrq",
        row={"patid": PATIENT, **PRESENTED},
        valid={"jlzt": 0},
        voided={"jlzt": 1},
        ignored=({"jlzt": 2},),
        scene="0101055",
        prefix="YJ",
        department=None,
    ),
    "dispensing": Feed(
        table="SF_MZCFK",
        key="xh",
        at="fyrq",
        row={"patid": PATIENT, "ksdm": "K1", "fybz": 1, **PRESENTED},
        valid={"jlzt": 0},
        voided={"jlzt": 1},
        ignored=({"jlzt": 2}, {"jlzt": 0, "fybz": 0}),
        scene="010103",
    ),
    "examination": Feed(
        table="VW_YJ_REPORT",
        key="repno",
        at="pubtime",
        row={"replb": "JC", **REPORT},
        valid={"jlzt": 0},
        voided={"jlzt": 1},
        ignored=({"jlzt": 2}, {"jlzt": 0, "replb": "JY"}),
        scene="0101081",
    ),
    "laboratory": Feed(
        table="VW_YJ_REPORT",
        key="repno",
        at="pubtime",
        row={"replb": "JY", **REPORT},
        valid={"jlzt": 0},
        voided={"jlzt": 1},
        ignored=({"jlzt": 2}, {"jlzt": 0, "replb": "JC"}),
        scene="0101082",
    ),
    "admission": Feed(
        table="ZY_BRSYK",
        key="syxh",
        at="ryrq",
        row={"patid": PATIENT, "ksdm": "K1", **PRESENTED},
        valid={"brzt": 1},
        voided={"brzt": 9},
        scene="010109",
    ),
}
WINNING_TABLES = f"""
CREATE TABLE SF_BRXXK (patid, hzxm, sfzh);
CREATE TABLE ZY_BRXXK (patid, hzxm, sfzh);
CREATE TABLE YY_KSBMK (id, name);
CREATE TABLE xt_brxx (id, brid, sfzh, qrCodeText);
CREATE TABLE GH_GHZDK (xh, patid, ghrq, ksdm, ghfs, jlzt, cardtype, qdlx, ybdm);
CREATE TABLE GH_NGHZDK (xh, patid, ghrq, ksdm, ghfs, jlzt, cardtype, qdlx, ybdm);
CREATE VIEW VW_GHZDK AS SELECT * FROM GH_GHZDK UNION ALL SELECT * FROM GH_NGHZDK;
CREATE TABLE SF_BRJSK (sjh, patid, sfrq, sfksdm, ybjszt, jlzt, ghsfbz, cardtype, qdlx, ybdm);
CREATE TABLE SF_NBRJSK (sjh, patid, sfrq, sfksdm, ybjszt, jlzt, ghsfbz, cardtype, qdlx, ybdm);
CREATE VIEW VW_MZBRJSK AS SELECT * FROM SF_BRJSK UNION ALL SELECT * FROM SF_NBRJSK;
CREATE TABLE YY_JZBRYJK (xh, patid, lrrq, jlzt, cardtype, qdlx, ybdm);
CREATE TABLE SF_MZCFK (xh, patid, ksdm, fybz, fyrq, jlzt, cardtype, qdlx, ybdm);
CREATE TABLE VW_YJ_REPORT (repno, replb, patid, sqksdm, pubtime, jlzt, cardtype, qdlx, ybdm);
CREATE TABLE ZY_BRSYK (syxh, patid, ryrq, ksdm, brzt, cardtype, qdlx, ybdm);
INSERT INTO SF_BRXXK VALUES (1, '甲', '{FIRST_ID}'), (2, '乙', '{SECOND_ID}');
INSERT INTO ZY_BRXXK VALUES (1, '甲', '{FIRST_ID}'), (2, '乙', '{SECOND_ID}');
INSERT INTO YY_KSBMK VALUES ('K1', '内科');
INSERT INTO xt_brxx VALUES
    (1, 1, '{FIRST_ID}', 'QR1'), (2, 2, '{SECOND_ID}', 'QR2a'), (3, 2, '{SECOND_ID}', 'QR2b');
"""

CHANNELS = {"KDJID": CARD}
TRASEN = {
    "registration": Feed(
        table="MZ_GHXX",
        history="MZ_GHXX_H",
        key="GHXXID",
        at="GHSJ",
        row={"BRXXID": PATIENT, "GHKS": 5, "YYLX": 0, "DJY": 88, **CHANNELS},
        valid={"BQXGHBZ": 0},
        voided={"BQXGHBZ": 1},
        patient="BRXXID",
        scene="0101012",
        other_scenes={"0101011": {"YYLX": 3}},
        department="0301",
    ),
    "payment": Feed(
        table="MZ_FPB",
        history="MZ_FPB_H",
        key="FPID",
        at="SFRQ",
        row={"BRXXID": PATIENT, "KSDM": 5, "YBLX": 201, "SFY": 88, "BGHPBZ": 0, **CHANNELS},
        valid={"JLZT": 0},
        voided={"JLZT": 1},
        ignored=({"JLZT": 2}, {"JLZT": 0, "BGHPBZ": 1}),
        patient="BRXXID",
        scene="0101051",
        department="0301",
    ),
    "payment, top-up": Feed(
        table="YY_KDJB_JE",
        key="KJEID",
        at="DJSJ",
        row={"DJY": 88, **CHANNELS},
        valid={"BZFBZ": 0},
        voided={"BZFBZ": 1},
        patient="",
        scene="0101055",
        prefix="YJ",
        department=None,
    ),
    "dispensing": Feed(
        table="MZ_CFB",
        history="MZ_CFB_H",
        key="CFID",
        at="FYRQ",
        row={"GHXXID": "G0", "BRXXID": PATIENT, "KSDM": 5, "XMLY": 1, "FYR": 88},
        valid={"BFYBZ": 1, "BSCBZ": 0},
        voided={"BFYBZ": 1, "BSCBZ": 1},
        ignored=({"BFYBZ": 1, "BSCBZ": 0, "XMLY": 2},),
        patient="BRXXID",
        scene="010103",
        department="0301",
    ),
    "admission": Feed(
        table="VI_ZY_VINPATIENT_ALL",
        key="INPATIENT_ID",
        at="IN_DATE",
        row={"BABY_ID": 0, "PATIENT_ID": PATIENT, "IN_DEPT": 5, "DJY": 88, **CHANNELS},
        valid={"FLAG": 3},
        voided={"FLAG": 10},
        ignored=({"FLAG": 3, "BABY_ID": 1},),
        patient="PATIENT_ID",
        scene="010109",
        department="0301",
    ),
}
TRASEN_TABLES = f"""
CREATE TABLE YY_BRXX (BRXXID, BRXM, SFZH);
CREATE TABLE YY_KDJB (KDJID, BRXXID, KLX);
CREATE TABLE JC_DEPT_PROPERTY (DEPT_ID, NAME, dept_hqms_code);
CREATE TABLE xt_brxx (id, brid, qrCodeText);
CREATE TABLE MZ_GHXX (GHXXID, BRXXID, KDJID, GHSJ DATETIME, GHKS, YYLX, DJY, BQXGHBZ);
CREATE TABLE MZ_GHXX_H (GHXXID, BRXXID, KDJID, GHSJ DATETIME, GHKS, YYLX, DJY, BQXGHBZ);
CREATE VIEW VI_MZ_GHXX AS SELECT * FROM MZ_GHXX UNION ALL SELECT * FROM MZ_GHXX_H;
CREATE TABLE MZ_FPB (FPID, BRXXID, KDJID, SFRQ DATETIME, KSDM, YBLX, SFY, BGHPBZ, JLZT);
CREATE TABLE MZ_FPB_H (FPID, BRXXID, KDJID, SFRQ DATETIME, KSDM, YBLX, SFY, BGHPBZ, JLZT);
CREATE VIEW VI_MZ_FPB AS SELECT * FROM MZ_FPB UNION ALL SELECT * FROM MZ_FPB_H;
CREATE TABLE YY_KDJB_JE (KJEID, KDJID, DJSJ DATETIME, DJY, BZFBZ);
CREATE TABLE MZ_CFB (CFID, GHXXID, BRXXID, KSDM, XMLY, BFYBZ, FYRQ DATETIME, FYR, BSCBZ);
CREATE TABLE MZ_CFB_H (CFID, GHXXID, BRXXID, KSDM, XMLY, BFYBZ, FYRQ DATETIME, FYR, BSCBZ);
CREATE VIEW VI_MZ_CFB AS SELECT * FROM MZ_CFB UNION ALL SELECT * FROM MZ_CFB_H;
CREATE TABLE VI_ZY_VINPATIENT_ALL
    (INPATIENT_ID, BABY_ID, PATIENT_ID, IN_DATE DATETIME, IN_DEPT, FLAG, KDJID, DJY);
INSERT INTO YY_BRXX VALUES (1, '甲', '{FIRST_ID}'), (2, '乙', '{SECOND_ID}');
INSERT INTO YY_KDJB VALUES (7, 1, 4), (8, 2, 4);
INSERT INTO JC_DEPT_PROPERTY VALUES (5, '内科', '0301 '), (6, '互联网门诊', NULL);
INSERT INTO xt_brxx VALUES (1, 1, 'QR1'), (2, 2, 'QR2a'), (3, 2, 'QR2b');
INSERT INTO MZ_GHXX VALUES ('G0', 1, 7, '2020-01-01 08:00:00', 5, 0, 88, 0);
INSERT INTO MZ_GHXX_H VALUES ('G0', 1, 7, '2020-01-01 08:00:00', 5, 0, 88, 0);
"""

SEEN = {
    "SCENE": "010103",
    "DEPARTMENT": "K1",
    "DEPARTMENT_NAME": "内科",
    "CARD_TYPE": "JK",
    "CHANNEL": "ZZ",
    "COST_TYPE": "201",
    "ID_NUMBER": FIRST_ID,
    "NAME": "甲",
    "QR_CODE_TEXT": "QR1",
}
CONTRACT = {
    feed: Feed(
        table="V_CARD_USE",
        key="SOURCE_ID",
        at="OCCURRED_AT",
        row={"FEED": feed, **SEEN},
        valid={"VOIDED": 0},
        voided={"VOIDED": 1},
        ignored=({"VOIDED": 0, "FEED": "another"},),
        patient="",
        scene="010103",
    )
    for feed in ("registration", "payment", "dispensing", "examination", "laboratory", "admission")
}
CONTRACT_TABLES = f"CREATE TABLE V_CARD_USE (FEED, SOURCE_ID, OCCURRED_AT DATETIME, {', '.join(SEEN)}, VOIDED);"
for reports in ("examination", "laboratory"):
    TRASEN[reports] = CONTRACT[reports]

SHAPES = {
    "winning": (WINNING_TABLES, WINNING),
    "trasen": (TRASEN_TABLES + CONTRACT_TABLES, TRASEN),
    "card_use_view": (CONTRACT_TABLES, CONTRACT),
}
EVERY = [(shape, name) for shape, (_, feeds) in SHAPES.items() for name in feeds]
FILES = sorted(path.relative_to(SQL).with_suffix("").parts for path in SQL.glob("*/*.sql"))
UNTESTED = {(shape, name) for shape, name in FILES if "-- UNTESTED" in (SQL / shape / f"{name}.sql").read_text("utf-8")}
"""Oracle's: held by test_other_replicas.py as far as they can be."""
SCRIPTS = sorted(SQL.glob("*/dba/*.sql"))


def hospital_of(shape: str) -> Hospital:
    """The demo hospital's file, for another shape with all of its feeds."""
    demo = load_hospital(SHIPPED / "hospitals", "demo_hospital")
    feeds = tuple(sorted(name for of, name in FILES if of == shape))
    return demo.model_copy(update={"his": demo.his.model_copy(update={"shape": shape, "feeds": feeds})})


class His:
    """A HIS of one shape, and one of its feeds to put uses into and to read."""

    def __init__(self, path: Path, shape: str, name: str) -> None:
        tables, feeds = SHAPES[shape]
        self.shape, self.feed, self.name = shape, feeds[name], name.partition(",")[0]
        self.bounds = feed_sql(shape, self.name).bounds
        self._connection = sqlite3.connect(path)
        self._connection.executescript(tables)
        self._source = Source(connect(f"sqlite:///{path}"), hospital_of(shape))

    def put(self, key: str, at: datetime, state: Mapping[str, Any], *, table: str | None = None, **over: Any) -> None:
        moment = at.strftime("%Y%m%d%H:%M:%S") if self.bounds == "char16" else at.isoformat(" ", "microseconds")
        row = {**self.feed.row, self.feed.key: key, self.feed.at: moment, **state, **over}
        holes = ", ".join("?" * len(row))
        statement = f"INSERT INTO {table or self.feed.table} ({', '.join(row)}) VALUES ({holes})"
        with self._connection:
            self._connection.execute(statement, tuple(row.values()))

    def know_patient(self, patient: object, id_number: str) -> None:
        """A patient of the master tables, outpatients' and inpatients'."""
        for table in ("SF_BRXXK", "ZY_BRXXK") if self.shape == "winning" else ("YY_BRXX",):
            with self._connection:
                self._connection.execute(f"INSERT INTO {table} VALUES (?, '丙', ?)", (patient, id_number))

    def know_card(self, patient: object, id_number: str, qr_code_text: str) -> None:
        """A line of the health cards' side table."""
        columns = "id, brid, sfzh, qrCodeText" if self.shape == "winning" else "id, brid, qrCodeText"
        values = (
            (id(self), patient, id_number, qr_code_text) if "sfzh" in columns else (id(self), patient, qr_code_text)
        )
        with self._connection:
            holes = ", ".join("?" * len(values))
            self._connection.execute(f"INSERT INTO xt_brxx ({columns}) VALUES ({holes})", values)

    def read(self, start: datetime = DAY.start, end: datetime = DAY.end) -> list[SourceRow]:
        rows = [row for batch in self._source.rows(self.name, start, end) for row in batch]
        assert self._source.tally(self.name, start, end).rows == len(rows)
        return rows

    def seen(self, start: datetime = DAY.start, end: datetime = DAY.end) -> dict[str, int]:
        """Key -> voided, every key once."""
        rows = self.read(start, end)
        voided = {row.source_id: int(row.voided) for row in rows}
        assert len(voided) == len(rows)
        return voided

    def key(self, number: int) -> str:
        return f"{self.feed.prefix}{number}"

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def his(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[His]:
    made = His(tmp_path / "his.db", *request.param)
    yield made
    made.close()


every_feed = pytest.mark.parametrize("his", EVERY, indirect=True, ids=["/".join(names) for names in EVERY])


def test_every_shape_has_every_feed_and_each_is_tested_here() -> None:
    assert {(shape, name.partition(",")[0]) for shape, name in EVERY} == set(FILES) - UNTESTED
    for shape in SHAPES:
        has = {name for of, name in FILES if of == shape}
        assert has == {"registration", "payment", "dispensing", "examination", "laboratory", "admission"}


@every_feed
def test_valid_uses_are_read_refunded_ones_are_marked_and_reversals_and_failures_are_none(his: His) -> None:
    his.put("1", NOON, his.feed.valid)
    his.put("2", NOON, his.feed.voided)
    for number, state in enumerate(his.feed.ignored, start=3):
        his.put(str(number), NOON, state)
    assert his.seen() == {his.key(1): 0, his.key(2): 1}


@every_feed
def test_a_refund_after_the_first_reading_is_seen_under_the_same_key(his: His, tmp_path: Path) -> None:
    his.put("1", NOON, his.feed.valid)
    before = his.read()
    with sqlite3.connect(tmp_path / "his.db") as connection:
        columns = ", ".join(f"{name} = ?" for name in his.feed.voided)
        changed = connection.execute(f"UPDATE {his.feed.table} SET {columns}", tuple(his.feed.voided.values()))
        assert changed.rowcount
    connection.close()
    assert his.read() == [before[0]._replace(voided=1)]


@every_feed
def test_the_start_belongs_to_a_window_and_the_end_to_the_next_one(his: His) -> None:
    second, hour = timedelta(seconds=1), timedelta(hours=1)
    moments = [DAY.start - second, DAY.start, NOON - second, NOON, NOON + hour, DAY.end - second, DAY.end]
    if his.bounds == "datetime":
        moments.append(DAY.end - timedelta(milliseconds=3))  # the last moment that SQL Server's datetime can tell
    for number, moment in enumerate(moments):
        his.put(str(number), moment, his.feed.valid)
    inside = {his.key(n) for n, moment in enumerate(moments) if moment in DAY}
    assert set(his.seen()) == inside
    assert len(inside) == (6 if his.bounds == "datetime" else 5)
    assert set(his.seen(NOON, NOON + hour)) == {his.key(3)}
    hours = [his.seen(start, end) for start, end in pairwise(DAY.start + hour * n for n in range(25))]
    assert [key for part in hours for key in part] == list(his.seen())
    assert set(his.seen(DAY.end, DAY.end + hour)) == {his.key(6)}


@every_feed
def test_patient_health_card_and_department_are_joined_and_a_stranger_is_no_reason_to_lose_the_row(his: His) -> None:
    his.put("1", NOON, his.feed.valid)
    (row,) = his.read()
    assert (row.name, row.id_number, row.qr_code_text) == ("甲", FIRST_ID, "QR1")
    assert row.department == his.feed.department
    assert row.department_name == ("内科" if his.feed.department else None)
    assert row.scene == his.feed.scene
    assert row.card_type
    assert row.channel
    if his.feed.patient:
        his.put("2", NOON, his.feed.valid, **{his.feed.patient: STRANGER})
        assert his.read()[1][8:11] == (None, None, None)


of_patients = pytest.mark.parametrize(
    "his", [(shape, name) for shape, name in EVERY if SHAPES[shape][1][name].patient], indirect=True
)


@of_patients
def test_a_blank_or_placeholder_instead_of_an_id_number_finds_no_strangers_health_card(his: His) -> None:
    for number, placeholder in enumerate(NO_ID_NUMBERS, start=1000):
        his.know_patient(number, placeholder)
        his.know_card(10_000 + number, placeholder, "QR-STRANGER")
        his.put(str(number), NOON, his.feed.valid, **{his.feed.patient: number})
    rows = his.read()
    assert [row.id_number for row in rows] == list(NO_ID_NUMBERS)
    assert {row.qr_code_text for row in rows} == {None}


@of_patients
def test_a_blank_or_placeholder_instead_of_a_patient_finds_no_strangers_health_card(his: His) -> None:
    for number, placeholder in enumerate(NO_PATIENTS):
        his.know_card(placeholder, SECOND_ID, "QR-STRANGER")
        his.put(str(number), NOON, his.feed.valid, **{his.feed.patient: placeholder})
    rows = his.read()
    assert len(rows) == len(NO_PATIENTS)
    assert {row[8:11] for row in rows} == {(None, None, None)}


@of_patients
def test_a_patient_whom_the_side_table_knows_twice_is_read_once(his: His) -> None:
    his.put("1", NOON, his.feed.valid, **{his.feed.patient: KNOWN_TWICE})
    (row,) = his.read()
    assert row.qr_code_text == "QR2b"


@pytest.mark.parametrize(
    "his", [(shape, name) for shape, name in EVERY if SHAPES[shape][1][name].history], indirect=True
)
def test_current_and_history_table_are_one_and_a_refund_in_either_copy_counts(his: His) -> None:
    for number, (here, there) in enumerate([("valid", "valid"), ("voided", "valid"), ("valid", "voided")]):
        his.put(str(number), NOON, getattr(his.feed, here))
        his.put(str(number), NOON, getattr(his.feed, there), table=his.feed.history)
    his.put("3", NOON, his.feed.valid, table=his.feed.history)
    assert his.seen() == {his.key(0): 0, his.key(1): 1, his.key(2): 1, his.key(3): 0}


@pytest.mark.parametrize(
    "his", [(shape, name) for shape, name in EVERY if SHAPES[shape][1][name].other_scenes], indirect=True
)
def test_kinds_of_registration_are_scenes_of_their_own(his: His) -> None:
    for number, (_, over) in enumerate(his.feed.other_scenes.items()):
        his.put(str(number), NOON, his.feed.valid, **over)
    assert [row.scene for row in his.read()] == list(his.feed.other_scenes)


@pytest.mark.parametrize("his", [("trasen", "registration")], indirect=True)
def test_a_trasen_department_without_a_standard_code_comes_under_its_own(his: His) -> None:
    his.put("1", NOON, his.feed.valid, GHKS=6)
    assert [(row.department, row.department_name) for row in his.read()] == [("6", "互联网门诊")]


@pytest.mark.parametrize("his", [("trasen", "dispensing")], indirect=True)
def test_drugs_that_were_brought_back_are_voided(his: His) -> None:
    his.put("1", NOON, {"BFYBZ": 0, "BSCBZ": 0})
    assert his.seen() == {"1": 1}


@pytest.mark.parametrize("his", [("card_use_view", "payment")], indirect=True)
def test_a_line_that_the_view_has_twice_is_read_once_and_voided_if_either_is(his: His) -> None:
    his.put("1", NOON, his.feed.valid)
    his.put("1", NOON, his.feed.voided)
    assert his.seen() == {"1": 1}


def statements(path: Path) -> list[exp.Expression]:
    """The statements of a script, batch by batch as GO parts it, parsed as T-SQL."""
    batches = re.split(r"^GO\s*$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [
        statement for batch in batches for statement in sqlglot.parse(batch, dialect="tsql") if statement is not None
    ]


@pytest.mark.parametrize(("shape", "feed"), FILES)
def test_sql_server_would_read_every_feed(shape: str, feed: str) -> None:
    (statement,) = statements(SQL / shape / f"{feed}.sql")
    assert isinstance(statement, exp.Query)
    bound = [hole.name for hole in statement.find_all(exp.Placeholder)]
    assert set(bound) == {"start", "end"}
    # Half-open: at or after the start, before the end, the bare column on the other side.
    for comparison in statement.find_all(exp.GTE, exp.LT):
        if comparison.find(exp.Placeholder):
            assert isinstance(comparison.this, exp.Column)
            edge = comparison.expression.find(exp.Placeholder).name
            assert edge == ("start" if isinstance(comparison, exp.GTE) else "end")
    assert not list(statement.find_all(exp.Between, exp.Star))


ID_COLUMNS = {
    column.this.name.lower()
    for shape, feed in FILES
    for select in statements(SQL / shape / f"{feed}.sql")[0].find_all(exp.Select)
    for column in select.selects
    if column.alias == "id_number" and isinstance(column.this, exp.Column)
}
"""Columns that any feed reads an ID number from."""
VALID_ID = (
    "RTRIM({0}) LIKE '__________________'",
    "SUBSTRING({0}, 1, 1) >= '1'",
    "SUBSTRING({0}, 1, 1) <= '8'",
    "SUBSTRING({0}, 7, 2) IN ('18', '19', '20')",
    "SUBSTRING({0}, 11, 2) >= '01'",
    "SUBSTRING({0}, 11, 2) <= '12'",
    "SUBSTRING({0}, 13, 2) >= '01'",
    "SUBSTRING({0}, 13, 2) <= '31'",
)
"""A resident ID number, as far as a database tells without computing its check digit."""


def unguarded(statement: exp.Expression) -> list[str]:
    """Comparisons of an ID number with another column that do not demand a valid one beside it."""
    open_joins = []
    for equality in statement.find_all(exp.EQ):
        sides = [side for side in (equality.left, equality.right) if isinstance(side, exp.Column)]
        if len(sides) < 2 or not any(side.name.lower() in ID_COLUMNS for side in sides):
            continue
        whole: exp.Expression = equality
        while isinstance(whole.parent, exp.And | exp.Paren):
            whole = whole.parent
        demanded = {condition.sql() for condition in whole.flatten()} if isinstance(whole, exp.And) else set()
        guards = [{sqlglot.parse_one(line.format(side.sql())).sql() for line in VALID_ID} for side in sides]
        if not any(guard <= demanded for guard in guards):
            open_joins.append(equality.sql())
    return open_joins


@pytest.mark.parametrize(("shape", "feed"), FILES)
def test_no_feed_joins_on_an_id_number_without_demanding_a_valid_one(shape: str, feed: str) -> None:
    assert {"sfzh", "idenno", "id_number"} <= ID_COLUMNS
    (statement,) = statements(SQL / shape / f"{feed}.sql")
    assert unguarded(statement) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_no_script_for_the_dba_joins_on_an_id_number_without_demanding_a_valid_one(script: Path) -> None:
    assert [join for statement in statements(script) for join in unguarded(statement)] == []


def test_a_join_on_a_bare_id_number_would_be_found() -> None:
    (admission,) = statements(SQL / "winning" / "admission.sql")
    bare = sqlglot.parse_one("SELECT 1 FROM a JOIN b ON a.sfzh = b.SFZH AND a.x = b.x", dialect="tsql")
    assert unguarded(bare) == ["a.sfzh = b.SFZH"]
    assert any(equality.left.name == "sfzh" for equality in admission.find_all(exp.EQ))


HEADER = re.compile(r"(\w+)(?: \([^)]*\))?: (\w+(?:, \w+)*)")


@pytest.mark.parametrize(("shape", "feed"), FILES)
def test_the_head_of_each_file_names_exactly_the_tables_and_columns_that_it_reads(shape: str, feed: str) -> None:
    path = SQL / shape / f"{feed}.sql"
    head = path.read_text(encoding="utf-8").split("-- Reads", 1)[1].split("-- Rights", 1)[0]
    named: dict[str, set[str]] = {}
    for table, columns in HEADER.findall(head):
        named.setdefault(table, set()).update(columns.split(", "))
    used: dict[str, set[str]] = {}
    (statement,) = statements(path)
    for select in statement.find_all(exp.Select):
        tables = {source.alias: source.name for source in select.find_all(exp.Table)}
        for name in tables.values():
            used.setdefault(name, set())
        for column in select.find_all(exp.Column):
            if column.table:
                used[tables[column.table]].add(column.name)
    assert named == used


def view_over_winning(path: Path) -> sqlite3.Connection:
    """Winning's tables with the computed columns that view.sql asks for, and its view."""
    script = (SQL / "card_use_view" / "dba" / "view.sql").read_text(encoding="utf-8")
    (view, *_) = re.split(r"^GO\s*$", script, flags=re.MULTILINE)
    portable = sqlglot.parse_one(view.replace("CREATE OR ALTER VIEW", "CREATE VIEW"), dialect="tsql").sql("sqlite")
    connection = sqlite3.connect(path)
    connection.executescript(WINNING_TABLES)
    dated = {(table, feed.at) for feed in WINNING.values() for table in (feed.table, feed.history) if table}
    for table, text in sorted(dated):
        parts = ", ".join(f"SUBSTR({text}, {first}, {length})" for first, length in ((1, 4), (5, 2), (7, 2), (9, 8)))
        moment = f"PRINTF('%s-%s-%s %s.000000', {parts})"
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {text}_dt DATETIME GENERATED ALWAYS AS ({moment})")
    connection.execute(portable.replace('"dbo".', "").replace("dbo.", ""))
    return connection


def test_the_shipped_view_has_the_columns_of_the_contract(tmp_path: Path) -> None:
    connection = view_over_winning(tmp_path / "his.db")
    columns = [column[1] for column in connection.execute("PRAGMA table_info(V_CARD_USE)")]
    connection.close()
    assert columns == ["FEED", "SOURCE_ID", "OCCURRED_AT", *SEEN, "VOIDED"]


def test_the_shipped_view_gives_what_is_read_without_it(tmp_path: Path) -> None:
    path = tmp_path / "his.db"
    connection = view_over_winning(path)
    key = 0
    for feed in WINNING.values():
        kinds: list[Mapping[str, Any]] = [feed.valid, feed.voided, *feed.ignored]
        kinds += [{**feed.valid, **other} for other in feed.other_scenes.values()]
        kinds += [{**feed.valid, feed.patient: patient} for patient in (KNOWN_TWICE, STRANGER)]
        for kind in kinds:
            key += 1
            row = {**feed.row, feed.key: key, feed.at: "2026112012:00:00", **kind}
            holes = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {feed.table} ({', '.join(row)}) VALUES ({holes})", tuple(row.values()))
    connection.commit()
    connection.close()

    def read(shape: str, feed: str) -> list[tuple[Any, ...]]:
        source = Source(connect(f"sqlite:///{path}"), hospital_of(shape))
        rows = [row for batch in source.rows(feed, DAY.start, DAY.end) for row in batch]
        return sorted((str(row.source_id), occurred_at(row.occurred_at), *row[2:]) for row in rows)

    for feed in hospital_of("winning").his.feeds:
        assert read("card_use_view", feed) == read("winning", feed), feed
        assert len({row[-1] for row in read("winning", feed)}) == 2


def test_the_scripts_for_the_dba_parse_and_grant_nothing_but_reading() -> None:
    assert {path.stem for path in SCRIPTS} == {"view", "login", "check", "heartbeat"}
    kinds = {path.stem: statements(path) for path in SCRIPTS}
    assert [type(statement) for statement in kinds["view"]] == [exp.Create]
    assert {type(statement) for statement in kinds["check"]} <= {exp.Select, exp.Union}
    assert [type(statement) for statement in kinds["heartbeat"]] == [exp.Create, exp.Insert]
    grants = [statement for statement in kinds["login"] if isinstance(statement, exp.Grant)]
    assert grants
    assert {str(privilege) for grant in grants for privilege in grant.args["privileges"]} == {"SELECT"}
    rest = [statement.sql(dialect="tsql", comments=False) for statement in kinds["login"] if statement not in grants]
    assert [text.split()[:2] for text in rest] == [["CREATE", "LOGIN"], ["CREATE", "USER"]]


def test_scripts_for_the_dba_are_no_feeds_of_the_shape() -> None:
    raw = hospital_of("card_use_view").his.model_dump() | {"feeds": ("view",)}
    with pytest.raises(ValueError, match=r"has no feed view \(it has: admission, dispensing"):
        type(hospital_of("card_use_view").his).model_validate(raw)

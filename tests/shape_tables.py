"""The tables behind each shape, as its HIS names them, and how each keeps the uses of a feed.

They are made alike on SQLite, PostgreSQL, MariaDB and the look-alike SQL Server, so that the SQL of a shape
and the scripts for a DBA can be run on each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from card_usage.source.feeds import SQL
from card_usage.windows import day_window

DAY = day_window(date(2026, 11, 20))
NOON = DAY.start + timedelta(hours=12)
PATIENT, CARD, KNOWN_TWICE, STRANGER = 1, 7, 2, 99
FIRST_ID, SECOND_ID = "11010119900307001X", "110101198812310020"
NO_ID_NUMBERS = (
    *("", " ", "  ", "-", "0", "无", "不详", "000000000000000", "000000000000000000", "00000000000000000X"),
    *("０" * 18, "1" * 18, "9" * 18, "123456789012345678", "110101000000000000"),
)
"""What a HIS keeps where it has no ID number."""
NO_PATIENTS = ("", " ", "-", "0", 0, "无", "不详", "0000000000", "00000000-0000-0000-0000-000000000000")
"""What a HIS keeps where it knows no patient."""

Row = Mapping[str, Any]
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
    "prescription": Feed(
        table="SF_HJCFK",
        history="SF_NHJCFK",
        key="xh",
        at="lrrq",
        row={"patid": PATIENT, "ksdm": "K1", "czyh": "88", "cflx": 1},
        valid={"jlzt": 0},
        voided={"jlzt": 2},
        ignored=({"jlzt": 0, "cflx": 4}, {"jlzt": 1, "cflx": 5}),
        scene="010106",
    ),
    "dispensing": Feed(
        table="SF_MZCFK",
        history="SF_NMZCFK",
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
    "ward_payment": Feed(
        table="ZY_BRJSK",
        key="xh",
        at="jsrq",
        row={"syxh": PATIENT, "zje": 100, "ybjszt": 2, "jsczyh": "88"},
        valid={"jlzt": 0},
        voided={"jlzt": 1},
        ignored=({"jlzt": 2, "zje": -100}, {"jlzt": 0, "ybjszt": 0}, {"jlzt": 0, "ybjszt": 5}),
        patient="syxh",
        scene="0101053",
    ),
    "ward_payment, deposit": Feed(
        table="ZYB_BRYJK",
        key="xh",
        at="lrrq",
        row={"syxh": PATIENT, "jje": 100, "czlb": 0, "czyh": "88"},
        valid={"jlzt": 0},
        voided={"jlzt": 1},
        ignored=({"jlzt": 2, "jje": -100}, {"jlzt": 0, "jje": 0}, {"jlzt": 0, "czlb": 2}, {"jlzt": 0, "czlb": 3}),
        patient="syxh",
        scene="0101056",
        prefix="YJ",
    ),
}
_REGISTRATION = (
    "xh bigint, patid bigint, ghrq char(16), ksdm varchar(8), ghfs int, jlzt int,"
    " cardtype varchar(4), qdlx varchar(4), ybdm varchar(4)"
)
_SETTLEMENT = (
    "sjh varchar(20), patid bigint, sfrq char(16), sfksdm varchar(8), ybjszt int, jlzt int, ghsfbz int,"
    " cardtype varchar(4), qdlx varchar(4), ybdm varchar(4)"
)
_DISPENSED = (
    "xh bigint, patid bigint, ksdm varchar(8), fybz int, fyrq char(16), jlzt int,"
    " cardtype varchar(4), qdlx varchar(4), ybdm varchar(4)"
)
_WRITTEN = "xh bigint, patid bigint, lrrq char(16), ksdm varchar(8), czyh varchar(8), cflx int, jlzt int"
WINNING_TABLES = {
    "SF_BRXXK": "patid bigint, hzxm varchar(64), sfzh varchar(40), cardtype varchar(4)",
    "ZY_BRXXK": "patid bigint, hzxm varchar(64), sfzh varchar(40)",
    "YY_KSBMK": "id varchar(8), name varchar(64)",
    "xt_brxx": "id bigint, brid bigint, sfzh varchar(40), qrCodeText varchar(128)",
    "GH_GHZDK": _REGISTRATION,
    "GH_NGHZDK": _REGISTRATION,
    "SF_BRJSK": _SETTLEMENT,
    "SF_NBRJSK": _SETTLEMENT,
    "YY_JZBRYJK": (
        "xh bigint, patid bigint, lrrq char(16), jlzt int, cardtype varchar(4), qdlx varchar(4), ybdm varchar(4)"
    ),
    "SF_HJCFK": _WRITTEN,
    "SF_NHJCFK": _WRITTEN,
    "SF_MZCFK": _DISPENSED,
    "SF_NMZCFK": _DISPENSED,
    "VW_YJ_REPORT": (
        "repno varchar(20), replb varchar(4), patid bigint, sqksdm varchar(8), pubtime char(16), jlzt int,"
        " cardtype varchar(4), qdlx varchar(4), ybdm varchar(4)"
    ),
    "ZY_BRSYK": (
        "syxh bigint, patid bigint, ryrq char(16), ksdm varchar(8), brzt int,"
        " cardtype varchar(4), qdlx varchar(4), ybdm varchar(4)"
    ),
    "ZY_BRJSK": "xh bigint, syxh bigint, jsrq char(16), zje decimal(12, 2), ybjszt int, jlzt int, jsczyh varchar(8)",
    "ZYB_BRYJK": "xh bigint, syxh bigint, lrrq char(16), jje decimal(12, 2), czlb int, jlzt int, czyh varchar(8)",
}
WINNING_VIEWS = {
    "VW_GHZDK": ("GH_GHZDK", "GH_NGHZDK"),
    "VW_MZBRJSK": ("SF_BRJSK", "SF_NBRJSK"),
    "VW_MZHJCFK": ("SF_HJCFK", "SF_NHJCFK"),
    "VW_MZCFK": ("SF_MZCFK", "SF_NMZCFK"),
}
WINNING_ROWS: dict[str, list[Row]] = {
    "SF_BRXXK": [
        {"patid": 1, "hzxm": "甲", "sfzh": FIRST_ID, "cardtype": "JK"},
        {"patid": 2, "hzxm": "乙", "sfzh": SECOND_ID, "cardtype": "JK"},
    ],
    "ZY_BRXXK": [{"patid": 1, "hzxm": "甲", "sfzh": FIRST_ID}, {"patid": 2, "hzxm": "乙", "sfzh": SECOND_ID}],
    "YY_KSBMK": [{"id": "K1", "name": "内科"}],
    "xt_brxx": [
        {"id": 1, "brid": 1, "sfzh": FIRST_ID, "qrCodeText": "QR1"},
        {"id": 2, "brid": 2, "sfzh": SECOND_ID, "qrCodeText": "QR2a"},
        {"id": 3, "brid": 2, "sfzh": SECOND_ID, "qrCodeText": "QR2b"},
    ],
    "ZY_BRSYK": [
        {"syxh": patient, "patid": patient, "ryrq": None, "ksdm": "K1", "brzt": 1, **PRESENTED}
        for patient in (PATIENT, KNOWN_TWICE)
    ],
}

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
_REGISTERED = "GHXXID varchar(36), BRXXID bigint, KDJID bigint, GHSJ datetime, GHKS int, YYLX int, DJY int, BQXGHBZ int"
_INVOICE = (
    "FPID varchar(36), BRXXID bigint, KDJID bigint, SFRQ datetime, KSDM int, YBLX int, SFY int, BGHPBZ int, JLZT int"
)
_PRESCRIPTION = (
    "CFID varchar(36), GHXXID varchar(36), BRXXID bigint, KSDM int, XMLY int, BFYBZ int, FYRQ datetime, FYR int,"
    " BSCBZ int"
)
TRASEN_TABLES = {
    "YY_BRXX": "BRXXID bigint, BRXM varchar(64), SFZH varchar(40)",
    "YY_KDJB": "KDJID bigint, BRXXID bigint, KLX int",
    "JC_DEPT_PROPERTY": "DEPT_ID int, NAME varchar(64), dept_hqms_code varchar(8)",
    "xt_brxx": "id bigint, brid bigint, qrCodeText varchar(128)",
    "MZ_GHXX": _REGISTERED,
    "MZ_GHXX_H": _REGISTERED,
    "MZ_FPB": _INVOICE,
    "MZ_FPB_H": _INVOICE,
    "YY_KDJB_JE": "KJEID varchar(36), KDJID bigint, DJSJ datetime, DJY int, BZFBZ int",
    "MZ_CFB": _PRESCRIPTION,
    "MZ_CFB_H": _PRESCRIPTION,
    "VI_ZY_VINPATIENT_ALL": (
        "INPATIENT_ID varchar(36), BABY_ID int, PATIENT_ID bigint, IN_DATE datetime, IN_DEPT int, FLAG int,"
        " KDJID bigint, DJY int"
    ),
}
TRASEN_VIEWS = {
    "VI_MZ_GHXX": ("MZ_GHXX", "MZ_GHXX_H"),
    "VI_MZ_FPB": ("MZ_FPB", "MZ_FPB_H"),
    "VI_MZ_CFB": ("MZ_CFB", "MZ_CFB_H"),
}
_OLD_REGISTRATION = {
    **{"GHXXID": "G0", "BRXXID": 1, "KDJID": 7, "GHSJ": "2020-01-01 08:00:00", "GHKS": 5},
    **{"YYLX": 0, "DJY": 88, "BQXGHBZ": 0},
}
TRASEN_ROWS: dict[str, list[Row]] = {
    "YY_BRXX": [{"BRXXID": 1, "BRXM": "甲", "SFZH": FIRST_ID}, {"BRXXID": 2, "BRXM": "乙", "SFZH": SECOND_ID}],
    "YY_KDJB": [{"KDJID": 7, "BRXXID": 1, "KLX": 4}, {"KDJID": 8, "BRXXID": 2, "KLX": 4}],
    "JC_DEPT_PROPERTY": [
        {"DEPT_ID": 5, "NAME": "内科", "dept_hqms_code": "0301 "},
        {"DEPT_ID": 6, "NAME": "互联网门诊", "dept_hqms_code": None},
    ],
    "xt_brxx": [
        {"id": 1, "brid": 1, "qrCodeText": "QR1"},
        {"id": 2, "brid": 2, "qrCodeText": "QR2a"},
        {"id": 3, "brid": 2, "qrCodeText": "QR2b"},
    ],
    "MZ_GHXX": [_OLD_REGISTRATION],
    "MZ_GHXX_H": [_OLD_REGISTRATION],
}

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
FEEDS = (
    *("registration", "diagnosis", "prescription", "dispensing", "exam_booking", "payment", "ward_payment"),
    *("examination", "laboratory", "checkup", "admission", "other"),
)
"""Every feed that the contract view can hold."""
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
    for feed in FEEDS
}


def _contract_table(moment: str) -> dict[str, str]:
    text = ", ".join(f"{name} varchar(128)" for name in SEEN)
    return {"V_CARD_USE": f"FEED varchar(16), SOURCE_ID varchar(64), OCCURRED_AT {moment}, {text}, VOIDED int"}


WINNING |= {feed: CONTRACT[feed] for feed in FEEDS if feed not in WINNING}
TRASEN |= {feed: CONTRACT[feed] for feed in FEEDS if feed not in TRASEN}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Tables (columns by name), views over a current and a year table, rows that are always there, and the feeds."""

    tables: Mapping[str, str]
    feeds: Mapping[str, Feed]
    views: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict)

    def statements(self) -> Iterator[str]:
        """CREATE TABLE and CREATE VIEW, as every database reads them."""
        for name, columns in self.tables.items():
            yield f"CREATE TABLE {name} ({columns})"
        for name, (current, history) in self.views.items():
            yield f"CREATE VIEW {name} AS SELECT * FROM {current} UNION ALL SELECT * FROM {history}"


SHAPES = {
    "winning": Shape(
        tables=WINNING_TABLES | _contract_table("char(16)"), views=WINNING_VIEWS, rows=WINNING_ROWS, feeds=WINNING
    ),
    "trasen": Shape(
        tables=TRASEN_TABLES | _contract_table("datetime"), views=TRASEN_VIEWS, rows=TRASEN_ROWS, feeds=TRASEN
    ),
    "card_use_view": Shape(tables=_contract_table("datetime"), feeds=CONTRACT),
    "card_use_view_char16": Shape(tables=_contract_table("char(16)"), feeds=CONTRACT),
}
EVERY = [(name, feed) for name, shape in SHAPES.items() for feed in shape.feeds]
FILES = sorted(path.relative_to(SQL).with_suffix("").parts for path in SQL.glob("*/*.sql"))
UNTESTED = {(shape, name) for shape, name in FILES if "-- UNTESTED" in (SQL / shape / f"{name}.sql").read_text("utf-8")}
"""Oracle's: held by test_other_replicas.py as far as they can be."""

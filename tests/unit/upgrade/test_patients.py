"""Patients: a hospital's own way to write them becomes the document's, and nothing is guessed."""

from __future__ import annotations

import pytest
from card_usage.interfaces.messages import PatientToRegister
from card_usage.open_platform.validation import item_problems
from card_usage.standard.code_tables import load_tables
from card_usage.upgrade.patients import COLUMNS, NATIONS, Batched, nation, patient
from hypothesis import given
from hypothesis import strategies as st
from region import id_number

TABLES = load_tables()
BATCHED = Batched("0" * 32, "https://isv.example.org/list")
ROW = {field: "" for field in COLUMNS} | {
    "name": "沙箱测试甲",
    "id_number": id_number(),
    "phone1": "13800000001",
    "patid": "P1",
    "open_id": "o-1",
}


def made(**changes: str) -> PatientToRegister:
    return patient(ROW | changes, BATCHED, TABLES["card_type"])


def codes(**changes: str) -> dict[str, int]:
    return {problem.path: problem.code for problem in item_problems(made(**changes), TABLES)}


def test_a_resident_id_alone_tells_type_birthday_and_gender():
    one = made()
    assert (one.id_type, one.birthday, one.gender, one.nation) == ("01", "1990-03-07", "男", "未知")
    woman = made(id_number=id_number(0, "1985-12-01", "女"), gender="男", birthday="1999-09-09")
    assert (woman.gender, woman.birthday) == ("女", "1985-12-01")
    assert codes() == {}


def test_another_document_needs_birthday_and_gender_in_the_list():
    assert codes(id_type="护照", id_number="E12345678") == {"gender": -10025, "birthday": 10042}
    one = made(id_type="03", id_number="e12345678", gender="2", birthday="1990/3/7")
    assert (one.id_type, one.id_number, one.gender, one.birthday) == ("03", "E12345678", "女", "1990-03-07")


@pytest.mark.parametrize(
    "text", ["1990-03-07", "1990/3/7", "19900307", "1990.3.7", "1990年3月7日", "1990-03-07 00:00:00"]
)
def test_dates_are_read_as_people_write_them(text: str):
    assert made(id_type="03", id_number="E1234567", birthday=text).birthday == "1990-03-07"


def test_a_nation_is_known_by_code_and_name():
    assert len(NATIONS) == len(set(NATIONS)) == 56
    assert [nation(text) for text in ("01", "1", "汉", "汉族", "3", "维吾尔")] == [
        *("汉族", "汉族", "汉族", "汉族", "回族", "维吾尔族")
    ]
    assert [nation(text) for text in ("", "0", "57", "99", "外国血统", "穿青人", "１")] == ["未知"] * 7


def test_telephones_lose_what_is_around_their_digits():
    assert made(phone1="+86 138-0000-0001").phone1 == "13800000001"
    assert made(phone1="(010) 6123 4567").phone1 == "01061234567"
    for bad in ("", "无", "123", "138000x0001"):
        assert codes(phone1=bad) == {"phone1": 10043}


def test_what_is_absent_or_wrong_is_told_by_parameter():
    assert codes(name="", patid="", open_id="") == {"name": 10013, "patid": 10033, "openId": 10042}
    assert codes(id_number="110101199003070133") == {"idNumber": -10027, "gender": -10025, "birthday": 10042}
    assert codes(id_number="12") == {"idType": -10025, "gender": -10025, "birthday": 10042}


@given(st.fixed_dictionaries({field: st.text(max_size=24) for field in COLUMNS}))
def test_whatever_stands_in_a_list_becomes_a_patient_or_problems(row: dict[str, str]):
    one = patient(row, BATCHED, TABLES["card_type"])
    for problem in item_problems(one, TABLES):
        assert problem.section == "3.2.9"

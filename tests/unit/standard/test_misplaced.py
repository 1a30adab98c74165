"""Patient data in a wrong column: what is noticed, and how often an innocent number looks like it."""

from __future__ import annotations

import random
from datetime import datetime

import pytest
from card_usage.events import CardUse, SourceRow, event_key
from card_usage.standard import misplaced
from card_usage.standard.id_numbers import check_digit

NUMBER = "11010119900307" + "123" + check_digit("11010119900307123")
QR = "C220AE414CE6EE581037C311AE24518FCFE19C429BECD478C1A13976260FABCD:1"
USE = CardUse(datetime.fromisoformat("2026-03-02 09:00"), None, None, None, None, None, NUMBER, "张小三", QR)
NOBODY = CardUse(datetime.fromisoformat("2026-03-02 09:00"), *[None] * 8)
NUMBERS = 100_000


@pytest.mark.parametrize(
    "text",
    [
        NUMBER,
        NUMBER.lower(),
        f"内科{NUMBER}",
        NUMBER[:6] + NUMBER[8:17],
        "张小三",
        "张 小三",
        "内科（张小三）",
        QR,
        QR[:64],
    ],
)
def test_a_patients_own_values_are_noticed_in_a_text_and_in_a_key(text: str) -> None:
    assert misplaced.in_text(text, USE)
    assert misplaced.in_key(text, USE, judge_shape=False)


def test_a_cell_is_quoted_in_an_error_unless_a_patients_number_may_stand_in_it() -> None:
    assert misplaced.quoted("0301 内科") == "'0301 内科'"
    assert misplaced.quoted("x\x1b" * 40) == "'" + "x\\u001b" * 20 + "'"
    for text in (NUMBER, f"内科{NUMBER}", "13800138000", QR, "x" * 50 + NUMBER):
        assert misplaced.quoted(text) == f"a text of {len(text)} characters that may be a patient's number"


@pytest.mark.parametrize("text", [NUMBER, f"no {NUMBER}.", "13800138000", "+86 138-0013-8000", "电话13800138000", QR])
def test_somebody_elses_values_are_noticed_in_a_text_by_their_shape(text: str) -> None:
    assert misplaced.by_shape(text)


def test_a_key_is_held_back_by_the_shape_of_an_id_or_a_qr_text_and_only_masked_for_a_mobile_number() -> None:
    for key in (NUMBER, f"MZ-{NUMBER}", QR):
        assert misplaced.in_key(key, NOBODY, judge_shape=True)
        assert not misplaced.in_key(key, NOBODY, judge_shape=False)
        assert misplaced.may_name(key)
    assert not misplaced.in_key("13800138000", NOBODY, judge_shape=True)
    assert misplaced.may_name("13800138000")


def test_documents_other_than_resident_ids_are_noticed_where_they_have_a_letter() -> None:
    passport, record = USE._replace(id_number="E12345678"), USE._replace(id_number="00123456")
    assert misplaced.in_key("e12345678-01", passport, judge_shape=True)
    assert not misplaced.in_key("00123456", record, judge_shape=True)


@pytest.mark.parametrize(
    ("name", "text"),
    [("高原", "高原病科"), ("李", "李"), ("Ann", "annual check"), ("张华", "张华容工作室"), ("安康", "安康医院内科")],
)
def test_a_department_whose_name_only_begins_like_a_persons_is_none(name: str, text: str) -> None:
    assert not misplaced.in_text(text, USE._replace(name=name))


@pytest.mark.parametrize(("name", "text"), [("张华", "张华"), ("张华", "张华 内科"), ("Li Ming", "Dr. LI MING")])
def test_a_short_name_is_noticed_as_a_word(name: str, text: str) -> None:
    assert misplaced.in_text(text, USE._replace(name=name))


def test_of_100_000_random_order_numbers_fewer_than_ten_are_held_back() -> None:
    numbers = random.Random(11)
    keys = [str(numbers.randrange(10**17, 10**18)) for _ in range(NUMBERS)]
    assert sum(misplaced.in_key(key, USE, judge_shape=True) for key in keys) < 10
    assert sum(map(misplaced.may_name, keys)) < 10


def test_no_order_number_that_begins_with_its_time_or_ends_in_an_area_and_its_day_is_held_back() -> None:
    numbers = random.Random(12)

    def day() -> str:
        return f"2026{numbers.randint(1, 12):02d}{numbers.randint(1, 28):02d}"

    for _ in range(NUMBERS):
        timed = f"{day()}{numbers.randrange(240000):06d}{numbers.randrange(10_000):04d}"
        placed = f"310104{day()}{numbers.randrange(10_000):04d}"
        assert not misplaced.in_key(timed, USE, judge_shape=True)
        assert not misplaced.in_key(placed, USE, judge_shape=True)
        assert not misplaced.may_name(timed)


def test_an_id_within_a_longer_number_hides_a_key_but_holds_no_record_back() -> None:
    key = f"{NUMBER}001"
    assert misplaced.may_name(key)
    assert not misplaced.in_key(key, NOBODY, judge_shape=True)
    assert misplaced.in_key(key, USE, judge_shape=True)


def test_a_key_read_without_its_row_is_shown_masked_by_the_events_own_key() -> None:
    for key in (NUMBER, "13800138000", "张小三-1"):
        assert misplaced.shown_key("h", "payment", key) == "masked-" + event_key("h", "payment", key)
    for key in ("MZ20260302-17", "单17", "号 20260302"):
        assert misplaced.shown_key("h", "payment", key) == key


def test_a_log_says_no_key_that_is_the_rows_patient() -> None:
    def said(key: str) -> str:
        return misplaced.said_key(SourceRow(key, None, *[None] * 6, "E12345678", "Li Ming", QR, 0))

    assert {said("e12345678"), said("li ming 2"), said(QR), said("张小三"), said(NUMBER)} == {"(masked)"}
    assert said("MZ20260302-17") == "MZ20260302-17"

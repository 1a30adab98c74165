"""Other people's text stays text: on a terminal, in a log, in a spreadsheet, in a chat."""

from __future__ import annotations

import io
import json
import logging

import pytest
from card_usage.errors import SourceDrift
from card_usage.plain_text import harmless, make_log_lines_visible, unlinked, unquoted, visible, without_markup
from hypothesis import given
from hypothesis import strategies as st

HOSTILE = "\x1b[2J\x9b1A\r\nERROR forged\u202e\u2028end\x7f"


@given(st.text())
def test_what_is_visible_is_one_line_that_moves_no_cursor(text: str) -> None:
    shown = visible(text)
    assert len(shown.splitlines()) <= 1
    assert not [c for c in shown if ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or "\u202a" <= c <= "\u202e"]
    assert visible(shown) == shown


@given(st.text())
def test_visible_json_is_the_same_json(text: str) -> None:
    assert json.loads(visible(json.dumps({text: text}, ensure_ascii=False))) == {text: text}


def test_ordinary_text_is_left_alone() -> None:
    for text in ("内科门诊(二楼)", "3.5 mg/dL", "2026-11-27 08:30", "挂号；缴费", "A_b-c"):
        assert visible(text) == unlinked(text) == without_markup(text) == text


@given(st.text(st.sampled_from("'=+-@＝＠\t\r\n a1")))
def test_no_cell_is_a_formula_and_every_cell_can_be_read_again(text: str) -> None:
    cell = harmless(text)
    assert unquoted(cell) == text
    assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))


@given(st.text(st.sampled_from("[]()<>*`#|\\~&@:/.aw!") | st.sampled_from("x")))
def test_no_text_is_markup_a_link_or_a_mention(text: str) -> None:
    assert not set("[]<>*`#|\\~&@") & set(without_markup(unlinked(text)))


@pytest.mark.parametrize("text", ["https://evil.example/x", "www.evil.example", "evil.example", "a@evil.example"])
def test_no_address_is_left_that_a_program_makes_a_link(text: str) -> None:
    for made in (unlinked(text), without_markup(unlinked(text))):
        assert "://" not in made
        assert ".e" not in made
        assert "@" not in made
    assert "://" not in without_markup(text)


def test_an_error_that_quotes_hostile_text_is_one_line() -> None:
    said = str(SourceDrift(hospital="h", feed="f", column=HOSTILE, problem="is missing"))
    assert "\\u001b[2J\\u009b1A" in said
    assert said.splitlines() == [said]
    assert "\x1b" not in said


def test_a_log_line_of_ours_with_hostile_text_is_one_line() -> None:
    before = logging.getLogRecordFactory()
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    log = logging.getLogger("card_usage.somewhere")
    log.addHandler(handler)
    try:
        make_log_lines_visible()
        make_log_lines_visible()
        log.warning("%s cannot be read", HOSTILE)
        assert logging.makeLogRecord({"name": "card_usage.x", "msg": "whole"}).msg == "whole"
    finally:
        log.removeHandler(handler)
        logging.setLogRecordFactory(before)
    assert lines.getvalue().count("\n") == 1
    assert "\x1b" not in lines.getvalue()
    assert "\\u001b" in lines.getvalue()

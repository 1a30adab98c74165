"""The catalogue of texts: both languages complete, the same places to fill, every name that the code can ask for."""

from __future__ import annotations

import re
from datetime import date
from string import Formatter

import pytest
from card_usage.events import CODE_TABLES
from card_usage.files.shipped import SHIPPED
from card_usage.platform.outcome import Answer
from card_usage.reconciliation.classes import CLASSES, DIFFERENCES
from card_usage.standard.code_tables import load_tables
from card_usage.words.catalogue import TEXTS, Words
from cases import every_case
from hypothesis import given
from hypothesis import strategies as st


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_say_it_with_the_same_places_to_fill():
    with every_case() as case:
        for key in TEXTS:
            with case(key):
                chinese, english = TEXTS[key]
                assert chinese
                assert english
                assert places(chinese) <= places(english) | {"right", "staged"}
                assert places(english) <= places(chinese)
                assert not re.search(r"[一-鿿]", english)


def test_every_name_that_the_code_can_ask_for_is_there():
    wanted = {f"class.{name}" for name in (*CLASSES, *DIFFERENCES)}
    wanted |= {f"class.{name}.meaning" for name in (*CLASSES, *DIFFERENCES)}
    wanted |= {f"answer.{answer}" for answer in Answer}
    wanted |= {f"table.{table}" for table in CODE_TABLES}
    wanted |= {"todo.code", "todo.code_of_days"}
    wanted |= {f"feed.{path.stem}" for path in (SHIPPED / "sql").glob("*/*.sql")}
    wanted |= {f"gate.{level}" for level in ("pass", "warn", "hold", "stop", "none")}
    assert wanted <= TEXTS.keys()


def test_no_text_is_there_that_nobody_asks_for():
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in [
            *(SHIPPED / "card_usage").rglob("*.py"),
            *(SHIPPED / "card_usage").rglob("*.jinja"),
            *(SHIPPED.parent / "plugins").rglob("*.py"),
            *(SHIPPED.parent / "plugins").rglob("*.jinja"),
        ]
        if path.parent.name != "words"
    )
    # A key is asked for whole, or as a prefix joined with a name: f"class.{name}" here, "class." ~ name in a template.
    joined = set(re.findall(r'"(\w+)\.(?:\{|")', sources)) | set(re.findall(r'known\("(\w+)"', sources))
    unused = [key for key in TEXTS if f'"{key}"' not in sources and key.partition(".")[0] not in joined]
    assert unused == []


@pytest.mark.parametrize("table", ["scene", "card_type", "channel"])
def test_codes_have_english_names(table):
    names = load_tables()[table].names
    said = {code: Words("en").code(table, code, name) for code, name in names.items()}
    assert not [code for code, name in said.items() if re.search(r"[一-鿿]", name)]
    assert len(set(said.values())) == len(names)
    assert {code: Words("zh").code(table, code, name) for code, name in names.items()} == dict(names)


@given(st.integers(0, 10**7), st.integers(1, 10**7))
def test_a_share_is_0_only_of_nothing_and_100_only_of_all(part, of):
    part = min(part, of)
    share = Words("zh").share(part, of)
    assert (share == "0.0%") == (part == 0)
    assert (share == "100.0%") == (part == of)


def test_days_and_numbers_read_as_people_write_them():
    zh, en = Words("zh"), Words("en")
    assert zh.day(date(2026, 3, 4)) == "2026年3月4日 星期三"
    assert en.day(date(2026, 3, 4)) == "Wednesday, 4 March 2026"
    assert zh("verdict.broken", remainder=20013).startswith("有 20,013 笔")
    assert zh.share(0, 0) == "—"


def test_an_unknown_text_or_place_is_an_error_and_no_blank():
    with pytest.raises(KeyError):
        Words("zh")("no.such.text")
    with pytest.raises(KeyError):
        Words("zh")("verdict.broken", wrong=1)


def test_a_feed_of_a_new_his_keeps_its_own_name():
    assert Words("zh").known("feed", "ward_meals") == "ward_meals"

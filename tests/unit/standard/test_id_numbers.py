"""Identity numbers: the check digit finds what people mistype; the legacy form is neither refused nor guessed at."""

from datetime import date

import pytest
from card_usage.standard.code_tables import load_tables
from card_usage.standard.id_numbers import (
    PATTERNS,
    check_digit,
    has_resident_shape,
    has_usual_format,
    is_resident_id,
    upgraded,
)
from cases import every_case
from hypothesis import assume, given
from hypothesis import strategies as st

regions = st.integers(110000, 659999).map(str)
births = st.dates(date(1900, 1, 1), date(2025, 12, 31))
sequences = st.integers(0, 999).map(lambda n: f"{n:03d}")


@st.composite
def resident_ids(draw: st.DrawFn) -> str:
    first_17 = f"{draw(regions)}{draw(births):%Y%m%d}{draw(sequences)}"
    return first_17 + check_digit(first_17)


def test_the_standards_own_examples_pass():
    # GB 11643-1999, 4.2 and its appendix.
    assert is_resident_id("11010519491231002X")
    assert is_resident_id("440524188001010014")


@given(resident_ids())
def test_a_number_made_by_the_rule_passes(number):
    assert is_resident_id(number)


@given(resident_ids(), st.integers(0, 17), st.sampled_from("0123456789X"))
def test_every_wrong_character_is_detected(number, place, wrong):
    assume(number[place] != wrong)
    assert not is_resident_id(number[:place] + wrong + number[place + 1 :])


@given(resident_ids(), st.integers(0, 16))
def test_every_swap_of_neighbours_is_detected(number, place):
    first, second = number[place], number[place + 1]
    assume(first != second)
    assert not is_resident_id(number[:place] + second + first + number[place + 2 :])


def test_a_wrong_shape_is_no_resident_id():
    with every_case() as case:
        for number in [
            "",
            "X",
            "1101051949123100",
            "11010519491231002",
            "11010519491231002x",
            "11010519491231002XX",
            "1101051949123100XX",
            "1101051949X231002X",
            "11010519491331002X",
            "110105194902310021",
            "01010519491231002X",
            "１１010519491231002X",
            "11010519491231002\n",
            "11010500010101002X",
            "1101054912310X2",
            "11010549123100X",
            "110105491331002",
            "000000000000000",
        ]:
            with case(number):
                assert not is_resident_id(number)


@pytest.mark.parametrize(
    "first_17", ["01010519491231002", "11010500010101002", "11010517991231002", "11010520230229002"]
)
def test_a_right_check_digit_does_not_excuse_a_region_or_a_birth_date_that_cannot_be(first_17):
    assert not is_resident_id(first_17 + check_digit(first_17))


@given(regions, st.dates(date(1900, 1, 1), date(1999, 12, 31)), sequences)
def test_fifteen_digits_are_valid_as_they_are_and_upgrade_to_a_valid_number_of_the_same_person(region, birth, sequence):
    legacy = f"{region}{birth:%y%m%d}{sequence}"
    number = upgraded(legacy)
    assert is_resident_id(legacy)
    assert is_resident_id(number)
    assert number[:17] == f"{region}19{birth:%y%m%d}{sequence}"


@given(st.text(max_size=20))
def test_what_is_no_legacy_number_is_not_upgraded(text):
    assume(not (len(text) == 15 and has_resident_shape(text)))
    assert upgraded(text) == text
    assert upgraded(upgraded(text)) == upgraded(text)


USUAL = {
    "02": ["123", "A1b2C3", "9" * 21],
    "03": ["E12345678", "EA1234567", "P1234"],
    "06": ["H12345678", "m1234567890"],
    "07": ["12345678", "1234567890"],
    "08": ["A123456789", "t000000001"],
}
STRANGE = {
    "02": ["12", "A" * 22, "12 3"],
    "03": ["E123", "E" * 18, "E-12345678"],
    "06": ["K12345678", "H123456789", "12345678"],
    "07": ["123456789", "1234567", "T12345678", "١٢٣٤٥٦٧٨"],
    "08": ["1234567890", "AB12345678", "A12345678\n"],
}


@pytest.mark.parametrize("card_type", PATTERNS)
def test_each_document_type_knows_its_usual_numbers_from_strange_ones(card_type):
    assert all(has_usual_format(card_type, number) for number in USUAL[card_type])
    assert not [number for number in STRANGE[card_type] if has_usual_format(card_type, number)]


@given(st.sampled_from(sorted(set(load_tables()["card_type"].codes) - set(PATTERNS))), st.text())
def test_a_document_type_without_a_convention_takes_any_number(card_type, number):
    assert has_usual_format(card_type, number)


def test_conventions_are_for_card_types_that_exist():
    assert set(PATTERNS) <= set(load_tables()["card_type"].codes)

"""Normalization: what each field becomes, what is absent, and that nothing is ever invented."""

import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from card_usage.events import CODE_TABLES, PATIENT_FIELDS, CardUse, SourceRow
from card_usage.standard import normalize
from card_usage.standard.code_tables import load_tables
from card_usage.standard.normalize import PLACEHOLDERS, Normalizer
from cases import every_case
from hypothesis import assume, example, given
from hypothesis import strategies as st

TABLES = load_tables()
ALIASES = {table: {"本地": TABLES[table].codes[0], "L9": TABLES[table].codes[-1]} for table in CODE_TABLES}
NORMALIZER = Normalizer(TABLES, ALIASES)
HALF_PAST_EIGHT = datetime.fromisoformat("2024-03-01 08:30:00")
RESIDENT = "11010519491231002X"
WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}

dirt = st.text(alphabet="0123456789xXABzé　 \t\x00\u200b\u00a8\u0301１２ＡＸ无测试张三·:-?null", max_size=24) | st.text(
    max_size=24
)
moments = st.datetimes(datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2099-12-31T23:59:59"))


def row(**values: object) -> SourceRow:
    clean = {
        "source_id": "GH1",
        "occurred_at": HALF_PAST_EIGHT,
        "scene": "010101",
        "department": "0301",
        "department_name": None,
        "card_type": "01",
        "channel": "0100",
        "cost_type": "0100",
        "id_number": RESIDENT,
        "name": "张三",
        "qr_code_text": None,
        "voided": 0,
    }
    return SourceRow(**{**clean, **values})  # type: ignore[arg-type]


def as_row(card_use: CardUse) -> SourceRow:
    return row(**{name: getattr(card_use, name) for name in CardUse._fields})


def test_a_clean_row_passes_unchanged_and_without_findings():
    card_use, findings = NORMALIZER.card_use(row())
    assert findings == ()
    assert as_row(card_use) == row()


# --- time


def test_every_spelling_of_a_moment_is_the_same_local_time():
    with every_case() as case:
        for value in [
            HALF_PAST_EIGHT,
            HALF_PAST_EIGHT.replace(microsecond=999_999),
            HALF_PAST_EIGHT.replace(tzinfo=timezone(timedelta(hours=8))),
            datetime(2024, 3, 1, 0, 30, tzinfo=UTC),
            "2024030108:30:00",
            "2024030108:30:00        ",
            "２０２４０３０１０８：３０：００",
            "20240301083000",
            "2024-03-01 08:30:00",
            "2024-03-01T08:30:00",
            "2024-03-01T08:30",
            "2024/03/01 08:30:00",
            "2024-03-01 08:30:00.997",
            "2024-03-01T00:30:00Z",
            "2024-03-01T08:30:00+08:00",
            "\x002024-03-01 08:30:00",
        ]:
            with case(value):
                assert normalize.occurred_at(value) == HALF_PAST_EIGHT
                assert NORMALIZER.card_use(row(occurred_at=value))[1] == ()


@given(moments)
def test_the_char_16_form_says_what_the_datetime_says(moment):
    seconds = moment.replace(microsecond=0)
    assert normalize.occurred_at(f"{moment:%Y%m%d%H:%M:%S}") == seconds
    assert normalize.occurred_at(moment.isoformat()) == normalize.occurred_at(moment) == seconds


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_an_aware_time_keeps_its_instant(moment, minutes):
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)), microsecond=0)
    read = normalize.occurred_at(aware)
    if read is None:
        assert abs(moment - datetime.fromisoformat("2000-01-01")) < timedelta(days=2) or moment.year == 2099
    else:
        assert read.replace(tzinfo=timezone(timedelta(hours=8))) == aware


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2024022923:59:59", "2024-02-29 23:59:59"), ("2024030100:00:00", "2024-03-01 00:00:00")],
)
def test_midnight_belongs_to_the_day_that_begins(text, expected):
    assert normalize.occurred_at(text) == datetime.fromisoformat(expected)


def test_what_is_no_moment_is_a_finding_and_never_another_moment():
    with every_case() as case:
        for value in [
            "2024030124:00:00",
            "2024-03-01 24:00:00",
            "20240301240000",
            "2024023008:30:00",
            "2024030108:60:00",
            "2024030108:30:60",
            "2024030108-30-00",
            "2024-03-01",
            "20240301",
            date(2024, 3, 1),
            "2024-W09-5T08:30",
            "2024-03-01x08:30:00",
            "-2024-03-01 08:30:00",
            "-202403018:30:00",
            "0001-01-01 00:00:00",
            "0000-00-00 00:00:00",
            datetime.fromisoformat("1900-01-01 00:00:00"),
            datetime.fromisoformat("1999-12-31 23:59:59"),
            datetime.fromisoformat("2100-01-01 00:00:00"),
            datetime(1, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, tzinfo=UTC),
            "9999123123:59:59",
            "三月一日早上",
            20240301083000,
            0,
        ]:
            with case(value):
                card_use, findings = NORMALIZER.card_use(row(occurred_at=value))
                assert card_use.occurred_at is None
                assert [(finding.rule, finding.field, finding.code) for finding in findings] == [
                    ("time.format", "occurred_at", None)
                ]


@pytest.mark.parametrize("value", [None, "", "                ", "无", "-", "NULL"])
def test_an_absent_time_is_absent_and_not_unreadable(value):
    card_use, findings = NORMALIZER.card_use(row(occurred_at=value))
    assert (card_use.occurred_at, findings) == (None, ())


@given(st.text() | st.integers() | st.floats() | st.none() | st.binary() | st.datetimes() | st.dates())
def test_no_value_at_all_stops_the_time(value):
    read = normalize.occurred_at(value)
    assert read is None or (read.tzinfo is None and read.microsecond == 0 and 2000 <= read.year < 2100)


# --- patient fields


@pytest.mark.parametrize(
    "value",
    [
        RESIDENT,
        RESIDENT.lower(),
        f"  {RESIDENT}\u3000",
        RESIDENT.translate(WIDE),
        "110105 19491231 002x",
        f"\ufeff{RESIDENT}\x00",
        RESIDENT.encode("gb18030"),
    ],
)
def test_every_spelling_of_a_resident_id_is_the_same_id(value):
    assert normalize.id_number(value) == RESIDENT


def test_letters_of_other_documents_keep_their_case():
    assert normalize.id_number("e1234567x") == "e1234567x"


def test_a_number_column_gives_its_digits():
    assert normalize.id_number(440524188001010014) == normalize.id_number(Decimal("440524188001010014"))
    assert normalize.id_number(440524188001010014) == "440524188001010014"


def test_fifteen_digits_are_upgraded_only_for_resident_ids_of_a_hospital_that_wants_it():
    legacy, upgraded = "110105491231002", RESIDENT
    willing = Normalizer(TABLES, ALIASES, upgrade_15_digit_ids=True)
    assert NORMALIZER.card_use(row(id_number=legacy))[0].id_number == legacy
    assert willing.card_use(row(id_number=legacy))[0].id_number == upgraded
    assert willing.card_use(row(id_number=legacy, card_type="03"))[0].id_number == legacy


@pytest.mark.parametrize(
    "value", ["0", "-", "--", "000000000000000000", "111111111111111111", "1" * 15, "***", "?", "/"]
)
def test_signs_and_one_repeated_character_are_no_number(value):
    assert normalize.id_number(value) is None
    assert normalize.qr_code_text(value) is None
    assert normalize.id_number(value.translate(WIDE)) is None


def test_every_placeholder_is_absent_in_every_field_however_it_is_written():
    with every_case() as case:
        for value in sorted(PLACEHOLDERS):
            with case(value):
                for written in (value, value.upper(), f" {value}\u3000", f"\x00{value}"):
                    assert normalize.id_number(written) is None
                    assert normalize.name(written) is None
                    assert normalize.qr_code_text(written) is None
                    assert normalize.department_name(written) is None
                    for table in CODE_TABLES:
                        card_use, findings = NORMALIZER.card_use(row(**{table: written}))
                        assert (getattr(card_use, table), findings) == (None, ())


@pytest.mark.parametrize("value", [None, "", " ", "\u3000", "\x00", b""])
def test_nothing_is_absent_in_every_field_and_no_finding(value):
    fields = {*CODE_TABLES, *PATIENT_FIELDS}
    card_use, findings = NORMALIZER.card_use(row(**dict.fromkeys(fields, value)))
    assert [getattr(card_use, field) for field in fields] == [None] * len(fields)
    assert findings == ()


def test_names_are_trimmed_and_otherwise_as_written():
    with every_case() as case:
        for value, expected in [
            ("张三", "张三"),
            ("\u3000张三  ", "张三"),
            ("张\u3000三", "张三"),
            ("张三\x00\x00", "张三"),
            ("\ud800张三", "\ufffd张三"),
            ("张\t三\r\n", "张三"),
            ("阿凡提·买买提", "阿凡提·买买提"),
            ("John  Smith ", "John Smith"),
            ("Testa Maria", "Testa Maria"),
            ("O'Neil-Ng", "O'Neil-Ng"),
            ("㐂〇", "㐂〇"),
            ("豈", "豈"),
            ("张三".encode("gb18030"), "张三"),
            ("张" * 8000, "张" * 8000),
        ]:
            with case(value, expected):
                assert normalize.name(value) == expected


@pytest.mark.parametrize("value", ["测试", "测试01", "张测试", "test", "TEST 01", "Test_2", "0", "-", "123", "??", "·"])
def test_test_patients_and_names_without_a_letter_are_absent(value):
    assert normalize.name(value) is None


def test_a_qr_code_text_keeps_its_case_and_its_parts():
    dynamic = "D109C4C340995dfc13262A55699FBDAD:0:B0E3CC5F::35020001001"
    assert normalize.qr_code_text(f" {dynamic}\n") == dynamic


# --- codes


@given(st.sampled_from(CODE_TABLES), dirt)
def test_a_code_is_standard_absent_or_a_finding_that_names_it(table, value):
    card_use, findings = NORMALIZER.card_use(row(**{table: value}))
    code = getattr(card_use, table)
    assert code is None or (code in TABLES[table] and findings == ())
    for finding in findings:
        assert (finding.rule, finding.field, finding.table) == (f"{table}.code", table, table)
        assert finding.code
        assert finding.code not in TABLES[table]


@pytest.mark.parametrize("table", CODE_TABLES)
def test_an_unknown_code_is_absent_and_named_every_time_it_comes(table):
    for _ in range(2):
        card_use, findings = NORMALIZER.card_use(row(**{table: " 不在表中９ "}))
        assert getattr(card_use, table) is None
        assert [(finding.rule, finding.code) for finding in findings] == [(f"{table}.code", "不在表中9")]


@pytest.mark.parametrize("table", CODE_TABLES)
def test_a_bare_zero_is_a_code_that_somebody_must_map(table):
    assert [finding.code for finding in NORMALIZER.card_use(row(**{table: "0"}))[1]] == ["0"]


@pytest.mark.parametrize("table", CODE_TABLES)
def test_aliases_and_standard_names_lead_to_standard_codes(table):
    known = TABLES[table]
    for local, standard in {
        "本地": known.codes[0],
        "L9 ": known.codes[-1],
        known.names[known.codes[0]]: known.codes[0],
    }.items():
        card_use, findings = NORMALIZER.card_use(row(**{table: local}))
        assert (getattr(card_use, table), findings) == (standard, ())


def test_a_department_is_found_by_its_name_when_its_code_says_nothing_or_is_unknown():
    for code in (None, "", "无", "77"):
        card_use, findings = NORMALIZER.card_use(row(department=code, department_name=" 儿科 "))
        assert (card_use.department, findings) == ("0700", ())


def test_an_unmapped_department_without_a_code_is_named_by_its_name():
    assert NORMALIZER.card_use(row(department=None, department_name="睡眠门诊"))[1][0].code == "睡眠门诊"


def test_a_long_text_in_a_code_column_is_cut_in_the_finding():
    assert len(NORMALIZER.card_use(row(department="长" * 8000))[1][0].code or "") == 64


def test_a_column_full_of_rubbish_does_not_fill_the_memory():
    normalizer = Normalizer(TABLES, ALIASES)
    for number in range(12_000):
        normalizer.card_use(row(department=f"垃圾{number}"))
    assert len(normalizer._codes_of) == len(normalizer._code_of) == 10_000
    assert normalizer.card_use(row(department="本地"))[0].department == TABLES["department"].codes[0]


# --- the whole row


@example({"id_number": "e\u200b\u0301", "name": "测\u3000试", "qr_code_text": "a\u00a8"})
@given(st.fixed_dictionaries({}, optional={field: st.none() | dirt for field in (*CODE_TABLES, *PATIENT_FIELDS)}))
def test_normal_form_is_a_fixed_point(values):
    for normalizer in (NORMALIZER, Normalizer(TABLES, ALIASES, upgrade_15_digit_ids=True)):
        once, _ = normalizer.card_use(row(**values))
        twice, findings = normalizer.card_use(as_row(once))
        assert (twice, findings) == (once, ())


@given(st.fixed_dictionaries({field: dirt for field in (*CODE_TABLES, *PATIENT_FIELDS)}))
def test_no_finding_and_no_repr_carries_a_patient_field(values):
    patient = [f"{place}canary{values[field]}" for place, field in enumerate(PATIENT_FIELDS)]
    card_use, findings = NORMALIZER.card_use(row(**values | dict(zip(PATIENT_FIELDS, patient, strict=True))))
    assert "canary" not in repr((card_use, findings))
    assert all(finding.field in CODE_TABLES for finding in findings)


@given(st.fixed_dictionaries({field: dirt for field in PATIENT_FIELDS}))
def test_what_remains_of_a_patient_field_is_printable_text_without_padding(values):
    card_use, _ = NORMALIZER.card_use(row(**values))
    for field in PATIENT_FIELDS:
        value = getattr(card_use, field)
        assert value is None or value == value.strip() != ""
        assert not {unicodedata.category(c) for c in value or ""} & {"Cc", "Cs", "Zl", "Zp"}
        assert value is None or value.encode().decode() == value


@given(dirt)
def test_a_name_keeps_its_letters(value):
    read = normalize.name(value)
    assume(read is not None)
    assert [c for c in read or "" if c.isalpha()] == [c for c in value if c.isalpha()]


@pytest.mark.parametrize(
    "written",
    ["王\U0002ebf1", "\U00031350三", "张\ue863", "\ue863", "\U0010fffd", "\U0002ebf1", "李\u0378"],
    ids=["new in 15.1", "new in 13", "private use", "only private use", "plane 16", "only a new one", "unassigned"],
)
def test_a_rare_character_of_a_name_stays(written: str) -> None:
    assert normalize.name(written) == written
    assert normalize.name(f" {written}\x00\u200b\x1f ") == written


def test_a_surrogate_pair_that_a_driver_left_in_two_halves_is_one_character() -> None:
    assert normalize.name("王\ud87a\udff1") == "王\U0002ebf1"
    assert normalize.id_number("A1\ud87a2B") == "A12B"


def test_what_is_no_character_of_a_name_is_the_same_on_every_python() -> None:
    """By hand: categories of Unicode 3.2, whatever this Python knows."""
    assert normalize.name("\U0001f600") is None, "a pictograph"
    assert normalize.name("①②") is None
    assert normalize.name("——") is None

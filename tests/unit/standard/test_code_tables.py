"""Code tables and aliases: the tables that ship, the laws of loading, and what a local value leads to."""

import csv
from pathlib import Path

import pytest
from card_usage.errors import CodeTableError
from card_usage.events import CODE_TABLES
from card_usage.standard.aliases import ALIAS_COLUMNS, Choice, load_aliases, write_aliases
from card_usage.standard.code_tables import TABLE_COLUMNS, TABLES, fold, load_tables
from cases import every_case
from hypothesis import assume, given
from hypothesis import strategies as st

SHIPPED = load_tables()
ALL_CODES = [(name, code) for name, table in SHIPPED.items() for code in table.codes]
SIZES = {"scene": 36, "department": 165, "card_type": 12, "channel": 7, "cost_type": 4}


def write_csv(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture
def tables(tmp_path):
    """A copy of the tables that ship, to be spoilt."""
    for table in CODE_TABLES:
        (tmp_path / f"{table}.csv").write_bytes((TABLES / f"{table}.csv").read_bytes())
    return tmp_path


def loading(directory: Path) -> str:
    with pytest.raises(CodeTableError) as caught:
        load_tables(directory)
    return str(caught.value)


def loading_aliases(directory: Path, *rows: tuple[str, ...], table: str = "department") -> str:
    write_csv(directory / "h" / f"{table}.csv", ALIAS_COLUMNS, list(rows))
    with pytest.raises(CodeTableError) as caught:
        load_aliases(directory, "h", SHIPPED)
    return str(caught.value)


def test_each_table_has_as_many_codes_as_the_document():
    with every_case() as case:
        for table in CODE_TABLES:
            with case(table):
                assert len(SHIPPED[table].codes) == SIZES[table]


def test_each_row_says_where_it_comes_from():
    with every_case() as case:
        for table in CODE_TABLES:
            with case(table), (TABLES / f"{table}.csv").open(encoding="utf-8", newline="") as file:
                assert all(row["source"] for row in csv.DictReader(file))


@pytest.mark.parametrize(
    ("table", "code", "name", "parent"),
    [
        ("scene", "0101011", "预约挂号", "010101"),
        ("scene", "0101082", "取（查询）检验报告", "010108"),
        ("scene", "010101", "挂号", None),
        ("scene", "00001", "便民服务", None),
        ("channel", "0402", "小程序", "0400"),
        ("card_type", "11", "健康卡", None),
        ("department", "0301", "呼吸内科专业", "0300"),
        ("department", "5018", "其他中医科", "5000"),
        ("cost_type", "0000", "其他", None),
    ],
)
def test_codes_keep_their_zeros_their_printed_names_and_their_parents(table, code, name, parent):
    assert (SHIPPED[table].names[code], SHIPPED[table].parent(code)) == (name, parent)


def test_a_standard_code_passes_through_padding_and_full_width():
    with every_case() as case:
        for table, code in ALL_CODES:
            with case(table, code):
                wide = code.translate({48 + digit: 0xFF10 + digit for digit in range(10)})
                for local in (code, f"{code}   ", f"\u3000{wide}\x00"):
                    assert SHIPPED[table].standard({}, fold(local)) == code


def test_a_standard_name_leads_to_its_own_code_or_nowhere():
    with every_case() as case:
        for table, code in ALL_CODES:
            with case(table, code):
                assert SHIPPED[table].standard({}, "", fold(SHIPPED[table].names[code])) in (code, None)


def test_names_that_only_chinese_medicine_gives_a_second_meaning_resolve_to_the_first_or_not_at_all():
    department = SHIPPED["department"]
    assert department.standard({}, "", "内科") == "0300"
    assert department.standard({}, "", "老年病专业") == "0310"
    assert department.standard({}, "", "骨伤科专业") == "5010"
    for unsure in ("内科专业", "眼科专业", "急诊科专业", "老年病科专业", "康复医学专业"):
        assert department.standard({}, "", unsure) is None
    assert department.standard({}, "5001", "内科专业") == "5001"


def test_a_local_number_that_only_looks_like_a_standard_code_is_not_believed_against_its_name():
    department = SHIPPED["department"]
    assert department.standard({}, "0301", "眼科") is None
    assert department.standard({}, "0301", "内科") == "0301"
    assert department.standard({}, "0301", "呼吸门诊") == "0301"
    assert department.standard({"0301": "1000"}, "0301", "眼科") == "1000"


def test_the_alias_of_a_code_comes_before_that_of_a_name_and_both_before_the_standard_table():
    department = SHIPPED["department"]
    aliases = {"12": "0301", "骨科门诊": "0403"}
    assert department.standard(aliases, "12", "骨科门诊") == "0301"
    assert department.standard(aliases, "0200", "骨科门诊") == "0403"


@given(st.sampled_from(CODE_TABLES), st.text(max_size=8), st.text(max_size=8))
def test_an_unknown_code_never_becomes_a_standard_code(table, code, name):
    known = SHIPPED[table]
    code, name = fold(code), fold(name)
    assume(code not in known and code not in known.by_name and name not in known.by_name)
    assert known.standard({"another": known.codes[0]}, code, name) is None


@given(st.text(max_size=12))
def test_folding_twice_is_folding_once(text):
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("row", "line", "column", "words"),
    [
        (("0301", "再来一个", "", "", "x"), 167, "code", "'0301' is there twice"),
        (("", "没有代码", "", "", "x"), 167, "code", "is empty"),
        (("7700", "", "", "", "x"), 167, "name", "'7700' has no name"),
        (("7701", "孤儿科", "7700", "", "x"), 167, "parent", "'7700' is no code"),
        (("7701", "自己", "7701", "", "x"), 167, "parent", "go in a circle"),
    ],
)
def test_a_table_that_breaks_a_law_is_refused_with_file_line_and_column(tables, row, line, column, words):
    with (tables / "department.csv").open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(row)
    told = loading(tables)
    assert words in told
    assert f"department.csv, line {line}, column '{column}'" in told


def test_parents_in_a_circle_are_refused(tables):
    rows = [("01", "甲", "02", "", "x"), ("02", "乙", "03", "", "x"), ("03", "丙", "01", "", "x")]
    write_csv(tables / "card_type.csv", TABLE_COLUMNS, rows)
    assert "go in a circle" in loading(tables)
    write_csv(tables / "card_type.csv", TABLE_COLUMNS, [("09", "从外面进入", "01", "", "x"), *rows])
    assert "go in a circle" in loading(tables)


def test_a_missing_table_an_empty_one_and_one_with_other_columns_are_refused(tables):
    (tables / "scene.csv").unlink()
    assert "the file is missing" in loading(tables)
    write_csv(tables / "scene.csv", TABLE_COLUMNS, [])
    assert "the table is empty" in loading(tables)
    write_csv(tables / "scene.csv", ("code", "name"), [("01", "x")])
    assert "code,name,parent,note,source" in loading(tables)


def test_a_file_in_another_encoding_and_one_with_broken_quotes_are_refused(tables):
    good = (tables / "scene.csv").read_text(encoding="utf-8")
    (tables / "scene.csv").write_text(good, encoding="gbk")
    assert "not UTF-8" in loading(tables)
    (tables / "scene.csv").write_text(good + '99,"open', encoding="utf-8")
    assert "scene.csv, line 38" in loading(tables)
    (tables / "scene.csv").write_text(good + "99,short\n", encoding="utf-8")
    assert "has not 5 values" in loading(tables)


def test_a_byte_order_mark_as_excel_writes_it_is_no_trouble(tables):
    good = (tables / "scene.csv").read_text(encoding="utf-8")
    (tables / "scene.csv").write_text(good, encoding="utf-8-sig")
    assert load_tables(tables)["scene"] == SHIPPED["scene"]


def test_a_hospital_without_alias_files_has_an_empty_mapping_for_every_table(tmp_path):
    assert load_aliases(tmp_path, "h", SHIPPED) == {table: {} for table in CODE_TABLES}


def test_aliases_are_read_folded_and_blank_lines_passed_over(tmp_path):
    rows = [("１２ ", "０３０1", ""), ("", "", ""), (" 呼吸内科（东院）", "0301", "note")]
    write_csv(tmp_path / "h" / "department.csv", ALIAS_COLUMNS, rows)
    assert load_aliases(tmp_path, "h", SHIPPED)["department"] == {"12": "0301", "呼吸内科(东院)": "0301"}


@pytest.mark.parametrize(
    ("separator", "encoding"), [(",", "utf-8-sig"), (",", "gb18030"), (";", "gb18030"), ("\t", "utf-16")]
)
def test_aliases_are_read_and_added_to_however_a_spreadsheet_saved_them(tmp_path, separator, encoding):
    lines = ("local,standard,note", "心内门诊,0304,张工；2026", "", "K7,0301,")
    path = tmp_path / "h" / "department.csv"
    path.parent.mkdir()
    path.write_bytes("\r\n".join(lines).replace(",", separator).encode(encoding))
    assert load_aliases(tmp_path, "h", SHIPPED)["department"] == {"心内门诊": "0304", "K7": "0301"}
    assert write_aliases(tmp_path, "h", SHIPPED, [Choice("department", "K8", "0301")]) == (path,)
    assert load_aliases(tmp_path, "h", SHIPPED)["department"] == {"心内门诊": "0304", "K7": "0301", "K8": "0301"}
    assert "张工；2026" in path.read_text(encoding="utf-8-sig")


def test_an_alias_must_lead_to_a_standard_code_and_the_error_guesses_at_lost_zeros(tmp_path):
    told = loading_aliases(tmp_path, ("11", "0301", ""), ("12", "302", ""))
    assert "department.csv, line 3, column 'standard': '302' is no standard code; '0302' perhaps" in told
    assert "leads nowhere" in loading_aliases(tmp_path, ("12", "", ""))
    assert "'內科' is no standard code" in loading_aliases(tmp_path, ("12", "內科", ""))


def test_one_local_value_has_one_alias_even_if_written_differently(tmp_path):
    told = loading_aliases(tmp_path, ("12", "0301", ""), ("１２ ", "0302", ""))
    assert "line 3, column 'local': '12' is already on line 2" in told
    assert "column 'local': is empty" in loading_aliases(tmp_path, (" ", "0301", ""))


def test_an_alias_file_for_no_table_is_a_typing_mistake_and_refused(tmp_path):
    assert "no code table has this name" in loading_aliases(tmp_path, ("1", "0301", ""), table="departments")


@pytest.mark.parametrize("table", CODE_TABLES)
def test_every_standard_code_can_be_aliased(table, tmp_path):
    rows = [(f"local-{code}", code, "") for code in SHIPPED[table].codes]
    write_csv(tmp_path / "h" / f"{table}.csv", ALIAS_COLUMNS, rows)
    aliases = load_aliases(tmp_path, "h", SHIPPED)[table]
    for code in SHIPPED[table].codes:
        assert SHIPPED[table].standard(aliases, f"local-{code}") == code

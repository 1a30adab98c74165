"""The demo HIS: the same call invents the same hospital, its shares are those of a real one, its dirt is counted."""

import csv
import json
import sqlite3
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from demo_his import MissingDay, arrive, create, known_days, stored_expectation, vocabulary
from demo_his.__main__ import main
from demo_his.expectation import FEEDS, DayExpectation
from demo_his.flaws import FLAWS
from demo_his.people import REGIONS, check_digit

ALIASES = Path(__file__).resolve().parents[3] / "include" / "code_aliases" / "demo_hospital"
DAY = date(2026, 11, 20)
NEXT = date(2026, 11, 21)
USES = 4000
FEED_TABLES = ("GH_GHZDK", "GH_NGHZDK", "SF_BRJSK", "SF_NBRJSK", "SF_MZCFK", "YY_JZBRYJK", "YJ_JCBGK", "YJ_JYBGK")
TABLES = (*FEED_TABLES, "SF_BRXXK", "xt_brxx", "YY_KSBMK", "demo_his_day")


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("his") / "his.db"
    create(f"sqlite:///{path}", [DAY, NEXT], USES, seed=3)
    return path


def ask(path: Path, sql: str) -> list[tuple]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def content(path: Path) -> dict[str, list[tuple]]:
    return {table: sorted(ask(path, f"SELECT * FROM {table}"), key=repr) for table in TABLES}


def share(counts: Counter, *keys: object) -> float:
    return sum(counts[key] for key in keys) / counts.total()


def test_the_same_call_invents_the_same_hospital_and_another_seed_another(hospital: Path, tmp_path: Path):
    create(f"sqlite:///{tmp_path}/again.db", [DAY, NEXT], USES, seed=3)
    create(f"sqlite:///{tmp_path}/other.db", [DAY, NEXT], USES, seed=4)
    assert content(tmp_path / "again.db") == content(hospital)
    assert content(tmp_path / "other.db")["SF_BRXXK"] != content(hospital)["SF_BRXXK"]


def test_a_day_is_the_same_whatever_other_days_are_invented_with_it(hospital: Path, tmp_path: Path):
    create(f"sqlite:///{tmp_path}/one.db", [NEXT], USES, seed=3)
    own = ask(tmp_path / "one.db", "SELECT * FROM VW_GHZDK ORDER BY xh")
    assert own
    assert own == ask(hospital, "SELECT * FROM VW_GHZDK WHERE ghrq >= '20261121' ORDER BY xh")


@pytest.mark.parametrize("uses", [1, 2, 500, 3001])
def test_a_day_has_exactly_the_successful_uses_asked_for(tmp_path: Path, uses: int):
    expected = create(f"sqlite:///{tmp_path}/his.db", [DAY], uses, seed=9)
    assert expected.uses == uses


def test_every_kind_of_dirt_is_planted_and_a_row_has_one_kind(hospital: Path):
    days = stored_expectation(f"sqlite:///{hospital}").days
    for kind, flaw in FLAWS.items():
        assert sum(day.planted[feed][kind] for day in days for feed in FEEDS), kind
        assert flaw.rule is None or sum(day.total()[flaw.rule] for day in days), kind
    for day in days:
        for feed in FEEDS:
            broken = Counter({"voided": day.planted[feed]["voided"]})
            for kind, flaw in FLAWS.items():
                broken[flaw.rule or "clean"] += day.planted[feed][kind]
            assert broken["clean"] <= day.outcomes[feed]["clean"]
            del broken["clean"]
            assert +broken == Counter({k: n for k, n in day.outcomes[feed].items() if k != "clean" and n})


def test_dirt_comes_in_realistic_shares(hospital: Path):
    total = stored_expectation(f"sqlite:///{hospital}").total()
    assert 0.96 < share(total, "clean") < 0.985
    assert 0.003 < share(total, "department.code") < 0.009
    assert 0.003 < share(total, "id_number.required") < 0.012
    assert 0.001 < share(total, "id_number.checksum") < 0.006
    assert 0.005 < share(total, "voided") < 0.02


def test_rows_that_are_no_events_lie_between_the_others(hospital: Path):
    for day in stored_expectation(f"sqlite:///{hospital}").days:
        assert day.not_events["reversal"] == len(
            [
                row
                for table in ("GH_GHZDK", "SF_BRJSK", "SF_MZCFK", "YY_JZBRYJK")
                for row in ask(hospital, f"SELECT * FROM {table} WHERE jlzt = 2")
                if f"{day.day:%Y%m%d}" in map(lambda value: str(value)[:8], row)
            ]
        )
        for kind in ("pre_registered", "registration_fee", "unsettled", "undispensed", "second_side_table_row"):
            assert day.not_events[kind] > 0, kind
    assert ask(hospital, "SELECT COUNT(*) FROM SF_BRJSK WHERE jlzt = 2 AND (zje >= 0 OR tsjh IS NULL)") == [(0,)]


def test_a_day_peaks_in_the_morning_dips_at_noon_and_sleeps_at_night(hospital: Path):
    hours = Counter(int(hour) for (hour,) in ask(hospital, "SELECT substr(ghrq, 9, 2) FROM VW_GHZDK WHERE ghfs <> 1"))
    assert max(hours, key=hours.__getitem__) in {8, 9}
    assert hours[12] < hours[10] / 2
    assert hours[12] < hours[14] / 2
    assert sum(hours[hour] for hour in range(6)) < 0.04 * hours.total()
    assert all(hours[hour] for hour in range(24))


def test_the_first_and_the_last_second_of_every_day_see_a_card_use(hospital: Path):
    for day in ("20261120", "20261121"):
        for edge in ("00:00:00", "23:59:59"):
            assert ask(hospital, f"SELECT COUNT(*) FROM VW_GHZDK WHERE ghrq = '{day}{edge}' AND jlzt < 2")[0][0] > 0


def test_nobody_does_the_same_thing_twice_in_one_second(tmp_path: Path):
    """Such uses could not be told apart at the platform, and counts of doubled ones would mean nothing."""
    path = tmp_path / "his.db"
    create(f"sqlite:///{path}", [date(2026, 11, n) for n in range(21, 25)], 500)
    for table, moment in (("SF_BRJSK", "sfrq"), ("SF_MZCFK", "fyrq"), ("YJ_JCBGK", "pubtime"), ("YJ_JYBGK", "pubtime")):
        valid = "jlzt = 0 AND ghsfbz = 1 AND ybjszt = 2" if table == "SF_BRJSK" else "jlzt = 0"
        valid += " AND fybz = 1" if table == "SF_MZCFK" else ""
        twice = f"SELECT patid, {moment} FROM {table} WHERE {valid} GROUP BY 1, 2 HAVING COUNT(*) > 1"
        assert ask(path, twice) == [], table


def test_a_third_of_the_uses_is_by_health_card(hospital: Path):
    cards = Counter(
        card for table in FEED_TABLES for (card,) in ask(hospital, f"SELECT cardtype FROM {table} WHERE jlzt IN (0, 1)")
    )
    assert 0.28 < share(cards, vocabulary.HEALTH_CARD) < 0.40
    assert set(cards) == set(vocabulary.CARD_TYPES) | set(vocabulary.CHILDRENS_CARD_TYPES)


def test_all_channels_cost_types_and_departments_occur(hospital: Path):
    channels, costs, departments = (
        {value for (value,) in ask(hospital, f"SELECT DISTINCT {column} FROM {view}")}
        for column, view in (("qdlx", "VW_MZBRJSK"), ("ybdm", "VW_MZBRJSK"), ("ksdm", "VW_GHZDK"))
    )
    assert channels == {channel for shares in vocabulary.CHANNELS.values() for channel in shares}
    assert costs == set(vocabulary.COST_TYPES)
    assert departments == {*vocabulary.DEPARTMENTS, *vocabulary.UNMAPPED_DEPARTMENTS, None}


def test_people_have_valid_numbers_that_were_never_given_to_anybody(hospital: Path):
    numbers = [number for (number,) in ask(hospital, "SELECT sfzh FROM SF_BRXXK WHERE length(sfzh) = 18")]
    numbers = [number.upper() for number in numbers if number.isascii()]
    wrong = [number for number in numbers if check_digit(number[:17]) != number[17]]
    assert 0 < len(wrong) < 0.01 * len(numbers)
    assert {number[:6] for number in numbers} == set(REGIONS)


def test_the_check_digit_is_that_of_the_standard():
    # Sample number of GB 11643-1999.
    assert check_digit("11010519491231002") == "X"


@pytest.mark.parametrize(
    ("table", "local"),
    [
        ("card_type", {*vocabulary.CARD_TYPES, *vocabulary.CHILDRENS_CARD_TYPES}),
        ("channel", {channel for shares in vocabulary.CHANNELS.values() for channel in shares}),
        ("cost_type", set(vocabulary.COST_TYPES)),
        ("department", set(vocabulary.DEPARTMENTS)),
    ],
)
def test_the_aliases_know_every_local_code_but_the_two_new_departments(table: str, local: set[str]):
    with (ALIASES / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["local"] for row in rows} == local
    assert len(vocabulary.UNMAPPED_DEPARTMENTS) == 2
    assert not local & set(vocabulary.UNMAPPED_DEPARTMENTS)
    if table == "department":
        assert {row["local"]: row["note"] for row in rows} == {
            code: name for code, (name, _) in vocabulary.DEPARTMENTS.items()
        }


def test_a_second_call_changes_nothing(tmp_path: Path):
    url, path = f"sqlite:///{tmp_path}/his.db", tmp_path / "his.db"
    first = create(url, [DAY], 300, seed=1)
    before = content(path)
    assert create(url, [DAY], 300, seed=1) == first
    assert content(path) == before


def test_other_numbers_replace_a_day_and_leave_its_neighbours_alone(tmp_path: Path):
    url, path = f"sqlite:///{tmp_path}/his.db", tmp_path / "his.db"
    create(url, [DAY, NEXT], 300, seed=1)
    arrive(url, [DAY, NEXT])
    create(url, [DAY], 200, seed=2)
    fresh = tmp_path / "fresh.db"
    create(f"sqlite:///{fresh}", [NEXT], 300, seed=1)
    arrive(f"sqlite:///{fresh}", [NEXT])
    create(f"sqlite:///{fresh}", [DAY], 200, seed=2)
    assert content(path) == content(fresh)


def test_a_killed_call_leaves_no_half_day(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/his.db"
    create(url, [DAY], 300, seed=1)
    before = content(tmp_path / "his.db")

    def die(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create(url, [NEXT], 5000, seed=1, progress=die)
    assert content(tmp_path / "his.db") == before
    assert known_days(url) == (DAY,)


def test_late_rows_and_late_refunds_arrive_once_and_as_announced(tmp_path: Path):
    url, path = f"sqlite:///{tmp_path}/his.db", tmp_path / "his.db"
    (before,) = create(url, [DAY], USES, seed=1).days
    (after,) = arrive(url, [DAY]).days
    content_after = content(path)
    assert arrive(url, [DAY]).days == (after,)
    assert content(path) == content_after
    late = sum(counts["rows"] for counts in before.late.values())
    refunded = sum(counts["refunded"] for counts in before.late.values())
    assert late == round(0.004 * USES)
    assert refunded > 0
    assert after.uses == before.uses + late - refunded
    assert after.total()["voided"] == before.total()["voided"] + refunded
    assert after.late_arrived
    assert create(url, [DAY], USES, seed=1).days == (after,)


def test_late_rows_of_a_day_that_was_never_invented_are_refused(tmp_path: Path):
    with pytest.raises(MissingDay, match="2026-11-20"):
        arrive(f"sqlite:///{tmp_path}/his.db", [DAY])


def test_the_expectation_survives_its_own_json(hospital: Path):
    for day in stored_expectation(f"sqlite:///{hospital}").days:
        assert DayExpectation.from_json(json.loads(json.dumps(day.as_json()))) == day


def test_the_command_prints_the_expectation_and_keeps_it_beside_the_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    url = f"sqlite:///{tmp_path}/new/his.db"
    command = ["--url", url, "--from", "2026-11-20", "--to", "2026-11-21", "--uses", "200"]
    assert main([*command, "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert json.loads(printed.out)["days"]["2026-11-21"]["uses"] == 200
    assert main([*command[:2], "--from", "2026-11-20", "--to", "2026-11-20", "--late"]) == 0
    assert "2026-11-20" in capsys.readouterr().out
    kept = json.loads((tmp_path / "new" / "his.expected.json").read_text())
    assert [day["late_arrived"] for day in kept["days"].values()] == [True, False]


def test_rows_are_spread_over_the_days(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    days = ["--from", "2026-11-20", "--to", "2026-11-22"]
    assert main(["--url", f"sqlite:///{tmp_path}/his.db", *days, "--rows", "1000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["uses"] == 1002


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--late"], "create it first"),
        (["--url", "no url"], "SQLAlchemy URL"),
        (["--url", "sqlite:////proc/nowhere/his.db"], "cannot write /proc/nowhere"),
        (["--url", "sqlite:////proc/his.db"], "the database refuses"),
        (["--uses", "90000000"], "room for"),
        (["--rows", "0"], "room for"),
    ],
)
def test_what_goes_wrong_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
):
    url = [] if "--url" in arguments else ["--url", f"sqlite:///{tmp_path}/his.db"]
    assert main([*url, "--from", "2026-11-20", "--to", "2026-11-20", *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1

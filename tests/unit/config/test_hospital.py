"""Hospital files: everything that can be wrong in one gives one clear line with file and key, and no value."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from card_usage.config.hospital import Hospital, hospital_ids, load_hospital, load_hospitals
from card_usage.errors import BadHospitalFile, HospitalEnded, UnknownHospital
from card_usage.files.shipped import SHIPPED
from card_usage.windows import Window, day_window
from cases import every_case
from pydantic import ValidationError

SECRET = "Pa55-w0rd"
SMALLEST = """
id = "clinic"
name = "诊所"
[his]
connection = "clinic_his"
shape = "winning"
feeds = ["registration"]
[platform]
connection = "clinic_platform"
hospital_id = "10087"
"""


def write(directory: Path, text: str, name: str = "clinic") -> Path:
    path = directory / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_smallest_file_has_careful_defaults(tmp_path: Path):
    write(tmp_path, SMALLEST)
    hospital = load_hospital(tmp_path, "clinic")
    assert (hospital.id, hospital.name, hospital.label, hospital.cadence) == ("clinic", "诊所", "诊所", "daily")
    assert (hospital.his.fetch_size, hospital.his.look_back_days) == (5000, 3)
    platform = hospital.platform
    assert (platform.profile, platform.department_format, platform.live) == ("v2.1", "name", True)
    assert (platform.channel_format, platform.channel_num, platform.sub_hospital_code) == ("code", None, "")
    assert platform.sent_where_known == {"department"}, "codes name no patient"
    assert platform.model_copy(update={"profile": "current"}).sent_where_known == {"department", "cost_type"}
    assert platform.model_copy(update={"also_send": ()}).sent_where_known == set()
    assert (platform.daily_quota, platform.backfill_order, platform.concurrency) == (100, "newest", 32)
    assert (platform.requests_per_second, platform.app_requests_per_second) == (0, 0)
    assert hospital.normalize.quarantine_every_unknown_code
    assert not hospital.normalize.upgrade_15_digit_ids


def test_a_hospital_reports_from_its_first_day_to_its_last(tmp_path: Path):
    days = [date(2026, 3, 1) + timedelta(days=n) for n in range(5)]
    write(tmp_path, SMALLEST.replace("[his]", "start = 2026-03-02\nend = 2026-03-04\n[his]"))
    hospital = load_hospital(tmp_path, "clinic")
    assert [hospital.reports(day) for day in days] == [False, True, True, True, False]
    assert [hospital.has_ended(day) for day in days] == [False] * 4 + [True]
    whole = Window(day_window(days[0]).start, day_window(days[-1]).end)
    assert hospital.until_end(whole) == Window(whole.start, day_window(days[3]).end)
    assert hospital.until_end(day_window(days[3])) == day_window(days[3])
    with pytest.raises(HospitalEnded, match=r"clinic ended with 2026-03-04, nothing of 2026-03-05"):
        hospital.until_end(day_window(days[4]))


def test_a_hospital_does_not_end_before_it_starts(tmp_path: Path):
    write(tmp_path, SMALLEST.replace("[his]", "start = 2026-03-02\nend = 2026-03-01\n[his]"))
    with pytest.raises(BadHospitalFile, match=r"end \(2026-03-01\) is before start \(2026-03-02\)"):
        load_hospital(tmp_path, "clinic")


def test_the_hospitals_that_ship_with_the_project_are_sound():
    hospitals = load_hospitals(SHIPPED / "hospitals")
    assert [hospital.id for hospital in hospitals] == sorted(hospital_ids(SHIPPED / "hospitals"))
    assert "demo_hospital" in {hospital.id for hospital in hospitals}


def test_a_report_names_the_hospital_in_its_own_language(tmp_path: Path):
    write(tmp_path, SMALLEST.replace("[his]", 'name_en = "Clinic"\n[his]') + '[report]\nlanguage = "en"\n')
    assert load_hospital(tmp_path, "clinic").label == "Clinic"
    write(tmp_path, SMALLEST + '[report]\nlanguage = "en"\n')
    assert load_hospital(tmp_path, "clinic").label == "诊所"


def test_a_hospital_cannot_be_changed_once_it_was_read(tmp_path: Path):
    write(tmp_path, SMALLEST)
    hospital = load_hospital(tmp_path, "clinic")
    with pytest.raises(ValidationError):
        hospital.name = "other"
    with pytest.raises(ValidationError):
        hospital.platform.live = False


WRONG = [
    # (what is replaced, by what, the key that the error names, what it says)
    ('name = "诊所"', "", "name", "Field required"),
    ('name = "诊所"', 'name = ""', "name", "at least 1 character"),
    ('name = "诊所"', "name = 5", "name", "valid string"),
    ("[his]", f'password = "{SECRET}"\n[his]', "password", "not permitted"),
    ("[his]", f'region = "{SECRET}"\n[his]', "region", "pattern"),
    ("[his]", f'cadence = "{SECRET}"\n[his]', "cadence", "'daily' or 'hourly'"),
    ("[his]", f'start = "{SECRET}"\n[his]', "start", "valid date"),
    ("[his]", f'his = "{SECRET}"\n[other]', "his", "valid dictionary"),
    ('connection = "clinic_his"', "", "his.connection", "Field required"),
    ('connection = "clinic_his"', 'connection = "Clinic HIS"', "his.connection", "pattern"),
    (
        'shape = "winning"',
        'shape = "loosing"',
        "his",
        "in include/sql (there are: bsoft, card_use_view, card_use_view_char16, neusoft, trasen, winning)",
    ),
    ('shape = "winning"', 'shape = "../sql"', "his.shape", "pattern"),
    ('["registration"]', "[]", "his.feeds", "at least 1"),
    ('["registration"]', '"registration"', "his.feeds", "valid tuple"),
    ('["registration"]', '["registration", "surgery"]', "his", "no feed surgery (it has: admission, checkup, "),
    ('["registration"]', '["registration", "registration"]', "his", "listed twice"),
    ('["registration"]', '["registration", 7]', "his.feeds.1", "valid string"),
    ('shape = "winning"', 'shape = "winning"\nfeed = "x"', "his.feed", "not permitted"),
    ('shape = "winning"', 'shape = "winning"\nfetch_size = 0', "his.fetch_size", "greater than or equal to 1"),
    ('shape = "winning"', 'shape = "winning"\nfetch_size = "many"', "his.fetch_size", "valid integer"),
    ('shape = "winning"', 'shape = "winning"\nlook_back_days = 93', "his.look_back_days", "less than or equal to 92"),
    ('shape = "winning"', 'shape = "winning"\nlook_back_days = 1.5', "his.look_back_days", "valid integer"),
    ('hospital_id = "10087"', "hospital_id = 10087", "platform.hospital_id", "valid string"),
    ('hospital_id = "10087"', f'app_secret = "{SECRET}"', "platform.hospital_id", "Field required (and 1 more)"),
    ("[platform]", '[platform]\nprofile = "v3"', "platform.profile", "'v2.1' or 'current'"),
    ("[platform]", '[platform]\ndepartment_format = "codes"', "platform.department_format", "'code', 'name'"),
    ("[platform]", '[platform]\nchannel_format = "names"', "platform.channel_format", "'code' or 'name'"),
    ("[platform]", '[platform]\nalso_send = ["time"]', "platform.also_send.0", "'department', 'cost_type'"),
    ("[platform]", "[platform]\nchannel_num = -1", "platform.channel_num", "greater than or equal to 0"),
    ("[platform]", f'[platform]\nlive = "{SECRET}"', "platform.live", "valid boolean"),
    ("[platform]", "[platform]\nconcurrency = 0", "platform.concurrency", "greater than or equal to 1"),
    ("[platform]", "[platform]\nconcurrency = 2000", "platform.concurrency", "less than or equal to 1024"),
    ("[platform]", "[platform]\nrequests_per_second = -1", "platform.requests_per_second", "or equal to 0"),
    ("[platform]", "[platform]\ncall_timeout_seconds = 0", "platform.call_timeout_seconds", "greater than 0"),
    ("[platform]", '[platform]\nbackfill_order = "random"', "platform.backfill_order", "'newest' or 'oldest'"),
    ("[platform]", '[report]\nlanguage = "fr"\n[platform]', "report.language", "'zh' or 'en'"),
    ("[platform]", "[gate]\nhold_quarantined_share = 30\n[platform]", "gate.hold_quarantined_share", "equal to 1"),
    ("[platform]", "[normalise]\nupgrade_15_digit_ids = true\n[platform]", "normalise", "not permitted"),
]


@pytest.mark.filterwarnings("error")
def test_every_mistake_is_one_line_with_file_and_key(tmp_path: Path):
    with every_case() as case:
        for old, new, key, says in WRONG:
            with case(old, new, key, says):
                assert old in SMALLEST
                path = write(tmp_path, SMALLEST.replace(old, new))
                with pytest.raises(BadHospitalFile) as refused:
                    load_hospital(tmp_path, "clinic")
                line = str(refused.value)
                assert line.startswith(f"{path}, key '{key}': ")
                assert says in line
                assert "\n" not in line
                assert SECRET not in line
                assert "pydantic" not in line
                assert refused.value.__cause__ is None


def test_every_key_that_the_file_may_have_is_checked_by_a_declared_type():
    """A new key without a rule of its own would slip through the cases above."""
    for table in (Hospital, *(Hospital.model_fields[name].annotation for name in ("his", "platform", "gate"))):
        assert table.model_config["extra"] == "forbid"
        assert table.model_config["frozen"] is True


@pytest.mark.parametrize(
    "content",
    [
        b"id = clinic",
        b'id = "clinic"\nid = "clinic"\n',
        b"[his\n",
        f'password = "{SECRET}\n'.encode(),
        SMALLEST.encode("gbk"),
        b"\xff\xfe" + SMALLEST.encode("utf-16-le"),
    ],
)
def test_a_file_that_is_no_toml_says_where(tmp_path: Path, content: bytes):
    path = tmp_path / "clinic.toml"
    path.write_bytes(content)
    with pytest.raises(BadHospitalFile) as refused:
        load_hospital(tmp_path, "clinic")
    line = str(refused.value)
    assert line.startswith(f"{path}, key '(file)': not readable as TOML: ")
    assert "\n" not in line
    assert SECRET not in line


def test_a_file_as_windows_editors_save_it_is_read_or_told_what_to_save_it_as(tmp_path: Path):
    path = tmp_path / "clinic.toml"
    path.write_bytes(SMALLEST.replace("\n", "\r\n").encode("utf-8-sig"))
    assert load_hospital(tmp_path, "clinic").id == "clinic"
    path.write_bytes(SMALLEST.encode("gbk"))
    with pytest.raises(BadHospitalFile, match="save it again as UTF-8"):
        load_hospital(tmp_path, "clinic")


def test_the_id_is_the_files_name(tmp_path: Path):
    write(tmp_path, SMALLEST, "hospital_b")
    with pytest.raises(BadHospitalFile, match=r"key 'id': is 'clinic', the file's name says 'hospital_b'"):
        load_hospital(tmp_path, "hospital_b")


def test_an_unknown_hospital_is_told_the_known_ones(tmp_path: Path):
    write(tmp_path, SMALLEST)
    write(tmp_path, SMALLEST.replace('"clinic"', '"abbey"'), "abbey")
    with pytest.raises(UnknownHospital) as refused:
        load_hospital(tmp_path, "clinick")
    assert str(refused.value) == (
        f"no hospital 'clinick' in {tmp_path}: take one of abbey, clinic, or add {tmp_path}/clinick.toml"
    )


def test_a_directory_that_is_not_there_has_no_hospitals(tmp_path: Path):
    assert hospital_ids(tmp_path / "nowhere") == ()
    assert load_hospitals(tmp_path / "nowhere") == ()
    with pytest.raises(UnknownHospital, match="take one of none"):
        load_hospital(tmp_path / "nowhere", "clinic")


def test_all_hospitals_are_read_in_the_order_of_their_ids(tmp_path: Path):
    write(tmp_path, SMALLEST)
    write(tmp_path, SMALLEST.replace('"clinic"', '"abbey"'), "abbey")
    (tmp_path / "notes.txt").write_text("not a hospital")
    assert [hospital.id for hospital in load_hospitals(tmp_path)] == ["abbey", "clinic"]
    write(tmp_path, "broken", "zoo")
    with pytest.raises(BadHospitalFile, match=r"zoo\.toml"):
        load_hospitals(tmp_path)


@pytest.mark.parametrize("hospital_id", ["../clinic", "clinic/../clinic", "", "clinic.toml", "诊所"])
def test_an_id_is_never_a_way_out_of_the_directory(tmp_path: Path, hospital_id: str):
    inner = tmp_path / "hospitals"
    inner.mkdir()
    write(tmp_path, SMALLEST)
    write(inner, SMALLEST)
    with pytest.raises((UnknownHospital, BadHospitalFile)):
        load_hospital(inner, hospital_id)

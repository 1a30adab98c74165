"""incidents and alerts on the command line: what is wrong, said to people and programs, and sent to real receivers."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import pytest
from card_usage.files.shipped import SHIPPED
from card_usage.windows import DAY, local
from desk import Desk, one_line, opened, span
from forked_cli import CommandLine
from receivers import Mailbox, Webhook

RECENT = local(datetime.now(UTC)).date() - 2 * DAY
"""Alerts are about the present: of what lies further back than three months they do not speak."""
SPAN = span(RECENT)
KEY = "f0e1d2c3-0000-4000-8000-canarykey000"


@pytest.fixture
def desk(tmp_path: Path, command_line: CommandLine) -> Iterator[Desk]:
    with opened(tmp_path, command_line, RECENT) as made:
        # One department is not mapped yet.
        aliases = tmp_path / "code_aliases"
        shutil.copytree(SHIPPED / "code_aliases", aliases)
        departments = aliases / "demo_hospital" / "department.csv"
        rows = departments.read_text(encoding="utf-8-sig").splitlines(keepends=True)
        departments.write_text("".join(row for row in rows if not row.startswith("11010,")), encoding="utf-8")
        made.environment["CARD_USAGE_ALIASES"] = str(aliases)
        yield made


def channels(hook: Webhook, box: Mailbox) -> dict[str, str]:
    """A robot and a mailbox, as settings name them."""
    robot = {"conn_type": "feishu", "password": KEY, "host": hook.url}
    extra = {"to": "it@hospital.example", "from": "alerts@isv.example", "tls": "none"}
    mail = {"conn_type": "smtp", "host": "127.0.0.1", "port": box.port, "extra": extra}
    return {
        "CARD_USAGE_TEAM_CHANNELS": "robot mail",
        "AIRFLOW_CONN_ROBOT": json.dumps(robot),
        "AIRFLOW_CONN_MAIL": json.dumps(mail),
    }


def wrong_secret(desk: Desk) -> dict[str, str]:
    platform = {"conn_type": "http", "host": desk.sandbox.url, "login": "demo-app-id", "password": "not-the-secret"}
    return {"AIRFLOW_CONN_DEMO_PLATFORM": json.dumps(platform)}


def test_a_fresh_ledger_has_no_incident_and_a_hospital_that_is_none_is_not_mistaken_for_a_sound_one(desk: Desk) -> None:
    done = desk.run("incidents")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "no incident", "")
    assert desk.run("incidents", "--hospital", "demo_hospital").returncode == 0
    typed_wrong = desk.run("incidents", "--hospital", "demo_hospitl")
    assert typed_wrong.returncode == 2
    assert "demo_hospital" in one_line(typed_wrong)


@pytest.mark.parametrize("days", ["-1", "99999999999999999999", "two", "1.5", "³"])
def test_days_that_are_no_number_are_refused_by_name(desk: Desk, days: str) -> None:
    done = desk.run("incidents", f"--days={days}")
    assert done.returncode == 2
    assert f"'{days}' is no whole number from 0 to 3660" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_wrong_is_listed_worst_first_in_both_languages_and_as_json_until_it_is_over(desk: Desk) -> None:
    desk.json("stage", *SPAN)
    assert desk.run("deliver", *SPAN, **wrong_secret(desk)).returncode == 1
    assert desk.run("alerts", "send").returncode == 0
    done = desk.run("incidents")
    assert done.returncode == 1, "something critical is open"
    first, *others = done.stdout.splitlines()
    assert first.startswith("Critical")
    assert "21006" in first
    assert any("department" in line for line in others)
    assert not done.stderr
    in_chinese = desk.run("incidents", "--zh", "--hospital", "demo_hospital").stdout
    assert "科室" in in_chinese
    said = json.loads(desk.run("incidents", "--json").stdout)
    assert {"misconfiguration", "unmapped_code"} <= {one["cause"] for one in said["incidents"]}
    assert all(one["closed_at"] is None and one["what"] and one["owner"] for one in said["incidents"])
    assert said["channels"] == []

    assert desk.run("resume", "--hospital", "demo_hospital").returncode == 0
    assert desk.run("deliver", *SPAN).returncode == 0
    assert desk.run("alerts", "send").returncode == 0
    assert "21006" not in desk.run("incidents").stdout
    assert desk.run("incidents").returncode == 0
    with_what_is_over = json.loads(desk.run("incidents", "--json", "--days", "1").stdout)["incidents"]
    (mended,) = [one for one in with_what_is_over if one["cause"] == "misconfiguration"]
    assert mended["closed_at"] >= mended["opened_at"]


def test_sending_reaches_every_channel_once_and_says_nothing_of_any_patient(
    desk: Desk, hook: Webhook, box: Mailbox
) -> None:
    desk.json("stage", *SPAN)
    surroundings = channels(hook, box)
    done = desk.run("alerts", "send", **surroundings)
    assert done.returncode == 0, done.stderr
    assert "0 tries failed" in done.stdout
    assert hook.posts
    assert box.mails
    told = (len(hook.posts), len(box.mails))
    again = desk.run("alerts", "send", **surroundings)
    assert "0 opened" in again.stdout
    assert (len(hook.posts), len(box.mails)) == told
    listed = [desk.run("incidents", *how, **surroundings) for how in ((), ("--zh",), ("--json", "--days", "9"))]
    shown = [one.stdout + one.stderr for one in (done, again, *listed)]
    mails = [part.get_payload(decode=True) for one in box.mails for part in one.walk() if not part.is_multipart()]
    everything = "\n".join([*shown, *map(text_of, mails), *map(repr, hook.posts)])
    assert any(part.startswith(b"PK") for part in mails), "the workbook of the missing codes"
    assert not [secret for secret in patients(desk) if secret in everything]
    assert KEY not in everything.replace(f"/{KEY}", ""), "but in the address that the robot is called under"


def text_of(part: bytes) -> str:
    """A part of a mail as text: of a workbook, all that stands in it."""
    if not part.startswith(b"PK"):
        return part.decode()
    with ZipFile(io.BytesIO(part)) as workbook:
        return "\n".join(workbook.read(name).decode() for name in workbook.namelist())


def patients(desk: Desk) -> set[str]:
    """Numbers, QR texts and longer names of everybody in the HIS."""
    with sqlite3.connect(desk.home / "his.db") as his:
        people = his.execute("select hzxm, sfzh from SF_BRXXK").fetchall()
        codes = {code for (code,) in his.execute("select qrCodeText from xt_brxx") if code}
    names = {name.strip() for name, _ in people if name and len(name.strip()) >= 3 and "测试" not in name}
    numbers = {number.strip() for _, number in people if number and len(number.strip()) >= 15}
    assert len(names | numbers | codes) > 200
    return names | numbers | codes


def test_a_channel_that_is_down_is_named_with_its_reason_and_without_its_address(
    desk: Desk, hook: Webhook, box: Mailbox
) -> None:
    desk.json("stage", *SPAN)
    hook.down = True
    surroundings = channels(hook, box)
    done = desk.run("alerts", "send", **surroundings)
    assert done.returncode == 1
    assert "robot: " in done.stdout
    assert box.mails, "the other one was told"
    listed = desk.run("incidents", **surroundings)
    assert "channel robot: down since" in listed.stdout
    (robot,) = [one for one in json.loads(desk.run("incidents", "--json").stdout)["channels"] if one["name"] == "robot"]
    assert (robot["down"], robot["waiting"] > 0) == (True, True)
    for said in (done, listed):
        assert KEY not in said.stdout + said.stderr
        assert "Traceback" not in said.stderr


def test_a_hospitals_file_that_cannot_be_read_is_an_incident_and_stops_nobody(desk: Desk) -> None:
    hospitals = desk.home / "hospitals"
    hospitals.mkdir()
    (hospitals / "broken_hospital.toml").write_text('id = "broken_hospital"\npassword = "geheim"\n')
    surroundings = {"CARD_USAGE_HOSPITALS": str(hospitals)}
    assert desk.run("alerts", "send", **surroundings).returncode == 0
    done = desk.run("incidents", "--hospital", "broken_hospital", **surroundings)
    assert done.returncode == 1
    assert "broken_hospital.toml" in done.stdout
    assert "geheim" not in done.stdout


def test_a_test_message_goes_out_on_each_channel_and_says_which_one_failed(
    desk: Desk, hook: Webhook, box: Mailbox
) -> None:
    surroundings = channels(hook, box)
    test = ("alerts", "test", "--hospital", "demo_hospital")
    done = desk.run(*test, **surroundings)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [f"{name}: sent; look whether it arrived" for name in ("robot", "mail")]
    assert (len(hook.posts), len(box.mails)) == (1, 1)
    hook.answer = {"code": 19001, "msg": "param invalid"}
    done = desk.run(*test, **surroundings)
    assert done.returncode == 1
    robot, mail = done.stdout.splitlines()
    assert robot.startswith("robot: FAILED: ")
    assert "19001" in robot
    assert mail == "mail: sent; look whether it arrived"
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "nobody hears of it"),
        ({"CARD_USAGE_TEAM_CHANNELS": "robot"}, "AIRFLOW_CONN_ROBOT is not set"),
        ({"CARD_USAGE_TEAM_CHANNELS": "robot", "AIRFLOW_CONN_ROBOT": "nonsense"}, "connection 'robot'"),
        ({"CARD_USAGE_TEAM_CHANNELS": "robot", "AIRFLOW_CONN_ROBOT": "ftp://u:geheim@x/"}, "no channel"),
        ({"CARD_USAGE_TEAM_CHANNELS": "robot", "AIRFLOW_CONN_ROBOT": '{"conn_type": "wecom"}'}, "robot"),
    ],
)
def test_a_channel_that_is_none_is_said_in_a_line(desk: Desk, changes: dict[str, str], says: str) -> None:
    done = desk.run("alerts", "test", "--hospital", "demo_hospital", **changes)
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert says in line
    assert "geheim" not in line + done.stderr
    assert "Traceback" not in done.stderr


def test_alerts_of_a_hospital_that_is_none_or_of_a_ledger_that_is_away_are_one_line(desk: Desk) -> None:
    done = desk.run("alerts", "test", "--hospital", "nowhere")
    assert (done.returncode, "no hospital 'nowhere'" in one_line(done)) == (2, True)
    away = {"CARD_USAGE_LEDGER_URL": "postgresql://u:ge@heim@127.0.0.1:1/x"}
    for words in (("alerts", "send"), ("incidents", "--json")):
        done = desk.run(*words, **away)
        assert done.returncode == 2
        assert "the ledger at postgresql 127.0.0.1 cannot be reached" in one_line(done)
        assert "heim" not in done.stderr

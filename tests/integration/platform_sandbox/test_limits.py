"""What the sandbox limits and remembers: quota, rate, repeated requestIds, counts, statement, journal."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import platform_sandbox
import pytest
from platform_caller import BY_HEALTH_CARD, REPORT_PATH, Caller, Clock, result
from platform_sandbox import App, Config, SandboxError, SettingError
from platform_sandbox.accepted import JournalError


def serving(**settings: Any) -> Any:
    return platform_sandbox.serve(Config(**settings))


# Repeats


def test_an_accepted_request_id_is_10054_from_then_on_and_counted_once() -> None:
    with serving() as sandbox, Caller(sandbox.url) as isv:
        assert [isv.report("R1") for _ in range(3)] == [0, 10054, 10054]
        assert isv.report("R1", name="另一人") == 10054
        assert isv.report("r1") == 0
        assert [record.request_id for record in sandbox.accepted()] == ["R1", "r1"]


def test_a_refused_request_id_may_be_used_again_unless_ids_are_remembered_when_seen() -> None:
    for repeat, again in (("accepted", 0), ("seen", 10054)):
        with serving(repeat=repeat) as sandbox, Caller(sandbox.url) as isv:
            assert isv.report("R1", name="") == 10013
            assert isv.report("R1") == again
            sandbox.faults(busy=1.0)
            assert isv.report("R2") in platform_sandbox.codes.BUSY
            sandbox.calm()
            assert isv.report("R2") == again
            assert len(sandbox.accepted()) == (2 if again == 0 else 0)


def test_a_call_that_did_not_pass_the_gate_was_never_seen() -> None:
    clock = Clock()
    config = Config(repeat="seen", not_live=frozenset({"10086"}), quota=1, clock=clock)
    with platform_sandbox.serve(config) as sandbox, Caller(sandbox.url) as isv:
        assert isv.report("R1", common={"appToken": "x"}) == 21004
        assert isv.report("R1", common={"sign": "x"}) == 21006
        assert isv.report("R1") == 0
        assert isv.report("R2") == 10034
        clock.move(days=1)
        isv.get_token()
        assert isv.report("R2") == 0


def test_a_gate_that_remembers_ids_says_10054_even_to_a_call_that_it_turned_away() -> None:
    with serving(repeat="gate") as sandbox, Caller(sandbox.url) as isv:
        assert [isv.report("R1", common={"appToken": "x"}), isv.report("R1")] == [21004, 10054]
        assert [isv.report("R2", common={"sign": "x"}), isv.report("R2")] == [21006, 10054]
        assert [isv.report("R3"), isv.report("R3"), isv.report("R4")] == [0, 10054, 0]
        assert [record.request_id for record in sandbox.accepted()] == ["R3", "R4"]


def test_the_request_id_of_a_token_call_is_remembered_too() -> None:
    with serving() as sandbox, Caller(sandbox.url) as isv:
        codes = [isv.get_token({"requestId": "T1"})["commonOut"]["resultCode"] for _ in range(2)]
        assert codes == [0, 10054]
        assert isv.report() == 0  # the refused repeat killed no token


# Quota and rate


def test_a_hospital_not_yet_live_has_100_calls_a_day_and_interface() -> None:
    clock = Clock("2026-03-02 23:59:59")
    apps = (App(app_id="demo-app-id", app_secret="demo-app-secret", hospitals=("10086", "10087")),)
    with serving(apps=apps, not_live=frozenset({"10086"}), clock=clock) as sandbox, Caller(sandbox.url) as isv:
        isv.get_token()
        assert [isv.report() for _ in range(100)] == [0] * 100
        assert [isv.report() for _ in range(3)] == [10034] * 3
        # Another interface, and another hospital, are not touched.
        assert isv.get_token()["commonOut"]["resultCode"] == 0
        assert isv.report(common={"hospitalId": "10087"}, hospitalId="10087") == 0
        clock.move(seconds=1)  # midnight in Shanghai, 16:00 UTC
        assert isv.report() == 0
        counts = sandbox.counts("10086")
    assert counts["result_codes"] == {"0": 103, "10034": 3}


def test_a_refused_or_repeated_call_uses_the_quota_and_an_unauthentic_one_does_not() -> None:
    with serving(not_live=frozenset({"10086"}), quota=3) as sandbox, Caller(sandbox.url) as isv:
        isv.get_token()
        assert isv.report(common={"sign": "x"}) == 21006
        assert [isv.report("R1"), isv.report("R1"), isv.report(name="")] == [0, 10054, 10013]
        assert isv.report() == 10034


def test_tokens_have_a_quota_of_their_own() -> None:
    with serving(not_live=frozenset({"10086"}), quota=2) as sandbox, Caller(sandbox.url) as isv:
        assert [isv.get_token()["commonOut"]["resultCode"] for _ in range(3)] == [0, 0, 10034]
        assert isv.report() == 0


def test_above_the_rate_limit_calls_are_21007_until_the_next_second() -> None:
    clock = Clock()
    with serving(rate_limit=5, clock=clock) as sandbox, Caller(sandbox.url) as isv:
        isv.get_token()
        clock.move(seconds=1)
        assert [isv.report() for _ in range(7)] == [0] * 5 + [21007] * 2
        clock.move(seconds=1)
        assert isv.report() == 0


# What is kept


def test_the_same_event_under_two_ids_is_counted_as_doubled() -> None:
    with serving() as sandbox, Caller(sandbox.url) as isv:
        assert [isv.report(request_id) for request_id in ("A", "B", "C")] == [0, 0, 0]
        assert isv.report("D", time="2026-03-03 08:15:00") == 0
        first, second, _, other = sandbox.accepted()
        assert first.digest == second.digest != other.digest
        assert sandbox.counts()["doubled"] == 1
        assert sandbox.counts(day="2026-03-02")["doubled"] == 1
        assert sandbox.counts(day="2026-03-03")["doubled"] == 0


def test_counts_tell_hospitals_and_days_apart() -> None:
    clock = Clock("2026-03-04 08:00:00")
    apps = (App(app_id="demo-app-id", app_secret="demo-app-secret", hospitals=("10086", "10087")),)
    with serving(apps=apps, clock=clock) as sandbox, Caller(sandbox.url) as isv:
        isv.report()
        isv.report(time="2026-03-03 08:00:00", scene="010103", cardChannel="0402")
        isv.report(name="")
        isv.report(common={"hospitalId": "10087"}, hospitalId="10087")
        whole = isv.http.get("/sandbox/counts").json()
        assert whole == {
            "hospital_id": None,
            "day": None,
            "calls": 5,
            "by_interface": {"getAppToken": 1, "reportHISData": 4},
            "result_codes": {"0": 4, "10013": 1},
            "tokens_issued": 1,
            "tokens_evicted": 0,
            "faults": {},
            "accepted": 3,
            "doubled": 0,
            "verified": 0,
            "reported_and_verified": 0,
            "cards": 0,
            "by_day": {"2026-03-02": 2, "2026-03-03": 1},
            "by_scene": {"010101": 2, "010103": 1},
            "by_channel": {"0100": 2, "0402": 1},
        }
        one = isv.http.get("/sandbox/counts", params={"hospital_id": "10086", "day": "2026-03-03"}).json()
        assert (one["accepted"], one["by_day"], one["calls"]) == (1, {"2026-03-03": 1}, 0)
        assert isv.http.get("/sandbox/counts", params={"day": "2026-03-04"}).json()["calls"] == 5
        assert isv.http.get("/sandbox/counts", params={"day": "4 March"}).status_code == 400
        assert sandbox.counts("nobody")["accepted"] == 0


def test_the_statement_is_what_the_website_would_show() -> None:
    with serving() as sandbox, Caller(sandbox.url) as isv:
        for second in range(3):
            isv.report(time=f"2026-03-02 08:15:0{second}")
        isv.report(time="2026-03-02 23:59:59")
        isv.report(time="2026-03-03 00:00:00")
        assert result(isv.post(REPORT_PATH, isv.report_body(BY_HEALTH_CARD))) == 0
        response = isv.http.get("/sandbox/statement", params={"hospital_id": "10086", "day": "2026-03-02"})
        assert sandbox.statement("10086", "2026-03-03").count("\n") == 2
        assert sandbox.statement("10087").count("\n") == 1
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.content.startswith(b"\xef\xbb\xbf")
    assert list(csv.reader(io.StringIO(response.content.decode("utf-8-sig")))) == [
        ["医院ID", "日期", "小时", "用卡环节代码", "用卡环节", "渠道代码", "渠道", "证件类型", "用卡次数"],
        ["10086", "2026-03-02", "08", "010101", "挂号", "0100", "人工窗口", "01", "3"],
        ["10086", "2026-03-02", "09", "0101051", "门诊缴费", "0401", "服务号", "11", "1"],
        ["10086", "2026-03-02", "23", "010101", "挂号", "0100", "人工窗口", "01", "1"],
    ]


def test_what_is_kept_names_no_patient(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with serving(state=journal) as sandbox, Caller(sandbox.url) as isv:
        isv.report("R1", idCardNumber="110101199003070134", name="金丝雀甲", qrCodeText="canary:1")
        listing = isv.http.get("/sandbox/accepted")
        line = listing.json()
        kept = listing.text + journal.read_text() + repr(sandbox.accepted()) + repr(sandbox.counts())
    assert listing.headers["content-type"].startswith("application/x-ndjson")
    assert (line["requestId"], line["time"], len(line["digest"])) == ("R1", "2026-03-02 08:15:00", 32)
    for canary in ("110101199003070134", "金丝雀甲", "canary"):
        assert canary not in kept
        assert json.dumps(canary)[1:-1] not in kept
    assert journal.stat().st_mode & 0o077 == 0


def test_reset_forgets_everything_on_disk_too(tmp_path: Path) -> None:
    with serving(state=tmp_path / "journal", seed=3) as sandbox, Caller(sandbox.url) as isv:
        isv.report("R1")
        sandbox.faults(latency_ms=1)
        assert isv.http.post("/sandbox/reset").json() == {"status": "ok"}
        assert (tmp_path / "journal").read_bytes() == b""
        assert sandbox.counts()["calls"] == 0
        assert isv.report("R1") == 21004
        isv.get_token()
        assert isv.report("R1") == 0
        assert sandbox.faults() == platform_sandbox.Faults()
        assert len((tmp_path / "journal").read_text().splitlines()) == 1


def test_a_journal_is_read_again_with_ids_counts_and_quota(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "state": tmp_path / "journal",
        "clock": Clock(),
        "not_live": frozenset({"10086"}),
        "quota": 3,
    }
    with serving(**settings) as sandbox, Caller(sandbox.url) as isv:
        assert [isv.report("R1"), isv.report("R2")] == [0, 0]
        before = sandbox.accepted()
    with serving(**settings) as sandbox, Caller(sandbox.url) as isv:
        assert sandbox.accepted() == before
        assert sandbox.counts()["accepted"] == 2
        assert sandbox.counts()["doubled"] == 1
        assert [isv.report("R2"), isv.report("R3")] == [10054, 10034]


def test_a_torn_last_line_is_cut_off_and_damage_elsewhere_is_named(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with serving(state=journal) as sandbox, Caller(sandbox.url) as isv:
        assert [isv.report("R1"), isv.report("R2")] == [0, 0]
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-5])
    with serving(state=journal) as sandbox, Caller(sandbox.url) as isv:
        assert [record.request_id for record in sandbox.accepted()] == ["R1"]
        assert isv.report("R2") == 0
    assert journal.read_bytes().count(b"\n") == 2
    journal.write_bytes(b'["R1"]\n' + whole)
    for _ in range(2):  # the refused start holds no lock
        with pytest.raises(JournalError, match="damaged in line 1"), serving(state=journal):
            pass


def test_a_journal_serves_one_sandbox_at_a_time(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    in_use = pytest.raises(JournalError, match="in use by another sandbox")
    with serving(state=journal), in_use, serving(state=journal):
        pass
    with serving(state=tmp_path / "journal"):
        pass


@pytest.mark.parametrize("state", [Path("/nowhere/journal"), Path("/dev/null"), Path("/")])
def test_a_journal_that_cannot_be_is_refused_in_one_line(state: Path) -> None:
    with pytest.raises(JournalError) as refusal, serving(state=state):
        pass
    assert "\n" not in str(refusal.value)


# Settings


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"apps": ()}, "app"),
        ({"profile": "v3"}, "profile"),
        ({"repeat": "never"}, "repeat"),
        ({"not_live": frozenset({"10099"})}, "10099"),
        ({"quota": -1}, "quota"),
        ({"token_life": 0}, "token life"),
        ({"token_life": float("nan")}, "token life"),
        ({"rate_limit": -1}, "rate limit"),
        ({"apps": (App.parse("a:b:1"), App.parse("a:c:2"))}, "a"),
    ],
)
def test_an_impossible_setting_is_named(settings: dict[str, Any], names: str) -> None:
    with pytest.raises(SettingError, match=names):
        Config(**settings)


def test_an_app_is_written_with_colons_and_its_secret_is_never_shown() -> None:
    app = App.parse("id:se:cr:et:10086,10087")
    assert (app.app_id, app.app_secret, app.hospitals) == ("id", "se:cr:et", ("10086", "10087"))
    assert "se:cr:et" not in repr(Config(apps=(app,)))
    for text in ("", "id", "id:topsecret", "id::1", ":s:1", "id:topsecret:", "id:topsecret:1,"):
        with pytest.raises(SandboxError) as refusal:
            App.parse(text)
        assert "topsecret" not in str(refusal.value)

"""A hospital's days stand for one platform: by the command line, with two platforms on loopback."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import platform_sandbox
import pytest
from desk import DAY, SPAN, Desk, one_line, opened
from forked_cli import CommandLine

OF = SPAN[:2]
APP = platform_sandbox.App(app_id="real-app", app_secret="real-secret", hospitals=("10086",))


@pytest.fixture
def desk(tmp_path: Path, command_line: CommandLine) -> Iterator[Desk]:
    with opened(tmp_path, command_line, uses=40) as one:
        yield one


@pytest.fixture
def real() -> Iterator[platform_sandbox.RunningSandbox]:
    """The real platform, under an appId of its own."""
    with platform_sandbox.serve(platform_sandbox.Config(apps=(APP,))) as platform:
        yield platform


def named(url: str, app_id: str, secret: str) -> str:
    return json.dumps({"conn_type": "http", "host": url, "login": app_id, "password": secret})


def rows(desk: Desk, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(desk.home / "ledger.db")) as connection:
        return connection.execute(query).fetchall()


def to_real(desk: Desk, real: platform_sandbox.RunningSandbox) -> None:
    desk.environment["AIRFLOW_CONN_DEMO_PLATFORM"] = named(real.url, "real-app", "real-secret")


def test_days_that_went_to_a_sandbox_never_count_as_reported_to_the_real_platform(
    desk: Desk, real: platform_sandbox.RunningSandbox
) -> None:
    desk.json("stage", *SPAN)
    delivered = desk.json("deliver", *SPAN)["deliver"]["states"]["delivered"]
    to_real(desk, real)
    for verb in ("stage", "deliver", "run", "redeliver"):
        done = desk.run(verb, *SPAN, *(["--yes"] if verb == "redeliver" else []))
        assert done.returncode in (1, 2), verb
        told = one_line(done)
        assert desk.sandbox.url.removeprefix("http://") in told
        assert real.url.removeprefix("http://") in told
        assert "platform move" in told
        assert "platform forget" in told
        assert "real-secret" not in told
    assert real.counts()["accepted"] == 0
    # What the line says, done: everything goes to the real platform.
    shown = desk.run("platform", "forget", *OF)
    assert (shown.returncode, rows(desk, "SELECT count(*) FROM platform_move")) == (1, [(0,)])
    assert f"{delivered}" in shown.stdout
    desk.json("platform", "forget", *OF, "--yes")
    assert rows(desk, "SELECT count(*) FROM event") == [(0,)]
    assert rows(desk, "SELECT kind, events FROM platform_move") == [("forgotten", delivered)]
    desk.json("stage", *SPAN)
    assert desk.json("deliver", *SPAN)["deliver"]["states"] == {"delivered": delivered}
    assert real.counts()["accepted"] == delivered
    # From now on it is certain that they went there: nothing to forget.
    assert desk.run("platform", "forget", *OF, "--yes").returncode == 1
    assert rows(desk, "SELECT count(*) FROM event WHERE status = 'delivered'") == [(delivered,)]


def test_what_was_only_staged_follows_the_connection_and_so_does_what_was_refused(
    desk: Desk, real: platform_sandbox.RunningSandbox
) -> None:
    desk.json("stage", *SPAN)
    desk.sandbox.faults(refuse=1.0)
    assert desk.run("deliver", *SPAN).returncode == 1
    assert {status for (status,) in rows(desk, "SELECT DISTINCT status FROM event")} >= {"rejected"}
    desk.run("resume", *OF)
    to_real(desk, real)
    done = desk.json("deliver", *SPAN)["deliver"]
    assert real.counts()["accepted"] == done["states"]["delivered"] > 50
    assert rows(desk, "SELECT count(*) FROM event WHERE status = 'rejected'") == [(0,)]


def test_the_same_platform_under_another_address_is_moved_to_and_that_is_recorded(desk: Desk, tmp_path: Path) -> None:
    journal = tmp_path / "accepted.jsonl"
    old, new = (platform_sandbox.Config(apps=(APP,), state=journal) for _ in range(2))
    with platform_sandbox.serve(old) as before:
        to_real(desk, before)
        desk.json("stage", *SPAN)
        first = desk.json("deliver", *SPAN[:4], "--to", SPAN[3])["deliver"]["states"]["delivered"]
    with platform_sandbox.serve(new) as after:
        to_real(desk, after)
        assert "platform move" in one_line(desk.run("deliver", *SPAN))
        shown = desk.run("platform", "move", *OF)
        assert shown.returncode == 1
        assert "platform forget" in shown.stdout
        assert "platform move" in one_line(desk.run("deliver", *SPAN))
        desk.json("platform", "move", "--all", "--reason", "the host was renamed", "--yes")
        assert desk.json("deliver", *SPAN)["settled"] is True
        delivered = rows(desk, "SELECT request_id FROM event WHERE status = 'delivered'")
        accepted = [record.request_id for record in after.accepted()]
        assert sorted(accepted) == sorted(key for (key,) in delivered)
        assert len(set(accepted)) == len(accepted) > first
        assert "nothing to move" in desk.run("platform", "move", *OF).stdout
        (move,) = rows(desk, "SELECT kind, from_host, to_host, events, reason, moved_by <> '' FROM platform_move")
        hosts = before.url.removeprefix("http://"), after.url.removeprefix("http://")
        assert move == ("moved", *hosts, first, "the host was renamed", 1)


@pytest.mark.slow
def test_a_delivery_that_is_under_way_ends_when_its_platform_is_left(
    desk: Desk, real: platform_sandbox.RunningSandbox
) -> None:
    desk.json("stage", *SPAN)
    desk.sandbox.faults(latency_ms=1500)
    delivery = subprocess.Popen(
        desk.command("deliver", *SPAN), env=desk.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not desk.sandbox.counts()["accepted"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    to_real(desk, real)
    while not desk.json("platform", "move", *OF, "--yes").get("moved"):
        assert time.monotonic() < deadline
    desk.sandbox.calm()
    said = delivery.communicate(timeout=60)[1]
    assert delivery.returncode == 1
    assert "run the same command again" in said
    assert rows(desk, "SELECT count(*) FROM event WHERE status = 'in_flight'") == [(0,)]
    delivered = rows(desk, "SELECT count(*) FROM event WHERE status = 'delivered'")
    assert delivered == [(desk.sandbox.counts()["accepted"],)]


def test_another_hospital_id_at_the_platform_is_another_target_too(desk: Desk, tmp_path: Path) -> None:
    desk.json("stage", *SPAN)
    desk.json("deliver", *SPAN)
    files = tmp_path / "hospitals"
    files.mkdir()
    text = (Path(__file__).parents[3] / "include/hospitals/demo_hospital.toml").read_text(encoding="utf-8")
    (files / "demo_hospital.toml").write_text(text.replace('"10086"', '"20202"'), encoding="utf-8")
    aliases = str(Path(__file__).parents[3] / "include/code_aliases")
    done = desk.run("deliver", *SPAN, CARD_USAGE_HOSPITALS=str(files), CARD_USAGE_ALIASES=aliases)
    assert "hospital 10086" in one_line(done)
    assert "hospital 20202" in one_line(done)


@pytest.mark.parametrize("app_id", ["real-app", "demo-app-id"])
def test_a_ledger_that_delivered_before_addresses_were_recorded_is_bound_by_its_app_id(desk: Desk, app_id: str) -> None:
    desk.json("stage", *SPAN)
    desk.json("deliver", *SPAN)
    with closing(sqlite3.connect(desk.home / "ledger.db")) as connection, connection:
        connection.execute("DELETE FROM binding")
        connection.execute("UPDATE deliverer SET platform_host = NULL")
    same = platform_sandbox.App(app_id=app_id, app_secret="s", hospitals=("10086",))
    with platform_sandbox.serve(platform_sandbox.Config(apps=(same,))) as other:
        desk.environment["AIRFLOW_CONN_DEMO_PLATFORM"] = named(other.url, app_id, "s")
        done = desk.run("stage", *SPAN)
        if app_id == "real-app":
            assert "an address that was not recorded (appId demo-app-id)" in one_line(done)
            assert rows(desk, "SELECT * FROM binding") == []
            desk.json("platform", "move", *OF, "--yes")
            assert rows(desk, "SELECT origin, app_id FROM binding") == [("moved", "real-app")]
        else:
            assert done.returncode == 0
            assert rows(desk, "SELECT origin FROM binding") == [("assumed",)]
        assert desk.json("stage", *SPAN)["settled"] is True


def test_a_rehearsal_sends_its_days_to_the_sandbox_and_leaves_ledger_and_platform_alone(
    desk: Desk, real: platform_sandbox.RunningSandbox, tmp_path: Path
) -> None:
    to_real(desk, real)
    desk.environment["CARD_USAGE_REHEARSALS"] = str(tmp_path / "rehearsals")
    missing = one_line(desk.run("rehearse", *SPAN))
    assert "AIRFLOW_CONN_DEMO_PLATFORM_REHEARSAL" in missing
    # The live platform is no place for a rehearsal, under whatever appId.
    done = desk.run("rehearse", *SPAN, AIRFLOW_CONN_DEMO_PLATFORM_REHEARSAL=named(real.url, "other", "s"))
    assert done.returncode == 2
    assert "reports for real" in one_line(done)

    sandbox = named(desk.sandbox.url, "demo-app-id", "demo-app-secret")
    desk.environment["AIRFLOW_CONN_DEMO_PLATFORM_REHEARSAL"] = sandbox
    before = rows(desk, "SELECT count(*) FROM event"), rows(desk, "SELECT count(*) FROM binding")
    done = desk.run("rehearse", *SPAN, "--json")
    output = json.loads(done.stdout)
    delivered = output["deliver"]["states"]["delivered"]
    assert desk.sandbox.counts()["accepted"] == delivered > 50
    assert output["rehearsal"]["ledger"].endswith("rehearsals/demo_hospital/ledger.db")
    assert output["rehearsal"]["request ids"] == "remembered: on_acceptance"
    pages = [Path(page) for page in output["report"] if page.endswith(".html") and ".mail" not in page]
    assert pages
    assert all("演练" in page.read_text(encoding="utf-8") for page in pages)
    assert not (tmp_path / "reports").exists()
    assert (rows(desk, "SELECT count(*) FROM event"), rows(desk, "SELECT count(*) FROM binding")) == before
    assert rows(desk, "SELECT count(*) FROM replica_turn") == [(0,)]

    # The days are still to be reported, all of them, to the real platform.
    desk.json("stage", *SPAN)
    assert desk.json("deliver", *SPAN)["deliver"]["states"] == {"delivered": delivered}
    assert real.counts()["accepted"] == delivered

    # And its ledger serves no delivery: with it in place of the real one, the real platform is refused.
    done = desk.run("deliver", *SPAN, CARD_USAGE_LEDGER_URL=output["rehearsal"]["ledger"])
    assert "platform forget" in one_line(done)
    with platform_sandbox.serve() as another:
        there = named(another.url, "demo-app-id", "demo-app-secret")
        done = desk.run("rehearse", *SPAN, AIRFLOW_CONN_DEMO_PLATFORM_REHEARSAL=there)
        assert "--anew" in one_line(done)
        assert another.counts()["accepted"] == 0
        desk.run("rehearse", *SPAN, "--anew", AIRFLOW_CONN_DEMO_PLATFORM_REHEARSAL=there)
        assert another.counts()["accepted"] == delivered


def looks(desk: Desk) -> dict[str, tuple[str, str]]:
    """Check -> its state and what it says, of `hospital check`."""
    told = json.loads(desk.run("hospital", "check", "demo_hospital", "--json").stdout)["checks"]
    return {one["check"]: (one["state"], one["says"]) for one in told if one["check"] in ("target", "memory")}


def test_the_check_of_a_hospital_says_where_reports_go_and_what_10054_proves_there(
    desk: Desk, real: platform_sandbox.RunningSandbox
) -> None:
    host = desk.sandbox.url.removeprefix("http://")
    before = looks(desk)
    assert before["target"][0] == "ok"
    assert host in before["target"][1]
    assert before["memory"][0] == "warn"
    assert "platform calibrate --hospital demo_hospital" in before["memory"][1]
    desk.json("platform", "calibrate", *OF)
    assert looks(desk)["memory"][0] == "ok"
    desk.json("stage", *SPAN)
    desk.json("deliver", *SPAN)
    to_real(desk, real)
    state, says = looks(desk)["target"]
    assert state == "missing"
    assert host in says
    assert "platform forget --hospital demo_hospital" in says
    desk.json("platform", "move", *OF, "--reason", "renamed", "--yes")
    assert "renamed" in looks(desk)["target"][1]
    # The new address may be another gateway: that it remembers on acceptance is found out anew.
    assert looks(desk)["memory"][0] == "warn"
    (page,) = [name for name in desk.json("report", *SPAN)["report"] if name.endswith(f"{DAY}.html")]
    shown = Path(page).read_text(encoding="utf-8")
    assert real.url.removeprefix("http://") in shown
    assert host in shown
    assert desk.json("evidence", "verify", *OF)["platform"][0]["reason"] == "renamed"


def test_events_that_10054_leaves_unproved_are_explained_and_calibration_is_named(desk: Desk) -> None:
    desk.json("stage", *SPAN)
    desk.sandbox.faults(drop_after=0.2)
    assert desk.run("deliver", *SPAN).returncode == 1
    desk.sandbox.calm()
    desk.run("deliver", *SPAN)
    ((unconfirmed,),) = rows(desk, "SELECT count(*) FROM event WHERE status = 'unconfirmed' AND result_code = 10054")
    assert unconfirmed > 5
    pages = [name for name in desk.json("report", *SPAN)["report"] if name.endswith(".json")]
    actions = [action for page in pages for action in json.loads(Path(page).read_text("utf-8"))["actions"]]
    told = [action["to_do"] for action in actions if action["kind"] == "unconfirmed"]
    assert told
    assert all("platform calibrate" in to_do for to_do in told)

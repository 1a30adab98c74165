"""acceptance: every item of the review is tried against the sandbox, and the page says what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import ledgers
import pytest
from card_usage.cli.main import main
from card_usage.files.shipped import SHIPPED
from region import Region, region

HTTPS = json.dumps({"conn_type": "http", "host": "https://platform.example.org", "login": "a", "password": "b"})


def environment(here: Region, home: Path) -> dict[str, str]:
    (home / "hospitals").mkdir()
    text = (SHIPPED / "hospitals" / "demo_hospital.toml").read_text(encoding="utf-8")
    (home / "hospitals" / "demo_hospital.toml").write_text(text, encoding="utf-8")
    connection = {
        "conn_type": "http",
        "host": here.sandbox.url,
        "login": "demo-app-id",
        "password": "demo-app-secret",
    }
    return {
        "CARD_USAGE_LEDGER_URL": ledgers.sqlite_url(home),
        "CARD_USAGE_KEY": ledgers.KEY,
        "CARD_USAGE_HOSPITALS": str(home / "hospitals"),
        "CARD_USAGE_REHEARSALS": str(home / "rehearsals"),
        "AIRFLOW_CONN_DEMO_PLATFORM": HTTPS,
        "AIRFLOW_CONN_DEMO_PLATFORM_REHEARSAL": json.dumps(connection),
    }


def arguments(home: Path) -> list[str]:
    out = str(home / "out")
    return ["acceptance", "--hospital", "demo_hospital", "--out", out, "--calls", "60", "--reports", "30"]


@pytest.fixture
def here() -> Iterator[Region]:
    with region(clock_is_real=True) as opened:
        yield opened


@pytest.mark.slow
def test_every_item_is_tried_and_passes(here: Region, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    here.sandbox.faults(latency_ms=1)
    code = main(arguments(tmp_path), environment(here, tmp_path))
    told = capsys.readouterr()
    assert code == 0, told
    page = (tmp_path / "out" / "acceptance-demo_hospital.html").read_text(encoding="utf-8")
    ElementTree.fromstring(page)  # noqa: S314 - our own page
    found = json.loads((tmp_path / "out" / "acceptance-demo_hospital.json").read_text(encoding="utf-8"))
    assert [item["item"] for item in found["items"] if not item["passed"]] == []
    figures = {item["item"]: item["figures"] for item in found["items"]}
    assert figures["codes"]["codes"] == 67
    assert figures["exchange"]["interfaces"] == 11
    assert figures["lost_answers"]["arrived"] == 30
    assert figures["lost_answers"]["doubled"] == 0
    assert figures["refused_before_sending"]["sent"] == 0
    assert "全部 13 项通过" in page
    assert "acceptance" not in page.replace("acceptance-", "").partition("<body>")[2]  # every word has its text
    assert here.sandbox.faults().latency_ms == 1  # as before


@pytest.mark.slow
def test_plain_http_to_the_own_platform_does_not_pass(here: Region, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    plain = json.dumps({"conn_type": "http", "host": "http://platform.example.org", "login": "a", "password": "b"})
    code = main(arguments(tmp_path), environment(here, tmp_path) | {"AIRFLOW_CONN_DEMO_PLATFORM": plain})
    assert code == 1
    assert "x 不通过  2.8.3.1 HTTPS 与 JSON" in capsys.readouterr().out


def test_what_is_no_sandbox_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str], here: Region):
    nobody = json.dumps({"conn_type": "http", "host": "http://127.0.0.1:9", "login": "a", "password": "b"})
    changed = {"AIRFLOW_CONN_DEMO_PLATFORM_REHEARSAL": nobody}
    assert main(arguments(tmp_path), environment(here, tmp_path) | changed) == 2
    assert "leads to no sandbox of this project" in capsys.readouterr().err

"""One hospital's trouble is its own: two hospitals, one ledger, one appId, a process each."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import demo_his
import ledgers
import platform_sandbox
import pytest
from card_usage import pipeline
from card_usage.config.connections import connection_from_environment
from card_usage.config.settings import Settings
from card_usage.context import Context
from card_usage.files.shipped import SHIPPED
from card_usage.windows import day_window
from platform_sandbox.settings import App, Config

DAY = date(2026, 3, 2)
NEIGHBOUR, TROUBLED = "neighbour", "troubled"
PLATFORM_IDS = {NEIGHBOUR: "10086", TROUBLED: "10087"}
QUOTA = 7
DEADLINE = 4


@dataclass
class Town:
    """Both hospitals, staged and ready to be delivered."""

    home: Path
    sandbox: platform_sandbox.RunningSandbox
    environment: dict[str, str]

    def deliver(self, hospital: str) -> subprocess.Popen[str]:
        span = ["--hospital", hospital, "--from", f"{DAY}", "--to", f"{DAY}", "--json"]
        return subprocess.Popen(
            [sys.executable, "-m", "card_usage", "deliver", *span],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def told(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        out, err = process.communicate(timeout=120)
        assert out, err
        result: dict[str, Any] = json.loads(out)
        return result


@pytest.fixture
def town(tmp_path: Path, ledger_url: str) -> Iterator[Town]:
    demo_his.create(f"sqlite:///{tmp_path}/his.db", [DAY], uses_per_day=400, seed=3)
    text = (SHIPPED / "hospitals" / "demo_hospital.toml").read_text(encoding="utf-8")
    (tmp_path / "hospitals").mkdir()
    for hospital, platform_id in PLATFORM_IDS.items():
        told = text.replace('id = "demo_hospital"', f'id = "{hospital}"').replace('"10086"', f'"{platform_id}"')
        told = told.replace("concurrency = 32", f"call_timeout_seconds = {DEADLINE}\nconcurrency = 32")
        told = told.replace('connection = "demo_platform"', f'connection = "{hospital}_platform"')
        if hospital == TROUBLED:
            told = told.replace("live = true ", "live = false").replace("daily_quota = 100", f"daily_quota = {QUOTA}")
        (tmp_path / "hospitals" / f"{hospital}.toml").write_text(told, encoding="utf-8")
        shutil.copytree(SHIPPED / "code_aliases" / "demo_hospital", tmp_path / "code_aliases" / hospital)
    app = App(app_id="demo-app-id", app_secret="demo-app-secret", hospitals=tuple(PLATFORM_IDS.values()))
    not_live = frozenset({PLATFORM_IDS[TROUBLED]})
    with platform_sandbox.serve(Config(apps=(app,), not_live=not_live, quota=QUOTA)) as sandbox:
        environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}} | {
            "CARD_USAGE_LEDGER_URL": ledger_url,
            "CARD_USAGE_KEY": ledgers.KEY,
            "CARD_USAGE_KEY_FOLDER": str(tmp_path / "keys"),
            "CARD_USAGE_HOSPITALS": str(tmp_path / "hospitals"),
            "CARD_USAGE_ALIASES": str(tmp_path / "code_aliases"),
            "CARD_USAGE_REPORTS": str(tmp_path / "reports"),
            "AIRFLOW_CONN_DEMO_HIS": f"sqlite:///{tmp_path}/his.db",
            **{f"AIRFLOW_CONN_{hospital.upper()}_PLATFORM": connection(sandbox.url) for hospital in PLATFORM_IDS},
        }
        opened = Town(tmp_path, sandbox, environment)
        settings, his = (
            Settings.from_environment(environment),
            partial(connection_from_environment, environment=environment),
        )
        for hospital in PLATFORM_IDS:
            with Context.open(hospital, settings, his) as context:
                for feed in context.hospital.his.feeds:
                    pipeline.stage(context, feed, day_window(DAY), now=datetime.now(UTC))
        yield opened


def connection(url: str) -> str:
    return json.dumps({"conn_type": "http", "host": url, "login": "demo-app-id", "password": "demo-app-secret"})


@pytest.mark.parametrize("stuck_in", ["the platform's clock", "getAppToken"])
def test_a_hospital_that_cannot_reach_its_platform_delays_no_other(town: Town, stuck_in: str) -> None:
    """The worst of outages: a platform that accepts connections and never answers.

    Asking for the token that both share is the one thing a hospital can do for another: for one deadline, no longer.
    """
    file = town.home / "hospitals" / f"{TROUBLED}.toml"
    if stuck_in == "getAppToken":  # a live hospital does not ask for the platform's clock first
        file.write_text(file.read_text(encoding="utf-8").replace("live = false", "live = true "), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        town.environment["AIRFLOW_CONN_TROUBLED_PLATFORM"] = connection(f"http://127.0.0.1:{silent.getsockname()[1]}")
        silent.settimeout(60)
        waiting = town.deliver(TROUBLED)
        try:
            silent.accept()  # it is at work, and stuck
            delivered = town.told(town.deliver(NEIGHBOUR))
            assert waiting.poll() is None, "the neighbour was done while the other one still waited"
        finally:
            waiting.kill()
            waiting.communicate()
    assert delivered["settled"]
    assert delivered["deliver"]["states"]["delivered"] > 300
    assert delivered["deliver"]["answers"].keys() == {"accepted"}
    assert delivered["deliver"]["seconds"] < 3 * DEADLINE


def test_a_hospital_whose_quota_is_used_up_delays_no_other(town: Town) -> None:
    rationed, free = town.deliver(TROUBLED), town.deliver(NEIGHBOUR)
    short, whole = town.told(rationed), town.told(free)
    assert whole["settled"]
    assert whole["deliver"]["states"]["delivered"] > 300
    assert not short["settled"]
    assert short["deliver"]["states"].get("delivered", 0) <= QUOTA
    assert short["deliver"]["left"] > 300
    again = town.told(town.deliver(TROUBLED))
    assert again["deliver"]["calls"] == 0, "not one more call until the platform's next day"

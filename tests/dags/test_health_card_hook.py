"""HealthCardHook: any DAG of the ISV calls the platform on the token that the reporting runs use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import ledgers
import pytest
from card_usage.errors import MissingSetting
from card_usage.files.shipped import SHIPPED
from card_usage.interfaces.messages import GetHealthCardByQrCode, RegisterHealthCard
from card_usage_airflow.hooks import HealthCardHook
from messages import PERSON
from region import Region, region


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Region]:
    with region(clock_is_real=True) as opened:
        connection = {
            "conn_type": "http",
            "host": opened.sandbox.url,
            "login": "demo-app-id",
            "password": "demo-app-secret",
        }
        monkeypatch.setenv("AIRFLOW_CONN_DEMO_PLATFORM", json.dumps(connection))
        monkeypatch.setenv("CARD_USAGE_LEDGER_URL", ledgers.sqlite_url(tmp_path))
        monkeypatch.setenv("CARD_USAGE_KEY", ledgers.KEY)
        monkeypatch.setenv("CARD_USAGE_HOSPITALS", str(SHIPPED / "hospitals"))
        yield opened


def test_a_task_registers_a_card_and_finds_it(here: Region):
    with HealthCardHook("demo_hospital").platform() as platform:
        text = platform.call(RegisterHealthCard(**PERSON, wechat_code=here.wechat_code())).result().qr_code_text
    with HealthCardHook("demo_hospital").platform() as platform:
        assert platform.call(GetHealthCardByQrCode(qr_code_text=text)).result().card.name == PERSON["name"]
    assert here.sandbox.counts()["tokens_issued"] == 1


def test_a_connection_that_is_not_there_is_named(here: Region, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AIRFLOW_CONN_DEMO_PLATFORM")
    hook = HealthCardHook("demo_hospital")
    with pytest.raises(MissingSetting, match="AIRFLOW_CONN_DEMO_PLATFORM"), hook.platform():
        pass

"""The flows of the document run as written, take every step, and call the interfaces that they name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx
import ledgers
import pytest
from card_usage.config.connections import Connection
from card_usage.config.hospital import load_hospital
from card_usage.errors import CallRefused, FlowBroken
from card_usage.files.shipped import SHIPPED
from card_usage.interfaces.table import INTERFACES
from card_usage.open_platform.client import OpenPlatform
from card_usage.open_platform.flow_steps import FLOWS
from card_usage.open_platform.flows import RUNS, Story, run_flow
from card_usage.open_platform.sandbox_surroundings import SandboxSurroundings, made_up_person
from card_usage.open_platform.session import opened_gate
from card_usage.standard.code_tables import load_tables
from card_usage.standard.id_numbers import is_resident_id
from demo_his import id_picture
from region import Region, region

PICTURE = id_picture.content(
    id_picture.draw(
        name="演示甲", id_number="110101199003070134", gender="男", nation="汉", birth="1990/3/7", address="示范路1号"
    )
)


@asynccontextmanager
async def storied(here: Region, home: Path) -> AsyncIterator[Story]:
    hospital = load_hospital(SHIPPED / "hospitals", "demo_hospital")
    connection = Connection(
        conn_id="p", conn_type="http", host=here.sandbox.url, login="demo-app-id", password="demo-app-secret"
    )
    with ledgers.sqlite(home) as ledger:
        async with (
            opened_gate(ledger, hospital, connection=connection, tables=load_tables()) as (caller, gate),
            httpx.AsyncClient(trust_env=False) as http,
        ):
            platform = OpenPlatform(caller, gate, hospital_id="10086", tables=load_tables())
            around = SandboxSurroundings(here.sandbox.url, http, app_id="demo-app-id")
            yield Story(platform=platform, around=around, app_id="demo-app-id", now=platform.now(), picture=PICTURE)


@pytest.mark.parametrize("qr", ["static", "dynamic"])
@pytest.mark.parametrize("name", FLOWS)
async def test_a_flow_takes_its_steps_and_calls_what_it_names(name: str, qr: str, tmp_path: Path):
    with region(clock_is_real=True, qr=qr) as here:
        async with storied(here, tmp_path) as story:
            await run_flow(name, story, made_up_person(Random(7)))
        called: Any = here.sandbox.counts()["by_interface"]
    assert tuple(story.taken) == FLOWS[name].steps
    named = {step.interface for step in FLOWS[name].steps if step.interface}
    # Who comes with a card has it from the same interface.
    assert set(called) - {"getAppToken"} == named | {"registerHealthCard"} - (
        {"registerHealthCard"} if name == "batch" else set()
    )


def test_the_table_of_interfaces_names_the_flows_that_call_them():
    assert RUNS.keys() == FLOWS.keys()
    for name, flow in FLOWS.items():
        named = {step.interface for step in flow.steps if step.interface}
        assert named == {each.name for each in INTERFACES.values() if name in each.flows}


async def test_a_scan_with_a_dynamic_code_is_counted_by_its_verification_alone(tmp_path: Path):
    with region(clock_is_real=True) as here:
        async with storied(here, tmp_path) as story:
            await run_flow("scan", story, made_up_person(Random(7)))
        counts = here.sandbox.counts()
    assert (counts["accepted"], counts["verified"], counts["reported_and_verified"]) == (1, 1, 0)


async def test_a_flow_that_does_not_go_as_the_document_says_ends_where_it_failed(tmp_path: Path):
    with region(clock_is_real=True) as here:
        async with storied(here, tmp_path) as story:
            here.sandbox.faults(on_cards=True, refuse=1.0)
            with pytest.raises(CallRefused, match="registerHealthCard"):
                await run_flow("new-card", Story(**{**vars(story), "picture": ""}), made_up_person(Random(7)))
            here.sandbox.calm()
            story.around.pages = f"{here.sandbox.url}/sandbox/health?"
            with pytest.raises(FlowBroken, match="leads nowhere"):
                await run_flow("new-card", story, made_up_person(Random(7)))


def test_somebody_made_up_passes_every_check_and_shows_nothing():
    for seed in range(50):
        person = made_up_person(Random(seed))
        assert is_resident_id(person.id_number)
        assert repr(person) == "Person()"

"""What the pipeline does with a known day is what was written down of it: byte for byte where others see it.

A difference that is meant is written down with `python -m tests.golden`; the diff of its files belongs in the commit.
`python -m tests.golden --full DIR`, here and in an older checkout, shows the rows behind a digest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from card_usage.config.alert_causes import CAUSES

from golden.record import compute, difference
from golden.written import RECORDED

Same = Callable[[str], None]


@pytest.fixture(scope="module")
def computed() -> dict[str, Any]:
    return compute()


@pytest.fixture
def same(computed: dict[str, Any]) -> Same:
    def hold(topic: str) -> None:
        found = difference(topic, computed[topic])
        if found:
            pytest.fail(f"{topic} is not as recorded:\n{found}", pytrace=False)

    return hold


def test_every_topic_is_recorded_and_nothing_else(computed: dict[str, Any]) -> None:
    assert {path.stem for path in RECORDED.glob("*.json")} == computed.keys()


def test_an_answer_means_what_it_meant_after_any_history(same: Same) -> None:
    same("outcomes")


def test_keys_request_ids_standard_codes_and_digests_are_the_same_when_staged(same: Same) -> None:
    same("events_staged")


def test_states_and_ids_of_both_generations_are_the_same_in_the_end(same: Same) -> None:
    same("events")


def test_the_rules_find_the_same_in_the_same_rows(same: Same) -> None:
    same("findings")


def test_the_bytes_of_every_call_are_the_same(same: Same) -> None:
    same("calls")


def test_the_command_line_says_the_same(same: Same) -> None:
    same("command_line")


def test_the_ledger_keeps_the_same(same: Same) -> None:
    same("tables")


def test_packs_of_evidence_are_the_same_line_by_line(same: Same) -> None:
    same("evidence")


def test_reports_of_days_with_differences_are_the_same(same: Same) -> None:
    same("reports_before_it_was_proved")


def test_reports_of_day_month_and_fleet_are_the_same_in_every_form(same: Same) -> None:
    same("reports")


def test_the_day_sends_the_same_messages(same: Same) -> None:
    same("messages")


def test_incidents_come_grow_and_go_as_they_did(same: Same) -> None:
    same("incidents")


def test_every_cause_is_told_in_both_languages_somewhere(computed: dict[str, Any]) -> None:
    told = {tuple(name.split(" ")[i] for i in (4, 2)) for name in computed["alerts"]}
    of_fleet = {name.split(" ")[4] for part in computed["alerts_of_the_fleet"].values() for name in part}
    causes = CAUSES.keys() - of_fleet
    assert {(cause, channel) for cause in causes for channel in ("chinese", "english")} <= told
    assert {"channel_down", "dag_failed", "mailbox_refused"} == of_fleet


def test_what_concerns_no_one_hospital_is_told_in_the_same_words(same: Same) -> None:
    same("alerts_of_the_fleet")


def test_every_cause_is_told_in_the_same_words_in_both_languages(same: Same) -> None:
    same("alerts")

"""What an answer means: the table is total, and each of its ideas is a sentence here."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations_with_replacement, product
from pathlib import Path

import pytest
from card_usage.errors import CodeTableError
from card_usage.ledger.schema import STATES
from card_usage.platform import outcome
from card_usage.platform.outcome import (
    OWN_REFUSALS,
    RESULT_CODES,
    TABLES,
    Answer,
    Memory,
    Outcome,
    Past,
    Step,
    classify,
    past,
    result_classes,
    shows_memory_on_sight,
)
from card_usage.platform.reader import read_reply
from cases import every_case

OPEN = {"ready", "held", "unknown"}
UNPROVEN = (Memory.UNKNOWN, Memory.ON_SIGHT)
MERE_STATUS = (Answer.NO_ANSWER, Answer.BARRED, Answer.LIMITED)


def settle(history: Iterable[Answer], answer: Answer, memory: Memory = Memory.ON_ACCEPTANCE) -> Outcome:
    return outcome.settle(history, answer, memory)


def envelope(code: int, request_id: str = "A1", rsp: str = "{}") -> bytes:
    common = b'{"commonOut":{"requestId":"%s","resultCode":%d,"errMsg":"x"},"rsp":' % (request_id.encode(), code)
    return common + rsp.encode() + b"}"


def test_every_answer_has_an_outcome_after_every_past() -> None:
    assert TABLES.keys() == set(Memory)
    for table in TABLES.values():
        assert table.keys() == set(Answer)
        for row in table.values():
            assert row.keys() == set(Past)
            assert {outcome.status for outcome in row.values()} <= set(STATES)


def test_any_history_of_up_to_three_answers_leads_somewhere() -> None:
    for length in range(4):
        for history in combinations_with_replacement(Answer, length):
            for answer, memory in product(Answer, Memory):
                outcome = settle(history, answer, memory)
                assert (outcome.step in {Step.SETTLE, Step.DECIDE, Step.STOP}) or outcome.status in OPEN | {"rejected"}
                assert not outcome.new_id or outcome.status in {"ready", "held"}


def test_the_order_of_a_history_does_not_matter() -> None:
    for history in combinations_with_replacement(Answer, 3):
        assert past(history) == past(reversed(history))


def test_every_code_of_the_document_has_a_class() -> None:
    with RESULT_CODES.open(encoding="utf-8", newline="") as lines:
        codes = [int(row["code"]) for row in csv.DictReader(lines)]
    assert len(codes) == len(set(codes)) == 68
    assert all(classify(code) is not Answer.UNLISTED for code in codes)


def test_a_code_that_the_document_does_not_list_is_never_guessed() -> None:
    assert classify(424242) is Answer.UNLISTED
    assert settle([], Answer.UNLISTED).status == "unknown"


def test_zero_delivers_whatever_was_before() -> None:
    assert {settle([one], Answer.ACCEPTED, of).status for one, of in product(Answer, Memory)} == {"delivered"}


@pytest.mark.parametrize(
    ("history", "status"),
    [
        ([], "delivered"),  # a rebuilt ledger asks again
        ([Answer.NO_ANSWER], "delivered"),
        ([Answer.NO_ANSWER, Answer.TOKEN, Answer.NO_ANSWER], "delivered"),
        ([Answer.ACCEPTED], "delivered"),
        ([Answer.TOKEN], "delivered"),
        ([Answer.BUSY], "unconfirmed"),
        ([Answer.NO_ANSWER, Answer.BUSY], "unconfirmed"),
        ([Answer.UNLISTED], "unconfirmed"),
        ([Answer.REFUSED], "unconfirmed"),
        ([Answer.BARRED], "delivered"),
        ([Answer.LIMITED], "delivered"),
    ],
)
def test_10054_proves_delivery_only_where_nothing_was_refused_or_failed(history: list[Answer], status: str) -> None:
    assert settle(history, Answer.REPEATED).status == status


@pytest.mark.parametrize("memory", UNPROVEN)
def test_10054_proves_nothing_unless_ids_are_known_to_be_remembered_on_acceptance(memory: Memory) -> None:
    for length in range(3):
        for history in combinations_with_replacement(set(Answer) - {Answer.ACCEPTED}, length):
            assert settle(history, Answer.REPEATED, memory) == Outcome("unconfirmed", Step.DECIDE)
    assert settle([Answer.ACCEPTED], Answer.REPEATED, memory).status == "delivered"


@pytest.mark.parametrize("answer", sorted(OWN_REFUSALS))
def test_a_refusal_by_the_platforms_own_code_takes_a_new_id_unless_ids_are_remembered_on_acceptance(
    answer: Answer,
) -> None:
    for history in ([], [Answer.NOT_SENT], [Answer.TOKEN, Answer.THROTTLED]):
        assert settle(history, answer).status in {"ready", "held"}
        assert not settle(history, answer).new_id
        for memory in UNPROVEN:
            assert settle(history, answer, memory) == replace(settle(history, answer), new_id=True)


@pytest.mark.parametrize("doubt", MERE_STATUS)
def test_in_doubt_the_id_stays_whatever_comes_then(doubt: Answer) -> None:
    for answer, memory in product(Answer, Memory):
        assert not settle([doubt], answer, memory).new_id
        assert not settle([Answer.TOKEN, doubt], answer, memory).new_id
        assert settle([doubt], answer, memory).status in {"unknown", "delivered", "unconfirmed"}


@pytest.mark.parametrize("answer", [Answer.BARRED, Answer.LIMITED])
def test_a_mere_http_status_leaves_the_outcome_unknown(answer: Answer) -> None:
    for history, memory in product(((), (Answer.TOKEN,), (Answer.BUSY,), (Answer.REFUSED,)), Memory):
        assert settle(history, answer, memory).status == "unknown"


def test_10054_shows_memory_on_sight_only_where_nobody_can_have_accepted() -> None:
    for history, shows in [
        ([Answer.BUSY], True),
        ([Answer.REFUSED], True),
        ([Answer.TOKEN, Answer.BUSY, Answer.NOT_SENT], True),
        ([], False),
        ([Answer.TOKEN], False),  # the event of a ledger that was lost looks the same
        ([Answer.BUSY, Answer.NO_ANSWER], False),
        ([Answer.BUSY, Answer.LIMITED], False),
        ([Answer.REFUSED, Answer.BARRED], False),
        ([Answer.UNLISTED], False),
        ([Answer.BUSY, Answer.UNLISTED], False),
    ]:
        assert shows_memory_on_sight(history, Answer.REPEATED) is shows, history
        assert not any(shows_memory_on_sight(history, answer) for answer in set(Answer) - {Answer.REPEATED})


@pytest.mark.parametrize("answer", [Answer.NO_ANSWER, Answer.BUSY, Answer.UNLISTED])
def test_what_may_have_been_taken_is_unknown_and_goes_again(answer: Answer) -> None:
    assert settle([], answer) == settle([Answer.NO_ANSWER], answer)
    assert settle([], answer).status == "unknown"
    assert settle([], answer).step is Step.RETRY


@pytest.mark.parametrize(
    "answer", [Answer.TOKEN, Answer.QUOTA, Answer.THROTTLED, Answer.MISCONFIGURED, Answer.NOT_SENT]
)
def test_a_doubt_stays_a_doubt_whatever_the_gateway_says_later(answer: Answer) -> None:
    assert settle([Answer.NO_ANSWER], answer).status == "unknown"
    assert settle([], answer).status in {"ready", "held"}


def test_a_refusal_is_one_only_without_a_doubt() -> None:
    assert settle([], Answer.REFUSED).status == "rejected"
    assert settle([Answer.TOKEN, Answer.NOT_SENT], Answer.REFUSED).status == "rejected"
    assert settle([Answer.NO_ANSWER], Answer.REFUSED).status == "unconfirmed"


@pytest.mark.parametrize("code", [21002, 21005, 21006])
def test_a_misconfiguration_stops_at_the_first(code: int) -> None:
    assert settle([], classify(code)).step is Step.STOP


@pytest.mark.parametrize("code", [-1, -2, 1, 10001, 10005, -10044, 20003, -10038, 10048])
def test_busy_codes_are_the_documents(code: int) -> None:
    assert classify(code) is Answer.BUSY


def test_quota_waits_for_the_next_day_and_throttling_only_slows() -> None:
    assert settle([], classify(10034)).step is Step.NEXT_DAY
    assert settle([], classify(21007)).step is Step.SLOW


def test_token_codes_ask_for_another_token_under_the_same_id() -> None:
    assert {settle([], classify(code)).step for code in (21001, 21003, 21004)} == {Step.RENEW}


def test_an_http_answer_is_read_for_what_it_proves() -> None:
    with every_case() as case:
        for status, body, answer in [
            (200, envelope(0), Answer.ACCEPTED),
            (200, envelope(10054), Answer.REPEATED),
            (200, envelope(0, "B2"), Answer.NO_ANSWER),  # an answer to somebody else
            (200, envelope(0, ""), Answer.NO_ANSWER),  # an acceptance is only believed with our id
            (200, envelope(21004, ""), Answer.TOKEN),  # an early refusal may come without one
            (200, b"<html>maintenance</html>", Answer.NO_ANSWER),
            (200, envelope(0)[:30], Answer.NO_ANSWER),
            (200, b"", Answer.NO_ANSWER),
            (200, b"[]", Answer.NO_ANSWER),
            (200, b'{"commonOut":{"resultCode":"x"}}', Answer.NO_ANSWER),
            (204, b"", Answer.NO_ANSWER),
            # The gateway says 0, and what is behind it something else.
            (200, envelope(0, rsp='{"resultCode":0}'), Answer.ACCEPTED),
            (200, envelope(0, rsp='{"resultCode":"0"}'), Answer.ACCEPTED),
            (200, envelope(0, rsp='{"resultCode":null}'), Answer.ACCEPTED),
            (200, envelope(0, rsp='{"none":""}'), Answer.ACCEPTED),
            (200, envelope(0, rsp='{"resultCode":-1}'), Answer.BUSY),
            (200, envelope(0, rsp='{"resultCode":"10042"}'), Answer.REFUSED),
            (200, envelope(0, rsp='{"resultCode":10054}'), Answer.REPEATED),
            (200, envelope(0, rsp='{"resultCode":31415}'), Answer.UNLISTED),
            (200, envelope(0, rsp='{"resultCode":21004}'), Answer.UNLISTED),
            (200, envelope(0, rsp='{"resultCode":"x"}'), Answer.NO_ANSWER),
            (500, envelope(0), Answer.NO_ANSWER),  # a server that fails may say anything
            (502, b"", Answer.NO_ANSWER),
            (504, b"", Answer.NO_ANSWER),
            (408, b"", Answer.NO_ANSWER),
            (429, b"", Answer.LIMITED),
            (429, envelope(21007), Answer.LIMITED),
            (301, b"", Answer.BARRED),
            (403, b"", Answer.BARRED),
            (404, b"", Answer.BARRED),
        ]:
            with case(status, body, answer):
                assert read_reply(status, body, "A1")[0].answer is answer


def test_a_result_code_listed_twice_or_without_a_class_is_named_with_its_line(tmp_path: Path) -> None:
    for text, line in (("0,accepted\n0,busy\n", 3), ("0,accepted\n7,nice\n", 3), ("x,busy\n", 2)):
        path = tmp_path / f"{line}{len(text)}.csv"
        path.write_text("code,class\n" + text, encoding="utf-8")
        with pytest.raises(CodeTableError, match=re.escape(f"line {line}")):
            result_classes(path)

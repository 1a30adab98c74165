"""Outcome: what an answer means, as one pure table: (earlier answers to the request id, this answer) -> outcome.

Nothing here sends, waits or reads a clock. The classes of result codes come from code_tables/result_code.csv; the
table below is printed in docs/delivery.md (`python -m card_usage.platform.outcome` writes it, a test holds it current).

A missing answer is not a refusal. As long as nobody knows whether the platform accepted an event, it is sent again
under the same request id only, and 'repeated' (10054) then proves that the first call arrived. It proves nothing once
the platform has said that this id failed: it may remember ids that it did not accept.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from card_usage.errors import CodeTableError
from card_usage.files.shipped import SHIPPED

RESULT_CODES: Final = SHIPPED / "code_tables" / "result_code.csv"


class Answer(StrEnum):
    """Class of one answer. The first nine are of result codes (document 3.2.12), the rest of transport failures."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    TOKEN = "token"  # noqa: S105 - the class of codes about tokens
    BUSY = "busy"
    QUOTA = "quota"
    THROTTLED = "throttled"
    REFUSED = "refused"
    MISCONFIGURED = "misconfigured"
    UNLISTED = "unlisted"  # a code that the document does not have
    UNTIMELY = "untimely"  # refused while its timestamp was far from the platform's clock, which may be the reason
    NOT_SENT = "not_sent"  # no connection: DNS, TCP or TLS failed before the first byte of the request
    BARRED = "barred"  # HTTP 3xx or 4xx: something in front of the platform turned the request away
    NO_ANSWER = "no_answer"  # time-out, broken connection, HTTP 5xx, or an answer that cannot be read or is not ours


UNAVAILABLE: Final = frozenset({Answer.NO_ANSWER, Answer.NOT_SENT, Answer.BUSY, Answer.UNLISTED})
"""Answers of a platform that is away or cannot work; every other one shows that it is there."""


class Past(StrEnum):
    """What the earlier answers to a request id prove."""

    CLEAN = "clean"  # none, or only calls that the gateway turned away
    DOUBT = "doubt"  # at least one went unanswered
    FAILED = "failed"  # it said at least once that it failed, or refused for what may be our clock, whatever else
    REFUSED = "refused"  # it refused the event for good, and a person sent it again under the same id
    ACCEPTED = "accepted"  # it accepted it


class Step(StrEnum):
    """What the deliverer does next."""

    SETTLE = "settle"  # nothing: the event is settled
    DECIDE = "decide"  # nothing: a person decides (redeliver)
    RETRY = "retry"  # the same id, after a pause that grows
    RENEW = "renew"  # the same id, with another token
    SLOW = "slow"  # the same id, after a pause, and fewer at a time
    NEXT_DAY = "next_day"  # no call of this hospital before the platform's next day
    STOP = "stop"  # no call of this hospital before its settings are corrected


@dataclass(frozen=True, slots=True)
class Outcome:
    """The event's new state in the ledger, and what the deliverer does next."""

    status: str
    step: Step


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as received. `detail` is a short technical word, never a text of the platform's."""

    answer: Answer
    result_code: int | None = None
    http_status: int | None = None
    detail: str = ""


_PASTS = tuple(Past)


def _row(step: Step, clean: str, doubt: str, failed: str, refused: str, accepted: str) -> dict[Past, Outcome]:
    """One row of the table. `step` is for the states that are still open; a settled state has its own."""

    def outcome(status: str) -> Outcome:
        if status in {"delivered", "voided"}:
            return Outcome(status, Step.STOP if step is Step.STOP else Step.SETTLE)
        if status in {"rejected", "unconfirmed"}:
            return Outcome(status, step if step in {Step.STOP, Step.NEXT_DAY, Step.SLOW, Step.RENEW} else Step.DECIDE)
        return Outcome(status, step)

    return dict(zip(_PASTS, map(outcome, (clean, doubt, failed, refused, accepted)), strict=True))


# A past REFUSED or ACCEPTED is settled: only a person can have had it sent again, and nothing of it is open.
TABLE: Final[Mapping[Answer, Mapping[Past, Outcome]]] = {
    #                                     clean        doubt          failed         refused        accepted
    Answer.ACCEPTED: _row(Step.SETTLE, "delivered", "delivered", "delivered", "delivered", "delivered"),
    Answer.REPEATED: _row(Step.SETTLE, "delivered", "delivered", "unconfirmed", "unconfirmed", "delivered"),
    Answer.REFUSED: _row(Step.DECIDE, "rejected", "unconfirmed", "unconfirmed", "rejected", "delivered"),
    Answer.TOKEN: _row(Step.RENEW, "ready", "unknown", "unknown", "rejected", "delivered"),
    Answer.BUSY: _row(Step.RETRY, "unknown", "unknown", "unknown", "unknown", "delivered"),
    Answer.UNLISTED: _row(Step.RETRY, "unknown", "unknown", "unknown", "unknown", "delivered"),
    Answer.QUOTA: _row(Step.NEXT_DAY, "held", "unknown", "unknown", "rejected", "delivered"),
    Answer.THROTTLED: _row(Step.SLOW, "ready", "unknown", "unknown", "rejected", "delivered"),
    Answer.MISCONFIGURED: _row(Step.STOP, "ready", "unknown", "unknown", "rejected", "delivered"),
    Answer.BARRED: _row(Step.STOP, "ready", "unknown", "unknown", "rejected", "delivered"),
    Answer.UNTIMELY: _row(Step.RETRY, "ready", "unknown", "unknown", "rejected", "delivered"),
    Answer.NOT_SENT: _row(Step.RETRY, "ready", "unknown", "unknown", "rejected", "delivered"),
    Answer.NO_ANSWER: _row(Step.RETRY, "unknown", "unknown", "unknown", "unknown", "delivered"),
}

# The strongest earlier answer decides; these prove something, strongest first.
_PROOFS: Final = (
    (Past.ACCEPTED, {Answer.ACCEPTED}),
    (Past.REFUSED, {Answer.REFUSED}),
    (Past.FAILED, {Answer.BUSY, Answer.UNLISTED, Answer.UNTIMELY}),
    (Past.DOUBT, {Answer.NO_ANSWER}),
)


def past(history: Iterable[Answer]) -> Past:
    """Summarize the earlier answers to one request id, in any order."""
    answers = set(history)
    if not answers:
        return Past.CLEAN
    for proven, by in _PROOFS:
        if answers & by:
            return proven
    return Past.CLEAN


def settle(history: Iterable[Answer], answer: Answer) -> Outcome:
    """State and step after `answer`, given all earlier answers to the same request id. Total: every pair has a row."""
    return TABLE[answer][past(history)]


@cache
def result_classes(path: Path = RESULT_CODES) -> Mapping[int, Answer]:
    """Result code -> class, from the CSV. Raises CodeTableError with the line."""
    classes: dict[int, Answer] = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            try:
                code, answer = int(row["code"]), Answer(row["class"])
            except (KeyError, TypeError, ValueError):
                problem = "not a whole number with one of the classes of a result code"
                raise _broken(path, number, "class", problem) from None
            if code in classes:
                raise _broken(path, number, "code", f"{code} is listed twice")
            classes[code] = answer
    return classes


@cache
def meanings(path: Path = RESULT_CODES) -> Mapping[int, str]:
    """Result code -> what the document says it means, in Chinese."""
    with path.open(encoding="utf-8", newline="") as lines:
        return {int(row["code"]): row["meaning"] for row in csv.DictReader(lines)}


def _broken(path: Path, line: int, column: str, problem: str) -> CodeTableError:
    return CodeTableError(path=path.as_posix(), line=line, column=column, problem=problem, remedy="see document 3.2.12")


def classify(code: int) -> Answer:
    """Class of a result code; one that the document does not list is UNLISTED, never guessed."""
    return result_classes().get(code, Answer.UNLISTED)


def markdown() -> str:
    """The table and the classed codes, for docs/delivery.md."""
    lines = ["| answer | " + " | ".join(_PASTS) + " |", "| --- |" + " --- |" * len(_PASTS)]
    for answer, row in TABLE.items():
        cells = (f"{row[p].status}, {row[p].step}" for p in _PASTS)
        lines.append(f"| {answer} | " + " | ".join(cells) + " |")
    lines += ["", "| class | result codes (document 3.2.12) |", "| --- | --- |"]
    for answer in Answer:
        codes = [str(code) for code, of in result_classes().items() if of is answer]
        if codes:
            lines.append(f"| {answer} | {', '.join(codes)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")

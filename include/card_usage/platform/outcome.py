"""Outcome: what an answer means, as one pure table: (earlier answers to the request id, this answer, what is known of
the platform's memory for request ids) -> outcome.

Nothing here sends, waits or reads a clock. The classes of result codes come from code_tables/result_code.csv; the
table below is printed in docs/delivery.md (`python -m card_usage.platform.outcome` writes it, a test holds it current).

A missing answer is not a refusal, and neither is an HTTP status: a gateway may give it after the platform behind it has
accepted the event. As long as nobody knows whether the platform accepted an event, it is sent again under the same
request id and with the same content only.

'Repeated' (10054) says that the platform remembers the id. That proves delivery only on a platform that is known to
remember ids when it accepts them; one that remembers them as soon as it sees them says the same of an event that it
lost. After a refusal with a result code of its own that says nothing about the event (token, quota, ...) such a
platform may remember the id and has certainly not accepted the event: the next call takes a new id.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from card_usage.errors import CodeTableError
from card_usage.files.shipped import SHIPPED, overlaid

RESULT_CODES: Final = overlaid(SHIPPED / "code_tables" / "result_code.csv")


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
    BARRED = "barred"  # HTTP 3xx or 4xx: something in front of the platform refused to pass the request or its answer
    LIMITED = "limited"  # HTTP 429: the same, because there were too many
    NO_ANSWER = "no_answer"  # time-out, broken connection, HTTP 5xx, or an answer that cannot be read or is not ours


UNAVAILABLE: Final = frozenset({Answer.NO_ANSWER, Answer.NOT_SENT, Answer.BUSY, Answer.UNLISTED})
"""Answers of a platform that is away or cannot work; every other one shows that it is there."""


SLOWED: Final = frozenset({Answer.THROTTLED, Answer.LIMITED})
"""Answers of a platform, or of something in front of it, that wants fewer calls."""


MERE_STATUS: Final = frozenset({Answer.BARRED, Answer.LIMITED})
"""Answers of something in front of the platform, which may come after the platform has accepted the event."""


REPEATED_CODE: Final = 10054


class Memory(StrEnum):
    """When a platform remembers a request id, as far as it is known (delivery/platform_memory.py)."""

    UNKNOWN = "unknown"
    ON_ACCEPTANCE = "on_acceptance"  # once it has accepted the event
    ON_SIGHT = "on_sight"  # as soon as it sees the request, whatever becomes of it


class Past(StrEnum):
    """What the earlier answers to a request id prove."""

    CLEAN = "clean"  # none, or only refusals by the platform's own codes that say nothing about the event
    DOUBT = "doubt"  # at least one call was answered by a mere HTTP status, or not at all
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
    """The event's new state in the ledger, and what the deliverer does next. `new_id`: under a new request id."""

    status: str
    step: Step
    new_id: bool = False


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
_ON_ACCEPTANCE: Final[dict[Answer, dict[Past, Outcome]]] = {
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
    Answer.BARRED: _row(Step.STOP, "unknown", "unknown", "unknown", "unknown", "delivered"),
    Answer.LIMITED: _row(Step.SLOW, "unknown", "unknown", "unknown", "unknown", "delivered"),
    Answer.UNTIMELY: _row(Step.RETRY, "ready", "unknown", "unknown", "rejected", "delivered"),
    Answer.NOT_SENT: _row(Step.RETRY, "ready", "unknown", "unknown", "rejected", "delivered"),
    Answer.NO_ANSWER: _row(Step.RETRY, "unknown", "unknown", "unknown", "unknown", "delivered"),
}

OWN_REFUSALS: Final = frozenset({Answer.TOKEN, Answer.QUOTA, Answer.THROTTLED, Answer.MISCONFIGURED, Answer.UNTIMELY})
"""Refusals by the platform's own codes that say nothing about the event: it was certainly not accepted by this call."""


def _otherwise() -> dict[Answer, dict[Past, Outcome]]:
    """The table of a platform that remembers ids on sight, or may do so."""
    table = {answer: dict(row) for answer, row in _ON_ACCEPTANCE.items()}
    table[Answer.REPEATED] = _row(Step.SETTLE, "unconfirmed", "unconfirmed", "unconfirmed", "unconfirmed", "delivered")
    for answer in OWN_REFUSALS:
        table[answer][Past.CLEAN] = replace(table[answer][Past.CLEAN], new_id=True)
    return table


TABLES: Final[Mapping[Memory, Mapping[Answer, Mapping[Past, Outcome]]]] = {
    Memory.ON_ACCEPTANCE: _ON_ACCEPTANCE,
    Memory.ON_SIGHT: _otherwise(),
    Memory.UNKNOWN: _otherwise(),
}

# The strongest earlier answer decides; these prove something, strongest first.
_PROOFS: Final = (
    (Past.ACCEPTED, {Answer.ACCEPTED}),
    (Past.REFUSED, {Answer.REFUSED}),
    (Past.FAILED, {Answer.BUSY, Answer.UNLISTED, Answer.UNTIMELY}),
    (Past.DOUBT, {Answer.NO_ANSWER, *MERE_STATUS}),
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


def settle(history: Iterable[Answer], answer: Answer, memory: Memory) -> Outcome:
    """State and step after `answer`, given all earlier answers to the same request id. Total: every case has a row."""
    return TABLES[memory][answer][past(history)]


def shows_memory_on_sight(history: Iterable[Answer], answer: Answer) -> bool:
    """Whether these answers to one request id show that the platform remembers ids that it did not accept: 10054 after
    a definite refusal or a failure, and after nothing that leaves open whether it accepted.

    Not after the refusals of a gateway: the event of a ledger that was lost would look the same.
    """
    answers = set(history)
    failed = answers & {Answer.REFUSED, Answer.UNTIMELY, Answer.BUSY}
    perhaps_accepted = answers & {Answer.ACCEPTED, Answer.REPEATED, Answer.UNLISTED, Answer.NO_ANSWER, *MERE_STATUS}
    return answer is Answer.REPEATED and bool(failed) and not perhaps_accepted


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
    heading = ["| answer | " + " | ".join(_PASTS) + " |", "| --- |" + " --- |" * len(_PASTS)]
    proves, otherwise = TABLES[Memory.ON_ACCEPTANCE], TABLES[Memory.UNKNOWN]
    lines = ["Where the platform is known to remember a request id when it accepts the event:", "", *heading]
    lines += [_markdown_row(answer, row) for answer, row in proves.items()]
    lines += ["", "Where it remembers ids on sight, or nobody knows, these differ:", "", *heading]
    lines += [_markdown_row(answer, row) for answer, row in otherwise.items() if row != proves[answer]]
    lines += ["", "| class | result codes (document 3.2.12) |", "| --- | --- |"]
    for answer in Answer:
        codes = [str(code) for code, of in result_classes().items() if of is answer]
        if codes:
            lines.append(f"| {answer} | {', '.join(codes)} |")
    return "\n".join(lines) + "\n"


def _markdown_row(answer: Answer, row: Mapping[Past, Outcome]) -> str:
    cells = (f"{row[p].status}, {row[p].step}{', new id' if row[p].new_id else ''}" for p in _PASTS)
    return f"| {answer} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    print(markdown(), end="")

"""Reader: what an HTTP answer of the platform says. Whatever comes, it gives a reply and raises nothing.

Types are strict, for a loose one invents an acceptance: a result code is a whole number or ASCII digits as text, and
`false`, 0.5 or 'O' is none. Everything is bounded before it goes further: the length of an answer, also after
decompression, and numbers to what the ledger's columns hold.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from card_usage.platform.outcome import OWN_REFUSALS, Answer, Reply, classify

ANSWER_BYTES: Final = 64 * 1024
"""An answer is read up to here, and decompressed up to here; a real one has some hundred bytes."""
LARGEST_INTEGER: Final = 2**31 - 1  # the ledger's columns have 32 bits
_CLOCK_YEARS: Final = range(2000, 2200)  # days are added to the platform's clock, so it may not lie at an end of time
_DIGITS: Final = re.compile(r"-?[0-9]{1,10}", re.ASCII)
_SHOWN: Final = 24  # digits of a number that a detail quotes
_SHOWN_TEXT: Final = 8  # a longer text may be about a patient


class Unreadable(ValueError):
    """An answer that cannot be read; the text is a short technical word."""


async def read_bounded(chunks: AsyncIterator[bytes]) -> bytes:
    """All chunks together. Raises Unreadable beyond ANSWER_BYTES, without reading on."""
    content = bytearray()
    async for chunk in chunks:
        content += chunk
        if len(content) > ANSWER_BYTES:
            raise Unreadable("too long")
    return bytes(content)


def decoded(content: bytes, coding: str | None) -> bytes:
    """Content without its Content-Encoding (gzip, deflate with or without a zlib header, none). Raises Unreadable, also
    for what is longer than ANSWER_BYTES: no more than that is ever decompressed."""
    coding = (coding or "").strip().lower()
    if coding in {"", "identity"} or not content:
        return content
    if coding in {"gzip", "x-gzip"}:
        window = 16 + zlib.MAX_WBITS
    elif coding == "deflate":
        window = zlib.MAX_WBITS if content[0] & 0x0F == 8 else -zlib.MAX_WBITS
    else:
        raise Unreadable("unknown content encoding")
    decompressor = zlib.decompressobj(window)
    try:
        plain = decompressor.decompress(content, ANSWER_BYTES + 1)
    except zlib.error:
        raise Unreadable("damaged content encoding") from None
    if len(plain) > ANSWER_BYTES:
        raise Unreadable("too long")
    if not decompressor.eof:
        raise Unreadable("damaged content encoding")
    return plain


def whole_number(value: object) -> int | None:
    """A whole number of at most 32 bits, or its decimal ASCII digits as text; None for anything else."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -LARGEST_INTEGER <= value <= LARGEST_INTEGER else None


def quoted(value: object) -> str:
    """A value that should have been a number, as a detail names it: short scalars as JSON in ASCII, else their kind."""
    match value:
        case None | bool() | float():
            return json.dumps(value)
        case int():
            return str(value) if abs(value) < 10**_SHOWN else "a huge number"
        case str():
            return json.dumps(value) if len(value) <= _SHOWN_TEXT else f"a text of {len(value)} characters"
        case list():
            return "a list"
    return "an object"


def read_date(header: str) -> datetime | None:
    """The instant of a Date header, in UTC; None for what is no date, or none that a clock can show."""
    try:
        moment = parsedate_to_datetime(header)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return moment if moment.year in _CLOCK_YEARS else None


def read_reply(status: int, content: bytes, request_id: str) -> tuple[Reply, Mapping[str, object]]:
    """What an HTTP answer says about the request `request_id`, and its `rsp` part."""
    if not 100 <= status <= 599:
        return Reply(Answer.NO_ANSWER, None, None, "no http status"), {}
    if 300 <= status < 500 and status != 408:
        # The word of a gateway, which may come after the platform behind it has accepted the event.
        return Reply(Answer.LIMITED if status == 429 else Answer.BARRED, None, status, f"http {status}"), {}
    if not 200 <= status < 300:
        return Reply(Answer.NO_ANSWER, None, status, f"http {status}"), {}
    try:
        code, echoed, rsp = _parsed(content)
        inner = _inner_code(rsp) if code == 0 else 0
    except Unreadable as problem:
        return Reply(Answer.NO_ANSWER, None, status, str(problem)), {}
    answer = classify(code or inner)
    if inner and answer in OWN_REFUSALS:
        answer = Answer.UNLISTED  # the gate passed it: the two codes contradict each other, and nothing is certain
    # An early refusal may come without an id; an acceptance, or another's id, is only believed with ours.
    if echoed.upper() != request_id.upper() and (echoed or answer in {Answer.ACCEPTED, Answer.REPEATED}):
        return Reply(Answer.NO_ANSWER, None, status, "another request id"), {}
    return Reply(answer, code or inner, status), rsp


def _inner_code(rsp: Mapping[str, object]) -> int:
    """The result code of what is behind the one that answered 0; 0 where it says nothing else. Raises Unreadable."""
    inner = rsp.get("resultCode")
    if inner is None:
        return 0
    code = whole_number(inner)
    if code is None:
        raise Unreadable(f"rsp.resultCode is {quoted(inner)}")
    return code


def _parsed(content: bytes) -> tuple[int, str, Mapping[str, object]]:
    """Result code, request id ('' if there is none) and `rsp` of an answer. Raises Unreadable."""
    try:
        envelope = json.loads(content)
    except (ValueError, RecursionError):
        raise Unreadable("unreadable") from None
    common = envelope.get("commonOut") if isinstance(envelope, dict) else None
    if not isinstance(common, dict) or "resultCode" not in common:
        raise Unreadable("unreadable")
    code = whole_number(common["resultCode"])
    if code is None:
        raise Unreadable(f"resultCode is {quoted(common['resultCode'])}")
    echoed = common.get("requestId")
    if echoed is not None and not isinstance(echoed, str):
        raise Unreadable(f"requestId is {quoted(echoed)}")
    rsp = envelope.get("rsp")
    return code, echoed or "", rsp if isinstance(rsp, dict) else {}

"""What a call must look like: the envelope (3.1.1, 3.1.2) and the fields of reportHISData (3.2.7).

Each function either returns or raises Refusal with a code of 3.2.12. Details name fields, never values.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NoReturn

from platform_sandbox.codes import (
    CARD_TYPES,
    CHANNEL_NUMBERS,
    CHANNELS,
    COST_TYPE_SCENES,
    COST_TYPES,
    DEPARTMENT_SCENES,
    HEALTH_CARD,
    SCENES,
)
from platform_sandbox.refusal import Refusal

Fields = Mapping[str, object]

MAX_REQUEST_ID_BYTES: Final = 512
COMMON_TEXTS: Final = ("appToken", "requestId", "hospitalId", "timestamp", "sign")
REPORT_TEXTS: Final = (
    "qrCodeText",
    "idCardNumber",
    "name",
    "time",
    "hospitalId",
    "scene",
    "department",
    "cardType",
    "cardChannel",
    "hospitalCode",
    "subHospitalCode",
    "cardCostTypes",
)

_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", re.ASCII)
_TIMESTAMP = re.compile(r"\d{10}", re.ASCII)


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_decode = json.JSONDecoder(parse_constant=_no_constant).decode


def check_content_type(content_type: str) -> None:
    """JSON, and the header says UTF-8 (3.1.1; FAQ 4: the encoding must be set in the header). Else 20001."""
    kind, *parameters = [part.strip() for part in content_type.lower().split(";")]
    if kind != "application/json":
        raise Refusal(20001, "Content-Type: application/json; charset=utf-8")
    charset = [part.partition("=")[2].strip(' "') for part in parameters if part.partition("=")[0].strip() == "charset"]
    if charset not in (["utf-8"], ["utf8"]):
        raise Refusal(20001, "Content-Type: charset=utf-8")


def read_document(body: bytes) -> Fields:
    """The JSON object in a UTF-8 body, or 20001."""
    try:
        document = _decode(body.decode())
    except (ValueError, RecursionError):
        raise Refusal(20001, "UTF-8 JSON") from None
    if not isinstance(document, dict):
        raise Refusal(20001, "commonIn, req")
    return document


def part(document: Fields, name: str, empty_code: int) -> Fields:
    """commonIn or req: an object that is not empty. `empty_code` if it is missing, null or empty."""
    value = document.get(name)
    if value is None or value == "" or value == {}:
        raise Refusal(empty_code)
    if not isinstance(value, dict):
        raise Refusal(20001, name)
    return value


def check_request_id(common: Fields) -> str:
    """The requestId of 1 to 512 bytes."""
    request_id = common.get("requestId")
    if request_id is None or request_id == "":
        raise Refusal(20002, "requestId")
    if not isinstance(request_id, str):
        raise Refusal(20001, "requestId")
    try:
        size = len(request_id) if request_id.isascii() else len(request_id.encode())
    except UnicodeEncodeError:
        raise Refusal(20001, "requestId") from None
    if size > MAX_REQUEST_ID_BYTES:
        raise Refusal(10037)
    return request_id


def check_common(common: Fields) -> None:
    """Types of 3.1.2, and a timestamp of Unix seconds."""
    check_texts(common, COMMON_TEXTS)
    if not _TIMESTAMP.fullmatch(text(common, "timestamp")):
        raise Refusal(20002, "timestamp")


def check_texts(fields: Fields, names: tuple[str, ...]) -> None:
    """Every named field that is there is a string (or null), else 20001."""
    get = fields.get
    for name in names:
        value = get(name)
        if type(value) is not str and value is not None:
            raise Refusal(20001, name)


def text(fields: Fields, name: str) -> str:
    """A text field, "" if it is missing, null or blank."""
    value = fields.get(name)
    return value if isinstance(value, str) and not value.isspace() else ""


def check_channel_number(common: Fields) -> None:
    """channelNum in the `current` profile: absent, or one of 0, 1, 3, 4 as number or text."""
    value = common.get("channelNum")
    if value is not None and value != "" and str(value) not in CHANNEL_NUMBERS:
        raise Refusal(10042, "channelNum")


def check_report(common: Fields, req: Fields, profile: str) -> None:
    """The fields of a card use as 2.7.4 and 3.2.7 ask for them, in the order of their table."""
    card_type = text(req, "cardType")
    if card_type not in CARD_TYPES:
        raise Refusal(10042, "cardType")
    if card_type == HEALTH_CARD:
        if not text(req, "qrCodeText"):
            raise Refusal(10018)
    else:
        if not text(req, "idCardNumber"):
            raise Refusal(10014)
        if not text(req, "name"):
            raise Refusal(10013)
    check_time(text(req, "time"))
    check_hospital(common, req, profile)
    scene = text(req, "scene")
    if scene not in SCENES:
        raise Refusal(10042, "scene")
    if scene in DEPARTMENT_SCENES and not text(req, "department"):
        raise Refusal(10042, "department")
    if text(req, "cardChannel") not in CHANNELS:
        raise Refusal(10042, "cardChannel")
    cost_type = text(req, "cardCostTypes")
    if cost_type:
        if cost_type not in COST_TYPES:
            raise Refusal(10042, "cardCostTypes")
    elif profile == "current" and scene in COST_TYPE_SCENES:
        raise Refusal(10042, "cardCostTypes")


def check_time(moment: str) -> None:
    """yyyy-MM-dd HH:mm:ss and a real moment: 10042 if missing, 10051 if not."""
    if not moment:
        raise Refusal(10042, "time")
    if not _TIME.fullmatch(moment):
        raise Refusal(10051)
    try:
        datetime.fromisoformat(moment)
    except ValueError:
        raise Refusal(10051) from None


def check_hospital(common: Fields, req: Fields, profile: str) -> None:
    """The hospital of the event is the caller's: hospitalId, in the `current` profile also or only hospitalCode."""
    named = [text(req, name) for name in ("hospitalId", "hospitalCode")]
    required = named[0] or (named[1] if profile == "current" else "")
    if not required:
        raise Refusal(10042, "hospitalId")
    if any(each and each != common["hospitalId"] for each in named):
        raise Refusal(21004, "hospitalId")

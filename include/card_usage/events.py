"""Events: a row of the HIS, the card use that it records, and the findings about it.

A card use event (用卡数据, document 2.7.4) leaves the HIS as a `SourceRow` in local codes, becomes a `CardUse` in
standard codes, and collects `Finding`s on the way. Patient fields never show in a repr of these, and no finding carries
one. Keys and request ids are derived, never random: the same event gives the same ids, on any day, on any machine.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from hashlib import sha1
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

CODE_TABLES: Final = ("scene", "department", "card_type", "channel", "cost_type")
"""Fields that hold a code, each with a table of the same name."""

LONGEST_CODE: Final = 16
"""Characters of a standard code: a code table with a longer one is refused when it is loaded."""

PATIENT_FIELDS: Final = ("id_number", "name", "qr_code_text")
"""Fields that say who the patient is: encrypted at rest, never logged, never in a finding."""

OPTIONAL_FIELDS: Final = ("department", "cost_type", *PATIENT_FIELDS)
"""Fields that some events must have and others may; all but these every event has."""

FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "occurred_at": "time",
        "scene": "scene",
        "department": "department",
        "card_type": "cardType",
        "channel": "cardChannel",
        "cost_type": "cardCostTypes",
        "id_number": "idCardNumber",
        "name": "name",
        "qr_code_text": "qrCodeText",
    }
)
"""Field of `CardUse` -> parameter of reportHISData (document 2.7.4; cardCostTypes is of newer documents)."""

_Named = TypeVar("_Named", bound=tuple[Any, ...])

# Changing a namespace would report every event a second time: these two never change.
_EVENT_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:card-usage-pipeline:event").bytes
_REQUEST_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:card-usage-pipeline:request").bytes
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class SourceRow(NamedTuple):
    """One row of a feed as the HIS gives it; every SQL file returns exactly these columns, by name.

    Codes are local or standard ones, text may be padded. `voided`: refunded, returned or cancelled (0 or 1).
    """

    source_id: str
    occurred_at: datetime | str | None
    scene: str | None
    department: str | None
    department_name: str | None
    card_type: str | None
    channel: str | None
    cost_type: str | None
    id_number: str | None
    name: str | None
    qr_code_text: str | None
    voided: int

    def __repr__(self) -> str:
        """Nothing of it: any column may say who the patient is, where the HIS has it in the wrong one."""
        return "SourceRow(...)"


class CardUse(NamedTuple):
    """One card use in standard form. None means absent: nothing in the HIS, a placeholder, or a code nobody mapped.

    `occurred_at` is naive local time (Asia/Shanghai) in whole seconds; codes are those of the standard tables.
    """

    occurred_at: datetime | None
    scene: str | None
    department: str | None
    card_type: str | None
    channel: str | None
    cost_type: str | None
    id_number: str | None
    name: str | None
    qr_code_text: str | None

    def __repr__(self) -> str:
        """Without the patient fields."""
        shown = [f"{field}={value!r}" for field, value in zip(FIELDS, self, strict=True) if field not in PATIENT_FIELDS]
        return f"CardUse({', '.join(shown)}, ...)"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule says about one event. `code` is a local code that stands in no table, and never a patient field."""

    rule: str
    field: str
    severity: str
    table: str | None = None
    code: str | None = None


def maker(kind: type[_Named]) -> Callable[[Iterable[Any]], _Named]:
    """What `kind._make` does, but without a Python call for each row, and the number of values is not checked."""
    return partial(tuple.__new__, kind)


# In a name each part stands behind its own length: no two lists of parts, ("a|b", "c") and ("a", "b|c"), give the same.
def _uuid5(namespace: bytes, name: str) -> str:
    """`uuid.uuid5(namespace, name).hex`, without the object in between: staging computes one for every row."""
    digest = sha1(namespace + name.encode()).hexdigest()  # noqa: S324 - as UUIDv5 is defined
    return f"{digest[:12]}5{digest[13:16]}{_VARIANT[digest[16]]}{digest[17:32]}"


@lru_cache(maxsize=64)
def _event_namespace_of(hospital_id: str, feed: str) -> bytes:
    """What all event keys of a feed are made of."""
    return _EVENT_NAMESPACE + f"{len(hospital_id)}:{hospital_id}{len(feed)}:{feed}".encode()


def event_key(hospital_id: str, feed: str, source_id: str) -> str:
    """UUIDv5 of (hospital, feed, the HIS's own key of the row): 32 lower-case hex digits."""
    return _uuid5(_event_namespace_of(hospital_id, feed), f"{len(source_id)}:{source_id}")


def request_id(event_key: str, generation: int) -> str:
    """UUIDv5 of (event, generation): 32 upper-case hex digits (document 3.1.2, requestId).

    Of nothing else: a row that was corrected in the HIS, or is read by another version of Python, keeps its id. It
    stays the same as long as an outcome is unknown; the generation rises only after a refusal.
    """
    number = str(generation)
    name = f"{len(event_key)}:{event_key}{len(number)}:{number}"
    return _uuid5(_REQUEST_NAMESPACE, name).upper()

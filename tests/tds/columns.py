"""Types of SQL Server: how a declaration is read, how a column is described on the wire, how a value is written there.

char and varchar leave as CP936 bytes under Chinese_PRC_CI_AS, char padded to its length, nchar and nvarchar as UCS-2.
A value that SQLite kept as bytes in a text column leaves as it is, decodable or not: that is how dirt is planted.
"""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

# LCID 2052; ignores case, kana type and width, minds accents; no sort id.
COLLATION = bytes.fromhex("0408D00000")
MAX = -1
_EPOCH_1900 = date(1900, 1, 1).toordinal()
_DECLARED = re.compile(r"\s*\[?(\w+)\]?\s*(?:\(\s*(-?\w+)\s*(?:,\s*(\d+)\s*)?\))?", re.IGNORECASE)
_MOMENT = re.compile(
    r"\s*(?:(\d{4})-?(\d\d)-?(\d\d))?[ T]*(?:(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?)?\s*$"
)  # fmt: skip
_SYNONYMS = {"integer": "int", "numeric": "decimal", "dec": "decimal", "character": "char", "rowversion": "timestamp"}
TEXTUAL = {"char", "varchar", "text", "nchar", "nvarchar", "ntext"}
NATIONAL = {"nchar", "nvarchar", "ntext"}
MOMENTS = {"datetime", "smalldatetime", "date", "time", "datetime2"}
_NUMBERS = ["bit", "tinyint", "smallint", "int", "bigint", "smallmoney", "money", "decimal", "real", "float"]
_INTEGERS = {"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8}


@dataclass(frozen=True, slots=True)
class Type:
    """A type of T-SQL. `size`: length in characters (MAX: up to 2 GB), precision, or scale of a time."""

    name: str
    size: int = 0
    scale: int = 0

    @classmethod
    def declared(cls, text: str) -> Type:
        """Read `varchar(64)`, `decimal(12, 2)`, `nvarchar(max)`, `datetime2`."""
        found = _DECLARED.match(text)
        if not found:
            return cls("nvarchar", 4000)
        name = found[1].lower()
        name = _SYNONYMS.get(name, name)
        first = MAX if (found[2] or "").lower() == "max" else int(found[2]) if found[2] else None
        scale = int(found[3] or 0)
        if name in {"char", "varchar", "nchar", "nvarchar", "binary", "varbinary"}:
            return cls(name, 1 if first is None else first)
        if name == "decimal":
            return cls(name, 18 if first is None else first, scale)
        if name in {"datetime2", "time"}:
            return cls(name, 7 if first is None else first)
        return cls(name)

    @property
    def textual(self) -> bool:
        """Whether it holds characters."""
        return self.name in TEXTUAL


def wider(one: Type | None, other: Type | None) -> Type | None:
    """The type of a column that is fed by both."""
    if one is None or other is None or one == other:
        return one or other
    if one.textual and other.textual:
        name = "nvarchar" if NATIONAL & {one.name, other.name} else "varchar"
        return Type(name, MAX if MAX in (one.size, other.size) else max(one.size, other.size))
    if one.name in _NUMBERS and other.name in _NUMBERS:
        return max(one, other, key=lambda kind: (_NUMBERS.index(kind.name), kind.size, kind.scale))
    return one if other.textual else other


def moment_of(text: str) -> tuple[int, int] | None:
    """Days since 0001-01-01 and units of 100 ns since midnight, of any form that we store or are sent."""
    found = _MOMENT.match(text)
    if not found or not text.strip():
        return None
    year, month, day, hour, minute, second, fraction = found.groups()
    ordinal = date(int(year), int(month), int(day)).toordinal() if year else _EPOCH_1900
    seconds = int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)
    return ordinal - 1, seconds * 10_000_000 + int((fraction or "").ljust(7, "0"))


def stored_moment(value: Any, name: str) -> Any:
    """What SQLite keeps of a date or time: text of one form, so that it compares; rounded as the type rounds."""
    moment = moment_of(str(value)) if value is not None else None
    if moment is None:
        return value
    days, units = moment
    if name == "datetime":
        units = round(round(units * 300 / 10_000_000) * 10_000_000 / 300)
    elif name == "smalldatetime":
        units = (units + 300_000_000) // 600_000_000 * 600_000_000
    elif name == "date":
        units = 0
    days, units = days + units // 864_000_000_000, units % 864_000_000_000
    seconds, fraction = divmod(units, 10_000_000)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:07d}"
    return clock if name == "time" else f"{date.fromordinal(days + 1):%Y-%m-%d} {clock}".zfill(27)


def description(kind: Type) -> bytes:
    """TYPE_INFO of a column (MS-TDS 2.2.5.6)."""
    name, size = kind.name, kind.size
    if name in _INTEGERS:
        return bytes([0x26, _INTEGERS[name]])
    if name in {"char", "varchar", "nchar", "nvarchar"}:
        code = {"char": 0xAF, "varchar": 0xA7, "nchar": 0xEF, "nvarchar": 0xE7}[name]
        length = 0xFFFF if size == MAX else size * (2 if name in NATIONAL else 1)
        return struct.pack("<BH", code, length) + COLLATION
    if name in {"binary", "varbinary"}:
        return struct.pack("<BH", 0xAD if name == "binary" else 0xA5, 0xFFFF if size == MAX else size)
    if name in {"text", "ntext"}:
        # One part of a table's name, which is empty.
        return struct.pack("<BI", 0x63 if name == "ntext" else 0x23, 0x7FFFFFFF) + COLLATION + b"\x01\x00\x00"
    if name == "decimal":
        return bytes([0x6C, _decimal_length(size), size, kind.scale])
    if name in {"datetime2", "time"}:
        return bytes([0x2A if name == "datetime2" else 0x29, size])
    fixed = {
        "bit": (0x68, 1), "float": (0x6D, 8), "real": (0x6D, 4), "money": (0x6E, 8), "smallmoney": (0x6E, 4),
        "datetime": (0x6F, 8), "smalldatetime": (0x6F, 4), "uniqueidentifier": (0x24, 16),
    }  # fmt: skip
    return b"\x28" if name == "date" else bytes(fixed[name])


@lru_cache(maxsize=256)
def writer(kind: Type) -> Callable[[Any], bytes]:
    """How a value of the type is written in a ROW (MS-TDS 2.2.5.5)."""
    name, size = kind.name, kind.size
    if name in _INTEGERS:
        form = struct.Struct("<B" + {1: "B", 2: "h", 4: "i", 8: "q"}[_INTEGERS[name]])
        length = _INTEGERS[name]
        return lambda value: b"\0" if value is None else form.pack(length, int(value))
    if name == "bit":
        return lambda value: b"\0" if value is None else bytes([1, int(bool(int(value)))])
    if kind.textual or name in {"binary", "varbinary"}:
        return _text_writer(kind)
    if name in {"float", "real"}:
        form = struct.Struct("<Bd" if name == "float" else "<Bf")
        length = 8 if name == "float" else 4
        return lambda value: b"\0" if value is None else form.pack(length, float(value))
    return {
        "decimal": lambda value: _decimal(value, size, kind.scale),
        "money": lambda value: _money(value, 8),
        "smallmoney": lambda value: _money(value, 4),
        "datetime": lambda value: _datetime(value, struct.Struct("<BiI"), 8, 300),
        "smalldatetime": lambda value: _smalldatetime(value),
        "date": lambda value: _since(value, None, dated=True),
        "datetime2": lambda value: _since(value, size, dated=True),
        "time": lambda value: _since(value, size, dated=False),
        "uniqueidentifier": lambda value: b"\0" if value is None else b"\x10" + uuid.UUID(value).bytes_le,
    }[name]


def _text_writer(kind: Type) -> Callable[[Any], bytes]:
    name, size = kind.name, kind.size
    national = name in NATIONAL
    short = struct.Struct("<H").pack
    pad = b" \0" if national else b" "
    width = size * len(pad) if name in {"char", "nchar"} else 0

    def raw(value: Any) -> bytes:
        if isinstance(value, bytes):
            return value
        text = value if isinstance(value, str) else str(value)
        return text.encode("utf-16-le", "surrogatepass") if national else text.encode("gbk", "replace")

    def plain(value: Any) -> bytes:
        if value is None:
            return b"\xff\xff"
        data = raw(value)
        if len(data) < width:
            data += pad * ((width - len(data)) // len(pad))
        return short(len(data)) + data

    def parts(value: Any) -> bytes:
        if value is None:
            return b"\xff" * 8
        data = raw(value)
        chunk = struct.pack("<I", len(data)) + data if data else b""
        return struct.pack("<Q", len(data)) + chunk + b"\0\0\0\0"

    def pointed(value: Any) -> bytes:
        if value is None:
            return b"\0"
        data = raw(value)
        return b"\x10" + b"look-alike text " + b"\0" * 8 + struct.pack("<I", len(data)) + data

    if name in {"text", "ntext"}:
        return pointed
    return parts if size == MAX else plain


def _decimal_length(precision: int) -> int:
    return 5 if precision <= 9 else 9 if precision <= 19 else 13 if precision <= 28 else 17


def _decimal(value: Any, precision: int, scale: int) -> bytes:
    if value is None:
        return b"\0"
    number = int(Decimal(str(value)).scaleb(scale).to_integral_value(ROUND_HALF_UP))
    length = _decimal_length(precision)
    return bytes([length, number >= 0]) + abs(number).to_bytes(length - 1, "little")


def _money(value: Any, length: int) -> bytes:
    if value is None:
        return b"\0"
    number = int(Decimal(str(value)).scaleb(4).to_integral_value(ROUND_HALF_UP))
    if length == 4:
        return struct.pack("<Bi", 4, number)
    return struct.pack("<BiI", 8, number >> 32, number & 0xFFFFFFFF)


def _moment(value: Any) -> tuple[int, int]:
    moment = moment_of(str(value))
    if moment is None:
        raise ValueError("Conversion failed when converting date and/or time from character string.")
    return moment


def _datetime(value: Any, form: struct.Struct, length: int, ticks: int) -> bytes:
    if value is None:
        return b"\0"
    days, units = _moment(value)
    return form.pack(length, days + 1 - _EPOCH_1900, round(units * ticks / 10_000_000))


def _smalldatetime(value: Any) -> bytes:
    if value is None:
        return b"\0"
    days, units = _moment(value)
    return struct.pack("<BHH", 4, days + 1 - _EPOCH_1900, units // 600_000_000)


def _since(value: Any, scale: int | None, *, dated: bool) -> bytes:
    if value is None:
        return b"\0"
    days, units = _moment(value)
    clock = b""
    if scale is not None:
        length = 3 if scale <= 2 else 4 if scale <= 4 else 5
        clock = (units // 10 ** (7 - scale)).to_bytes(length, "little")
    data = clock + (days.to_bytes(3, "little") if dated else b"")
    return bytes([len(data)]) + data

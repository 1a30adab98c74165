"""Bytes of TDS: packets, the login, requests and the tokens of an answer (MS-TDS 2.2). No socket and no SQL in here."""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tds.columns import COLLATION, Type, description

BATCH, RPC, RESULT, ATTENTION, LOGIN, PRELOGIN = 1, 3, 4, 6, 16, 18
LAST = 1
FINAL, MORE, FAILED, COUNTED, STOPPED = 0x00, 0x01, 0x02, 0x10, 0x20
_EXECUTE_SQL = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """What a client says of itself."""

    version: int
    packet_size: int
    host: str
    user: str
    password: str
    application: str
    database: str
    read_only: bool


def packet(kind: int, status: int, number: int, payload: bytes | memoryview) -> bytes:
    """One packet: eight bytes of header, then the payload."""
    return struct.pack(">BBHHBB", kind, status, len(payload) + 8, 51, number & 0xFF, 0) + bytes(payload)


def _version(version: tuple[int, int, int]) -> bytes:
    major, minor, build = version
    return bytes([major, minor]) + build.to_bytes(2, "big")


def prelogin(version: tuple[int, int, int], *, encrypted: bool = False) -> bytes:
    """Our answer to PRELOGIN: the server's version, whether it insists on encryption or has none, no MARS."""
    options = [
        (0, _version(version) + bytes(2)),
        (1, b"\x01" if encrypted else b"\x02"),
        (2, b"\0"),
        (3, b""),
        (4, b"\0"),
    ]
    offset = 5 * len(options) + 1
    head, body = b"", b""
    for token, value in options:
        head += struct.pack(">BHH", token, offset + len(body), len(value))
        body += value
    return head + b"\xff" + body


def read_login(payload: bytes) -> Login:
    """LOGIN7."""
    version, size = struct.unpack_from("<II", payload, 4)

    def text(position: int) -> str:
        offset, length = struct.unpack_from("<HH", payload, position)
        return payload[offset : offset + 2 * length].decode("utf-16-le")

    offset, length = struct.unpack_from("<HH", payload, 44)
    hidden = bytes((b ^ 0xA5) >> 4 | ((b ^ 0xA5) & 0xF) << 4 for b in payload[offset : offset + 2 * length])
    return Login(
        version=version,
        packet_size=size,
        host=text(36),
        user=text(40),
        password=hidden.decode("utf-16-le"),
        application=text(48),
        database=text(68),
        read_only=bool(payload[26] & 0x20),
    )


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode("utf-16-le")


def _long(text: str) -> bytes:
    return struct.pack("<H", len(text)) + text.encode("utf-16-le")


def login_ack(tds: int, version: tuple[int, int, int]) -> bytes:
    """LOGINACK: the TDS that we speak with this client, and the server's version."""
    body = b"\x01" + struct.pack(">I", tds) + _short("Microsoft SQL Server") + _version(version)
    return b"\xad" + struct.pack("<H", len(body)) + body


def change(kind: int, new: str, old: str = "") -> bytes:
    """ENVCHANGE with texts: 1 database, 2 language, 4 packet size."""
    body = bytes([kind]) + _short(new) + _short(old)
    return b"\xe3" + struct.pack("<H", len(body)) + body


def change_bytes(kind: int, new: bytes, old: bytes = b"") -> bytes:
    """ENVCHANGE with bytes: 7 collation, 8 transaction begun, 9 committed, 10 rolled back."""
    body = bytes([kind, len(new)]) + new + bytes([len(old)]) + old
    return b"\xe3" + struct.pack("<H", len(body)) + body


def collation() -> bytes:
    """ENVCHANGE: Chinese_PRC_CI_AS."""
    return change_bytes(7, COLLATION)


def message(number: int, severity: int, text: str, server: str, *, state: int = 1, line: int = 1) -> bytes:
    """ERROR, or INFO up to class 10."""
    body = struct.pack("<iBB", number, state, severity) + _long(text) + _short(server) + _short("")
    body += struct.pack("<i", line)
    return (b"\xaa" if severity > 10 else b"\xab") + struct.pack("<H", len(body)) + body


def done(status: int = FINAL, rows: int = 0, *, kind: int = 0xFD) -> bytes:
    """DONE (0xFD), DONEPROC (0xFE) or DONEINPROC (0xFF)."""
    return struct.pack("<BHHQ", kind, status, 0xC1 if status & COUNTED else 0, rows)


def return_status(value: int) -> bytes:
    """RETURNSTATUS of a procedure."""
    return struct.pack("<Bi", 0x79, value)


def columns(described: Sequence[tuple[str, Type]]) -> bytes:
    """COLMETADATA."""
    parts = [b"\x81", struct.pack("<H", len(described))]
    for name, kind in described:
        # User type 0; flags: nullable, may be written.
        parts.append(struct.pack("<IH", 0, 0x0009) + description(kind) + _short(name[:128]))
    return b"".join(parts)


def _without_headers(payload: bytes) -> memoryview:
    (length,) = struct.unpack_from("<I", payload, 0)
    return memoryview(payload)[length:]


def read_batch(payload: bytes) -> str:
    """The text of an SQL batch."""
    return bytes(_without_headers(payload)).decode("utf-16-le")


@dataclass(frozen=True, slots=True)
class Call:
    """A procedure call: name, and parameters as (name, value)."""

    name: str
    parameters: tuple[tuple[str, Any], ...]

    def batch(self) -> str | None:
        """sp_executesql as the batch that it stands for; None for another procedure."""
        if self.name.lower().rpartition(".")[2] != "sp_executesql" or not self.parameters:
            return None
        values = {name.lstrip("@").lower(): value for name, value in self.parameters[2:] if name}
        if len(self.parameters) > 1:
            declared = re.findall(r"@(\w+)", str(self.parameters[1][1] or ""))
            unnamed = [value for name, value in self.parameters[2:] if not name]
            values |= {name.lower(): value for name, value in zip(declared, unnamed, strict=False)}

        def literal(found: re.Match[str]) -> str:
            name = found[1].lower()
            return _literal(values[name]) if name in values else found[0]

        return re.sub(r"(?<!@)@(\w+)", literal, str(self.parameters[0][1]))


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, datetime):
        return f"CAST('{value:%Y-%m-%d %H:%M:%S.%f}' AS datetime)"
    if isinstance(value, str):
        doubled = value.replace("'", "''")
        return f"N'{doubled}'"
    return str(int(value)) if isinstance(value, bool) else str(value)


def read_call(payload: bytes) -> Call:
    """An RPC request with one call in it."""
    body = _without_headers(payload)
    (length,) = struct.unpack_from("<H", body, 0)
    if length == 0xFFFF:
        (number,) = struct.unpack_from("<H", body, 2)
        name, at = "sp_executesql" if number == _EXECUTE_SQL else f"procedure {number}", 4
    else:
        name, at = bytes(body[2 : 2 + 2 * length]).decode("utf-16-le"), 2 + 2 * length
    at += 2  # option flags
    parameters = []
    while at < len(body):
        width = body[at]
        label = bytes(body[at + 1 : at + 1 + 2 * width]).decode("utf-16-le")
        at += 2 + 2 * width  # and the status byte
        value, at = _parameter(body, at)
        parameters.append((label, value))
    return Call(name, tuple(parameters))


def _parameter(body: memoryview, at: int) -> tuple[Any, int]:
    code = body[at]
    at += 1
    if code in {0xE7, 0xEF, 0xA7, 0xAF, 0xA5, 0xAD}:
        (limit,) = struct.unpack_from("<H", body, at)
        at += 2 + (0 if code in {0xA5, 0xAD} else 5)
        data, at = _chunks(body, at) if limit == 0xFFFF else _counted(body, at)
        if data is None or code in {0xA5, 0xAD}:
            return data, at
        return data.decode("utf-16-le" if code in {0xE7, 0xEF} else "gbk"), at
    if code in {0x63, 0x23}:
        at += 4 + 5
        (length,) = struct.unpack_from("<i", body, at)
        at += 4
        if length < 0:
            return None, at
        return bytes(body[at : at + length]).decode("utf-16-le" if code == 0x63 else "gbk"), at + length
    if code in {0x26, 0x68, 0x6D, 0x6E, 0x6F, 0x24}:
        length = body[at + 1]
        return _fixed(code, bytes(body[at + 2 : at + 2 + length])), at + 2 + length
    if code in {0x6A, 0x6C}:
        scale, length = body[at + 2], body[at + 3]
        data = bytes(body[at + 4 : at + 4 + length])
        value = Decimal(int.from_bytes(data[1:], "little")).scaleb(-scale) * (1 if data[:1] == b"\1" else -1)
        return (value if data else None), at + 4 + length
    plain = {0x38: "<i", 0x7F: "<q", 0x34: "<h", 0x30: "<B", 0x32: "<?", 0x3E: "<d", 0x3B: "<f"}
    (value,) = struct.unpack_from(plain[code], body, at)
    return value, at + struct.calcsize(plain[code])


def _counted(body: memoryview, at: int) -> tuple[bytes | None, int]:
    (length,) = struct.unpack_from("<H", body, at)
    if length == 0xFFFF:
        return None, at + 2
    return bytes(body[at + 2 : at + 2 + length]), at + 2 + length


def _chunks(body: memoryview, at: int) -> tuple[bytes | None, int]:
    (total,) = struct.unpack_from("<Q", body, at)
    at += 8
    if total == 0xFFFFFFFFFFFFFFFF:
        return None, at
    data = b""
    while True:
        (length,) = struct.unpack_from("<I", body, at)
        at += 4
        if not length:
            return data, at
        data += bytes(body[at : at + length])
        at += length


def _fixed(code: int, data: bytes) -> Any:
    if not data:
        return None
    if code == 0x6F and len(data) == 8:
        days, ticks = struct.unpack("<iI", data)
        return datetime(1900, 1, 1) + timedelta(days=days, microseconds=round(ticks * 1_000_000 / 300))  # noqa: DTZ001
    if code == 0x6E and len(data) == 8:
        high, low = struct.unpack("<iI", data)
        return Decimal((high << 32) + low).scaleb(-4)
    if code == 0x24:
        return str(uuid.UUID(bytes_le=data))
    if code == 0x6D:
        return struct.unpack("<d" if len(data) == 8 else "<f", data)[0]
    return int.from_bytes(data, "little", signed=code == 0x26 and len(data) > 1)

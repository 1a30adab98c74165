"""ID pictures: reads a resident ID off a picture, as far as an OCR service can be had without one.

It reads what the demo's pictures have below the portrait: a field of 4 by 4 pixel cells, dark for 1 and light for 0,
96 cells a row from (24, 248) on, most significant bit first: "ID1", two bytes of length, that many bytes of JSON in
UTF-8 (name, id, gender, nation, birth, address, authority, validDate), four bytes CRC-32 of the JSON. The picture is a
PNG with 8 bits of grey, not interlaced. Anything else is a picture without an ID.
"""

import base64
import binascii
import json
import zlib
from typing import Final

from platform_sandbox.refusal import Refusal

FIELDS: Final = ("name", "id", "gender", "nation", "birth", "address", "authority", "validDate")
_LEFT, _TOP, _CELL, _CELLS = 24, 248, 4, 96
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_MOST: Final = 4_000_000  # pixels


def read_id(content: str) -> dict[str, str]:
    """What stands on the ID: -10040 for what is no picture, -10039 for a picture without an ID."""
    try:
        picture = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(-10040) from None
    if not picture.startswith((_SIGNATURE, b"\xff\xd8\xff")):
        raise Refusal(-10040)
    try:
        return _fields(_rows(picture))
    except (ValueError, IndexError, AttributeError, RecursionError, zlib.error):
        raise Refusal(-10039) from None


def _fields(rows: list[bytes]) -> dict[str, str]:
    half = _CELL // 2
    bits = [
        rows[_TOP + line * _CELL + half][_LEFT + cell * _CELL + half] < 128
        for line in range((len(rows) - _TOP) // _CELL)
        for cell in range(_CELLS)
    ]
    content = bytes(
        sum(bit << (7 - at) for at, bit in enumerate(bits[start : start + 8])) for start in range(0, len(bits) - 7, 8)
    )
    length = int.from_bytes(content[3:5])
    text = content[5 : 5 + length]
    if content[:3] != b"ID1" or int.from_bytes(content[5 + length : 9 + length]) != zlib.crc32(text):
        raise ValueError("no field of cells")
    found = json.loads(text)
    return {name: str(found.get(name, "")) for name in FIELDS}


def _rows(picture: bytes) -> list[bytes]:
    """The rows of a grey PNG, one byte a pixel."""
    if not picture.startswith(_SIGNATURE):
        raise ValueError("no PNG")
    at, head, packed = len(_SIGNATURE), b"", b""
    while at < len(picture):
        length, kind = int.from_bytes(picture[at : at + 4]), picture[at + 4 : at + 8]
        content = picture[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            head = content
        elif kind == b"IDAT":
            packed += content
        at += length + 12
    width, height = int.from_bytes(head[:4]), int.from_bytes(head[4:8])
    if tuple(head[8:13]) != (8, 0, 0, 0, 0) or not 0 < width * height <= _MOST:
        raise ValueError("not 8 bits of grey")
    unpacked = zlib.decompressobj().decompress(packed, (width + 1) * height)
    rows: list[bytes] = []
    above = bytes(width)
    for line in range(height):
        start = line * (width + 1)
        above = _unfiltered(unpacked[start], unpacked[start + 1 : start + 1 + width], above)
        rows.append(above)
    return rows


def _unfiltered(kind: int, line: bytes, above: bytes) -> bytes:
    if kind == 0:
        return line
    row = bytearray(line)
    for at in range(len(row)):
        left = row[at - 1] if at else 0
        corner = above[at - 1] if at else 0
        up = above[at]
        guess = left + up - corner
        paeth = min((left, up, corner), key=lambda each: abs(guess - each))
        row[at] = (row[at] + (0, left, up, (left + up) // 2, paeth)[kind]) & 0xFF
    return bytes(row)

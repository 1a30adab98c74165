"""ID picture: the front of a made-up resident ID as a PNG, for the demo of document 3.2.5.

    python -m demo_his.id_picture var/id.png

No real ID looks like it: a frame, a portrait of two grey shapes, and what would be printed as a field of cells that the
sandbox reads: 4 by 4 pixels each, dark for 1, 96 a row from (24, 248) on, most significant bit first; "ID1", two bytes
of length, JSON in UTF-8, four bytes CRC-32 of it.
"""

import base64
import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Final

WIDTH: Final = 432
HEIGHT: Final = 440
_LEFT, _TOP, _CELL, _CELLS = 24, 248, 4, 96


def draw(*, name: str, id_number: str, gender: str, nation: str, birth: str, address: str) -> bytes:
    """The PNG. `birth` as 1991/5/25, `nation` without 族, as an ID has them. ValueError if it is too much for it."""
    printed = {"name": name, "id": id_number, "gender": gender, "nation": nation, "birth": birth, "address": address}
    text = json.dumps(printed, ensure_ascii=False, separators=(",", ":")).encode()
    content = b"ID1" + len(text).to_bytes(2) + text + zlib.crc32(text).to_bytes(4)
    bits = [byte >> shift & 1 for byte in content for shift in range(7, -1, -1)]
    if -(-len(bits) // _CELLS) * _CELL > HEIGHT - _TOP - 8:
        raise ValueError("more text than the picture holds")
    rows = [bytearray(b"\xf4" * WIDTH) for _ in range(HEIGHT)]
    _fill(rows, 0, 0, WIDTH, 4, 96)
    _fill(rows, 0, HEIGHT - 4, WIDTH, 4, 96)
    _fill(rows, 0, 0, 4, HEIGHT, 96)
    _fill(rows, WIDTH - 4, 0, 4, HEIGHT, 96)
    _fill(rows, 176, 40, 80, 88, 180)
    _fill(rows, 136, 136, 160, 80, 150)
    for at, bit in enumerate(bits):
        line, cell = divmod(at, _CELLS)
        _fill(rows, _LEFT + cell * _CELL, _TOP + line * _CELL, _CELL, _CELL, 16 if bit else 240)
    return _png(rows)


def content(picture: bytes) -> str:
    """As imageContent of ocrInfo: Base64 without a header."""
    return base64.b64encode(picture).decode()


def _fill(rows: list[bytearray], left: int, top: int, width: int, height: int, grey: int) -> None:
    for row in rows[top : top + height]:
        row[left : left + width] = bytes([grey]) * width


def _png(rows: list[bytearray]) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def main(argv: list[str]) -> int:
    """Draw one into the named file; exit code."""
    if len(argv) != 1:
        print("demo_his: name the file of the picture: python -m demo_his.id_picture id.png", file=sys.stderr)
        return 2
    drawn = draw(
        name="演示甲", id_number="110101199003070134", gender="男", nation="汉", birth="1990/3/7", address="示范路1号"
    )
    try:
        Path(argv[0]).write_bytes(drawn)
    except OSError as error:
        print(f"demo_his: {argv[0]} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

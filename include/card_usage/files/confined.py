"""Confined reading: a workbook from outside is read by a process of its own, with limits of memory and time.

Whatever the file does to its reader, it does to a process that holds no key, no connection and no password, and the
caller gets WorkbookUnreadable. The process (`python -m card_usage.files.confined`) reads the file from its standard
input and writes lines of JSON: the sheets, then every row, then where each sheet begins. The caller reads those lines
as it needs them, so that its memory does not grow with the file.
"""

from __future__ import annotations

import io
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from typing import IO, Any, Final

from card_usage.errors import WorkbookUnreadable
from card_usage.files.shipped import PACKAGE
from card_usage.files.spreadsheet import Cell, Row, Workbook, day_of

MEMORY: Final = 256 * 2**20
"""Bytes that the process may hold."""
SECONDS: Final = 60
MOST_WRITTEN: Final = 256 * 2**20
"""Bytes of the rows as JSON."""
_ENVIRONMENT: Final = {
    "PYTHONPATH": str(PACKAGE.parent),
    "PYTHONHASHSEED": "0",
    "OPENBLAS_NUM_THREADS": "1",  # openpyxl imports numpy, which reserves memory for each thread
}
_MOMENTS: Final[Mapping[str, Callable[[str], Cell]]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
}
_LINES: Final = 500


class ConfinedWorkbook:
    """An XLSX file, as `spreadsheet.Workbook` reads it. Raises WorkbookUnreadable."""

    def __init__(self, name: str, content: bytes, *, seconds: float = SECONDS) -> None:
        self._lines: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the workbook
        weakref.finalize(self, self._lines.close)
        with tempfile.TemporaryFile() as given:
            given.write(json.dumps(name).encode() + b"\n" + content)
            given.seek(0)
            command = [sys.executable, "-P", "-m", "card_usage.files.confined"]
            try:
                ended = subprocess.run(
                    command,
                    stdin=given,
                    stdout=self._lines,
                    stderr=subprocess.DEVNULL,
                    env=_ENVIRONMENT,
                    timeout=seconds,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                raise _refusal(name, f"reading it takes longer than {seconds:g} seconds") from None
        self._lines.seek(0)
        first = self._line()
        if "refused" in first:
            raise WorkbookUnreadable(**first["refused"])
        if ended != 0 or "sheets" not in first:
            raise _refusal(name, f"reading it takes more than {MEMORY:,} bytes of memory, or crashes (exit {ended})")
        self.sheets: tuple[str, ...] = tuple(first["sheets"])
        self.epoch_1904: bool = first["epoch_1904"]
        self._lines.seek(-_LAST, io.SEEK_END)
        self._lines.seek(int(self._lines.read()))
        self._starts = dict(zip(self.sheets, self._line()["starts"], strict=True))

    def rows(self, sheet: str) -> Iterator[Row]:
        """Rows of a sheet that hold a value."""
        position = self._starts[sheet]
        while True:
            self._lines.seek(position)
            lines = list(itertools.islice(self._lines, _LINES))
            position = self._lines.tell()
            for line in lines:
                row = json.loads(line)
                if isinstance(row, list):
                    yield Row(row[0], tuple(_cell(value) for value in row[1]))
                elif "refused" in row:
                    raise WorkbookUnreadable(**row["refused"])
                else:
                    return

    def day(self, serial: float) -> date | None:
        """The day that a spreadsheet writes as this number; None for a number that is none of this century's days."""
        return day_of(serial, epoch_1904=self.epoch_1904)

    def _line(self) -> dict[str, Any]:
        try:
            line = json.loads(self._lines.readline())
        except ValueError:
            return {}
        return line if isinstance(line, dict) else {}


def _refusal(name: str, problem: str) -> WorkbookUnreadable:
    return WorkbookUnreadable(file=name, place="1", problem=problem, remedy="hand in one day at a time")


def _cell(value: Any) -> Cell:
    if isinstance(value, dict):
        ((kind, text),) = value.items()
        value = _MOMENTS[kind](text)
    cell: Cell = value
    return cell


# -- the process ------------------------------------------------------------------------------------------------------

_LAST: Final = 16
"""Bytes at the end of the output: where its last line begins."""


def _written(value: Any) -> dict[str, str]:
    """A date or time as JSON."""
    return {type(value).__name__: value.isoformat()}


class _Output:
    """Lines of JSON on standard output, not more than MOST_WRITTEN."""

    def __init__(self) -> None:
        self._to = sys.stdout.buffer
        self.written = 0

    def line(self, content: Any) -> None:
        line = json.dumps(content, default=_written, separators=(",", ":")).encode() + b"\n"
        self.written += len(line)
        if self.written > MOST_WRITTEN:
            raise MemoryError
        self._to.write(line)


def _read(output: _Output, name: str, content: bytes) -> None:
    try:
        book = Workbook(name, content)
    except WorkbookUnreadable as problem:
        output.line({"refused": problem.details})
        return
    output.line({"sheets": book.sheets, "epoch_1904": book.epoch_1904})
    starts = []
    for sheet in book.sheets:
        starts.append(output.written)
        try:
            for row in book.rows(sheet):
                output.line(row)
            output.line({})
        except WorkbookUnreadable as problem:
            output.line({"refused": problem.details})
    at = output.written
    output.line({"starts": starts})
    sys.stdout.buffer.write(f"{at:0{_LAST}d}".encode())


def main() -> int:
    """Reads a workbook from standard input."""
    for limit, most in (
        (resource.RLIMIT_DATA, MEMORY),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    name = json.loads(sys.stdin.buffer.readline())
    try:
        _read(_Output(), name, sys.stdin.buffer.read())
        sys.stdout.buffer.flush()
    except MemoryError:
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())

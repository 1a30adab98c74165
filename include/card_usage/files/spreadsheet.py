"""Spreadsheet: the rows of an XLSX workbook as people really send it, one row at a time.

openpyxl believes what a file says about itself: a dimension of "A1" hides the sheet, an empty fill or Strict Open XML
is an error, and a formatted cell in the last row costs a gigabyte. Excel reads all of them, so this reader looks only
at cells that hold a value. Promises: memory does not grow with the sheet, only with its distinct texts (at most
MOST_TEXT); dates are dates in either of Excel's calendars; a file that Excel would offer to repair is refused with
WorkbookUnreadable, which names the row where it ends. So is one that unpacks to more than MOST_UNPACKED, has more cells
than MOST_CELLS, or declares entities. Files from outside are read by `confined`, in a process of their own.
"""

from __future__ import annotations

import io
import posixpath
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final, NamedTuple, NoReturn
from xml.etree.ElementTree import Element, ParseError, iterparse  # nosec B405 - what declares entities is refused
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile

from card_usage.errors import WorkbookUnreadable

Cell = str | int | float | bool | date | datetime | time | None

MOST_TEXT: Final = 16 * 2**20
"""Characters of the texts that cells share."""
MOST_UNPACKED: Final = 256 * 2**20
"""Bytes of all parts after unpacking: a million formatted rows are some 60 MB."""
MOST_ROWS: Final = 2**20
"""Rows of a sheet, empty ones too: Excel has no more."""
MOST_CELLS: Final = 5_000_000
"""Cells of a sheet up to the last one with a value in each row."""
_COLUMNS: Final = 16_384
_PROLOGUE: Final = 64 * 2**10
"""Bytes within which a part's first element begins."""
_ONE_DAY: Final = "hand in one day at a time"
_OLE: Final = bytes.fromhex("d0cf11e0a1b11ae1")
_TORN: Final = (BadZipFile, EOFError, LookupError, NotImplementedError, OSError, ParseError, ValueError, zlib.error)


class Row(NamedTuple):
    """A row with a value, its number as the spreadsheet shows it, and its cells up to the last one with a value."""

    number: int
    cells: tuple[Cell, ...]


class Workbook:
    """An XLSX file. `name`: what errors call it. Raises WorkbookUnreadable."""

    def __init__(self, name: str, content: bytes) -> None:
        self._name = name
        if content.startswith(_OLE):
            self._refuse("", 1, "it is an old or a password-protected workbook", "save it as .xlsx without a password")
        try:
            self._zip = ZipFile(io.BytesIO(content))
            if sum(part.file_size for part in self._zip.infolist()) > MOST_UNPACKED:
                self._refuse("", 1, f"unpacked it is larger than {MOST_UNPACKED:,} bytes", _ONE_DAY)
            book = self._related("", "officeDocument").get("", "xl/workbook.xml")
            self._sheets, self.epoch_1904 = self._contents(book)
            parts = self._related(book, "sharedStrings") | {"styles": self._related(book, "styles").get("", "")}
            self._date_styles = self._styles(parts["styles"])
            self._texts = self._shared(parts.get("", ""))
        except _TORN as error:
            self._refuse("", 1, f"it is no XLSX workbook, or a torn one ({type(error).__name__})")

    @property
    def sheets(self) -> tuple[str, ...]:
        """Names of the sheets, in their order."""
        return tuple(self._sheets)

    def rows(self, sheet: str) -> Iterator[Row]:
        """Rows of a sheet that hold a value."""
        number = count = cells_seen = 0
        try:
            for element in self._elements(self._sheets[sheet], "row"):
                number = int(element.get("r") or number + 1)
                cells = self._cells(element)
                count, cells_seen = count + 1, cells_seen + len(cells)
                if not 0 < number <= MOST_ROWS or count > MOST_ROWS:
                    self._refuse(sheet, count, f"it has more than {MOST_ROWS:,} rows", _ONE_DAY)
                if cells_seen > MOST_CELLS:
                    self._refuse(sheet, number, f"it has more than {MOST_CELLS:,} cells", _ONE_DAY)
                if cells:
                    yield Row(number, cells)
        except _TORN as error:
            self._refuse(sheet, number + 1, f"the sheet is torn here ({type(error).__name__})")

    def day(self, serial: float) -> date | None:
        """The day that a spreadsheet writes as this number; None for a number that is none of this century's days."""
        return day_of(serial, epoch_1904=self.epoch_1904)

    def _refuse(self, sheet: str, row: int, problem: str, remedy: str = "") -> NoReturn:
        remedy = remedy or "open it in Excel, save it under a new name, and hand that in"
        place = f"{sheet}!{row}" if sheet else str(row)
        raise WorkbookUnreadable(file=self._name, place=place, problem=problem, remedy=remedy) from None

    def _related(self, part: str, kind: str) -> dict[str, str]:
        """The parts of a kind that a part refers to, by relation id, and under '' the first of them."""
        folder, file = posixpath.split(part)
        relations = posixpath.join(folder, "_rels", f"{file}.rels")
        found: dict[str, str] = {}
        if relations not in self._zip.namelist():
            return found
        for element in self._elements(relations, "Relationship"):
            # Strict Open XML has the same last word under another address.
            if element.get("Type", "").rpartition("/")[2] == kind:
                target = posixpath.normpath(posixpath.join("/", folder, element.get("Target", ""))).lstrip("/")
                found.setdefault("", target)
                found[element.get("Id", "")] = target
        return found

    def _contents(self, book: str) -> tuple[Mapping[str, str], bool]:
        """Sheet name -> part, and whether days are counted from 1904."""
        parts = self._related(book, "worksheet")
        sheets: dict[str, str] = {}
        epoch_1904 = False
        for element in self._elements(book, "sheet", "workbookPr"):
            if _local(element.tag) == "workbookPr":
                epoch_1904 = element.get("date1904") in ("1", "true")
                continue
            relation = next((value for name, value in element.attrib.items() if _local(name) == "id"), "")
            if relation in parts:
                sheets[element.get("name", "")] = parts[relation]
        if not sheets:
            raise ValueError("no sheet")
        return sheets, epoch_1904

    def _styles(self, part: str) -> frozenset[int]:
        """The cell styles by which a number is shown as a date or a time."""
        # Not at the top: DAG files lead here.
        from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format

        if part not in self._zip.namelist():
            return frozenset()
        formats = dict(BUILTIN_FORMATS)
        dates: set[int] = set()
        for element in self._elements(part, "numFmt", "cellXfs"):
            if _local(element.tag) == "numFmt":
                formats[int(element.get("numFmtId", "0"))] = element.get("formatCode", "")
                continue
            for style, cell_format in enumerate(element):
                number_format = int(cell_format.get("numFmtId", "0"))
                # 27 to 36 and 50 to 58: dates of Chinese, Japanese and Korean Excel.
                if number_format in _EAST_ASIAN_DATES or is_date_format(formats.get(number_format, "General")):
                    dates.add(style)
        return frozenset(dates)

    def _shared(self, part: str) -> list[str]:
        if part not in self._zip.namelist():
            return []
        texts, length = [], 0
        for element in self._elements(part, "si"):
            text = _text(element)
            length += len(text)
            if length > MOST_TEXT:
                self._refuse("", 1, f"its texts are longer than {MOST_TEXT:,} characters", _ONE_DAY)
            texts.append(text)
        return texts

    def _elements(self, part: str, *names: str) -> Iterator[Element]:
        """The elements of these names, each complete; whatever was read is let go of."""
        with self._zip.open(part) as file:
            if _declares_entities(file.read(_PROLOGUE)):
                self._refuse("", 1, "a part of it has a document type, which no spreadsheet program writes")
        with self._zip.open(part) as file:
            parents: list[Element] = []
            inside = 0
            for event, element in iterparse(file, ("start", "end")):  # noqa: S314 - no entities, see above
                wanted = _local(element.tag) in names
                if event == "start":
                    parents.append(element)
                    inside += wanted
                    continue
                parents.pop()
                inside -= wanted
                if wanted:
                    yield element
                if not inside and parents:
                    parents[-1].remove(element)

    def _cells(self, row: Element) -> tuple[Cell, ...]:
        cells: list[Cell] = []
        column = 0
        for element in row:
            if _local(element.tag) != "c":
                continue
            column = _column(element.get("r", "")) or column + 1
            value = self._value(element)
            if value is None or value == "" or column > _COLUMNS:
                continue
            cells += [None] * (column - len(cells))
            cells[column - 1] = value
        return tuple(cells)

    def _value(self, cell: Element) -> Cell:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            return "".join(_text(part) for part in cell if _local(part.tag) == "is")
        raw = next((part.text for part in cell if _local(part.tag) == "v"), None)
        if raw is None or not raw.strip():
            return raw if kind == "str" else None
        return _CONVERTERS.get(kind, _number)(self, raw) if kind != "n" else self._numeric(cell, raw)

    def _numeric(self, cell: Element, raw: str) -> Cell:
        value = _number(self, raw)
        if isinstance(value, int | float) and int(cell.get("s", "0")) in self._date_styles:
            return _moment(value, epoch_1904=self.epoch_1904)
        return value


_EAST_ASIAN_DATES: Final = frozenset((*range(27, 37), *range(50, 59)))


def _number(book: Workbook, raw: str) -> int | float:
    value = float(raw)
    return int(value) if value.is_integer() else value


def _shared_text(book: Workbook, raw: str) -> str:
    return book._texts[int(raw)]


def _moment_text(book: Workbook, raw: str) -> Cell:
    try:
        return datetime.fromisoformat(raw).replace(tzinfo=None)
    except ValueError:
        return time.fromisoformat(raw).replace(tzinfo=None)


_CONVERTERS: Final[Mapping[str, Callable[[Any, str], Cell]]] = {
    "s": _shared_text,
    "str": lambda book, raw: raw,
    "e": lambda book, raw: raw,
    "b": lambda book, raw: raw.strip() in ("1", "true"),
    "d": _moment_text,
}


def day_of(serial: float, *, epoch_1904: bool) -> date | None:
    """The day that a spreadsheet writes as this number; None for a number that is none of this century's days."""
    moment = _moment(serial, epoch_1904=epoch_1904)
    return moment.date() if isinstance(moment, datetime) and 2000 <= moment.year < 2100 else None


def _moment(serial: float, *, epoch_1904: bool) -> Cell:
    # Not at the top: DAG files lead here.
    from openpyxl.utils.datetime import MAC_EPOCH, WINDOWS_EPOCH, from_excel

    try:
        moment = from_excel(serial, MAC_EPOCH if epoch_1904 else WINDOWS_EPOCH)
    except (OverflowError, ValueError):
        return serial
    return serial if isinstance(moment, timedelta) or moment is None else moment


class _FirstElement(Exception):
    """The prologue is over."""


def _declares_entities(head: bytes) -> bool:
    """Whether XML that begins like this has a document type, by which it could multiply or fetch texts."""
    found = False

    def doctype(*_: object) -> None:
        nonlocal found
        found = True
        raise _FirstElement

    def element(*_: object) -> None:
        raise _FirstElement

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler, parser.StartElementHandler = doctype, element
    try:
        parser.Parse(head, len(head) < _PROLOGUE)
    except _FirstElement:
        return found
    except expat.ExpatError:
        return False  # whoever reads on says where it is torn
    raise ValueError("no element")


def _local(tag: str) -> str:
    """A name without its namespace: Strict Open XML has other ones."""
    return tag.rpartition("}")[2]


def _text(element: Element) -> str:
    """The text of a cell, without its phonetic guide."""
    parts = []
    for part in element:
        name = _local(part.tag)
        if name == "t":
            parts.append(part.text or "")
        elif name == "r":
            parts += [inner.text or "" for inner in part if _local(inner.tag) == "t"]
    return "".join(parts)


def _column(reference: str) -> int:
    """The number of the column in a cell's reference: 28 of 'AB7'; 0 if it has none."""
    number = 0
    for letter in reference:
        if not "A" <= letter <= "Z":
            break
        number = 26 * number + ord(letter) - 64
    return number

"""Statement files: what the platform's website says it holds, as CSV or XLSX, into the ledger.

The platform has no query interface; its website shows a daily statement that people export. Which column holds what is
a layout (include/statement_layouts/<name>.toml). Promises: a file is imported whole or not at all, and an error names
its line and field; the same hospital and day again replaces what was known; codes that no table has are an error, never
a guess. Statements hold counts and nothing about patients.
"""

from __future__ import annotations

import csv
import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from card_usage.config.hospital import Hospital, load_valid_hospitals
from card_usage.config.settings import Settings
from card_usage.errors import StatementError, WorkbookUnreadable
from card_usage.files.atomic import read_here
from card_usage.files.confined import ConfinedWorkbook
from card_usage.files.delimited import LARGEST, SHORTENED, TITLES, RowReader, decode, readings, shown_name
from card_usage.files.shipped import SHIPPED
from card_usage.reconciliation.statement_match import FIELDS, Bucket
from card_usage.reconciliation.statement_store import Statement
from card_usage.standard.code_tables import CodeTable, fold, load_tables
from card_usage.standard.misplaced import quoted

LAYOUTS: Final = SHIPPED / "statement_layouts"
ENDINGS: Final = (".csv", ".xlsx")

_DAY: Final = re.compile(
    r"(?:(\d{4})(\d\d)(\d\d)|(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?)(?:[ T]0?0:00(?::00(?:\.0+)?)?)?"
)
_SERIAL: Final = re.compile(r"\d{5}(?:\.0+)?")
_HOUR: Final = re.compile(r"(\d{1,2})(?:[:：时点].*)?")
Heading = Annotated[str, Field(min_length=1)]


class _Columns(BaseModel):
    """Field -> heading in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uses: Heading
    hospital: Heading | None = None
    day: Heading | None = None
    hour: Heading | None = None
    scene: Heading | None = None
    channel: Heading | None = None
    card_type: Heading | None = None
    department: Heading | None = None


class _Rows(BaseModel):
    """Which rows are no counts. `add_up`: rows alike are added instead of refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    totals: tuple[str, ...] = ()
    add_up: bool = False


class Layout(BaseModel):
    """One kind of file. `sheet`: of a workbook, the first one if it says none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    columns: _Columns
    rows: _Rows = _Rows()
    sheet: str | None = None

    @model_validator(mode="after")
    def _distinct(self) -> Layout:
        headings = list(self.headings.values())
        if len(set(headings)) < len(headings):
            raise ValueError("two fields name the same column")
        return self

    @property
    def headings(self) -> Mapping[str, str]:
        """Field -> heading, only those that are there."""
        return {field: heading for field, heading in self.columns.model_dump().items() if heading}

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The fields that its counts are told apart by."""
        return tuple(field for field in FIELDS if field in self.headings)


class ValidLayouts(NamedTuple):
    """The layouts that can be read, by name, and the problem of each that cannot."""

    layouts: Mapping[str, Layout]
    broken: Mapping[str, StatementError]


def load_layouts(folder: Path = LAYOUTS) -> Mapping[str, Layout]:
    """Every layout of a folder, by name. Raises StatementError for one that cannot be read."""
    return {path.stem: _load_layout(path) for path in sorted(folder.glob("*.toml"))}


def load_valid_layouts(folder: Path = LAYOUTS) -> ValidLayouts:
    """Every layout of a folder that can be read: one that cannot does not concern files of the others."""
    layouts: dict[str, Layout] = {}
    broken: dict[str, StatementError] = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            layouts[path.stem] = _load_layout(path)
        except StatementError as problem:
            broken[path.stem] = problem
    return ValidLayouts(layouts, broken)


def _load_layout(path: Path) -> Layout:
    try:
        return Layout.model_validate({"name": path.stem, **tomllib.loads(path.read_text("utf-8-sig"))})
    except OSError as error:
        raise _wrong(path, 1, "(layout)", f"cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _wrong(path, 1, "(layout)", f"no TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise _wrong(path, 1, ".".join(map(str, first["loc"])) or "(layout)", first["msg"]) from None


class _Line(NamedTuple):
    """A row of a file, with its number as an editor or a spreadsheet shows it."""

    number: int
    cells: Sequence[Any]


class _Table(NamedTuple):
    """One reading of a file: its rows that are not empty. `book`: the workbook that they are from."""

    lines: Iterator[_Line]
    book: ConfinedWorkbook | None = None


class _File:
    """A file's content, taken apart once however many layouts are tried on it."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self._content = path, content

    @cached_property
    def book(self) -> ConfinedWorkbook:
        """Of an XLSX file."""
        try:
            return ConfinedWorkbook(shown_name(self.path), self._content)
        except WorkbookUnreadable as problem:
            raise _unreadable(self.path, problem) from None

    @cached_property
    def text(self) -> str:
        """Of any other file."""
        try:
            return decode(self._content)
        except UnicodeDecodeError:
            raise _wrong(self.path, 1, "(file)", "neither UTF-8 nor GB 18030 text") from None


def _tables(file: _File, sheet: str | None) -> Iterator[_Table]:
    """The readings of a file, the likeliest first: a text that several characters may separate has several."""
    path = file.path
    if path.suffix.lower() == ".xlsx":
        book = file.book
        if sheet is not None and sheet not in book.sheets:
            raise _wrong(path, 1, "(sheet)", f"there is no sheet '{sheet}'")
        yield _Table(_sheet_lines(path, book, sheet or book.sheets[0]), book)
        return
    for separator in readings(file.text):
        yield _Table(_text_lines(path, file.text, separator))


def _text_lines(path: Path, text: str, separator: str) -> Iterator[_Line]:
    """CSV, in whichever way a spreadsheet saved it."""
    reader = RowReader(text, separator)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield _Line(reader.line_num, row)
    except csv.Error as error:
        raise _wrong(path, reader.line_num, "(file)", f"no CSV: {error}") from None


def _sheet_lines(path: Path, book: ConfinedWorkbook, sheet: str) -> Iterator[_Line]:
    try:
        for number, cells in book.rows(sheet):
            if any(str(cell).strip() for cell in cells if cell is not None):
                yield _Line(number, cells)
    except WorkbookUnreadable as problem:
        raise _unreadable(path, problem) from None


def _unreadable(path: Path, problem: WorkbookUnreadable) -> StatementError:
    details = problem.details
    line = str(details["place"]).rpartition("!")[2]
    return _wrong(path, int(line), "(file)", f"{details['problem']}: {details['remedy']}")


def _wrong(path: Path, line: int, field: str, problem: str) -> StatementError:
    return StatementError(path=shown_name(path), line=line, field=field, problem=problem)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportOptions:
    """What the caller says about files that do not say it themselves."""

    layout: str | None = None
    hospital: str | None = None
    day: date | None = None
    as_of: datetime | None = None


class Reader:
    """Turns files into statements. `hospitals` by their id at the platform."""

    def __init__(
        self,
        hospitals: Iterable[Hospital],
        tables: Mapping[str, CodeTable],
        layouts: Mapping[str, Layout],
        *,
        broken_hospitals: Iterable[str] = (),
        broken_layouts: Mapping[str, StatementError] | None = None,
    ) -> None:
        self._by_platform_id: dict[str, list[str]] = {}
        for hospital in hospitals:
            self._by_platform_id.setdefault(hospital.platform.hospital_id, []).append(hospital.id)
        self._ids = {hospital for ids in self._by_platform_id.values() for hospital in ids}
        self._tables = tables
        self._layouts = layouts
        self._broken_hospitals = tuple(broken_hospitals)
        self._broken_layouts = broken_layouts or {}

    @classmethod
    def of(cls, settings: Settings) -> Reader:
        """With every hospital, table and layout of these settings; broken files concern only what needs them."""
        layouts = load_valid_layouts(settings.statement_layouts)
        hospitals = load_valid_hospitals(settings.hospitals)
        return cls(
            hospitals.hospitals,
            load_tables(settings.code_tables),
            layouts.layouts,
            broken_hospitals=hospitals.broken,
            broken_layouts=layouts.broken,
        )

    def read(self, path: Path, options: ImportOptions, *, now: datetime) -> list[Statement]:
        """All statements of a file, one a hospital and day. Raises StatementError and reads nothing half."""
        content, changed = _content(path)
        if options.hospital is not None and options.hospital not in self._ids:
            raise _wrong(path, 1, "hospital", f"there is no hospital '{options.hospital}'")
        layout, head, table = self._opened(_File(path, content), options.layout)
        columns = _columns(path, layout, head, options)
        counts = self._counts(path, layout, columns, table, options)
        if not counts:
            if options.hospital is None or options.day is None:
                raise _wrong(
                    path, head.number, "uses", "there is no count: of a day without uses say --hospital and --day"
                )
            counts[options.hospital, options.day] = Counter()
        return [
            Statement(
                hospital=hospital,
                day=day,
                as_of=options.as_of or min(changed, now),
                dimensions=layout.dimensions,
                counts=of_day,
                layout=layout.name,
                file=shown_name(path)[:200],
                sha256=hashlib.sha256(content).hexdigest(),
            )
            for (hospital, day), of_day in counts.items()
        ]

    def _counts(
        self, path: Path, layout: Layout, columns: Mapping[str, int], table: _Table, options: ImportOptions
    ) -> dict[tuple[str, date], Counter[Bucket]]:
        """The counts of all lines, by hospital and day. A line with a total is checked and counts nothing."""
        counts: dict[tuple[str, date], Counter[Bucket]] = {}
        first_at: dict[tuple[str, date, Bucket], int] = {}
        for line in table.lines:
            cells = {field: line.cells[n] if n < len(line.cells) else None for field, n in columns.items()}
            first = next(str(cell).strip() for cell in line.cells if cell is not None and str(cell).strip())
            uses = _uses(path, line.number, cells["uses"])
            if first in layout.rows.totals:
                total = sum(of_day.total() for of_day in counts.values())
                if uses != total:
                    problem = f"the total says {uses}, the rows above it add up to {total}"
                    raise _wrong(path, line.number, "uses", problem)
                continue
            hospital = (
                options.hospital if "hospital" not in columns else self._hospital(path, line.number, cells, options)
            )
            day = options.day if "day" not in columns else _day(path, line.number, cells["day"], table.book)
            assert hospital is not None  # noqa: S101 - `_columns` demands it
            assert day is not None  # noqa: S101
            bucket = self._bucket(path, line.number, {field: cells[field] for field in layout.dimensions})
            before = first_at.setdefault((hospital, day, bucket), line.number)
            if before != line.number and not layout.rows.add_up:
                raise _wrong(path, line.number, "uses", f"the same count stands in line {before} already")
            counts.setdefault((hospital, day), Counter())[bucket] += uses
        return counts

    def _opened(self, file: _File, name: str | None) -> tuple[Layout, _Line, _Table]:
        """The layout that fits, the line with its headings, and what stands below it."""
        path = file.path
        if name is not None and name in self._broken_layouts:
            raise self._broken_layouts[name]
        if name is not None and name not in self._layouts:
            raise _wrong(path, 1, "(layout)", f"there is no layout '{name}': take one of {', '.join(self._layouts)}")
        wanted = [self._layouts[name]] if name else list(self._layouts.values())
        # Titles may stand above the headings. The layout that says most of a file is the one meant.
        for layout in sorted(wanted, key=lambda layout: -len(layout.headings)):
            for table in _tables(file, layout.sheet):
                for line in islice(table.lines, TITLES + 1):
                    cells = [None if cell is None else str(cell).strip() for cell in line.cells]
                    if set(layout.headings.values()) <= set(cells):
                        return layout, _Line(line.number, cells), table
        if name:
            missing = ", ".join(self._layouts[name].headings.values())
            raise _wrong(path, 1, "(headings)", f"layout '{name}' wants the columns {missing}")
        broken = f"; broken: {', '.join(self._broken_layouts)}" if self._broken_layouts else ""
        known = ", ".join(self._layouts) + broken
        raise _wrong(path, 1, "(headings)", f"no layout fits ({known}): add one to statement_layouts")

    def _hospital(self, path: Path, line: int, cells: Mapping[str, Any], options: ImportOptions) -> str:
        said = _plain(cells["hospital"])
        if SHORTENED.fullmatch(said):
            raise _shortened(path, line, "hospital", said)
        ids = self._by_platform_id.get(said) or self._without_zeros(said)
        if options.hospital is not None:
            if options.hospital not in ids:
                raise _wrong(path, line, "hospital", f"{quoted(said)} is not {options.hospital}")
            return options.hospital
        if len(ids) != 1:
            problem = "no hospital's file has this platform id" if not ids else f"{', '.join(ids)} share it: --hospital"
            if not ids and self._broken_hospitals:
                problem += f" (the files of {', '.join(self._broken_hospitals)} cannot be read)"
            raise _wrong(path, line, "hospital", f"{quoted(said)}: {problem}")
        return ids[0]

    def _without_zeros(self, said: str) -> list[str]:
        """The hospitals of the one platform id that is this number, though a spreadsheet took its zeros."""
        if not (said.isascii() and said.isdigit()):
            return []
        alike = [ids for known, ids in self._by_platform_id.items() if known.lstrip("0") == said.lstrip("0")]
        return alike[0] if len(alike) == 1 else []

    def _bucket(self, path: Path, line: int, cells: Mapping[str, Any]) -> Bucket:
        bucket: dict[str, Any] = {}
        for field, said in cells.items():
            text = _plain(said)
            if field != "hour":
                bucket[field] = self._code(path, line, field, text)
                continue
            match = _HOUR.fullmatch(text)
            if not match or int(match[1]) > 23:
                raise _wrong(path, line, "hour", f"{_figure(text)} is no hour of a day")
            bucket["hour"] = int(match[1])
        return Bucket(**bucket)

    def _code(self, path: Path, line: int, field: str, text: str) -> str | None:
        """A standard code, from itself or its name; spreadsheets turn "0100" into 100."""
        table = self._tables[field]
        if not text:
            return None
        if found := table.standard({}, fold(text)):
            return found
        if SHORTENED.fullmatch(text):
            raise _shortened(path, line, field, text)
        if text.isascii() and text.isdigit():
            alike = [code for code in table.codes if code.isdigit() and code.lstrip("0") == text.lstrip("0")]
            if len(alike) == 1:
                return alike[0]
        raise _wrong(path, line, field, f"{quoted(text)} is neither a code nor a name of the standard table")


def _content(path: Path) -> tuple[bytes, datetime]:
    """What is in a file, and when it was last changed."""
    try:
        changed = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
        content = read_here(path, LARGEST + 1)
    except OSError as error:
        raise _wrong(path, 1, "(file)", f"cannot be read: {error.strerror}") from None
    if path.suffix.lower() not in ENDINGS or len(content) > LARGEST:
        raise _wrong(path, 1, "(file)", f"is no {' or '.join(ENDINGS)} file of at most {LARGEST:,} bytes")
    return content, changed


def _columns(path: Path, layout: Layout, head: _Line, options: ImportOptions) -> Mapping[str, int]:
    """Which field stands in which column. What the file does not say, the options must."""
    columns = {field: head.cells.index(heading) for field, heading in layout.headings.items()}
    for field, said in (("hospital", options.hospital), ("day", options.day)):
        if field not in columns and said is None:
            raise _wrong(path, head.number, field, f"the file does not say it: name it with --{field}")
    return columns


def _day(path: Path, line: int, said: Any, book: ConfinedWorkbook | None) -> date:
    if isinstance(said, datetime):
        return said.date()
    if isinstance(said, date):
        return said
    text = _plain(said)
    if book is not None and isinstance(said, int | float) and _SERIAL.fullmatch(text) and (day := book.day(said)):
        return day
    if match := _DAY.fullmatch(text):
        try:
            return date(*(int(part) for part in match.groups() if part))
        except ValueError:
            pass
    remedy = ": write it as 2026-11-01" if text.isascii() and text[:1].isdigit() else ""
    raise _wrong(path, line, "day", f"{_figure(text)} is no day{remedy}")


def _uses(path: Path, line: int, said: Any) -> int:
    text = _plain(said).replace(",", "").replace("，", "")
    if SHORTENED.fullmatch(text):
        raise _shortened(path, line, "uses", text)
    if not re.fullmatch(r"\d{1,9}", text):
        raise _wrong(path, line, "uses", f"{_figure(_plain(said))} is no count")
    return int(text)


def _figure(text: str) -> str:
    """What stands where a number belongs: quoted if it has one or is one word of ASCII, else it may be a name."""
    if any(letter.isdigit() for letter in text) or (text.isascii() and " " not in text):
        return quoted(text)
    return f"a text of {len(text)} characters"


def _shortened(path: Path, line: int, field: str, text: str) -> StatementError:
    problem = f"a spreadsheet shortened a number to '{text}': format the column as text and enter it again"
    return _wrong(path, line, field, problem)


def _plain(said: Any) -> str:
    """A cell as text; whole numbers without their '.0'."""
    if isinstance(said, bool):
        return str(said)
    if isinstance(said, float) and said.is_integer():
        said = int(said)
    return "" if said is None else str(said).strip()

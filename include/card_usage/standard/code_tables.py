"""Standard code tables and a hospital's aliases: text in, text out, checked when loaded.

Laws, each broken one a CodeTableError with file, line and column: every code has a name and is there once; parents
exist and never lead in a circle; aliases lead to standard codes; no local value has two of them. Codes are text
everywhere: "01" is not "1". What stands in no table and no alias file stays unknown, it never becomes "other".
"""

import csv
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final, NoReturn

from card_usage.errors import CodeTableError
from card_usage.events import CODE_TABLES
from card_usage.files.delimited import records, text_of
from card_usage.files.shipped import SHIPPED

TABLES: Final = SHIPPED / "code_tables"

Aliases = Mapping[str, Mapping[str, str]]
"""Table -> folded local code or name -> standard code. Every table has an entry, maybe an empty one."""

TABLE_COLUMNS: Final = ("code", "name", "parent", "note", "source")
ALIAS_COLUMNS: Final = ("local", "standard", "note")


def fold(text: str) -> str:
    """The form in which codes and local names are compared: NFKC, no control characters, no padding. A fixed point."""
    text = text.strip()
    if text.isascii() and text.isprintable():
        return text
    folded = "".join(c for c in unicodedata.normalize("NFKC", text) if c.isprintable())
    # What stood between two characters is gone, so that they may compose now.
    return text if folded == text else fold(folded)


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeTable:
    """One standard table: code -> name in the document's order, code -> parent, and the names that say one code."""

    table: str
    names: Mapping[str, str]
    parents: Mapping[str, str]
    by_name: Mapping[str, str]

    @property
    def codes(self) -> tuple[str, ...]:
        """All codes, in the order of the document."""
        return tuple(self.names)

    def __contains__(self, code: object) -> bool:
        return code in self.names

    def parent(self, code: str) -> str | None:
        """The code one level up; None at the top."""
        return self.parents.get(code)

    def related(self, one: str, other: str) -> bool:
        """Whether the two are the same or one lies below the other."""
        return one in self._line(other) or other in self._line(one)

    def _line(self, code: str) -> Iterator[str]:
        step: str | None = code
        while step is not None:
            yield step
            step = self.parent(step)

    def standard(self, aliases: Mapping[str, str], code: str, name: str = "") -> str | None:
        """The standard code that folded local `code` and `name` say, None if nobody knows.

        A person's decision comes first: the alias of the code, then that of the name. Then a standard code passes and a
        standard name resolves; where these two say different things (0301 named 眼科: a local number that only looks
        like a standard one) nothing is certain, and an alias has to decide.
        """
        mapped = aliases.get(code) or aliases.get(name)
        if mapped:
            return mapped
        by_code = code if code in self.names else self.by_name.get(code)
        by_name = self.by_name.get(name)
        if by_code and by_name and not self.related(by_code, by_name):
            return None
        return by_code or by_name


def load_tables(directory: Path = TABLES) -> Mapping[str, CodeTable]:
    """Read <directory>/<table>.csv for every code table. Raises CodeTableError."""
    return {table: _load_table(table, directory / f"{table}.csv") for table in CODE_TABLES}


def load_aliases(directory: Path, hospital_id: str, tables: Mapping[str, CodeTable]) -> Aliases:
    """Read <directory>/<hospital>/<table>.csv, as far as there are such files. Raises CodeTableError."""
    folder = directory / hospital_id
    for path in folder.glob("*.csv"):
        if path.stem not in tables:
            _broken(path, 0, "(file)", "no code table has this name", f"name the file one of {', '.join(tables)}.csv")
    return {name: _load_aliases(folder / f"{name}.csv", table) for name, table in tables.items()}


def _load_table(table: str, path: Path) -> CodeTable:
    names: dict[str, str] = {}
    parents: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line, row in _rows(path, TABLE_COLUMNS):
        code, name, parent = row["code"], row["name"], row["parent"]
        _demand(code != "", path, line, "code", "is empty", "give the row its code or delete it")
        _demand(code not in names, path, line, "code", f"'{code}' is there twice", "delete one of the two rows")
        _demand(name != "", path, line, "name", f"'{code}' has no name", "take it from the document")
        names[code], lines[code] = name, line
        if parent:
            parents[code] = parent
    _demand(bool(names), path, 1, "code", "the table is empty", "restore the file")
    for code, parent in parents.items():
        _demand(parent in names, path, lines[code], "parent", f"'{parent}' is no code of this table", "correct it")
        seen, step = {code}, parents.get(code)
        while step is not None:
            _demand(
                step not in seen, path, lines[code], "parent", f"the parents of '{code}' go in a circle", "correct it"
            )
            seen.add(step)
            step = parents.get(step)
    return CodeTable(table=table, names=names, parents=parents, by_name=_by_name(names))


def _by_name(names: Mapping[str, str]) -> Mapping[str, str]:
    """Names that say one code. A later name that differs from an earlier one by its ending alone is left out.

    In the register of departments 内科专业 and its like below 50 mean Chinese medicine, while 内科 is 03: whoever
    writes the one may mean the other, so only the first speaks for itself; the second asks for its code or an alias.
    """
    found: dict[str, str] = {}
    stems: set[str] = set()
    listed = [fold(name) for name in names.values()]
    for code, name in zip(names, listed, strict=True):
        stem = name.removesuffix("专业").removesuffix("科").removesuffix("医学")
        if listed.count(name) == 1 and name not in names and stem not in stems:
            found[name] = code
        stems.add(stem)
    return found


def _load_aliases(path: Path, table: CodeTable) -> Mapping[str, str]:
    found: dict[str, str] = {}
    lines: dict[str, int] = {}
    if not path.exists():
        return found
    for line, row in _rows(path, ALIAS_COLUMNS, as_saved=True):
        local, standard = fold(row["local"]), fold(row["standard"])
        _demand(local != "", path, line, "local", "is empty", "write the HIS's code or name, or delete the row")
        if standard not in table:
            padded = [code for code in table.codes if standard and code.lstrip("0") == standard.lstrip("0")]
            hint = f"'{padded[0]}' perhaps" if padded else "take a code"
            problem = f"'{standard}' is no standard code" if standard else f"'{local}' leads nowhere"
            _broken(path, line, "standard", problem, f"{hint}, from code_tables/{table.table}.csv")
        where = f"'{local}' is already on line {lines.get(local)}"
        _demand(local not in found, path, line, "local", where, "keep one of the two rows")
        found[local], lines[local] = standard, line
    return found


def _rows(path: Path, columns: tuple[str, ...], *, as_saved: bool = False) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(line number, stripped row) of a CSV with exactly these columns; blank lines are passed over.

    Ours are UTF-8 with commas; those that people keep in a spreadsheet are `as_saved` by it.
    """
    try:
        text = text_of(path) if as_saved else path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        _broken(path, 0, "(file)", "the file is missing", "restore it")
    except UnicodeDecodeError:
        _broken(path, 0, "(file)", "it is not UTF-8", "save it again as CSV UTF-8")
    reader = records(text) if as_saved else csv.DictReader(StringIO(text, newline=""), strict=True)
    try:
        header = ",".join(columns)
        if tuple(reader.fieldnames or ()) != columns:
            _broken(path, 1, "(header)", f"the columns are not {header}", f"make the first line {header}")
        for row in reader:
            if None in row or None in row.values():
                problem = f"the row has not {len(columns)} values"
                _broken(path, reader.line_num, "(row)", problem, "quote values that contain commas")
            stripped = {column: value.strip() for column, value in row.items()}
            if any(stripped.values()):
                yield reader.line_num, stripped
    except csv.Error as error:
        _broken(path, reader.reader.line_num, "(row)", str(error), "correct the quotes")


def _demand(law: bool, path: Path, line: int, column: str, problem: str, remedy: str) -> None:
    if not law:
        _broken(path, line, column, problem, remedy)


def _broken(path: Path, line: int, column: str, problem: str, remedy: str) -> NoReturn:
    raise CodeTableError(path=path.as_posix(), line=line, column=column, problem=problem, remedy=remedy)

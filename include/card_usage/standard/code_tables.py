"""Code tables: the standard codes of the document with their names, checked when loaded.

Each broken law is a CodeTableError with file, line and column: every code has a name and is there once; parents exist
and never lead in a circle. Codes are text everywhere: "01" is not "1". What stands in no table and no alias file stays
unknown, it never becomes "other".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from card_usage.events import CODE_TABLES, LONGEST_CODE
from card_usage.files.shipped import SHIPPED, overlaid
from card_usage.standard.characters import compatible, visible
from card_usage.standard.table_files import require, table_rows

TABLES: Final = SHIPPED / "code_tables"

TABLE_COLUMNS: Final = ("code", "name", "parent", "note", "source")


_PLAIN: Final = re.compile("[ -~]*")


def fold(text: str) -> str:
    """The form in which codes and local names are compared: NFKC, no control characters, no padding. A fixed point."""
    text = text.strip()
    if _PLAIN.fullmatch(text):
        return text
    folded = visible(compatible(text))
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

    def related(self, first: str, second: str) -> bool:
        """Whether the two are the same or one lies below the other."""
        return first in self._with_ancestors(second) or second in self._with_ancestors(first)

    def _with_ancestors(self, code: str) -> Iterator[str]:
        ancestor: str | None = code
        while ancestor is not None:
            yield ancestor
            ancestor = self.parent(ancestor)

    def standard(self, aliases: Mapping[str, str], code: str, name: str = "") -> str | None:
        """The standard code of a folded local `code` and `name`, None if nobody knows.

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
    return {table: _load_table(table, overlaid(directory / f"{table}.csv")) for table in CODE_TABLES}


def _load_table(table: str, path: Path) -> CodeTable:
    names: dict[str, str] = {}
    parents: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line, row in table_rows(path, TABLE_COLUMNS):
        code, name, parent = row["code"], row["name"], row["parent"]
        require(code != "", path, line, "code", "is empty", "give the row its code or delete it")
        too_long = f"'{code[:LONGEST_CODE]}...' has {len(code)} characters"
        remedy = f"give it a code of at most {LONGEST_CODE}: this is a standard code as the platform takes it"
        require(len(code) <= LONGEST_CODE, path, line, "code", too_long, remedy)
        require(code not in names, path, line, "code", f"'{code}' is there twice", "delete one of the two rows")
        require(name != "", path, line, "name", f"'{code}' has no name", "take it from the document")
        names[code], lines[code] = name, line
        if parent:
            parents[code] = parent
    require(bool(names), path, 1, "code", "the table is empty", "restore the file")
    for code, parent in parents.items():
        require(parent in names, path, lines[code], "parent", f"'{parent}' is no code of this table", "correct it")
        seen, ancestor = {code}, parents.get(code)
        while ancestor is not None:
            circle = f"the parents of '{code}' go in a circle"
            require(ancestor not in seen, path, lines[code], "parent", circle, "correct it")
            seen.add(ancestor)
            ancestor = parents.get(ancestor)
    return CodeTable(table=table, names=names, parents=parents, by_name=_by_name(names))


def _by_name(names: Mapping[str, str]) -> Mapping[str, str]:
    """Names that say one code. A later name that differs from an earlier one by its ending alone is left out.

    In the register of departments 内科专业 and its like below 50 mean Chinese medicine, while 内科 is 03: whoever
    writes the one may mean the other, so only the first speaks for itself; the second asks for its code or an alias.
    """
    codes: dict[str, str] = {}
    stems: set[str] = set()
    folded = [fold(name) for name in names.values()]
    for code, name in zip(names, folded, strict=True):
        stem = name.removesuffix("专业").removesuffix("科").removesuffix("医学")
        if folded.count(name) == 1 and name not in names and stem not in stems:
            codes[name] = code
        stems.add(stem)
    return codes

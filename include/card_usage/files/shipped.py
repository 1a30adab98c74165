"""Shipped files: where hospitals, code tables, SQL, statement layouts and migrations lie.

In a checkout they stand beside the package, in a wheel inside it (setup.py puts them there). Only this module
counts folders up from its own file, so that no other depends on where it stands.

An installation can add SQL and code tables of its own beside an image: a file below CARD_USAGE_FILES, in `sql/` or
`code_tables/`, is read instead of the shipped one of the same path, or in addition to those.
"""

import os
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parents[1]
"""The folder of the package `card_usage`."""
_IN_WHEEL: Final = PACKAGE / "_shipped"
SHIPPED: Final = _IN_WHEEL if _IN_WHEEL.is_dir() else PACKAGE.parent
"""The folder that holds `hospitals/`, `code_tables/`, `sql/` and the rest."""

OWN_FILES: Final = "CARD_USAGE_FILES"
"""The environment variable that names the folder of an installation's own files."""


def overlaid(shipped: Path) -> Path:
    """The installation's own file in place of a shipped one, if it has one; any other path as it is."""
    own = os.environ.get(OWN_FILES)
    if not own or not shipped.is_relative_to(SHIPPED):
        return shipped
    instead = Path(own) / shipped.relative_to(SHIPPED)
    return instead if instead.is_file() else shipped


def names_in(folder: Path, pattern: str = "*/") -> list[str]:
    """Names of what a shipped folder holds together with the installation's own; by default, of its folders."""
    folders = [folder]
    if (own := os.environ.get(OWN_FILES)) and folder.is_relative_to(SHIPPED):
        folders.append(Path(own) / folder.relative_to(SHIPPED))
    return sorted({path.name for each in folders for path in each.glob(pattern)})

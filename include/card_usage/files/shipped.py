"""Shipped files: where hospitals, code tables, SQL, statement layouts and migrations lie.

In a checkout they stand beside the package, in a wheel inside it (setup.py puts them there). Only this module
counts folders up from its own file, so that no other depends on where it stands.
"""

from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parents[1]
"""The folder of the package `card_usage`."""
_IN_WHEEL: Final = PACKAGE / "_shipped"
SHIPPED: Final = _IN_WHEEL if _IN_WHEEL.is_dir() else PACKAGE.parent
"""The folder that holds `hospitals/`, `code_tables/`, `sql/` and the rest."""

"""Where the files that ship with the product lie: hospitals, code tables, SQL, statement layouts, migrations.

One place counts folders up from its own file, so that no other module depends on where it stands.
"""

from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parents[1]
"""The folder of the package `card_usage`."""
SHIPPED: Final = PACKAGE.parent
"""The folder that holds `hospitals/`, `code_tables/`, `sql/` and the rest."""

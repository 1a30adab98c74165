"""Build step of the wheel; everything else about the package stands in pyproject.toml.

The data folders beside `card_usage` (hospitals, SQL, code tables, ...) must not become top-level packages of an
installation: a wheel carries them as `card_usage/_shipped/`, where `card_usage.files.shipped` looks. The package
that DAG files import is taken from `plugins/`. An editable installation needs neither: it runs from the checkout.
"""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

COPIED = {
    "include/code_aliases": "card_usage/_shipped/code_aliases",
    "include/code_tables": "card_usage/_shipped/code_tables",
    "include/hospitals": "card_usage/_shipped/hospitals",
    "include/migrations": "card_usage/_shipped/migrations",
    "include/sql": "card_usage/_shipped/sql",
    "include/statement_layouts": "card_usage/_shipped/statement_layouts",
    "plugins/card_usage_airflow": "card_usage_airflow",
}
"""Folder of the checkout -> folder of the wheel."""


class BuildWithDataFolders(build_py):
    """Packages and modules as setuptools builds them, then the folders of `COPIED`."""

    def run(self) -> None:
        """Build; see the class."""
        super().run()
        if not self.editable_mode:
            for source, target in self._copies().items():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Every file that is built."""
        return [*super().get_outputs(include_bytecode), *([] if self.editable_mode else self._copies().values())]

    def get_source_files(self) -> list[str]:
        """Every file that a source distribution must hold to build the same."""
        return [*super().get_source_files(), *self._copies()]

    def _copies(self) -> dict[str, str]:
        return {
            path.as_posix(): str(Path(self.build_lib, target, path.relative_to(source)))
            for source, target in COPIED.items()
            for path in sorted(Path(source).rglob("*"))
            if path.is_file() and path.suffix != ".pyc"
        }


setup(cmdclass={"build_py": BuildWithDataFolders})

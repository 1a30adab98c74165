"""Engine: DuckDB over the warehouse's files: bounded in memory, without network or extensions of its own.

Identifiers in statements come from `schema` alone; what a person or a file says is bound as a parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

from card_usage.errors import WarehouseUnreadable
from card_usage.files.store import Store

READ: Final = "read_parquet(?, hive_partitioning = false)"
"""Files of the store, bound as `addresses`; the columns are those inside, whatever the folders are called."""
MEMORY: Final = "700MB"
THREADS: Final = 2


class Engine:
    """One connection to an empty database in memory, over one store."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self._folder = folder
        self._spooled = 0
        # Not at the top: most commands import this package and never open a warehouse.
        import duckdb

        self._unreadable = (duckdb.IOException, duckdb.InvalidInputException, duckdb.SerializationException)
        self._connection = duckdb.connect(
            config={
                "memory_limit": MEMORY,
                "threads": THREADS,
                "temp_directory": folder.as_posix(),
                # Closed networks: what is not in the package is not fetched.
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "preserve_insertion_order": False,
            }
        )
        # Output is for whoever asked, a line of JSON at times: no bar while a question takes long.
        self._connection.execute("set enable_progress_bar = false")
        if store.file_system is not None:
            self._connection.register_filesystem(store.file_system)

    @classmethod
    @contextmanager
    def open(cls, store: Store) -> Iterator[Self]:
        """Closed, and its temporary files removed, at the end of the block."""
        with TemporaryDirectory(prefix="card_usage_warehouse_") as folder:
            engine = cls(store, Path(folder))
            try:
                yield engine
            finally:
                engine._connection.close()

    def run(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Execute, and return all rows. Raises WarehouseUnreadable if a file is missing or no Parquet."""
        try:
            return self._connection.execute(statement, parameters or None).fetchall()
        except self._unreadable as error:
            raise WarehouseUnreadable(reason=type(error).__name__) from None

    def insert(self, table: str, columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Any]]) -> None:
        """Create a temporary table of these (name, type) columns with the rows."""
        declared = ", ".join(f"{name} {kind}" for name, kind in columns)
        self.run(f"create or replace temp table {table} ({declared})")
        lists = [list(column) for column in zip(*rows, strict=True)]
        if lists:
            unnested = ", ".join(f"unnest(?::{kind}[])" for _, kind in columns)
            self.run(f"insert into {table} select {unnested}", lists)

    def addresses(self, names: Iterable[str]) -> list[str]:
        """What `read_parquet` is given for these files of the store."""
        return [self.store.address(name) for name in names]

    def export(self, query: str, name: str, parameters: Sequence[Any] = ()) -> None:
        """Write the rows of a query as a Parquet file of the store, whole or not at all. Raises OSError."""
        self.store.write(name, self.spooled(query, parameters).read_bytes())

    def spooled(self, query: str, parameters: Sequence[Any] = ()) -> Path:
        """The rows of a query as a Parquet file on this machine, which lasts as long as the engine."""
        self._spooled += 1
        file = self._folder / f"{self._spooled}.parquet"
        self.run(f"copy ({query}) to '{file.as_posix()}' (format parquet, compression zstd)", parameters)
        return file

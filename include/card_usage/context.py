"""Context: one hospital with everything that a step needs: its file, ledger, code tables, replica and connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Self

from card_usage.config.connections import Connection
from card_usage.config.hospital import Hospital, load_hospital
from card_usage.config.settings import Settings
from card_usage.ledger import code_decisions
from card_usage.ledger.database import Ledger, open_ledger
from card_usage.source.query_slots import QuerySlots
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.standard.aliases import Aliases, load_aliases
from card_usage.standard.code_tables import CodeTable, load_tables


@dataclass(frozen=True, kw_only=True)
class Context:
    """One hospital, opened by `Context.open`.

    `connection_of`: looks up a connection by its id. `patience`: how long to wait for a query slot of the replica
    before ReplicaBusy; None: without limit. `slots_in`: the ledger with the replica's query slots, if not `ledger`.
    """

    hospital: Hospital
    settings: Settings
    ledger: Ledger
    connection_of: Callable[[str], Connection]
    patience: timedelta | None = None
    slots_in: Ledger | None = None

    @classmethod
    @contextmanager
    def open(
        cls,
        hospital_id: str,
        settings: Settings,
        connection_of: Callable[[str], Connection],
        *,
        patience: timedelta | None = None,
    ) -> Iterator[Self]:
        """Read the hospital's file, open and check the ledger; closes the ledger at the end of the block."""
        hospital = load_hospital(settings.hospitals, hospital_id)
        ledger = open_ledger(settings.ledger_url, settings.keyring)
        try:
            yield cls(
                hospital=hospital, settings=settings, ledger=ledger, connection_of=connection_of, patience=patience
            )
        finally:
            ledger.close()

    @cached_property
    def tables(self) -> Mapping[str, CodeTable]:
        """The standard code tables."""
        return load_tables(self.settings.code_tables)

    @cached_property
    def aliases(self) -> Aliases:
        """The hospital's aliases: its local codes and their standard codes, as files and decisions in the ledger say
        when they are first asked for."""
        return self.aliases_now()

    @property
    def alias_files(self) -> Aliases:
        """The lower layer alone: the hospital's alias files."""
        return load_aliases(self.settings.aliases, self.hospital.id, self.tables)

    def aliases_now(self) -> Aliases:
        """The same as they are now. Raises CodeTableError or DecisionOutdated."""
        with self.ledger.read() as connection:
            decisions = code_decisions.standing(connection, self.hospital.id)
        return code_decisions.layered(self.alias_files, decisions, self.tables)

    @contextmanager
    def source(self) -> Iterator[Source]:
        """The hospital's replica, disconnected at the end of the block; each of its queries takes a query slot."""
        engine = connect(self.connection_of(self.hospital.his.connection), self.hospital.his)
        slots = QuerySlots(self.slots_in or self.ledger, self.hospital, patience=self.patience)
        try:
            yield Source(engine, self.hospital, query_slot=slots.acquire)
        finally:
            engine.dispose()

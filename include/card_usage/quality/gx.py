"""Judge: Great Expectations (GX) finds what a window does not satisfy, by SQL in the ledger's own database.

Promises: GX gets a connection that cannot write and queries without a column that says who a patient is; it tells
nobody of its use, prints nothing and leaves no file but the pages that it is asked for. Importing it takes seconds, so
only `judge` does.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Select

from card_usage.config.hospital import Hospital
from card_usage.errors import CheckBroken
from card_usage.ledger.database import Ledger
from card_usage.quality.expectations import SEVERITY, Demand, batch, measured
from card_usage.windows import Window

_NO_VALUES: Final[dict[str, Any]] = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
"""Counts, and no value even of the columns that say nothing about patients."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A demand that does not hold: unexpected events, and the events looked at (0, 0 for measures)."""

    demand: Demand
    unexpected: int
    of: int


def judge(
    ledger: Ledger,
    hospital: Hospital,
    window: Window,
    wanted: Sequence[Demand],
    *,
    told: Callable[[Demand], str] | None = None,
    pages: Callable[[Any, Any], None] | None = None,
) -> list[Failure]:
    """Demands that do not hold. Raises CheckBroken.

    First only yes or no is asked, of everything; counts are asked for where the answer is no: they cost as much again.
    `told` describes a demand to people, and `pages` gets each suite and its answers, for whoever publishes them.
    """
    parts: list[tuple[str, Select[Any], tuple[Demand, ...]]] = [
        ("rules", batch(hospital.id, window), tuple(one for one in wanted if one.kind != "between")),
        ("measures", measured(hospital.id, window), tuple(one for one in wanted if one.kind == "between")),
    ]
    found: list[Failure] = []
    with _quiet(), _source(ledger) as source:
        for name, query, demands in parts:
            if not demands:
                continue
            text = query.compile(dialect=ledger.engine.dialect, compile_kwargs={"literal_binds": True})
            asset = source.add_query_asset(name, str(text)).add_batch_definition_whole_table(name)
            case = _Case(asset.get_batch(), name, hospital, window, told)
            whole, answers = case.validate(demands, {"result_format": "BOOLEAN_ONLY"})
            broken = tuple(demand for demand, answer in zip(demands, answers, strict=True) if not answer.success)
            if pages is not None:
                pages(*whole)
            if name == "measures":
                found += [Failure(demand, 0, 0) for demand in broken]
            elif broken:
                _, details = case.validate(broken, _NO_VALUES)
                for demand, answer in zip(broken, details, strict=True):
                    counts = [int(answer.result.get(key) or 0) for key in ("unexpected_count", "element_count")]
                    found.append(Failure(demand, *counts))
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """GX logs and warns of what it meets; whatever matters of that is in its answers."""
    logger = logging.getLogger("great_expectations")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


@contextmanager
def _source(ledger: Ledger) -> Iterator[Any]:
    """The ledger as a GX data source over a read-only connection of its own, in a context that lives in memory."""
    base: Any = import_module("great_expectations.data_context.types.base")
    config = base.DataContextConfig(
        # Without this it makes a directory for pages that nobody asked for.
        store_backend_defaults=base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        analytics_enabled=False,
        progress_bars=base.ProgressBarsConfig(globally=False),
    )
    context = import_module("great_expectations").get_context(mode="ephemeral", project_config=config)
    sources: Any = context.data_sources
    url = ledger.engine.url
    kwargs: dict[str, Any] = {"hide_parameters": True}
    if ledger.dialect == "postgresql":
        kwargs["connect_args"] = {"options": "-c default_transaction_read_only=on", "connect_timeout": 10}
        source = sources.add_postgres(
            "ledger",
            connection_string=url.render_as_string(hide_password=False),
            create_temp_table=False,
            kwargs=kwargs,
        )
    else:
        source = sources.add_sqlite(
            "ledger",
            connection_string=f"sqlite:///file:{quote(str(url.database))}?mode=ro&uri=true",
            create_temp_table=False,
            kwargs=kwargs,
        )
    try:
        yield source
    finally:
        source.get_execution_engine().close()
        source.get_engine().dispose()


@dataclass(frozen=True, slots=True)
class _Case:
    """One query's batch, judged by suites."""

    batch: Any
    name: str
    hospital: Hospital
    window: Window
    told: Callable[[Demand], str] | None

    def validate(
        self, demands: Sequence[Demand], result_format: Mapping[str, Any]
    ) -> tuple[tuple[Any, Any], list[Any]]:
        """The suite with the whole of GX's answer, and its answers in the order of `demands`."""
        suite = import_module("great_expectations").ExpectationSuite(name=f"{self.hospital.id}_{self.name}")
        for position, demand in enumerate(demands):
            suite.add_expectation(_expectation(demand, position, self.told))
        whole = self.batch.validate(suite, result_format=dict(result_format))
        found: dict[int, Any] = {}
        for answer in whole.results:
            config = answer.expectation_config
            if answer.exception_info and _raised(answer.exception_info):
                of = {"hospital": self.hospital.id, "window": str(self.window), "expectation": config.type}
                raise CheckBroken(**of, reason="it raised")
            found[config.meta["position"]] = answer
        return (suite, whole), [found[position] for position in range(len(demands))]


def _raised(information: Mapping[str, Any]) -> bool:
    """GX tells of an exception either flat or by metric."""
    if "raised_exception" in information:
        return bool(information["raised_exception"])
    return any(isinstance(one, Mapping) and one.get("raised_exception") for one in information.values())


def _expectation(demand: Demand, position: int, told: Callable[[Demand], str] | None) -> Any:
    from great_expectations.expectations.row_conditions import Column

    gx: Any = import_module("great_expectations.expectations")
    common: dict[str, Any] = {"column": demand.column, "meta": {"position": position}}
    common["severity"] = SEVERITY[demand.level]
    if told is not None:
        common["description"] = told(demand)
    condition: Any
    if demand.kind == "between":
        condition = Column("measure") == ":".join(demand.measure)
        bounds = {"min_value": demand.low, "max_value": demand.high}
        return gx.ExpectColumnValuesToBeBetween(**bounds, row_condition=condition, **common)
    condition = Column("status").is_in(demand.states)
    if demand.when:
        field, values = demand.when
        condition = condition & Column(field).is_in(values)
    common["row_condition"] = condition
    if demand.kind == "present":
        return gx.ExpectColumnValuesToNotBeNull(**common)
    return gx.ExpectColumnValuesToBeInSet(value_set=list(demand.values), **common)

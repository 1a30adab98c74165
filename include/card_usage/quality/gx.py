"""Great Expectations (GX): validates a window's expectations by SQL in the ledger's own database.

Promises: GX gets a read-only connection and queries without a column that identifies a patient; it sends no usage
statistics, prints nothing and leaves no file but the pages that it is asked for. Importing it takes seconds, so it is
imported by `validate` only.
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
from card_usage.quality.expectations import SEVERITY, Expectation, event_query, measure_query
from card_usage.windows import Window

Describe = Callable[[Expectation], str]
"""An expectation in words, for the pages."""
OnResults = Callable[[Any, Any], None]
"""Takes a suite of GX and its validation result."""

_YES_OR_NO: Final[dict[str, Any]] = {"result_format": "BOOLEAN_ONLY"}
_COUNTS: Final[dict[str, Any]] = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
"""Counts, and no value even of the columns that do not identify a patient."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An expectation that is not met: unexpected events, and the events looked at (0, 0 for measures)."""

    expectation: Expectation
    unexpected: int
    of: int


def validate(
    ledger: Ledger,
    hospital: Hospital,
    window: Window,
    expectations: Sequence[Expectation],
    *,
    describe: Describe | None = None,
    on_results: OnResults | None = None,
) -> list[Failure]:
    """The expectations that are not met. Raises CheckBroken.

    All of them are validated for yes or no first; the counts, which cost as much again, only of those that fail.
    """
    of_events = tuple(expectation for expectation in expectations if expectation.kind != "between")
    of_measures = tuple(expectation for expectation in expectations if expectation.kind == "between")
    failures: list[Failure] = []
    with quiet_logs(), _data_source(ledger) as source:

        def run_of(name: str, query: Select[Any]) -> ValidationRun:
            sql = query.compile(dialect=ledger.engine.dialect, compile_kwargs={"literal_binds": True})
            asset = source.add_query_asset(name, str(sql)).add_batch_definition_whole_table(name)
            return ValidationRun(asset.get_batch(), name, hospital, window, describe)

        if of_events:
            run = run_of("rules", event_query(hospital.id, window))
            if unmet := run.unmet(of_events, on_results):
                _, results = run.validate(unmet, _COUNTS)
                for expectation, result in zip(unmet, results, strict=True):
                    counts = [int(result.result.get(key) or 0) for key in ("unexpected_count", "element_count")]
                    failures.append(Failure(expectation, *counts))
        if of_measures:
            run = run_of("measures", measure_query(hospital.id, window))
            failures += [Failure(expectation, 0, 0) for expectation in run.unmet(of_measures, on_results)]
    return failures


@contextmanager
def quiet_logs() -> Iterator[None]:
    """GX logs and warns of what it meets; whatever matters of that is in its results."""
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
def _data_source(ledger: Ledger) -> Iterator[Any]:
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
class ValidationRun:
    """One query's batch, validated by suites. `name`: of the suite and the data asset."""

    batch: Any
    name: str
    hospital: Hospital
    window: Window
    describe: Describe | None

    def unmet(self, expectations: tuple[Expectation, ...], on_results: OnResults | None) -> tuple[Expectation, ...]:
        """The expectations that are not met; `on_results` gets the suite with the whole result."""
        suite_and_result, results = self.validate(expectations, _YES_OR_NO)
        if on_results is not None:
            on_results(*suite_and_result)
        pairs = zip(expectations, results, strict=True)
        return tuple(expectation for expectation, result in pairs if not result.success)

    def validate(
        self, expectations: Sequence[Expectation], result_format: Mapping[str, Any]
    ) -> tuple[tuple[Any, Any], list[Any]]:
        """The suite with GX's whole result, and the single results in the order of `expectations`."""
        suite = import_module("great_expectations").ExpectationSuite(name=f"{self.hospital.id}_{self.name}")
        for position, expectation in enumerate(expectations):
            suite.add_expectation(_for_gx(expectation, position, self.describe))
        whole = self.batch.validate(suite, result_format=dict(result_format))
        by_position: dict[int, Any] = {}
        for result in whole.results:
            config = result.expectation_config
            if result.exception_info and _raised(result.exception_info):
                place = {"hospital": self.hospital.id, "window": str(self.window), "expectation": config.type}
                raise CheckBroken(**place, reason="it raised")
            by_position[config.meta["position"]] = result
        return (suite, whole), [by_position[position] for position in range(len(expectations))]


def _raised(information: Mapping[str, Any]) -> bool:
    """GX reports an exception either flat or by metric."""
    if "raised_exception" in information:
        return bool(information["raised_exception"])
    return any(isinstance(metric, Mapping) and metric.get("raised_exception") for metric in information.values())


def _for_gx(expectation: Expectation, position: int, describe: Describe | None) -> Any:
    """The expectation of GX that means the same. `position` finds its result again."""
    from great_expectations.expectations.row_conditions import Column

    gx: Any = import_module("great_expectations.expectations")
    common: dict[str, Any] = {"column": expectation.column, "meta": {"position": position}}
    common["severity"] = SEVERITY[expectation.level]
    if describe is not None:
        common["description"] = describe(expectation)
    condition: Any
    if expectation.kind == "between":
        condition = Column("measure") == ":".join(expectation.measure)
        bounds = {"min_value": expectation.low, "max_value": expectation.high}
        return gx.ExpectColumnValuesToBeBetween(**bounds, row_condition=condition, **common)
    condition = Column("status").is_in(expectation.states)
    if expectation.when:
        field, values = expectation.when
        condition = condition & Column(field).is_in(values)
    common["row_condition"] = condition
    if expectation.kind == "present":
        return gx.ExpectColumnValuesToNotBeNull(**common)
    return gx.ExpectColumnValuesToBeInSet(value_set=list(expectation.values), **common)

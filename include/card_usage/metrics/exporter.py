"""Exporter: the ledger's figures in Prometheus' text format, once or for whoever scrapes a port.

Gauges are read from the ledger (readings.py); counters count what was added since the exporter started (tail.py), as
Prometheus expects of a process. However many scrape, the ledger is read once in `AT_MOST_EVERY`. A ledger that does not
answer is `card_usage_ledger_up 0` and a scrape that succeeds: that is what an alert needs to know.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from threading import Event, Lock
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import select

from card_usage.errors import CardUsageError, SettingsError
from card_usage.ledger.database import viewed
from card_usage.ledger.schema import attempt, event
from card_usage.metrics.readings import GAUGES, token_refreshes
from card_usage.metrics.tail import Tail

log = logging.getLogger(__name__)

AT_MOST_EVERY: Final = timedelta(seconds=5)


class _Count(NamedTuple):
    """A counter by labels."""

    name: str
    help: str
    labels: tuple[str, ...]


_STAGED: Final = _Count(
    "card_usage_staged_events", "Events that staging added, since this exporter started", ("hospital", "feed")
)
_CALLS: Final = _Count(
    "card_usage_calls",
    "Calls of reportHISData by the class of their answer and what became of the event, since this exporter started",
    ("hospital", "answer", "status"),
)
_TOKENS: Final = _Count("card_usage_token_refreshes", "Tokens obtained, since the ledger began", ("app_id",))


class LedgerCollector(Collector):
    """What prometheus_client asks with each scrape. `url`: of the ledger, with any login that may read its figures."""

    def __init__(self, url: str, *, present: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._url = url
        self._present = present
        self._lock = Lock()
        self._read_at: datetime | None = None
        self._metrics: list[Metric] = []
        attempts = select(attempt.c.id, attempt.c.at, event.c.hospital, attempt.c.answer, attempt.c.status)
        self._calls = Tail(attempts.join(event, event.c.id == attempt.c.event_id), attempt.c.id, attempt.c.at)
        staged = select(event.c.id, event.c.staged_at, event.c.hospital, event.c.feed)
        self._staged = Tail(staged, event.c.id, event.c.staged_at)

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not read the ledger."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The figures, as they are or as they were at most `AT_MOST_EVERY` ago."""
        with self._lock:
            now = self._present()
            if self._read_at is None or not timedelta() <= now - self._read_at < AT_MOST_EVERY:
                self._metrics, self._read_at = [*self._read(now)], now
            yield from self._metrics

    def _read(self, now: datetime) -> Iterator[Metric]:
        up = GaugeMetricFamily("card_usage_ledger_up", "1 if the ledger could be read")
        try:
            metrics = [*self._figures(now)]
        except CardUsageError as problem:
            log.warning("the ledger's figures cannot be read: %s", problem)
            metrics = []
        up.add_metric([], float(bool(metrics)))
        yield up
        yield from metrics

    def _figures(self, now: datetime) -> Iterator[Metric]:
        with viewed(self._url) as connection:
            for gauge in GAUGES:
                family = GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels)
                for sample in gauge.read(connection, now):
                    family.add_metric(sample.labels, sample.value)
                yield family
            for tail in (self._calls, self._staged):
                tail.look(connection, now)
            yield _counter(_CALLS, self._calls.counted)
            yield _counter(_STAGED, self._staged.counted)
            yield _counter(_TOKENS, token_refreshes(connection))


def _counter(count: _Count, values: Mapping[tuple[str, ...], float]) -> Metric:
    family = CounterMetricFamily(count.name, count.help, labels=count.labels)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family


def exposition(url: str) -> str:
    """The figures once, as text. Counters are at their beginning."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector(url))
    return generate_latest(registry).decode()


def serve(url: str, address: str, port: int, until: Event) -> None:
    """Answer scrapes until `until` is set. Raises SettingsError if the port cannot be had."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector(url))
    try:
        server, thread = start_http_server(port, address, registry)
    except OSError as error:
        problem = f"{address}:{port} cannot be listened on ({error.strerror or type(error).__name__})"
        raise SettingsError(problem=problem, remedy="take another with --listen ADDRESS:PORT") from None
    try:
        until.wait()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

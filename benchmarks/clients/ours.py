"""Client: this project's deliverer, as `python -m card_usage deliver` runs it, over a backlog that is in the ledger."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from functools import partial

from card_usage.config.connections import connection_from_environment
from card_usage.config.settings import Settings
from card_usage.pipeline import Pipeline
from card_usage.windows import day_window

from benchmarks.clients.meter import metered
from tests.backlog import DAY, HOSPITAL

if __name__ == "__main__":
    connection_of = partial(connection_from_environment, environment=os.environ)
    with Pipeline.open(HOSPITAL, Settings.from_environment(os.environ), connection_of) as pipeline:
        with metered(int(sys.argv[1])):
            delivered = pipeline.deliver(day_window(DAY), now=datetime.now(UTC))
        assert delivered.settled, delivered.summary()

"""Client: this project's deliverer, as `python -m card_usage deliver` runs it, over a backlog that is in the ledger."""

from __future__ import annotations

import os
import sys
from functools import partial

from card_usage import pipeline
from card_usage.config.connections import connection_from_environment
from card_usage.config.settings import Settings
from card_usage.context import Context
from card_usage.windows import day_window

from benchmarks.clients.meter import metered
from tests.backlog import DAY, HOSPITAL

if __name__ == "__main__":
    connection_of = partial(connection_from_environment, environment=os.environ)
    with Context.open(HOSPITAL, Settings.from_environment(os.environ), connection_of) as context:
        with metered(int(sys.argv[1])):
            delivered = pipeline.deliver(context, day_window(DAY))
        assert delivered.settled, delivered.summary()

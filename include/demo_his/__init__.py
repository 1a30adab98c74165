"""A demo HIS: a seeded, invented hospital in the Winning THIS4 shape, with its dirt counted to the row.

    expectation = demo_his.create("sqlite:///var/demo_his.db", days, uses_per_day=20_000, seed=1)
    expectation = demo_his.arrive("sqlite:///var/demo_his.db", days)      # the next day: late rows, late refunds

The expectation is counted while rows are invented, never read back with SQL: it checks whoever reads the database.
This package knows nothing of the pipeline. No person in it exists: every identity number has the right check digit
and a region code that was never assigned.
"""

from demo_his.expectation import DayExpectation, Expectation
from demo_his.hospital import MissingDay, arrive, create, known_days, stored_expectation, write_expectation

__all__ = [
    "DayExpectation",
    "Expectation",
    "MissingDay",
    "arrive",
    "create",
    "known_days",
    "stored_expectation",
    "write_expectation",
]

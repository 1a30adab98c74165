"""What can go wrong on the way, on purpose: each fault waits for a query that it matches and strikes so many times.

`after_rows`: how many rows the client gets before. `times`: how many queries are struck, then the fault is spent.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

DEADLOCK = (
    1205,
    13,
    "Transaction (Process ID 51) was deadlocked on lock resources with another process and has been chosen as victim.",
)
LOCK_TIMEOUT = (1222, 16, "Lock request time out period exceeded.")
KILLED = (596, 21, "Cannot continue the execution because the session is in the kill state.")
SHUTDOWN = (6005, 14, "SHUTDOWN is in progress.")
OPENING = (4060, 11, 'Cannot open database "THIS4" requested by the login. The login failed.')
UPGRADING = (18401, 14, "Login failed for user 'reader'. Reason: Server is in script upgrade mode.")
NO_MEMORY_GRANT = (8645, 17, "A timeout occurred while waiting for memory resources to execute the query.")
NO_MEMORY = (701, 17, "There is insufficient system memory in resource pool 'default' to run this query.")
NO_LOCKS = (1204, 19, "The instance of the SQL Server Database Engine cannot obtain a LOCK resource at this time.")
NO_PLAN = (8628, 17, "A time out occurred while waiting to optimize the query. Rerun the query.")
NO_VERSION = (3958, 16, "Transaction aborted when accessing versioned row. Requested versioned row was not found.")
OVERFLOW = (8115, 16, "Arithmetic overflow error converting expression to data type int.")


LOGIN = "its login"
"""What a login counts as, for a fault that is to strike one."""


@dataclass(kw_only=True)
class Fault:
    """`match`: a regular expression that the query's text must contain."""

    after_rows: int = 0
    times: int = 1
    match: str = r"ORDER BY occurred_at"
    struck: int = field(default=0, init=False)


@dataclass(kw_only=True)
class Drop(Fault):
    """The connection ends: the client reads what was sent, then nothing; with `reset` it loses that too."""

    reset: bool = False


@dataclass(kw_only=True)
class Fails(Fault):
    """The server ends the query with an error; of class 20 and more it ends the session too."""

    error: tuple[int, int, str] = DEADLOCK


@dataclass(kw_only=True)
class Stalls(Fault):
    """Nothing more comes, until the client asks to stop or goes away."""


@dataclass(kw_only=True)
class Slow(Fault):
    """Every `rows` rows the server rests for `seconds`."""

    rows: int = 100
    seconds: float = 0.05


class Faults:
    """The faults that wait. Safe for threads."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        """Let it wait for its query."""
        with self._lock:
            self._waiting.append(fault)
        return fault

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._waiting.clear()

    def take(self, sql: str) -> Fault | None:
        """The first that strikes this query."""
        with self._lock:
            for fault in self._waiting:
                if fault.struck < fault.times and re.search(fault.match, sql, re.IGNORECASE):
                    fault.struck += 1
                    return fault
        return None

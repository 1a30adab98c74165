"""What a client took: wall seconds, its own CPU (all threads), and the peak of its memory. Standard library only."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def metered(events: int) -> Iterator[None]:
    """Meter the block and print one line of JSON: events, seconds, cpu (seconds), peak (MiB).

    Imports and preparation outside the block cost nothing here, except the memory they hold.
    """
    wall, cpu = time.perf_counter(), _cpu()
    yield
    figures = {"events": events, "seconds": time.perf_counter() - wall, "cpu": _cpu() - cpu, "peak": peak()}
    print(json.dumps(figures), flush=True)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> float:
    """MiB that this process has held at most. Not ru_maxrss: a process begins with its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024

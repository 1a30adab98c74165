"""Termination: a SIGTERM drains a run: calls under way are finished, the rest is given back. A second one ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def on_sigterm(drain: Callable[[], None]) -> Iterator[None]:
    """Within the block, the first SIGTERM calls `drain` in the running event loop; the next does what it did before.

    Signals belong to the main thread: in another one, or in a loop without them, nothing changes.
    """
    loop = asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    installed = True

    def restore() -> None:
        nonlocal installed
        if installed:
            installed = False
            loop.remove_signal_handler(signal.SIGTERM)
            if before is not None:  # None: it was not set from Python
                signal.signal(signal.SIGTERM, before)

    def received() -> None:
        restore()
        log.warning("SIGTERM: calls under way are finished, the rest stays due; another one ends this at once")
        drain()

    try:
        loop.add_signal_handler(signal.SIGTERM, received)
    except NotImplementedError:
        yield
        return
    try:
        yield
    finally:
        restore()

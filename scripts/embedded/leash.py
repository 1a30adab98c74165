"""Leash: run a command that must not outlive the process that started it: python leash.py COMMAND...

Holds on to its standard input, a pipe from the asker. When that closes, because the asker stops it or is dead (kill -9
included), the command gets SIGTERM, then every process below it too, then SIGKILL. Orphans of the command fall to this
process (Linux) and end with it. Exits with the command's code.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil

POLITE_SECONDS, GRACE_SECONDS = 3.0, 8.0
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def prctl(option: int, argument: int) -> None:
    """Linux only; elsewhere the process group has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0)


def end_all(command: int) -> None:
    """SIGTERM to the command, then to everything below this process, then SIGKILL to what is still there."""
    began = time.monotonic()
    with suppress(ProcessLookupError):
        os.kill(command, signal.SIGTERM)
    told = False
    while left := descendants():
        waited = time.monotonic() - began
        for process in left if waited > GRACE_SECONDS or (waited > POLITE_SECONDS and not told) else ():
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL if waited > GRACE_SECONDS else signal.SIGTERM)
        told = told or waited > POLITE_SECONDS
        time.sleep(0.05)


def descendants() -> list[psutil.Process]:
    """Living processes below this one; the dead among its own children are reaped on the way."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    below = psutil.Process().children(recursive=True)
    return [process for process in below if process.status() != psutil.STATUS_ZOMBIE]


def main() -> int:
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    awake, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    # Should somebody kill -9 the leash itself, the command at least gets a SIGTERM.
    command = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
    )
    while command.poll() is None:
        readable, _, _ = select.select([sys.stdin.fileno(), awake], [], [], 0.2)
        if readable:
            break
    code = command.poll()
    end_all(command.pid)
    return code if code is not None else 0


if __name__ == "__main__":
    sys.exit(main())

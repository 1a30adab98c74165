"""Runs a command that must not outlive the one who asked for it: python leash.py COMMAND...

Holds on to its standard input, a pipe from the asker. When that closes, because the asker stops it or is dead (kill -9
included), the command and every process below it get SIGTERM, and SIGKILL after a grace. Orphans of the command fall
to this process (Linux) and end with it. Exits with the command's code.
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

GRACE_SECONDS = 10.0
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def prctl(option: int, argument: int) -> None:
    """Linux only; elsewhere the process group has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0)


def end_all(group: int) -> None:
    """SIGTERM to the command's group, then SIGKILL to whatever is still below this process."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while descendants():
        if time.monotonic() > deadline:
            for process in descendants():
                with suppress(psutil.Error):
                    process.kill()
        time.sleep(0.05)


def descendants() -> list[psutil.Process]:
    """Living processes below this one; the dead among its own children are reaped on the way."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return [one for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]


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

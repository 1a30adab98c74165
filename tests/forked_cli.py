"""The command line in processes of its own that start at once: forked from one that has imported everything already.

What a process of `python -m card_usage` has, each of these has too: its own memory, environment, standard streams and
exit code. Only the second of importing is saved; tests that look at the start itself begin a process of their own.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NoReturn

# What the verbs import when they need it.
LATER = ("apprise", "great_expectations.expectations", "holidays", "openpyxl", "upath", "uvloop")


class CommandLine:
    """Runs commands one after the other; several threads may ask."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        self._lock = threading.Lock()
        environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    def run(
        self, arguments: list[str], environment: Mapping[str, str], seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """What `subprocess.run([python, "-m", "card_usage", *arguments])` gives, its output captured as text."""
        with self._lock, TemporaryFile() as out, TemporaryFile() as err:
            asked = json.dumps({"arguments": arguments, "environment": dict(environment), "folder": str(Path.cwd())})
            self._ours.settimeout(seconds)
            socket.send_fds(self._ours, [f"{asked}\n".encode()], [out.fileno(), err.fileno()])
            try:
                code = int(self._ours.recv(16) or b"-9")
            except TimeoutError:
                self.close()
                raise subprocess.TimeoutExpired(arguments, seconds) from None
            return subprocess.CompletedProcess(arguments, code, _text(out), _text(err))

    def close(self) -> None:
        """Ends the process and whatever it has forked."""
        self._ours.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _text(written: IO[bytes]) -> str:
    written.seek(0)
    return written.read().decode()


def _serve(theirs: socket.socket, run: Callable[[], int]) -> None:
    """Forks for each command that is asked for, until nobody can ask any more."""
    while True:
        message, streams, _, _ = socket.recv_fds(theirs, 1 << 16, 2)
        while message and not message.endswith(b"\n"):
            message += theirs.recv(1 << 16)
        if not message:
            return
        asked = json.loads(message)
        assert threading.active_count() == 1, "a process with threads must not be forked"
        child = os.fork()
        if child == 0:
            theirs.close()
            for number, stream in enumerate(streams, start=1):
                os.dup2(stream, number)
                os.close(stream)
            os.chdir(asked["folder"])
            os.environ.clear()
            os.environ.update(asked["environment"])
            time.tzset()
            sys.argv[1:] = asked["arguments"]
            _leave(_code_of(run))
        for stream in streams:
            os.close(stream)
        theirs.sendall(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def _code_of(run: Callable[[], int]) -> int:
    """The exit code that the interpreter would leave with, which says on standard error what was not caught."""
    try:
        return run()
    except SystemExit as leaves:
        if leaves.code is None or isinstance(leaves.code, int):
            return leaves.code or 0
        print(leaves.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1


def _leave(code: int) -> NoReturn:
    """As the interpreter does at its end, but for freeing all that was imported, which takes a second."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def main() -> None:
    """Import everything, then fork for each command that is asked for."""
    from card_usage.cli.main import main as run
    from card_usage.cli.verbs import FILES

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in (*LATER, *(f"card_usage.cli.{file}" for file in FILES)):
            import_module(name)
    gc.collect()
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])), run)


if __name__ == "__main__":
    main()

"""Child processes with log files: started, awaited and stopped; none outlives its parent."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

LEASH = Path(__file__).with_name("leash.py")


class ChildFailed(Exception):
    """A child ended or never became ready. `log` holds what it said."""

    def __init__(self, name: str, problem: str, log: Path) -> None:
        self.name, self.problem, self.log = name, problem, log
        super().__init__(f"{name} {problem}")
        # For whoever sees only a traceback, such as the reader of a test's report.
        self.add_note(self.last_lines())

    def last_lines(self, count: int = 15) -> str:
        """The last lines of the log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-count:])


class Child:
    """One leashed process. Its output goes to `log`; it ends when it is stopped or this process ends.

    `holds` are file descriptors that its leash keeps open, such as a lock that must last as long as the child.
    `restarts`: how many times it is started again when it has ended by itself, as a service is.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        log: Path,
        holds: Iterable[int] = (),
        restarts: int = 0,
    ) -> None:
        self.name, self.log, self.judged = name, log, False
        self._command = [sys.executable, str(LEASH), *map(str, command)]
        self._env, self._holds, self._restarts = dict(env), tuple(holds), restarts
        log.parent.mkdir(parents=True, exist_ok=True)
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._env,
                # Ctrl-C on the terminal is for the one who started us; we are stopped in order.
                start_new_session=True,
                pass_fds=self._holds,
            )

    def start_again(self) -> bool:
        """Start it again if it has ended and may be; returns whether it was. Its log says so."""
        if self.running or self._restarts < 1:
            return False
        self._restarts -= 1
        self.stop()
        with self.log.open("a", encoding="utf-8") as output:
            output.write(f"--- {self.name} ended with exit code {self._process.returncode}; started again\n")
        self._process = self._started()
        return True

    @property
    def running(self) -> bool:
        """Whether the command is still running."""
        return self._process.poll() is None

    def wait(self) -> None:
        """Wait until it has ended by itself. Raises ChildFailed unless the exit code is 0."""
        if code := self._process.wait():
            raise ChildFailed(self.name, f"ended with exit code {code}", self.log)

    def ended(self) -> int:
        """Wait until it has ended by itself; returns its exit code, which `Children.check` does not judge again."""
        self.judged = True
        return self._process.wait()

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `ready` returns true. Raises ChildFailed if the child ends or the time is over."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise ChildFailed(self.name, f"ended with exit code {self._process.returncode}", self.log)
            if time.monotonic() > deadline:
                raise ChildFailed(self.name, f"was not ready after {seconds:.0f} s", self.log)
            time.sleep(0.1)

    def let_go(self) -> None:
        """Ask it to stop; returns at once."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()

    def stop(self) -> None:
        """Stop it and all its descendants; returns when all have ended."""
        self.let_go()
        self._process.wait()


class Children:
    """Several children, stopped together at the end of a `with` block, the last one started first."""

    def __init__(self, holds: Iterable[int] = ()) -> None:
        self._all: list[Child] = []
        self._holds = tuple(holds)

    def start(
        self, name: str, command: Sequence[str | Path], *, env: Mapping[str, str], log: Path, restarts: int = 0
    ) -> Child:
        """Start one more child."""
        child = Child(name, command, env=env, log=log, holds=self._holds, restarts=restarts)
        self._all.append(child)
        return child

    def check(self) -> list[str]:
        """Starts again what may be; returns the names. Raises ChildFailed if another one ended with an error."""
        again = [child.name for child in self._all if child.start_again()]
        for child in self._all:
            if not child.running and not child.judged:
                child.wait()
        return again

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._all):
            child.let_go()
        for child in self._all:
            child.stop()


def free_port(preferred: int) -> int:
    """The preferred port of 127.0.0.1 if nothing listens there, else one that is free."""
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As servers do: a port that only lingers from an earlier demo counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")


def answers(port: int) -> bool:
    """Whether something accepts connections at 127.0.0.1:port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def clean_environment() -> dict[str, str]:
    """This process's environment without anybody's Airflow or pipeline settings, and no proxy before loopback.

    What children print is UTF-8, as logs are read, whatever the terminal's encoding is.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "CARD_USAGE_", "PYTHONPATH"))}
    loopback = ["127.0.0.1", "localhost"]
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join([*filter(None, [kept.get(name)]), *loopback])
    return kept | {"PYTHONIOENCODING": "utf-8:backslashreplace"}

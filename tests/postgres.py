"""A PostgreSQL server of the test session's own: on a free port, in a temporary directory, gone when the tests end.

Promises: never touches a server that was there before; runs as an ordinary user even under root (initdb refuses root);
each database asked for is fresh; if the test process dies, however it dies, the server stops too (Linux).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

# Surviving a power cut is worth nothing to a database that lives for one test run, and costs most of the time. A killed
# server must still keep every commit, so synchronous_commit stays on.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "log_min_messages": "warning",
}


def programs() -> Path | None:
    """The directory of initdb and postgres, newest version first, or None."""
    places = sorted(
        [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/opt/homebrew/opt").glob("postgresql*/bin")],
        key=lambda place: [int(part) for part in place.parent.name.split("@")[-1].split(".") if part.isdigit()],
    )
    if on_path := shutil.which("initdb"):
        places.insert(0, Path(on_path).parent)
    for place in reversed(places):
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    return None


def _runner() -> pwd.struct_passwd | None:
    """Whom to run as when we are root; None when we are somebody already."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("running as root, and there is neither a user postgres nor a user nobody to run PostgreSQL as")


def _stop_with_parent() -> None:
    """In the child: ask Linux for SIGINT (fast shutdown) when the test process dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGINT)


def free_port() -> int:
    """A TCP port on loopback that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Cluster:
    """One PostgreSQL server; `start` and `stop` may be called again and keep the data."""

    def __init__(self, bin_directory: Path, *, certificate: Path | None = None) -> None:
        self._bin = bin_directory
        self._settings = dict(SETTINGS)
        self._home = Path(tempfile.mkdtemp(prefix="card_usage_pg_"))
        self._user = _runner()
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self.port = free_port()
        if self._user:
            os.chown(self._home, self._user.pw_uid, self._user.pw_gid)
        self._run(
            "initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"
        )

        if certificate:
            own = self._home / "server.pem"
            shutil.copy(certificate, own)
            own.chmod(0o600)
            if self._user:
                os.chown(own, self._user.pw_uid, self._user.pw_gid)
            self._settings |= {"ssl": "on", "ssl_cert_file": str(own), "ssl_key_file": str(own)}

    @property
    def _data(self) -> Path:
        return self._home / "data"

    @property
    def _identity(self) -> dict[str, object]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments], cwd=self._home, capture_output=True, text=True, **self._identity
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.strip()}")

    def start(self, patience: float = 30) -> None:
        """Starts the server and waits until it answers; `patience` in seconds."""
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, "-p", str(self.port), "-k", self._home, *settings],
                cwd=self._home,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=_stop_with_parent,
                **self._identity,
            )
        deadline = time.monotonic() + patience
        while True:
            try:
                with self._connect():
                    return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start: {(self._home / 'log').read_text()}") from None
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops the server by its pid: SIGINT cuts connections and ends cleanly, SIGQUIT is a crash."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def close(self) -> None:
        """Stops the server and removes everything it wrote."""
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def _connect(self, **options: object) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", **options)

    def url(self, database: str) -> str:
        """SQLAlchemy URL of a database on this server."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, template: str = "template1") -> str:
        """A fresh database, copied from the template (a filled one saves its migrations); returns its name."""
        self._made += 1
        name = f"test_{self._made}"
        with self._connect(autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return name

    def drop(self, name: str) -> None:
        """Removes a database, whoever is still connected."""
        with self._connect(autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

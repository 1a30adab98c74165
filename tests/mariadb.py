"""A MariaDB server of the tests' own: on a free port, in a temporary directory, gone when they end.

Stands for MySQL replicas. Promises what tests/postgres.py does: touches no other server, runs as an ordinary user even
under root, and dies with the process that started it (Linux).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pymysql
from postgres import _runner, free_port


def programs() -> tuple[str, str] | None:
    """mariadb-install-db and mariadbd, or None; the first of them needs my_print_defaults."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    install, daemon, needed = (
        shutil.which(name, path=path) for name in ("mariadb-install-db", "mariadbd", "my_print_defaults")
    )
    return (install, daemon) if install and daemon and needed else None


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Server:
    """One server, running from the start; user `root` without a password."""

    def __init__(self, found: tuple[str, str], patience: float = 60, *, certificate: Path | None = None) -> None:
        install, daemon = found
        self._home = Path(tempfile.mkdtemp(prefix="card_usage_maria_"))
        self.port = free_port()
        user = _runner()
        identity: dict[str, Any] = {}
        if user:
            os.chown(self._home, user.pw_uid, user.pw_gid)
            identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        places = ["--no-defaults", f"--datadir={self._home}/data"]
        made = subprocess.run(
            [install, *places, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"],
            cwd=self._home,
            capture_output=True,
            text=True,
            **identity,
        )
        if made.returncode:
            raise RuntimeError(f"mariadb-install-db failed: {made.stderr or made.stdout}")
        tls = ["--skip-ssl"]
        if certificate:
            own = self._home / "server.pem"
            shutil.copy(certificate, own)
            if user:
                os.chown(own, user.pw_uid, user.pw_gid)
            tls = [f"--ssl-cert={own}", f"--ssl-key={own}"]
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    daemon, *places, f"--port={self.port}", f"--socket={self._home}/socket", "--bind-address=127.0.0.1",
                    f"--pid-file={self._home}/pid", "--innodb-flush-log-at-trx-commit=0", "--skip-name-resolve",
                    "--character-set-server=gbk", *tls,
                ],
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
                **identity,
            )  # fmt: skip
        deadline = time.monotonic() + patience
        while True:
            with contextlib.suppress(pymysql.OperationalError):
                self.run("CREATE DATABASE his CHARACTER SET gbk")
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                told = (self._home / "log").read_text()
                self.close()
                raise RuntimeError(f"MariaDB did not start: {told}")
            time.sleep(0.05)

    def run(self, *statements: str) -> None:
        """As the administrator, each by itself."""
        with pymysql.connect(host="127.0.0.1", port=self.port, user="root", autocommit=True) as connection:
            for statement in statements:
                connection.cursor().execute(statement)

    def close(self) -> None:
        """Stops the server and removes everything it wrote."""
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)

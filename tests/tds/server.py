"""Sessions of the look-alike SQL Server: one thread each, rows streamed packet by packet, never the whole result.

A client that does not read holds its session back (the socket's own back-pressure) and nobody else's. Everything that
a session says of itself or sets is kept in `LookAlike.sessions` for tests to look at.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import select
import socket
import ssl
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from tds import catalog, wire
from tds.batches import Batch, procedural, without_comments
from tds.columns import writer
from tds.engine import Engine, Result, SqlError
from tds.faults import KILLED, LOGIN, Drop, Fails, Fault, Faults, Slow, Stalls
from tds.releases import RELEASES, Release
from tds.tls import Encrypted, context

NAME = "LOOK-ALIKE"
_ROWS = 256
_LEVELS = {"READ UNCOMMITTED": 1, "READ COMMITTED": 2, "REPEATABLE READ": 3, "SERIALIZABLE": 4, "SNAPSHOT": 5}


@dataclass(kw_only=True)
class Said:
    """One session as the server knows it."""

    number: int
    login: wire.Login
    isolation: str = "READ COMMITTED"
    lock_timeout: int = -1
    options: dict[str, str] = field(default_factory=dict)
    in_transaction: bool = False
    batches: list[str] = field(default_factory=list)
    tls: str | None = None
    attentions: int = 0
    rows: int = 0
    open: bool = True


class LookAlike:
    """A server on a free port of loopback, over one database file. A context manager.

    `release`: which SQL Server it is like (tds/releases.py). `tls`: the version that it insists on (tds/tls.py).
    `spool`: a folder in which answers to queries are kept as packets, so that asking again costs the server nothing.

    Logins `sa` and `reader` may read every table; one that CREATE LOGIN makes reads what it is granted.
    """

    def __init__(
        self, path: Path, *, port: int = 0, spool: Path | None = None, release: str = "2019", tls: str | None = None
    ) -> None:
        self.path = path
        self.tls = context(tls) if tls else None
        self.release = RELEASES[release]
        self.spool = spool
        self.faults = Faults()
        self.logins = {"sa": "Look-alike-1", "reader": "Reader-only-1"}
        self.users = {"sa", "reader"}
        self.denied: set[tuple[str, str]] = set()
        self.granted: set[tuple[str, str]] = set()
        self.jobs: dict[str, list[dict[str, Any]]] = {}
        """What was asked of SQL Server Agent: its calls by the name of the job."""
        self.sessions: list[Said] = []
        self.refused: list[str] = []
        self._live: dict[int, _Session] = {}
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True, name="look-alike")

    def __enter__(self) -> LookAlike:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # shutdown, for close alone leaves a thread waiting in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for session in self.live():
            session.hang_up()
        self._thread.join(5)

    def url(self, user: str = "sa", password: str | None = None) -> str:
        """SQLAlchemy URL for one of the logins."""
        secret = self.logins[user] if password is None else password
        place = {"host": "127.0.0.1", "port": self.port, "database": self.path.stem}
        url = URL.create("mssql+pymssql", username=user, password=secret, query={"charset": "utf8"}, **place)
        return url.render_as_string(hide_password=False)

    def live(self) -> list[_Session]:
        """Sessions that are open."""
        with self._lock:
            return list(self._live.values())

    def session(self, number: int) -> _Session | None:
        """The open session of that number."""
        with self._lock:
            return self._live.get(number)

    def _accept(self) -> None:
        number = 50
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            number += 1
            session = _Session(self, connection, number)
            with self._lock:
                self._live[number] = session
            threading.Thread(target=session.serve, daemon=True, name=f"look-alike {number}").start()

    def ended(self, number: int) -> None:
        """A session is over."""
        with self._lock:
            self._live.pop(number, None)


class _Gone(Exception):
    """The client went away, or we made it so."""


class _Stopped(Exception):
    """The client asked us to stop (attention)."""


@dataclass
class _Progress:
    """How far a batch is. `fault`: strikes its first result."""

    sql: str
    fault: Fault | None
    in_procedure: bool
    failed: bool = False


class _Session:
    def __init__(self, server: LookAlike, connection: socket.socket, number: int) -> None:
        self._server, self._socket, self.number = server, connection, number
        self._line: socket.socket | Encrypted = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._engine: Engine | None = None
        self._database = server.path.stem
        self._execute = True
        self.said: Said | None = None
        self.killed = False
        self._streaming = False
        self._payload = 4096 - 8
        self._packets = 0
        self._buffer = bytearray()

    def serve(self) -> None:
        """Until the client leaves."""
        try:
            if self._log_in():
                while True:
                    self._answer(*self._request())
        except (_Gone, OSError):
            pass
        finally:
            self.hang_up()
            self._server.ended(self.number)
            if self.said:
                self.said.open = False
            if self._engine:
                self._engine.close()

    def hang_up(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def kill(self) -> None:
        """KILL: the session ends with its next packet, or now if it waits for the client."""
        self.killed = True
        if not self._streaming:
            self.hang_up()

    # Reading

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            part = self._line.recv(length - len(data))
            if not part:
                raise _Gone
            data += part
        return bytes(data)

    def _request(self) -> tuple[int, bytes]:
        payload = bytearray()
        while True:
            kind, status, length = struct.unpack(">BBH", self._exactly(8)[:4])
            payload += self._exactly(length - 8)
            if status & wire.LAST:
                return kind, bytes(payload)

    def _attention(self, wait: float = 0) -> None:
        """Raises _Stopped if the client asks to stop."""
        waiting = isinstance(self._line, Encrypted) and self._line.pending()
        if waiting or select.select([self._socket], [], [], wait)[0]:
            kind, _ = self._request()
            if kind == wire.ATTENTION:
                raise _Stopped

    # Writing

    def _write(self, tokens: bytes) -> None:
        self._buffer += tokens
        if len(self._buffer) >= 8 * self._payload:
            self._flush()

    def _flush(self, *, last: bool = False) -> None:
        whole = len(self._buffer) // self._payload
        if not last and whole * self._payload == len(self._buffer):
            whole -= 1  # the last packet of an answer is not empty
        out = bytearray()
        view = memoryview(self._buffer)
        for at in range(0, whole * self._payload, self._payload):
            out += self._packet(0, view[at : at + self._payload])
        rest = bytes(view[whole * self._payload :])
        view.release()
        if last:
            out += self._packet(wire.LAST, rest)
            rest = b""
        self._buffer = bytearray(rest)
        self._line.sendall(out)

    def _packet(self, status: int, payload: bytes | memoryview) -> bytes:
        self._packets += 1
        return wire.packet(wire.RESULT, status, self._packets, payload)

    def _end(self, tokens: bytes) -> None:
        self._buffer += tokens
        self._flush(last=True)

    def _error(self, number: int, severity: int, text: str) -> bytes:
        return wire.message(number, severity, text, NAME)

    # Login

    def _log_in(self) -> bool:
        kind, payload = self._request()
        agreed = None
        if kind == wire.PRELOGIN:
            self._end(wire.prelogin(self._server.release.version, encrypted=self._server.tls is not None))
            agreed = self._encrypt() if self._server.tls else None
            kind, payload = self._request()
        if kind != wire.LOGIN:
            raise _Gone
        login = wire.read_login(payload)
        if fault := self._server.faults.take(LOGIN):
            if isinstance(fault, Fails):
                self._end(self._error(*fault.error) + wire.done(wire.FAILED))
            return False
        if self._server.logins.get(login.user.lower()) != login.password or login.version < 0x72000000:
            self._server.refused.append(login.user)
            self._end(self._error(18456, 14, f"Login failed for user '{login.user}'.") + wire.done(wire.FAILED))
            return False
        if login.user.lower() not in self._server.users:
            text = f'Cannot open database "{self._server.path.stem}" requested by the login. The login failed.'
            self._end(self._error(4060, 11, text) + wire.done(wire.FAILED))
            return False
        if login.database and login.database.lower() not in {self._server.path.stem.lower(), "master"}:
            text = f'Cannot open database "{login.database}" requested by the login. The login failed.'
            self._end(self._error(4060, 11, text) + wire.done(wire.FAILED))
            return False
        self.said = Said(number=self.number, login=login, tls=agreed)
        self._server.sessions.append(self.said)
        if login.database.lower() == "master":
            self._database = "master"
        self._engine = Engine(self._server.path, self)
        size = min(max(login.packet_size, 512), 32_767)
        database = self._database
        self._end(
            wire.change(1, database, "master")
            + wire.message(5701, 0, f"Changed database context to '{database}'.", NAME, state=2)
            + wire.collation()
            + wire.change(2, "us_english")
            + wire.login_ack(min(login.version, self._server.release.tds), self._server.release.version)
            + wire.change(4, str(size), "4096")
            + wire.done()
        )
        self._payload = size - 8
        return True

    def _encrypt(self) -> str:
        """TLS, from here on."""
        assert self._server.tls is not None
        line = Encrypted(self._socket, self._server.tls)
        try:
            agreed = line.handshake(
                receive=lambda: self._request()[1],
                send=lambda data: self._socket.sendall(wire.packet(wire.PRELOGIN, wire.LAST, 1, data)),
            )
        except ssl.SSLError as error:
            self._server.refused.append(f"TLS: {error.reason}")
            raise _Gone from None
        self._line = line
        return agreed

    # What the engine asks

    @property
    def release(self) -> Release:
        """Which SQL Server we are like."""
        return self._server.release

    def variable(self, name: str) -> str:
        """What @@SPID and the like stand for."""
        assert self._engine is not None
        version = f"Microsoft SQL Server {self.release.name} (look-alike of the tests) - {self.release.product_version}"
        known = {"@@SPID": str(self.number), "@@VERSION": f"N'{version} (X64)'", "@@SERVERNAME": f"N'{NAME}'"}
        if name == "@@TRANCOUNT":
            return str(int(self._engine._db.in_transaction))
        return known.get(name, "0")

    def database(self) -> str:
        """The current one."""
        return self._database

    def login_number(self, name: str) -> int | None:
        """SUSER_ID."""
        names = list(self._server.logins)
        return names.index(name.lower()) + 1 if name.lower() in names else None

    def user_number(self, name: str) -> int | None:
        """USER_ID."""
        return 5 if name.lower() in self._server.users else None

    def may(self, table: str, verb: str) -> bool:
        """Whether this session's user has a right on a table or view."""
        assert self.said is not None
        user = self.said.login.user.lower()
        return user == "sa" or (verb.upper() == "SELECT" and not self._denied(table))

    def system_rows(self) -> Mapping[str, catalog.Rows]:
        """What stands in no database file."""
        names = ["master", "msdb", self._server.path.stem]
        level, collation = self.release.compatibility_level, catalog.COLLATION
        return {
            "sys_databases": [(name, 5, level, collation, "OFF", 0) for name in names if name == self._database],
            "sys_server_principals": [(name, name.encode()) for name in self._server.logins],
            "msdb_sysjobs": [(name,) for name in self._server.jobs],
        }

    # Requests

    def _answer(self, kind: int, payload: bytes) -> None:
        assert self.said is not None
        self._packets = 0
        if kind == wire.ATTENTION:
            # It crossed our answer: we had ended already.
            self.said.attentions += 1
            self._end(wire.done(wire.STOPPED))
            return
        self._streaming = True
        try:
            if kind == wire.BATCH:
                self._batch(wire.read_batch(payload), ending=lambda: wire.done())
            elif kind == wire.RPC:
                call = wire.read_call(payload)
                batch = call.batch()
                if batch is None:
                    text = f"Could not find stored procedure '{call.name}'."
                    self._end(self._error(2812, 16, text) + wire.done(wire.FAILED, kind=0xFE))
                else:
                    self._batch(batch, ending=lambda: wire.return_status(0) + wire.done(kind=0xFE), in_procedure=True)
            else:
                self._end(self._error(4004, 16, "The look-alike does not know this request.") + wire.done(wire.FAILED))
        except _Stopped:
            self.said.attentions += 1
            self._buffer.clear()
            self._end(wire.done(wire.STOPPED))
        finally:
            self._streaming = False
        if self.killed:
            raise _Gone

    def _batch(self, sql: str, *, ending: Callable[[], bytes], in_procedure: bool = False) -> None:
        assert self.said is not None
        assert self._engine is not None
        self.said.batches.append(sql)
        fault = self._server.faults.take(sql)
        if fault is None and self._from_spool(sql):
            return
        progress = _Progress(sql, fault, in_procedure)
        try:
            self._engine.check(sql)
            self._perform(sql, progress)
            if isinstance(progress.fault, Drop):  # a batch without a result drops the line too
                self._strike(progress.fault)
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
            told = traceback.format_exception_only(error)[-1].strip()
            self._end(self._error(50_000, 16, f"the look-alike failed: {told}") + wire.done(wire.FAILED))
            return
        except SqlError as error:
            self._end(self._error(error.number, error.severity, error.text) + wire.done(wire.FAILED))
            return
        self._end(wire.done(wire.FAILED) if progress.failed else ending())

    def _perform(self, sql: str, progress: _Progress) -> None:
        """A batch, or what EXEC makes of a text."""
        assert self._engine is not None
        plain = without_comments(sql)
        if self._execute and not procedural(plain):
            self._run(plain, progress)
            return

        def perform(text: str) -> None:
            self._engine.check(text)
            self._perform(text, progress)

        def say(text: str, severity: int) -> None:
            self._write(self._error(50_000, severity, text))
            progress.failed |= severity > 10

        batch = Batch(
            run=lambda statement: self._run(statement, progress),
            value=self._engine.value,
            say=say,
            perform=perform,
            call=self._call,
            execute=self._execute,
        )
        try:
            batch(plain)
        finally:
            self._execute = batch.execute

    def _run(self, rest: str, progress: _Progress) -> None:
        """Statements without control of flow."""
        assert self._engine is not None
        rest = self._simple(rest)
        if "dm_exec_sessions" in rest:
            self._engine.sessions(self._everybody())
        if rest.strip(" \n\r\t;"):
            for result in self._engine.run(rest, self._denied):
                self._result(result, progress.fault, progress.in_procedure, progress.sql)
                progress.fault = None

    def _call(self, procedure: str, parameters: dict[str, Any]) -> None:
        """Procedures of SQL Server Agent: kept, so that a test can look."""
        name = procedure.lower().rpartition(".")[2]
        if name not in _AGENT:
            raise SqlError(2812, 16, f"Could not find stored procedure '{procedure}'.")
        if unknown := parameters.keys() - _AGENT[name]:
            raise SqlError(8145, 16, f"@{min(unknown)} is not a parameter for procedure {name}.")
        job = str(parameters["job_name"])
        if (name == "sp_add_job") is (job in self._server.jobs):
            raise SqlError(14261, 16, f"The specified @job_name ('{job}') already exists, or does not exist.")
        self._server.jobs.setdefault(job, []).append({"procedure": name, **parameters})

    def _denied(self, table: str) -> bool:
        assert self.said is not None
        user, table = self.said.login.user.lower(), table.lower()
        if (user, table) in self._server.denied:
            return True
        return user not in {"sa", "reader"} and (user, table) not in self._server.granted

    def _everybody(self) -> list[tuple[object, ...]]:
        said = [session.said for session in self._server.live() if session.said]
        return [
            (one.number, one.login.application, one.login.user, _LEVELS[one.isolation], one.lock_timeout)
            for one in said
        ]

    def _simple(self, batch: str) -> str:
        """Run the settings and the like at the head of a batch; returns what is left of it."""
        while True:
            for pattern, act in _SIMPLE:
                if found := pattern.match(batch):
                    act(self, found)
                    batch = batch[found.end() :]
                    break
            else:
                return batch

    def _result(self, result: Result, fault: Fault | None, in_procedure: bool, sql: str) -> None:
        assert self.said is not None
        kind = 0xFF if in_procedure else 0xFD
        if result.rows is None:
            if result.touched >= 0:
                self._write(wire.done(wire.MORE | wire.COUNTED, result.touched, kind=kind))
            return
        head = wire.columns(result.columns)
        self._write(head)
        sent = 0
        writers = [writer(known) for _, known in result.columns]
        keep = self._keeper(sql, head, in_procedure) if fault is None else None
        try:
            for rows in self._portions(result, fault):
                tokens = b"".join([_row(writers, row) for row in rows])
                if keep:
                    keep(tokens)
                self._write(tokens)
                sent += len(rows)
                self.said.rows += len(rows)
                self._attention()
                if self.killed:
                    self._end(self._error(*KILLED) + wire.done(wire.FAILED))
                    raise _Gone
        finally:
            result.rows.close()
        self._write(wire.done(wire.MORE | wire.COUNTED, sent, kind=kind))
        if keep:
            keep(b"")

    def _portions(self, result: Result, fault: Fault | None) -> Iterator[list[tuple[Any, ...]]]:
        assert result.rows is not None
        left = fault.after_rows if fault else -1
        pace = fault if isinstance(fault, Slow) else None
        while True:
            size = pace.rows if pace else _ROWS
            if fault and not pace:
                if left == 0:
                    self._strike(fault)
                    return
                size = min(size, left)
                left -= size
            rows = result.rows.fetchmany(size)
            if not rows:
                return
            yield rows
            if pace:
                self._flush()
                time.sleep(pace.seconds)

    def _strike(self, fault: Fault) -> None:
        # What is ready leaves as one packet more, so that the client has exactly so many rows.
        self._flush()
        self._line.sendall(self._packet(0, bytes(self._buffer)))
        self._buffer.clear()
        match fault:
            case Drop():
                if fault.reset:
                    self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self._socket.close()
                raise _Gone
            case Stalls():
                while True:
                    self._attention(wait=60)
            case Fails():
                if fault.error[1] >= 20:
                    self._end(self._error(*fault.error) + wire.done(wire.FAILED))
                    raise _Gone
                raise SqlError(*fault.error)

    # Answers that are kept

    def _place(self, sql: str) -> Path | None:
        if self._server.spool is None:
            return None
        return self._server.spool / hashlib.sha256(f"{self._payload} {sql}".encode()).hexdigest()

    def _from_spool(self, sql: str) -> bool:
        place = self._place(sql)
        if place is None or not place.exists():
            return False
        with place.open("rb") as kept:
            if isinstance(self._line, Encrypted):
                self._line.sendall(kept.read())
                return True
            length = place.stat().st_size
            at = 0
            while at < length:
                at += os.sendfile(self._socket.fileno(), kept.fileno(), at, 1 << 20)
                self._attention()
        return True

    def _keeper(self, sql: str, head: bytes, in_procedure: bool) -> Callable[[bytes], None] | None:
        place = self._place(sql)
        if place is None or in_procedure:
            return None
        part = place.with_suffix(f".{self.number}")
        kept = part.open("wb")
        buffer = bytearray(head)
        rows = 0

        def keep(tokens: bytes) -> None:
            nonlocal rows
            buffer.extend(tokens)
            rows += 1
            if not tokens:
                buffer.extend(wire.done(wire.COUNTED, 0))
            size = self._payload
            while len(buffer) > size:
                kept.write(wire.packet(wire.RESULT, 0, 1, bytes(buffer[:size])))
                del buffer[:size]
            if not tokens:
                kept.write(wire.packet(wire.RESULT, wire.LAST, 1, bytes(buffer)))
                kept.close()
                part.replace(place)

        return keep


def _row(writers: list[Callable[[Any], bytes]], row: tuple[Any, ...]) -> bytes:
    return b"\xd1" + b"".join([write(value) for write, value in zip(writers, row, strict=True)])


def _set_isolation(session: _Session, found: re.Match[str]) -> None:
    assert session.said is not None
    session.said.isolation = " ".join(found[1].upper().split())


def _set_lock_timeout(session: _Session, found: re.Match[str]) -> None:
    assert session.said is not None
    session.said.lock_timeout = int(found[1])


def _set_option(session: _Session, found: re.Match[str]) -> None:
    assert session.said is not None
    for name in found[1].split(","):
        session.said.options[name.strip().upper()] = found[2].upper()


def _transaction(session: _Session, found: re.Match[str]) -> None:
    assert session._engine is not None
    verb = found["verb"].upper()
    assert session.said is not None
    session.said.in_transaction = verb.startswith("BEGIN")
    if session._engine.transaction("BEGIN" if verb.startswith("BEGIN") else verb):
        which = struct.pack("<Q", session.number)
        kinds = {"BEGIN": (8, which, b""), "COMMIT": (9, b"", which), "ROLLBACK": (10, b"", which)}
        session._write(wire.change_bytes(*kinds["BEGIN" if verb.startswith("BEGIN") else verb]))


def _kill(session: _Session, found: re.Match[str]) -> None:
    victim = session._server.session(int(found[1]))
    if victim is None:
        raise SqlError(6106, 16, f"Process ID {found[1]} is not an active process ID.")
    victim.kill()


def _right(session: _Session, found: re.Match[str]) -> None:
    assert session._engine is not None
    table, user = found["table"].strip("[]").rpartition(".")[2].strip("[]").lower(), found["user"].strip("[]").lower()
    if session._engine.columns_of(table) is None:
        text = f"Cannot find the object '{table}', because it does not exist or you do not have permission."
        raise SqlError(15151, 16, text)
    if user not in session._server.users:
        raise SqlError(
            15151, 16, f"Cannot find the user '{user}', because it does not exist or you do not have permission."
        )
    verb, right = found["verb"].upper(), (user, table)
    session._server.denied.discard(right)
    session._server.granted.discard(right)
    if verb == "DENY":
        session._server.denied.add(right)
    elif verb == "GRANT":
        session._server.granted.add(right)


def _wait_for(session: _Session, found: re.Match[str]) -> None:
    hours, minutes, seconds = (float(part) for part in found[1].split(":"))
    session._attention(wait=hours * 3600 + minutes * 60 + seconds)


def _login(session: _Session, found: re.Match[str]) -> None:
    if found[1].lower() in session._server.logins:
        raise SqlError(15025, 16, f"The server principal '{found[1]}' already exists.")
    session._server.logins[found[1].lower()] = found[2].replace("''", "'")


def _user(session: _Session, found: re.Match[str]) -> None:
    if found[2].lower() not in session._server.logins:
        raise SqlError(15007, 16, f"'{found[2]}' is not a valid login or you do not have permission.")
    if found[1].lower() in session._server.users:
        raise SqlError(15023, 16, f"User, group, or role '{found[1]}' already exists in the current database.")
    session._server.users.add(found[1].lower())


def _use(session: _Session, found: re.Match[str]) -> None:
    known = {name.lower(): name for name in ("master", "msdb", "tempdb", "model", session._server.path.stem)}
    if found[1].lower() not in known:
        text = f"Database '{found[1]}' does not exist. Make sure that the name is entered correctly."
        raise SqlError(911, 16, text)
    session._database = known[found[1].lower()]


def _nothing(session: _Session, found: re.Match[str]) -> None:
    """Accepted, without effect."""


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(rf"[\s;]*{text}(?:\s*;|\s*$|(?=\s+(?:SET|BEGIN|SELECT|INSERT|IF)\b))\s*", re.IGNORECASE)


_AGENT = {
    "sp_add_job": {"job_name", "enabled", "description", "owner_login_name"},
    "sp_add_jobstep": {"job_name", "step_name", "subsystem", "database_name", "command"},
    "sp_add_jobschedule": {
        *("job_name", "name", "enabled", "freq_type", "freq_interval", "freq_subday_type", "freq_subday_interval"),
    },
    "sp_add_jobserver": {"job_name", "server_name"},
}
_SIMPLE: list[tuple[re.Pattern[str], Callable[[_Session, re.Match[str]], None]]] = [
    (_pattern(r"SET\s+TRANSACTION\s+ISOLATION\s+LEVEL\s+(\w+(?:\s+(?:UN)?(?:COMMITTED|READ))?)"), _set_isolation),
    (_pattern(r"SET\s+(DEADLOCK_PRIORITY|DATEFORMAT)\s+(\w+)"), _set_option),
    (_pattern(r"SET\s+LOCK_TIMEOUT\s+(-?\d+)"), _set_lock_timeout),
    (_pattern(r"SET\s+(\w+(?:\s*,\s*\w+)*)\s+(ON|OFF|-?\d+)"), _set_option),
    (
        _pattern(r"(?:IF\s+@@TRANCOUNT\s*>\s*0\s+)?(?P<verb>BEGIN|COMMIT|ROLLBACK)(?:\s+TRAN(?:SACTION)?)?"),
        _transaction,
    ),
    (_pattern(r"USE\s+\[?(\w+)\]?"), _use),
    (_pattern(r"KILL\s+(\d+)"), _kill),
    (_pattern(r"(?P<verb>GRANT|DENY|REVOKE)\s+SELECT\s+ON\s+(?P<table>\S+)\s+(?:TO|FROM)\s+(?P<user>\S+?)"), _right),
    (_pattern(r"CREATE\s+LOGIN\s+\[?(\w+)\]?\s+WITH\s+PASSWORD\s*=\s*N?'((?:[^']|'')*)'[^;]*?"), _login),
    (
        _pattern(r"CREATE\s+USER\s+\[?(\w+)\]?\s+FOR\s+LOGIN\s+\[?(\w+)\]?(?:\s+WITH\s+DEFAULT_SCHEMA\s*=\s*\w+)?"),
        _user,
    ),
    (_pattern(r"ALTER\s+ROLE\s+\S+\s+ADD\s+MEMBER\s+\S+?"), _nothing),
    (_pattern(r"ALTER\s+DATABASE\s+\S+\s+SET\s+[^;]*?"), _nothing),
    (_pattern(r"IF\s+DB_ID\('\w+'\)\s+IS\s+NULL\s+CREATE\s+DATABASE\s+\S+(?:\s+COLLATE\s+\w+)?"), _nothing),
    (_pattern(r"WAITFOR\s+DELAY\s+'([\d:.]+)'"), _wait_for),
]

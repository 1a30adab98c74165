"""`python -m platform_sandbox` as a process: one line, silence, a clean end, a journal that survives kill -9."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from platform_caller import REPORT_PATH, Caller

LOST = (httpx.NetworkError, httpx.RemoteProtocolError)


class Process:
    """A started sandbox: its first line, its address, and what it wrote until its end."""

    def __init__(self, *flags: str, largest_file: int | None = None) -> None:
        def limit() -> None:
            if largest_file is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        self.popen = subprocess.Popen(
            [sys.executable, "-m", "platform_sandbox", "--port", "0", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limit,
        )
        assert self.popen.stdout is not None
        self.line = self.popen.stdout.readline()
        found = re.search(r"http://\S+", self.line)
        assert found, self.popen.communicate()
        self.url = found.group()

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Exit code, and everything written after the first line."""
        self.popen.send_signal(number)
        out, err = self.popen.communicate(timeout=5)
        return self.popen.returncode, out + err


@contextlib.contextmanager
def running(*flags: str, largest_file: int | None = None) -> Iterator[Process]:
    process = Process(*flags, largest_file=largest_file)
    try:
        yield process
    finally:
        process.popen.kill()
        process.popen.communicate()


def refused(*flags: str) -> str:
    """The one line with which it does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "platform_sandbox", *flags], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_one_line_then_nothing_and_ends_cleanly(number: signal.Signals) -> None:
    with running() as process:
        assert process.line == f"platform sandbox: {process.url} (profile v2.1, hospitals 10086)\n"
        assert process.url.startswith("http://127.0.0.1:")
        port = int(process.url.rpartition(":")[2])
        for rubbish in (
            b"\x16\x03\x01\x00rubbish\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ?\r\n\r\n",
            b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as wire:
                wire.sendall(rubbish)
                assert wire.recv(1000).startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
        with socket.create_connection(("127.0.0.1", port)) as wire:
            half = f"POST {REPORT_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{"
            wire.sendall(half.encode())
        with Caller(process.url) as isv:
            assert isv.report() == 0
            assert isv.report(name="") == 10013
            assert isv.http.get("/sandbox/health").json() == {
                "status": "ok",
                "profile": "v2.1",
                "repeat": "accepted",
                "accepted": 1,
                "outage": False,
            }
            assert process.end(number) == (0, "")


def test_every_setting_has_a_flag(tmp_path: Path) -> None:
    flags = (
        "--app=isv:s:e:c:30001,30002 --app=two:secret:40001 --profile=current --repeat=seen --not-live=30001 --quota=9 "
        "--token-life=60 --rate-limit=1000 --seed=4 --refuse=0.5 --latency-ms=1 --evict-every=900 --on-token "
        f"--state={tmp_path / 'journal'}"
    ).split()
    with running(*flags) as process:
        assert process.line.endswith("(profile current, hospitals 30001, 30002, 40001, 0 accepted before)\n")
        with Caller(process.url, app_id="isv", secret="s:e:c", hospital="30001") as isv:
            assert isv.get_token()["rsp"]["expiresIn"] == 60
            assert {isv.report() for _ in range(12)} == {0, 10042, 10034}
            faults = isv.http.get("/sandbox/faults").json()
        assert (faults["refuse"], faults["latency_ms"], faults["evict_every"], faults["on_token"]) == (
            0.5,
            1,
            900,
            True,
        )


def test_a_taken_port_is_one_clear_line_and_exit_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused("--port", str(port)) == (
            f"platform sandbox: 127.0.0.1:{port} is in use: stop what listens there, "
            "or choose another --port (0: a free one)\n"
        )


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--port=70000"], "port is 0 to 65535"),
        (["--host=192.0.2.1", "--port=0"], "cannot listen on 192.0.2.1:0"),
        (["--app=id:topsecret"], "ID:SECRET:HOSPITAL"),
        (["--not-live=10099"], "10099"),
        (["--busy=1.5"], "busy is a share of calls between 0 and 1"),
        (["--busy=0.7", "--slow=0.7"], "add up to 1.4"),
        (["--state=/nowhere/journal"], "/nowhere/journal"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(flags: list[str], named: str) -> None:
    said = refused(*flags)
    assert re.fullmatch(r"platform sandbox: .*\n", said)
    assert named in said
    assert "topsecret" not in said


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    acknowledged: list[str] = []
    sent: list[str] = []

    def hammer(worker: int) -> None:
        with Caller(process.url) as isv, contextlib.suppress(*LOST):
            isv.token = token
            for number in range(100_000):
                sent.append(request_id := f"W{worker}N{number}")
                if isv.report(request_id) == 0:
                    acknowledged.append(request_id)
                if len(acknowledged) >= 300:
                    enough.set()

    enough = threading.Event()
    with running(f"--state={journal}") as process:
        with Caller(process.url) as isv:
            isv.get_token()
            token = isv.token
        workers = [threading.Thread(target=hammer, args=(worker,)) for worker in range(4)]
        for worker in workers:
            worker.start()
        assert enough.wait(20)
        process.end(signal.SIGKILL)
        for worker in workers:
            worker.join()

    assert len(acknowledged) >= 300
    with running(f"--state={journal}") as process, Caller(process.url) as isv:
        kept = [json.loads(line)["requestId"] for line in isv.http.get("/sandbox/accepted").text.splitlines()]
        assert f"{len(kept)} accepted before" in process.line
        assert set(acknowledged) <= set(kept) <= set(sent)
        assert len(kept) == len(set(kept))
        assert isv.report(acknowledged[0]) == 10054
        assert isv.http.get("/sandbox/counts").json()["accepted"] == len(kept)


def test_a_full_disk_is_10005_and_what_was_not_kept_was_not_accepted(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with running(f"--state={journal}", largest_file=1024) as process, Caller(process.url) as isv:
        codes = [isv.report(f"R{number}") for number in range(10)]
        kept = isv.http.get("/sandbox/counts").json()["accepted"]
        assert codes == [0] * kept + [10005] * (10 - kept)
        assert 0 < kept < 10
        assert process.end() == (0, "")
    assert journal.read_bytes().count(b"\n") == kept
    with running(f"--state={journal}") as process, Caller(process.url) as isv:
        assert [isv.report(f"R{number}") for number in range(10)] == [10054] * kept + [0] * (10 - kept)


def test_a_second_hospital_needs_no_secret_again() -> None:
    with running("--hospital", "10087", "--hospital", "10087") as process:
        assert "hospitals 10086, 10087" in process.line

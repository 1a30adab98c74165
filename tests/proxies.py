"""A hospital's way out, on loopback: a proxy to hosts that this machine does not know, and TLS in front of a server.

Both are real: sockets, CONNECT, absolute addresses, certificates.
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Address = tuple[str, int]


@dataclass
class Proxy:
    """`routes`: where each host:port that it knows really is. `asked`: method and target of each request."""

    routes: dict[str, Address]
    url: str = ""
    asked: list[str] = field(default_factory=list)


@contextmanager
def proxy(routes: dict[str, str]) -> Iterator[Proxy]:
    """A running proxy to these hosts, by host:port the URL of the server in its place; 502 for any other."""
    made = Proxy({name: _address(url) for name, url in routes.items()})

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            incoming: socket.socket = self.request
            head = _head(incoming)
            if not head:
                return
            line, _, rest = head.partition(b"\r\n")
            method, target, version = line.decode().split(" ")
            made.asked.append(f"{method} {target}")
            parts = urlsplit(target if "://" in target else f"//{target}")
            place = made.routes.get(f"{parts.hostname}:{parts.port or 80}")
            if place is None:
                incoming.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            with socket.create_connection(place) as outgoing:
                if method == "CONNECT":
                    incoming.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
                    # One request a connection: the next may be for another host.
                    closing = rest.replace(b"Connection: keep-alive", b"Connection: close")
                    outgoing.sendall(f"{method} {path} {version}\r\n".encode() + closing)
                _both_ways(incoming, outgoing)

    with _serving(Handler) as port:
        made.url = f"http://127.0.0.1:{port}"
        yield made


@contextmanager
def with_tls(url: str, tls: ssl.SSLContext) -> Iterator[str]:
    """The server at `url` behind TLS of its own; gives the address of that, https://."""
    behind = _address(url)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), tls.wrap_socket(self.request, server_side=True) as incoming:
                incoming.settimeout(10)
                with socket.create_connection(behind) as outgoing:
                    _both_ways(incoming, outgoing)

    with _serving(Handler) as port:
        yield f"https://127.0.0.1:{port}"


@contextmanager
def _serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def _address(url: str) -> Address:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def _head(incoming: socket.socket) -> bytes:
    """What was sent up to the end of the headers, and what came with it."""
    head = b""
    while b"\r\n\r\n" not in head:
        if not (more := incoming.recv(65536)):
            return b""
        head += more
    return head


def _both_ways(one: socket.socket, other: socket.socket) -> None:
    """Pass on what either sends until one of them has ended."""

    def back() -> None:
        _pass_on(other, one)

    thread = threading.Thread(target=back, daemon=True)
    thread.start()
    _pass_on(one, other)
    thread.join()


def _pass_on(sender: socket.socket, receiver: socket.socket) -> None:
    with suppress(OSError):
        while chunk := sender.recv(65536):
            receiver.sendall(chunk)
    with suppress(OSError):
        receiver.shutdown(socket.SHUT_WR)

"""People's end of the alerts, on loopback: a real SMTP server, and a web server that stands for robots and webhooks.

What they got is kept in the order of its arrival. Both can be told to refuse, as a channel that is down for a day does.
"""

from __future__ import annotations

import email
import email.policy
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


@dataclass
class Mailbox:
    """Mails as they came over the wire. `refuse`: answer 451 to every mail.

    `dead`: by mailbox, its refusal; `sender`: the one that refuses all senders; `password`: of any login.
    """

    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    port: int = 0
    refuse: bool = False
    dead: dict[str, str] = field(default_factory=dict)
    sender: str = ""
    password: str = "right"
    tried: list[str] = field(default_factory=list)

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == self.password.encode(), handled=False)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.sender:
            return self.sender
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.tried.append(address)
        if address in self.dead:
            return self.dead[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.refuse:
            return "451 mailbox busy"
        content = envelope.content
        assert isinstance(content, bytes)
        self.raw.append(content)
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        return "250 OK"


@contextmanager
def mailbox(tls: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """A running SMTP server; with `tls` it speaks TLS from the first byte."""
    box = Mailbox()
    controller = Controller(
        box, hostname="127.0.0.1", port=0, authenticator=box.authenticate, auth_require_tls=False, ssl_context=tls
    )
    ask = controller._trigger_server

    def learn_the_port_and_ask() -> None:
        assert controller.server is not None
        box.port = controller.port = controller.server.sockets[0].getsockname()[1]
        ask()

    controller._trigger_server = learn_the_port_and_ask  # type: ignore[method-assign]
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


@dataclass
class Webhook:
    """Requests as they came. `status` and `answer`: what they get; `down`: the connection is cut without an answer."""

    url: str = ""
    posts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    status: int = 200
    answer: dict[str, Any] = field(default_factory=lambda: {"errcode": 0, "code": 0})
    down: bool = False
    location: str = ""
    gets: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def webhook(tls: ssl.SSLContext | None = None) -> Iterator[Webhook]:
    """A running web server, of https with `tls`. Every GET is answered 200, as the page is that a redirect leads to."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            if hook.down:
                self.close_connection = True
                self.connection.close()
                return
            with hook.lock:
                hook.raw.append(body)
                if hook.status == 200:
                    hook.posts.append((self.path, json.loads(body)))
            self.send_response(hook.status)
            self.send_header("Content-Type", "application/json")
            if hook.location:
                self.send_header("Location", hook.location)
            self.end_headers()
            self.wfile.write(json.dumps(hook.answer).encode())

        def do_GET(self) -> None:
            hook.gets.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    hook.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

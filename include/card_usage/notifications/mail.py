"""Mail: the mail plugin of Apprise, with an answer for each mailbox and plain words for what a server refuses.

One mail goes to each recipient. Apprise calls the whole message failed if one of them is refused, and every refusal a
connection error; here a message is taken once a mailbox has it. `refused` names the mailboxes that will never take it
(5xx) and `later` those to try again (4xx, or a connection that ended). Raises nothing: `send` returns False, and
`problem` says why.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Collection, Mapping
from typing import Any, Final

from apprise import NotifyFormat, NotifyType
from apprise.exception import AppriseException
from apprise.plugins.email.base import NotifyEmail
from apprise.plugins.email.smtp import AppriseSMTPController

from card_usage.config.outgoing import certificate_problem, refused_certificate

LOGIN_CODES: Final = frozenset({530, 534, 535, 538})
"""Replies by which servers ask for another login, at whichever command."""
_TEXT: Final = 80


_Answers = Mapping[str, tuple[int, bytes | str]]
"""Mailbox -> reply code and text."""


class _Session(AppriseSMTPController):
    """A connection that raises what the server answers."""

    def deliver(self, sender: str, recipients: list[str], message: str) -> _Answers:
        """Mailboxes that were refused while others took the mail. Raises OSError and SMTPException."""
        connection: Any = self._socket
        refused: _Answers = connection.sendmail(sender, recipients, message)
        return refused


class Mail(NotifyEmail):
    """Mails, one for each recipient. `only_to`: the recipients that an earlier try left over; empty: all."""

    only_to: Collection[str] = ()
    problem: str = ""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.taken: list[str] = []
        self.refused: dict[str, str] = {}
        self.later: dict[str, str] = {}

    def send(
        self,
        body: str,
        title: str = "",
        notify_type: NotifyType = NotifyType.INFO,
        attach: Any = None,
        body_format: NotifyFormat | None = None,
        **_: Any,
    ) -> bool:
        """Whether at least one mailbox took it, or those that were left over have all answered."""
        try:
            messages = NotifyEmail.prepare_emails(
                subject=title,
                body=body,
                notify_format=self.resolve_format(body_format),
                from_addr=self.from_addr,
                to=[target for target in self.targets if not self.only_to or target[1] in self.only_to],
                cc=set() if self.only_to else self.cc,
                smtp_host=self.smtp_host,
                attach=attach,
                headers={"X-Application": self.app_id, **self.headers},
                names=self.names,
            )
            self._send_all(messages)
        except AppriseException as error:
            self.problem = f"the mail cannot be made: {error}"
        except (OSError, smtplib.SMTPException) as error:
            self.problem = self._explained(error)
        if self.problem:
            return False
        if not self.taken and not self.only_to:
            answers = self.refused | self.later
            self.problem = "no mailbox took it: " + "; ".join(f"{name}: {answer}" for name, answer in answers.items())
        return bool(self.taken or self.only_to)

    def _explained(self, error: Exception) -> str:
        if (problem := certificate_problem(error)) is not None:
            return refused_certificate(problem, str(self.smtp_host), int(self.port or 0))
        return explained(error)

    def _send_all(self, messages: Any) -> None:
        session = _Session(
            host=self.smtp_host,
            port=int(self.port or 0),
            secure_mode=str(self.secure_mode),
            user=self.user,
            password=self.password,
            verify_certificate=self.verify_certificate,
            socket_connect_timeout=self.socket_connect_timeout,
        )
        with session:
            ended = ""
            answers: _Answers
            for message in messages:
                if ended:
                    self.later[message.recipient] = ended
                    continue
                try:
                    answers = session.deliver(str(self.from_addr[1]), message.to_addrs, message.body)
                except smtplib.SMTPRecipientsRefused as error:
                    answers = error.recipients
                except smtplib.SMTPDataError as error:
                    answers = {message.recipient: (error.smtp_code, error.smtp_error)}
                except smtplib.SMTPSenderRefused:
                    raise
                except (OSError, smtplib.SMTPException) as error:
                    if not self.taken:
                        raise
                    ended = explained(error)
                    self.later[message.recipient] = ended
                    continue
                if message.recipient not in answers:
                    self.taken.append(message.recipient)
                for address, (code, text) in answers.items():
                    kind = self.later if 400 <= code < 500 else self.refused
                    kind[address] = f"{code} {_words(text)}"


def explained(error: Exception) -> str:
    """What the server refused, and what to look at."""
    match error:
        case smtplib.SMTPNotSupportedError():
            return "the server takes no login on this connection: set `tls` to ssl or starttls"
        case smtplib.SMTPResponseException() if (
            isinstance(error, smtplib.SMTPAuthenticationError) or error.smtp_code in LOGIN_CODES
        ):
            answer = f"{error.smtp_code} {_words(error.smtp_error)}"
            return f"login refused: {answer}; check the login and its 授权码, not the network"
        case smtplib.SMTPSenderRefused():
            answer = f"{error.smtp_code} {_words(error.smtp_error)}"
            return f"sender refused: {answer}; `from` must be an address of the login"
        case smtplib.SMTPResponseException():
            return f"the server refused: {error.smtp_code} {_words(error.smtp_error)}"
        case smtplib.SMTPServerDisconnected():
            return "the server ended the connection"
        case ssl.SSLError():
            return f"no TLS with the server ({error.reason or type(error).__name__}): check the port and `tls`"
        case _:
            return f"the server cannot be reached ({getattr(error, 'strerror', None) or type(error).__name__})"


def _words(text: bytes | str) -> str:
    """A server's answer in one line."""
    if isinstance(text, str):
        shown = text
    else:
        try:
            shown = text.decode()
        except UnicodeDecodeError:
            shown = text.decode("gb18030", "replace")
    return " ".join(shown.split())[:_TEXT]

"""TLS: how far a session on a HIS is protected on its way, and what is wrong when a handshake fails.

By default a session is encrypted, or it does not come about; a database on this very machine is left alone. The
certificate is checked where an authority is known: `CARD_USAGE_CA`, or one that the connection names. `tls` of the
hospital's file says otherwise.

Drivers say little about a failed handshake, FreeTDS nothing. So the server is asked once more, in its own protocol.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import certifi
from sqlalchemy import URL

from card_usage.config.hospital import His
from card_usage.config.outgoing import CERTIFICATE, describe_certificate, is_here
from card_usage.errors import BadConnection

Protection = Literal["verified", "encrypted", "optional"]
"""verified: encrypted, and the certificate is checked; encrypted: by anybody; optional: as the server likes."""

_SECONDS: Final = 3.0


class Line(NamedTuple):
    """How bytes of a handshake travel in the protocol of a database."""

    send: Callable[[bytes], object]
    receive: Callable[[], bytes]


Opening = Callable[[socket.socket], Line | None]
"""Asks a server for TLS in its own protocol; None: it offers none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transport:
    """How sessions on a database travel. `authorities`: the file of certificates that its own is checked against."""

    protection: Protection
    authorities: str = ""
    host: str = ""
    port: int = 0
    opening: Opening | None = field(default=None, repr=False)

    def context(self) -> ssl.SSLContext:
        """For drivers that take one."""
        made = ssl.create_default_context(cafile=self.authorities or None)
        if self.protection != "verified":
            made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
        return made


def transport(
    url: URL,
    his: His,
    *,
    port: int,
    opening: Opening,
    own_authority: str = "",
    environment: Mapping[str, str] = os.environ,
) -> Transport:
    """How sessions on this database have to travel.

    `port`: the usual one. `own_authority`: the file that its connection names.
    """
    own = own_authority or environment.get("CARD_USAGE_CA", "").strip()
    if his.tls is not None:
        protection: Protection = his.tls
    elif not own_authority and is_here(url.host or ""):
        protection = "optional"
    else:
        protection = "verified" if own else "encrypted"
    authorities = own or environment.get("SSL_CERT_FILE", "") or certifi.where()
    return Transport(
        protection=protection,
        authorities=authorities if protection == "verified" else "",
        host=url.host or "",
        port=url.port or port,
        opening=opening,
    )


def refuse_weaker(his: His, way: Transport, extra: str, value: str, weak: frozenset[str]) -> None:
    """Raises BadConnection if a connection asks for less than the hospital's file."""
    if way.protection != "optional" and value.lower() in weak:
        problem = f"has the extra {extra}={value}, but only the hospital's file may go without TLS ([his] tls)"
        raise BadConnection(conn_id=his.connection, variable=his.connection.upper(), problem=problem)


def tls_problem(way: Transport) -> str | None:
    """Why no session can be had as the file asks for, found by asking the server; None: TLS is not why."""
    if way.protection == "optional" or way.opening is None:
        return None
    place = f"{way.host}:{way.port}"
    try:
        _shake_hands(way, way.opening, _lenient(way))
    except _NoTls:
        return f'{place} offers no TLS; its DBA switches it on, or tls = "optional" under [his] goes without'
    except ssl.SSLCertVerificationError as error:
        why = f"{CERTIFICATE}{error.verify_message}".rstrip(".")
    except (OSError, ValueError):
        return None
    else:
        return None
    whose = "it does not show it again"
    with suppress(_NoTls, OSError, ValueError):
        shown = _shake_hands(way, way.opening, _lenient(Transport(protection="encrypted")))
        whose = describe_certificate(shown.getpeercert(binary_form=True) or b"")
    remedy = 'an authority of your own belongs into CARD_USAGE_CA; tls = "encrypted" under [his] checks none'
    return f"{why} ({place}; {whose}); {remedy}"


class _NoTls(Exception):
    """The server has none."""


def _lenient(way: Transport) -> ssl.SSLContext:
    """The same checks, with any version: what a server is too old for is not a matter of certificates."""
    made = way.context()
    made.set_ciphers("DEFAULT:@SECLEVEL=0")
    made.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    return made


def _shake_hands(way: Transport, opening: Opening, context: ssl.SSLContext) -> ssl.SSLObject:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    made = context.wrap_bio(incoming, outgoing, server_hostname=way.host)
    with socket.create_connection((way.host, way.port), _SECONDS) as plain:
        line = opening(plain)
        if line is None:
            raise _NoTls
        while True:
            try:
                made.do_handshake()
            except ssl.SSLWantReadError:
                if told := outgoing.read():
                    line.send(told)
                if not (answer := line.receive()):
                    raise OSError("the server hung up") from None
                incoming.write(answer)
            else:
                return made


def read_exactly(plain: socket.socket, size: int) -> bytes:
    """So many bytes. Raises OSError if the server hangs up before."""
    read = b""
    while len(read) < size:
        if not (part := plain.recv(size - len(read))):
            raise OSError("the server hung up")
        read += part
    return read


def directly(plain: socket.socket) -> Line:
    """TLS from the first byte, or after an agreement in the clear."""
    return Line(plain.sendall, lambda: plain.recv(1 << 16))

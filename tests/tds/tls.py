"""TLS as TDS 7 has it: the handshake travels in packets of PRELOGIN, then everything is encrypted (MS-TDS 3.2.5.1).

A server of one version only, as old ones are: `TLSv1` for SQL Server 2008 R2 without its updates, `TLSv1.2` otherwise.
"""

from __future__ import annotations

import socket
import ssl
import tempfile
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

VERSIONS = {"TLSv1": ssl.TLSVersion.TLSv1, "TLSv1.2": ssl.TLSVersion.TLSv1_2}


def context(version: str) -> ssl.SSLContext:
    """A server's, with a certificate that it signed itself, as SQL Server's own is."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the old versions, which is what they are here for
        made.minimum_version = made.maximum_version = VERSIONS[version]
    made.set_ciphers("DEFAULT:@SECLEVEL=0")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "server.pem"
        path.write_bytes(_certificate())
        made.load_cert_chain(path)
    return made


def _certificate() -> bytes:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SSL_Self_Signed_Fallback")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return private + signed.public_bytes(serialization.Encoding.PEM)


class Encrypted:
    """A session's socket once TLS has begun: what a session uses of a socket, and nothing else."""

    def __init__(self, plain: socket.socket, server: ssl.SSLContext) -> None:
        self._plain = plain
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = server.wrap_bio(self._in, self._out, server_side=True)

    def handshake(self, receive: Callable[[], bytes], send: Callable[[bytes], None]) -> str:
        """By way of packets; returns the version that was agreed."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                if told := self._out.read():
                    send(told)
                self._in.write(receive())
            else:
                send(self._out.read())
                return str(self._tls.version())

    def recv(self, size: int) -> bytes:
        """As socket.recv."""
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                if not (data := self._plain.recv(1 << 16)):
                    return b""
                self._in.write(data)
            except ssl.SSLZeroReturnError:
                return b""

    def sendall(self, data: bytes | bytearray) -> None:
        """As socket.sendall."""
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
        self._plain.sendall(self._out.read())

    def pending(self) -> bool:
        """Whether something was received and not yet read."""
        return self._tls.pending() > 0 or self._in.pending > 0

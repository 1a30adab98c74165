"""An authority of a hospital's own, and servers' certificates that it issues."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_NOW = datetime.now(UTC)


class Authority:
    """Its certificate stands in `file`."""

    def __init__(self, folder: Path, name: str = "Hospital Root CA") -> None:
        self._folder, self._name, self._key = folder, _name(name), ec.generate_private_key(ec.SECP256R1())
        made = _builder(self._name, self._name, self._key, timedelta(days=-1), timedelta(days=9))
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.file = folder / "authority.pem"
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def server(self, name: str = "127.0.0.1", *, expired: bool = False) -> ssl.SSLContext:
        """The TLS of a server of this address or name."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.certificate(name, expired=expired))
        return tls

    def certificate(self, name: str = "127.0.0.1", *, expired: bool = False) -> Path:
        """The file with a server's key and certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = timedelta(hours=-1) if expired else timedelta(days=1)
        made = _builder(_name(name), self._name, key, timedelta(days=-1), until)
        of = x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
        made = made.add_extension(x509.SubjectAlternativeName([of]), critical=False)
        signed = made.sign(self._key, hashes.SHA256())
        path = self._folder / f"server-{signed.serial_number}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
        return path


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, since: timedelta, until: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW + since)
        .not_valid_after(_NOW + until)
    )

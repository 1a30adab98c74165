"""Outgoing calls: which proxy and which certificates, one answer for platform, robots, webhooks, mail and storage.

`HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` (or in lower case, which counts more) name proxies by http:// or https://;
mail knows none. `NO_PROXY` may hold `*`, names (with all below them), addresses, networks (10.0.0.0/8, fd00::/8) and
ports. A value that cannot be used is one error that names the variable. `CARD_USAGE_CA` is a file with the certificates
of a hospital's own authorities, which are trusted beside the public ones.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import tempfile
from base64 import b64encode
from collections.abc import Mapping, MutableMapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import certifi

from card_usage.errors import BadProxy, SettingsError
from card_usage.plain_text import visible

_READERS: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
"""By which Python's ssl, requests and the S3 client are told of certificates."""
_PLACE: Final = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?/?")
_ENDED: Final = re.compile(r"^(\[?.+?\]?)(?::(\d{1,5}))?$")
CERTIFICATE: Final = "certificate: "
"""How a problem of a certificate begins."""
_bundles: dict[str, tempfile.TemporaryDirectory[str]] = {}


def proxy_for(url: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The proxy for calls to this address, None for none. Raises BadProxy, which never quotes the value.

    An address that cannot be has none: who calls it says so.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:  # brackets that do not close, a port beyond 65535
        return None
    if _direct(host, port, environment):
        return None
    for variable in (f"{parts.scheme}_proxy", f"{parts.scheme}_proxy".upper()):
        if variable == "HTTP_PROXY" and "REQUEST_METHOD" in environment:
            continue  # there it may be a header that a visitor sent
        if value := environment.get(variable, "").strip():
            return _proxy(variable, value)
    return None


def _proxy(variable: str, value: str) -> str:
    scheme, separator, rest = value.rpartition("://")
    scheme = scheme.lower() if separator else "http"
    if scheme.startswith("socks"):
        raise BadProxy(variable=variable, problem="is a SOCKS proxy, which is not supported")
    login, at, place = rest.rpartition("@")
    if scheme not in {"http", "https"} or not _PLACE.fullmatch(place) or not visible(login) == login:
        raise BadProxy(variable=variable, problem="is no address of a proxy")
    return f"{scheme}://{login}{at}{place.rstrip('/')}"


def _direct(host: str, port: int, environment: Mapping[str, str]) -> bool:
    """Whether NO_PROXY names this host."""
    variable = "no_proxy" if environment.get("no_proxy") else "NO_PROXY"
    host = host.lower().rstrip(".")
    return any(
        _names(entry, host, port, variable)
        for entry in re.split(r"[,\s]+", environment.get(variable, "").strip().lower())
        if entry
    )


def _names(entry: str, host: str, port: int, variable: str) -> bool:
    if entry == "*":
        return True
    address, network = _address(host), entry.strip("[]")
    if "/" in entry:
        try:
            known = ip_network(network.replace("]/", "/"), strict=False)
        except ValueError:
            raise BadProxy(variable=variable, problem=f"has an entry that is no network ('{entry[:40]}')") from None
        return address is not None and address in known
    if (alone := _address(network)) is not None:
        return alone == address
    ended = _ENDED.match(entry)
    name, of_port = (ended[1], ended[2]) if ended else (entry, None)
    if of_port is not None and int(of_port) != port:
        return False
    if (alone := _address(name.strip("[]"))) is not None:
        return alone == address
    name = name.removeprefix("*").strip(".")
    return host == name or host.endswith(f".{name}")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def is_here(host: str) -> bool:
    """Whether a host is this machine: nobody listens between."""
    if not host or host.startswith("/") or host.lower() == "localhost":
        return True
    return (known := _address(host)) is not None and known.is_loopback


def trust_own_authorities(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let every library of this process, and of those that it starts, trust CARD_USAGE_CA too. Raises SettingsError."""
    place = environment.get("CARD_USAGE_CA", "").strip()
    if not place or environment.get("SSL_CERT_FILE", "") in {f"{made.name}/ca.pem" for made in _bundles.values()}:
        return
    try:
        own = Path(place).read_bytes()
        ssl.create_default_context().load_verify_locations(cadata=own.decode("ascii"))
    except (OSError, UnicodeDecodeError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SettingsError(
            problem=f"CARD_USAGE_CA cannot be used ({reason})", remedy="name a readable file of certificates in PEM"
        ) from None
    known = environment.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    public = [Path(certifi.where()), *([Path(known)] if known and Path(known).is_file() else [])]
    # Kept until the process ends. Only this user can write there.
    folder = _bundles.setdefault(place, tempfile.TemporaryDirectory(prefix="card_usage_ca."))
    bundle = Path(folder.name, "ca.pem")
    bundle.write_bytes(b"\n".join([own, *(path.read_bytes() for path in public)]))
    for variable in _READERS:
        environment[variable] = str(bundle)


def certificate_problem(error: BaseException) -> str | None:
    """Why a certificate was not accepted, in OpenSSL's words; None if an error is about something else."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        # aiohttp's own is one too, without a message: that is in what it was made of.
        if isinstance(one, ssl.SSLCertVerificationError) and (why := getattr(one, "verify_message", "")):
            return f"{CERTIFICATE}{why}".rstrip(".")
        waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return None


def whose_certificate(host: str, port: int, *, proxy: str | None = None, seconds: float = 3.0) -> str:
    """Whose certificate a server shows and who issued it, '' if it shows none now. It is looked at, not trusted, and
    nothing is asked of the server. `proxy`: by which it is reached, as `proxy_for` gives it."""
    looking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    looking.check_hostname, looking.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            _tunnel(proxy, host, port, seconds) if proxy else socket.create_connection((host, port), seconds) as plain,
            looking.wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            return describe_certificate(wrapped.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError, http.client.HTTPException):
        return ""


def _tunnel(proxy: str, host: str, port: int, seconds: float) -> socket.socket:
    """A connection to the server by a proxy of http://. Raises OSError, also for a proxy of https://."""
    parts = urlsplit(proxy)
    if parts.scheme != "http":
        raise OSError("a certificate is not looked at by a proxy that is reached by TLS itself")
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    headers = {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
    by = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=seconds)
    by.set_tunnel(host, port, headers)
    by.connect()
    return by.sock


def describe_certificate(shown_as: bytes) -> str:
    """Whose certificate this is, who issued it and how long it is valid. DER; raises ValueError."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    shown = x509.load_der_x509_certificate(shown_as)

    def name(of: x509.Name) -> str:
        named = of.get_attributes_for_oid(NameOID.COMMON_NAME) or of.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        return visible(str(named[0].value))[:60] if named else "nobody"

    return (
        f"it is of '{name(shown.subject)}', issued by '{name(shown.issuer)}', "
        f"valid from {shown.not_valid_before_utc:%Y-%m-%d} to {shown.not_valid_after_utc:%Y-%m-%d}"
    )


def refused_certificate(problem: str, host: str, port: int, *, proxy: str | None = None) -> str:
    """Whose certificate was not accepted, why, and what to do."""
    whose = whose_certificate(host, port, proxy=proxy) or "it does not show it again"
    remedy = "an authority of your own belongs into CARD_USAGE_CA"
    return f"{problem} ({host}:{port}; {whose}); {remedy}"

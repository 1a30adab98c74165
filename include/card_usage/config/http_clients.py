"""HTTP clients: the only place that opens connections of HTTP, for platform, robots, webhooks, sandbox and checks.

Each goes by the proxy that the environment names for its address, trusts CARD_USAGE_CA beside the public authorities,
takes nothing else from the environment and follows no redirect (outgoing.py). Failures are told in the same words.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from card_usage.config.outgoing import certificate_problem, proxy_for, refused_certificate


def trusted() -> ssl.SSLContext:
    """TLS that accepts what a public authority or one in CARD_USAGE_CA has issued."""
    return ssl.create_default_context()


def client(url: str, *, seconds: float) -> httpx.Client:
    """For calls to the host of this address. Raises BadProxy."""
    return httpx.Client(proxy=proxy_for(url), trust_env=False, verify=trusted(), timeout=seconds)


def async_client(url: str, *, seconds: float) -> httpx.AsyncClient:
    """The same for asyncio; paths are asked below `url`. Raises BadProxy."""
    return httpx.AsyncClient(base_url=url, proxy=proxy_for(url), trust_env=False, verify=trusted(), timeout=seconds)


def refusal(error: Exception, url: str) -> str | None:
    """Why TLS was not made: whose certificate, why and what to do, or OpenSSL's reason; None: not because of TLS."""
    if (problem := certificate_problem(error)) is not None:
        parts = urlsplit(url)
        return refused_certificate(problem, parts.hostname or "", parts.port or 443, proxy=proxy_for(url))
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return cause.reason or "TLS"
    return None


def failure(error: Exception) -> str:
    """Why no answer came, without the address: time-out, what the proxy said, or the system's words."""
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return "timeout"
    if isinstance(error, httpx.ProxyError):
        return f"proxy: {str(error)[:60]}"
    found = next((cause.strerror for cause in _causes(error) if isinstance(cause, OSError) and cause.strerror), None)
    return found or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__

"""One way out: proxies, certificates and the words about them are decided in one place; nobody connects beside it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OPENERS = {
    "AsyncClient",
    "Client",
    "ClientSession",
    "HTTPConnection",
    "HTTPSConnection",
    "HTTPTransport",
    "SSLContext",
    "Session",
    "create_connection",
    "create_default_context",
    "open_connection",
    "request",
    "urlopen",
}
"""What opens a connection or decides whom to trust, in any of the libraries."""
LIBRARIES = {"httpx", "aiohttp", "requests", "asyncio", "socket", "ssl", "http.client", "urllib.request"}
ALLOWED = {
    "include/card_usage/config/outgoing.py": "what proxies and authorities are, and a look at a certificate",
    "include/card_usage/config/http_clients.py": "the clients that everybody takes",
    "include/card_usage/platform/client.py": "the platform's own session, by the same proxy and authorities",
    "include/card_usage/source/tls.py": "a HIS knows no proxy, and its authorities stand in its connection",
    "include/card_usage/source/dialects/mysql.py": "the same",
    "include/card_usage/onboarding/acceptance_items.py": "a server on this machine, whose certificate nobody trusts",
}


def opened(path: Path) -> set[str]:
    """The openers that a file calls."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    from_libraries: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in LIBRARIES:
            from_libraries |= {alias.asname or alias.name: alias.name for alias in node.names}
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            found |= {from_libraries.get(node.func.id, "")} & OPENERS
        elif isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) in LIBRARIES:
            found |= {node.func.attr} & OPENERS
    return found


def test_nobody_opens_a_connection_of_his_own() -> None:
    folders = ("include/card_usage", "plugins", "dags")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    opening = {str(path.relative_to(ROOT)): found for path in files if (found := opened(path))}
    assert {path: found for path, found in opening.items() if path not in ALLOWED} == {}
    assert opening.keys() >= {path for path in ALLOWED if "/config/" in path}, "the search finds them"

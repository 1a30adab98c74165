"""Platform address: where a hospital's calls go. Patients travel there, so that a live hospital calls by https.

Plain http is for what is on this machine, for a hospital that is not live, and for a gateway of the hospital's own that
its file names (`[platform] gateway`), which then speaks https to the platform.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from card_usage.config.connections import Connection
from card_usage.config.hospital import Platform
from card_usage.config.outgoing import is_here
from card_usage.errors import BadConnection


def platform_url(connection: Connection, platform: Platform) -> str:
    """The base URL that calls go to. Raises BadConnection, also for plain http where that is refused."""
    url = connection.base_url()
    if is_refused(url, platform):
        problem = (
            "leads by plain http to another machine, and the hospital is live: patients would travel in clear; write "
            "https, or name a gateway of your own in the hospital's file ([platform] gateway)"
        )
        raise BadConnection(conn_id=connection.conn_id, variable=connection.conn_id.upper(), problem=problem)
    return url


def is_refused(url: str, platform: Platform) -> bool:
    """Whether calls to this URL would leave the machine in clear, and the file does not allow it."""
    parts = urlsplit(url)
    plain = parts.scheme == "http" and not is_here(parts.hostname or "")
    return plain and platform.live and not is_gateway(url, platform)


def is_gateway(url: str, platform: Platform) -> bool:
    """Whether this is the gateway that the file names."""
    return bool(platform.gateway) and platform.gateway.lower() in {urlsplit(url).hostname, urlsplit(url).netloc.lower()}

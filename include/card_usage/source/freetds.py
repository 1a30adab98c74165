"""FreeTDS: lets it check the certificate of a SQL Server, which is said in its file of settings and nowhere else.

pymssql has no argument for an authority; a section of freetds.conf has (`ca file`, `check certificate hostname`). So a
file of this process is written, with a section for each server, after whatever FREETDSCONF named before.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import MutableMapping
from hashlib import sha256
from pathlib import Path
from typing import Final

_VARIABLE: Final = "FREETDSCONF"
_writing = threading.Lock()
_folders: dict[str, tempfile.TemporaryDirectory[str]] = {}
"""By the file that FREETDSCONF named before."""


def checked_server(host: str, port: int, authorities: str, environment: MutableMapping[str, str] = os.environ) -> str:
    """The name under which FreeTDS finds this server and checks its certificate, host name included."""
    section = f"card_usage_{sha256(f'{host}:{port}:{authorities}'.encode()).hexdigest()[:16]}"
    with _writing:
        named = environment.get(_VARIABLE, "").strip()
        if any(folder.name == str(Path(named).parent) for folder in _folders.values()):
            place, known = Path(named), Path(named)
        else:
            made = _folders.setdefault(named, tempfile.TemporaryDirectory(prefix="card_usage_freetds."))
            place = Path(made.name, "freetds.conf")
            known = place if place.exists() else Path(named or os.devnull)
        text = known.read_text(encoding="utf-8") if known.exists() else ""
        if f"[{section}]" not in text:
            text += (
                f"\n[{section}]\n\thost = {host}\n\tport = {port}\n\tencryption = require\n"
                f"\tca file = {authorities}\n\tcheck certificate hostname = yes\n"
            )
            # A session that begins meanwhile reads the old file or the new one, never half of it.
            new = place.with_suffix(".new")
            new.write_text(text, encoding="utf-8")
            new.replace(place)
        environment[_VARIABLE] = str(place)
    return section
